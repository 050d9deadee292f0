"""A motif: bars of a tune, and their notes as tokens in another key."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from musicgen.errors import ControlError, InvalidTuneError, printable
from musicgen.music.theory import Interval, Key
from musicgen.music.transposition import move
from musicgen.music.tune import Bar, Note, Tune
from musicgen.tokens.melody.encoding import encode_bars, melody, pickup_of

MOST_BARS = 16
_BARS = re.compile(r"\s*(\d{1,4})\s*(?:-\s*(\d{1,4})\s*)?")


@dataclass(frozen=True, slots=True)
class Motif:
    """`bars` are full bars, after the pickup bar if there is a `pickup` (in quarters)."""

    tune: Tune
    bars: tuple[Bar, ...]
    n_bars: int
    pickup: Fraction

    @staticmethod
    def read(tune: Tune, bars: str) -> Motif:
        """Bars such as "1-2" (full bars, counted from 1) of a tune, with the pickup before bar 1.

        Raises:
            ControlError: there are no such bars, or they are not a single line of full bars.
        """
        match = _BARS.fullmatch(bars)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last or last - first >= MOST_BARS:
            raise ControlError(
                f"motif-bars '{printable(bars[:20])}': write up to {MOST_BARS} bars, like 1-2"
            )
        try:
            reduced = melody(tune).tune
        except InvalidTuneError as error:
            raise ControlError(f"motif: {error}; give a single-line melody") from None
        pickup = pickup_of(reduced)
        full = reduced.bars[1:] if pickup else reduced.bars
        chosen = full[first - 1 : last]
        if len(chosen) < last - first + 1:
            raise ControlError(f"motif-bars {bars}: the tune has {len(full)} bars")
        for number, bar in enumerate(chosen, start=first):
            if bar.duration != reduced.meter.bar_duration:
                raise ControlError(f"motif: bar {number} is not a full bar of {reduced.meter}")
        pickup = pickup if first == 1 else Fraction(0)
        kept = (*reduced.bars[:1], *chosen) if pickup else chosen
        return Motif(reduced, tuple(map(_plain, _untied(kept))), len(chosen), pickup)

    def tokens(self, key: Key, unit: Fraction) -> list[str]:
        """The notes in another key, moved by the smaller interval, with bar lines between them.

        Raises:
            InvalidTuneError: no tokens exist for the notes in that key.
        """
        tune = replace(self.tune, voices=(replace(self.tune.voices[0], bars=self.bars),))
        moved = move(tune, Interval.between(tune.key, key))
        return encode_bars(replace(moved, key=key, unit=unit), moved.bars)[:-1]


def _plain(bar: Bar) -> Bar:
    return Bar(events=bar.events, barline="|")


def _untied(bars: tuple[Bar, ...]) -> tuple[Bar, ...]:
    """The bars without a tie out of the last."""
    last = bars[-1]
    *events, end = last.events
    if isinstance(end, Note) and end.tie:
        return (*bars[:-1], replace(last, events=(*events, replace(end, tie=False))))
    return bars
