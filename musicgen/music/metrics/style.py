"""Style of a corpus as small tables of counts: the mean surprise of a tune's notes in bits.

    style = Style.count(real_tunes)
    style.scores(tune)          # mean bits of surprise, one number for each of ASPECTS

Each aspect is a conditional distribution of symbols, estimated with backing off to shorter
contexts by Witten and Bell's method C ("The zero-frequency problem", IEEE Trans. Inf. Theory 1991).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from musicgen.music.metrics.note_arrays import TICKS, Floats, NoteArrays

# One symbol with its contexts, the longest first; each is a text.
Event = tuple[str, tuple[str, ...]]
_MIN_COUNT = 2  # rarer symbols of a context are left to shorter contexts


def _mode(tune: NoteArrays) -> str:
    return tune.key.mode[:3]


def _degrees(tune: NoteArrays) -> Iterator[Event]:
    """A degree after the two before it."""
    mode, degrees = _mode(tune), tune.degrees.tolist()
    for a, b, c in zip(degrees, degrees[1:], degrees[2:], strict=False):
        yield str(c), (f"{mode} {a} {b}", f"{mode} {b}", mode, "")


def _steps(tune: NoteArrays) -> Iterator[Event]:
    """An interval after the one before it, on the beat or off it."""
    steps = np.clip(tune.intervals, -13, 13).tolist()
    beats = (tune.positions % tune.beat_ticks == 0).tolist()
    for a, b, on in zip(steps, steps[1:], beats[2:], strict=False):
        yield str(b), (f"{int(on)} {a}", f"{int(on)}", "")


def _places(tune: NoteArrays) -> Iterator[Event]:
    """The degree on each beat, by the beat and the measure of the strain of eight."""
    mode = _mode(tune)
    rows = zip(tune.measures.tolist(), tune.positions.tolist(), tune.degrees.tolist(), strict=True)
    for measure, position, degree in rows:
        if measure >= 0 and position % tune.beat_ticks == 0:
            beat = position // tune.beat_ticks
            place = f"{tune.meter} {beat} {measure % 8}"
            yield str(degree), (f"{mode} {place}", f"{mode} {int(beat == 0)} {measure % 8}", mode)


def _bar_lines(tune: NoteArrays) -> Iterator[Event]:
    """The interval over each bar line, after the degree before it."""
    measures, degrees = tune.measures, tune.degrees.tolist()
    for place in np.flatnonzero(np.diff(measures)).tolist():
        step = int(np.clip(tune.intervals[place], -13, 13))
        context = f"{_mode(tune)} {degrees[place]}"
        yield str(step), (f"{context} {int(measures[place + 1]) % 4}", context, "")


def _rhythms(tune: NoteArrays) -> Iterator[Event]:
    """The onsets of each measure in twelfths of a quarter, by the measure of the strain."""
    for measure, positions in tune.rhythms.items():
        last = measure % 8 if measure % 4 == 3 else 0
        text = " ".join(str(position // (TICKS // 12)) for position in positions)
        yield text, (f"{tune.rhythm} {tune.meter} {last}", f"{tune.meter} {last}", tune.meter)


ASPECTS: dict[str, Callable[[NoteArrays], Iterator[Event]]] = {
    "degrees": _degrees,
    "steps": _steps,
    "places": _places,
    "bar lines": _bar_lines,
    "rhythms": _rhythms,
}
# Number of symbols that are possible without any context.
_ALPHABET = {"degrees": 12, "steps": 27, "places": 12, "bar lines": 27, "rhythms": 4096}

Tables = dict[str, dict[str, dict[str, int]]]


@dataclass(frozen=True, eq=False)
class StyleCounts:
    """Counts of each aspect: context -> symbol -> count. Plain data, ready for JSON."""

    tables: Tables

    @staticmethod
    def count(tunes: Sequence[NoteArrays]) -> StyleCounts:
        """The style of some tunes."""
        tables: Tables = {}
        for name, aspect in ASPECTS.items():
            counts: dict[str, Counter[str]] = {}
            for tune in tunes:
                for symbol, contexts in aspect(tune):
                    for context in contexts:
                        counts.setdefault(context, Counter())[symbol] += 1
            kept = {c: {s: n for s, n in k.items() if n >= _MIN_COUNT} for c, k in counts.items()}
            tables[name] = {context: symbols for context, symbols in kept.items() if symbols}
        return StyleCounts(tables)

    def scores(self, tune: NoteArrays) -> Floats:
        """Mean surprise in bits of each aspect: (aspects,); NaN where a tune has none of it."""
        return np.array([self._surprise(name, tune) for name in ASPECTS])

    def _surprise(self, name: str, tune: NoteArrays) -> float:
        table, bits = self.tables[name], []
        for symbol, contexts in ASPECTS[name](tune):
            probability = 1 / _ALPHABET[name]
            for context in reversed(contexts):
                follow = table.get(context)
                if follow:
                    total, kinds = sum(follow.values()), len(follow)
                    probability = (follow.get(symbol, 0) + kinds * probability) / (total + kinds)
            bits.append(-math.log2(probability))
        return sum(bits) / len(bits) if bits else math.nan
