"""The reverse of harmonizing: a melody for chords that are given.

    melodies(engine, harmonizer, Progression.read("Am | G | F | E7"), ...)

A tune is sampled as ever, under the grammar, but where a chord begins and on every other strong
place a note has to be one of the chord. Of several such melodies the one is taken under which the
harmonizer finds the given chords likeliest: p(melody | chords) goes with
p(melody) * p(chords | melody), and the sampler has seen to the first factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from musicgen.composer import Take
from musicgen.composer.controls import Controls
from musicgen.composer.controls.constraint import ControlledConstraint
from musicgen.composer.engine import Engine
from musicgen.composer.generation import draft, request_of, titled
from musicgen.composer.harmony.progression import Progression, symbol_of
from musicgen.composer.harmony.symbols import with_symbols
from musicgen.composer.sampling import SamplingConfig
from musicgen.models.harmony.network import Harmonizer, nats_per_slot
from musicgen.music.theory import Meter, rhythm_meters
from musicgen.music.tune import Change, Tune
from musicgen.tokens.constraint import Constraint
from musicgen.tokens.harmony.features import harmony_example
from musicgen.tokens.harmony.slots import places, slots_of
from musicgen.tokens.melody.grammar import State

FEWEST_BARS = 8  # a shorter progression is gone through again
TRIES = 8  # melodies for each that is wanted
_LONGEST_PART = 16


def melodies(
    engine: Engine,
    harmonizer: Harmonizer,
    progression: Progression,
    n: int,
    sampling: SamplingConfig,
    *,
    key: str | None = None,
    meter: str | None = None,
    rhythm: str | None = None,
    bars: int | None = None,
    tries: int = TRIES,
    held: bool = True,
) -> Iterator[Take]:
    """`n` melodies with the chords written over them. By default the key is that of the
    chords, the meter that of the rhythm or 4/4, and the progression is repeated until there
    are 8 `bars`. Each is the best of `tries`; with `held` False the chords are not heeded on the
    way, for comparison.

    Raises:
        ControlError: the key, meter or rhythm cannot be had, or a bar has too many chords.
    """
    n_bars = bars or len(progression.bars) * -(-FEWEST_BARS // len(progression.bars))
    progression = progression.over(n_bars)
    n_parts = -(-n_bars // _LONGEST_PART)
    part_bars = [n_bars // n_parts + (part < n_bars % n_parts) for part in range(n_parts)]
    controls = Controls(
        key=key or str(progression.key()),
        meter=meter or next(iter(rhythm_meters(rhythm or "")), "4/4"),
        rhythm=rhythm,
        form=ascii_uppercase[:n_parts],
        part_bars=part_bars,
        pickup="0",
    )
    request = request_of(engine, controls)
    asked = request.controls.meter
    assert asked is not None
    changes = progression.changes(asked)

    def hold(constraint: Constraint) -> Constraint:
        assert isinstance(constraint, ControlledConstraint)
        return OverChords(constraint, changes, asked, part_bars) if held else constraint

    def best(index: int) -> Take:
        numbers = range(index * tries, (index + 1) * tries)
        takes = [
            replace(take, tune=_with_chords(take.tune, changes))
            for take in draft(engine, numbers, request, sampling, hold=hold)
        ]
        costs = [
            nats_per_slot(harmonizer, [harmony_example(slots_of(take.tune))]) for take in takes
        ]
        chosen = takes[int(np.argmin(costs))]
        return replace(chosen, index=index, tune=titled(chosen.tune, sampling.seed, index))

    return map(best, range(n))


class OverChords:
    """A request's constraint, with notes on strong places held to the chords there.

    Where the request leaves no such note (the last must be the tonic, say) it comes first.
    """

    def __init__(
        self,
        inner: ControlledConstraint,
        changes: Sequence[Sequence[tuple[Fraction, str]]],
        meter: Meter,
        part_bars: Sequence[int],
    ) -> None:
        self.inner = inner
        self.changes = changes
        self.strong = places(meter)
        self.first_bars = [0, *accumulate(part_bars)]  # of each part, and past the last
        self.full = sum(meter.beat_durations, Fraction(0))
        base = inner.rows[0].plan.automaton.base
        self.is_pitch = base.is_pitch
        self.tie = next((i for i, t in enumerate(base.tokens) if t.kind == "tie"), None)
        self.lengths = [(i, t.value) for i, t in enumerate(base.tokens) if t.kind == "length"]
        self.last = [-1] * len(inner.rows)  # id of the last pitch of each

    def mask(self) -> NDArray[np.bool_]:
        """(B, V)"""
        mask = self.inner.mask()
        for row, own in enumerate(mask):
            state = self.inner.rows[row].state
            if not state.done:
                self._restrict(own, state, row)
        return mask

    def _restrict(self, mask: NDArray[np.bool_], state: State, row: int) -> None:
        inside = self._of_chord(state, row)
        if inside is not None:
            fitting = mask & (~self.is_pitch | inside)
            if (fitting & self.is_pitch).any():
                mask[:] = fitting
            last = self.last[row]
            if self.tie is not None and last >= 0 and not inside[last] and mask.sum() > 1:
                mask[self.tie] = False
        # A note that goes on when the chord changes would leave the change without a place.
        for token_id, value in self.lengths:
            crosses = state.position + value * state.unit > self._next_change(state)
            if mask[token_id] and crosses and mask.sum() > 1:
                mask[token_id] = False

    def _of_chord(self, state: State, row: int) -> NDArray[np.bool_] | None:
        """Which ids are notes of the chord that a note here has to be in; None: of none."""
        bar, place = self._bar(state), state.position
        if place >= self.full:  # the next note begins the next bar
            bar, place = bar + 1, Fraction(0)
        if bar >= len(self.changes):
            return None
        starts = self.changes[bar]
        if place not in self.strong and place not in [start for start, _ in starts]:
            return None
        name = [name for start, name in starts if start <= place][-1]
        notes = set(symbol_of(name).pitch_classes)
        inside = np.zeros(len(self.is_pitch), np.bool_)
        for token_id, midi in self.inner.rows[row].plan.automaton.pitches.pitches.items():
            inside[token_id] = midi % 12 in notes
        return inside

    def _bar(self, state: State) -> int:
        return self.first_bars[state.part] + state.bar

    def _next_change(self, state: State) -> Fraction:
        bar = self._bar(state)
        starts = [start for start, _ in self.changes[bar]] if bar < len(self.changes) else []
        return next((start for start in starts if start > state.position), self.full)

    def features(self) -> NDArray[np.integer]:
        """(B, F)"""
        return self.inner.features()

    def advance(self, ids: NDArray[np.integer]) -> None:
        """Follow one token in every row; ids (B,)."""
        self.inner.advance(ids)
        for row, token_id in enumerate(ids.tolist()):
            if self.is_pitch[token_id]:
                self.last[row] = token_id

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Go on with these rows only, in this order."""
        self.inner.keep(rows)
        self.last = [self.last[row] for row in rows.tolist()]


def _with_chords(tune: Tune, changes: Sequence[Sequence[tuple[Fraction, str]]]) -> Tune:
    """The tune with every chord at the first note or rest that begins with it or after."""
    symbols: dict[tuple[int, int], str] = {}
    for number, (bar, starts) in enumerate(zip(tune.bars, changes, strict=True)):
        onset, waiting = Fraction(0), list(starts)
        for i, event in enumerate(bar.events):
            if isinstance(event, Change):
                continue
            while waiting and waiting[0][0] <= onset:
                symbols[number, i] = waiting.pop(0)[1]
            onset += event.duration
    return with_symbols(tune, symbols)
