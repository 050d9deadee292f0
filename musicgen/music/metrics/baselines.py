"""Music that is known to be worse than real music: shuffled notes, Markov chains, spoilt tunes.

The ceilings of every measure, and what a judge of tunes must tell from the real thing. All of it
keeps the bars of the tune it is made from, so that it is as valid as that tune was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import accumulate

import numpy as np

from musicgen.music.theory import Pitch, spell
from musicgen.music.tune import NO_MARKS, Bar, Chord, Note, Rest, Timed, Tune, Voice

# Semitones above the tonic of octave 4 (None for a rest), and the length in quarters.
Symbol = tuple[int | None, Fraction]
Spoil = Callable[[Tune, np.random.Generator], Tune]
ORDER = 3


def shuffled(tune: Tune, rng: np.random.Generator) -> Tune:
    """The same notes in random order: pitches and rests change places, the rhythm stays."""
    return _with_pitches(tune, lambda pitches: [pitches[i] for i in rng.permutation(len(pitches))])


def shuffled_in_bars(tune: Tune, rng: np.random.Generator) -> Tune:
    """The pitches of every bar in random order."""
    bars = []
    for bar in tune.bars:
        voice = Voice(bars=(bar,))
        bars.append(shuffled(replace(tune, voices=(voice,)), rng).bars[0])
    return _with_bars(tune, bars)


def shuffled_bars(tune: Tune, rng: np.random.Generator) -> Tune:
    """The whole bars in random order; pickups, short bars, repeats and endings stay in place."""
    full = tune.meter.bar_duration
    places = [i for i, bar in enumerate(tune.bars) if bar.duration == full]
    bars = list(tune.bars)
    for place, source in zip(places, rng.permutation(places).tolist(), strict=True):
        bars[place] = replace(bars[place], events=tune.bars[source].events)
    return _with_bars(tune, bars)


def transposed_segments(tune: Tune, rng: np.random.Generator) -> Tune:
    """A quarter of the tune, in runs of two bars, moved by 1 to 6 semitones up or down."""
    n_runs = max(1, len(tune.bars) // 8)
    bars = list(tune.bars)
    for start in rng.choice(max(1, len(bars) - 1), n_runs, replace=False).tolist():
        semitones = int(rng.integers(1, 7)) * int(rng.choice([-1, 1]))
        for place in range(start, min(start + 2, len(bars))):
            bars[place] = _map_bar(bars[place], partial(_moved, semitones=semitones, tune=tune))
    return _with_bars(tune, bars)


def changed_pitches(tune: Tune, rng: np.random.Generator, share: float = 0.25) -> Tune:
    """A share of the notes moved at random by up to 7 semitones."""

    def change(pitch: Pitch) -> Pitch:
        if rng.random() >= share:
            return pitch
        return _moved(pitch, int(rng.integers(1, 8)) * int(rng.choice([-1, 1])), tune)

    return _with_bars(tune, [_map_bar(bar, change) for bar in tune.bars])


def looped_bars(tune: Tune, rng: np.random.Generator) -> Tune:
    """One to four bars played over and over for the half of the tune or more."""
    full = tune.meter.bar_duration
    places = [i for i, bar in enumerate(tune.bars) if bar.duration == full]
    period = int(rng.integers(1, 5))
    bars = list(tune.bars)
    start = int(rng.integers(0, max(1, len(places) // 2)))
    run = places[start : start + max(len(places) // 2, 3 * period)]
    for number, place in enumerate(run):
        bars[place] = replace(bars[place], events=tune.bars[run[number % period]].events)
    return _with_bars(tune, bars)


# What a judge is asked to tell from real tunes.
SPOILERS: dict[str, Spoil] = {
    "notes shuffled in bars": shuffled_in_bars,
    "bars shuffled": shuffled_bars,
    "segments transposed": transposed_segments,
    "pitches changed": changed_pitches,
    "bars looped": looped_bars,
}


class MarkovChain:
    """A chain over (degree, octave, length) of the written melodies of each mode.

    What follows the last three notes is drawn as often as it followed them in the tunes of that
    mode; where they never occurred, the last two, one or none decide. The heading, bars, repeats
    and pickup are those of a tune drawn from `models`, and the chain fills its bars. With order 0
    the notes of all tunes of a mode are mixed and dealt out anew.
    """

    def __init__(
        self, tunes: Sequence[Tune], order: int = ORDER, models: Sequence[Tune] | None = None
    ) -> None:
        self.order = order
        self.models = [t for t in models or tunes if t.meter.bar_duration]
        self.counts: dict[tuple[object, ...], Counter[Symbol]] = {}
        for tune in (*tunes, *self.models):
            symbols = [_symbol(event, tune) for event in _timed(tune)]
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
            room, events = bar.duration, list[Timed]()
            while room > 0:
                if not left:
                    symbol = self._next(model.key.mode, past, rng)
                    past.append(symbol)
                    left = symbol[1]
                length = min(left, room)
                left, room = left - length, room - length
                events.append(_event(symbol[0], length, tie=bool(left), tune=model))
            bars.append(replace(bar, events=tuple(events)))
        if isinstance(bars[-1].events[-1], Note):  # nothing follows that it could be tied to
            last = replace(bars[-1].events[-1], tie=False)
            bars[-1] = replace(bars[-1], events=(*bars[-1].events[:-1], last))
        return _with_bars(model, bars)

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


def _timed(tune: Tune) -> list[Timed]:
    return [event for event in tune.voices[0].events if event.duration > 0]


def _symbol(event: Timed, tune: Tune) -> Symbol:
    pitch = _top(event)
    if pitch is None:
        return None, event.duration
    return pitch.midi - 60 - tune.key.tonic_pitch_class, event.duration


def _event(number: int | None, length: Fraction, *, tie: bool, tune: Tune) -> Timed:
    if number is None:
        return Rest(length)
    return Note(spell(60 + tune.key.tonic_pitch_class + number, tune.key), length, tie)


def _top(event: Timed) -> Pitch | None:
    if isinstance(event, Note):
        return event.pitch
    if isinstance(event, Chord):
        return max((note.pitch for note in event.notes), key=lambda pitch: pitch.midi)
    return None


def _with_pitches(tune: Tune, change: Callable[[list[Pitch | None]], list[Pitch | None]]) -> Tune:
    """The tune with the pitches (None: a rest) of its events replaced, in order."""
    pitches = iter(change([_top(event) for event in tune.voices[0].events]))
    bars = []
    for bar in tune.bars:
        events = tuple(_struck(event, next(pitches)) for event in bar.timed)
        bars.append(replace(bar, events=events))
    return _with_bars(tune, bars)


def _struck(event: Timed, pitch: Pitch | None) -> Timed:
    if pitch is None:
        return Rest(event.duration, tuplet=event.tuplet)
    return Note(pitch, event.duration, tuplet=event.tuplet, marks=NO_MARKS)


def _map_bar(bar: Bar, change: Callable[[Pitch], Pitch]) -> Bar:
    events: list[Timed] = []
    for event in bar.timed:
        pitch = _top(event)
        events.append(_struck(event, None if pitch is None else change(pitch)))
    return replace(bar, events=tuple(events))


def _moved(pitch: Pitch, semitones: int, tune: Tune) -> Pitch:
    return spell(pitch.midi + semitones, tune.key)


def _with_bars(tune: Tune, bars: Sequence[Bar]) -> Tune:
    """The tune with other bars in its one voice, without what belonged to the old ones."""
    voice = replace(tune.voices[0], bars=tuple(bars))
    return replace(tune, voices=(voice,), source=None, warnings=())
