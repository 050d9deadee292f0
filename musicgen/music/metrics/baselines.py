"""Baselines known to be worse than real music: shuffled notes and Markov chains.

They are the ceilings of every measure. Each keeps the bars of the tune it is made from, so that it
is as valid as that tune.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

import numpy as np

from musicgen.music.theory import spell
from musicgen.music.tune import Bar, Note, Rest, Timed, Tune, highest

# Semitones above the tonic of octave 4 (None for a rest), and the length in quarters.
Symbol = tuple[int | None, Fraction]
ORDER = 3


def shuffled(tune: Tune, rng: np.random.Generator) -> Tune:
    """The same notes in random order: pitches and rests change places, the rhythm stays."""
    notes = [highest(event) for event in tune.voices[0].events]
    order = iter(rng.permutation(len(notes)).tolist())
    bars = [
        replace(bar, events=tuple(with_note(event, notes[next(order)]) for event in bar.timed))
        for bar in tune.bars
    ]
    return with_bars(tune, bars)


class MarkovChain:
    """A chain over (degree, octave, length) of the written melodies of each mode.

    The next note is drawn with the frequency with which it followed the last three in the tunes of
    that mode; where they never occurred, the last two, one or none decide. The heading, bars,
    repeats and pickup are those of a tune drawn from `models`, and the chain fills its bars. With
    order 0 the notes of all tunes of a mode are mixed and dealt out anew.
    """

    def __init__(
        self, tunes: Sequence[Tune], order: int = ORDER, models: Sequence[Tune] | None = None
    ) -> None:
        self.order = order
        self.models = [t for t in models or tunes if t.meter.bar_duration]
        self.counts: dict[tuple[object, ...], Counter[Symbol]] = {}
        for tune in (*tunes, *self.models):
            symbols = [_symbol(e, tune) for e in tune.voices[0].events if e.duration > 0]
            for place, symbol in enumerate(symbols):
                for length in range(min(order, place) + 1):
                    context = (tune.key.mode, *symbols[place - length : place])
                    self.counts.setdefault(context, Counter())[symbol] += 1
        self._shares: dict[tuple[object, ...], tuple[list[Symbol], list[int]]] = {}

    def generate(self, rng: np.random.Generator) -> Tune:
        """One new tune."""
        model = self.models[int(rng.integers(len(self.models)))]
        past: list[Symbol] = []
        bars, left = [], Fraction(0)
        symbol: Symbol = (None, Fraction(0))
        for bar in model.bars:
            remaining, events = bar.duration, list[Timed]()
            while remaining > 0:
                if not left:
                    symbol = self._next(model.key.mode, past, rng)
                    past.append(symbol)
                    left = symbol[1]
                length = min(left, remaining)
                left, remaining = left - length, remaining - length
                events.append(_event(symbol[0], length, tie=bool(left), tune=model))
            bars.append(replace(bar, events=tuple(events)))
        if isinstance(bars[-1].events[-1], Note):  # nothing follows that it could be tied to
            last = replace(bars[-1].events[-1], tie=False)
            bars[-1] = replace(bars[-1], events=(*bars[-1].events[:-1], last))
        return with_bars(model, bars)

    def _next(self, mode: str, past: Sequence[Symbol], rng: np.random.Generator) -> Symbol:
        for length in range(min(self.order, len(past)), -1, -1):
            context = (mode, *past[len(past) - length :])
            if context not in self.counts:
                continue
            if context not in self._shares:
                follow = self.counts[context]
                self._shares[context] = list(follow), list(accumulate(follow.values()))
            symbols, totals = self._shares[context]
            return symbols[bisect_right(totals, int(rng.integers(totals[-1])))]
        raise AssertionError("the chain was counted on its own models")


def _symbol(event: Timed, tune: Tune) -> Symbol:
    top = highest(event)
    return None if top is None else top.midi - 60 - tune.key.tonic_pitch_class, event.duration


def _event(number: int | None, length: Fraction, *, tie: bool, tune: Tune) -> Timed:
    if number is None:
        return Rest(length)
    return Note(spell(60 + tune.key.tonic_pitch_class + number, tune.key), length, tie)


def with_note(event: Timed, note: Note | None) -> Timed:
    """An event of the same length with the pitch of a note; a rest without one."""
    if note is None:
        return Rest(event.duration, tuplet=event.tuplet)
    return Note(note.pitch, event.duration, tuplet=event.tuplet)


def with_bars(tune: Tune, bars: Sequence[Bar]) -> Tune:
    """The tune with other bars in its one voice, without the source and warnings of the old."""
    voice = replace(tune.voices[0], bars=tuple(bars))
    return replace(tune, voices=(voice,), source=None, warnings=())
