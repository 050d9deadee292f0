"""Following the beat of a performance: which place of a score each onset was meant for.

Two things are known of an onset: where it falls against the beat, give or take what a player is
off, and how rhythms go on from the place before (`estimation.rhythm_probability`). The likeliest
sequence of places is found by dynamic programming. The beat is either that of the file, when the
player had a click, or it is tracked: a beam of hypotheses, each with a Kalman filter for the time
of the last place and the tempo (a switching state space model, Cemgil and Kappen 2003, JAIR 18),
smoothed backwards and used for another round. Which it is, and whether there is a beat at all, is
decided by likelihood per onset, against onsets that come at random.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from musicgen.errors import ParseError
from musicgen.formats.midi.smf import Ints
from musicgen.formats.midi.tracking import (
    Fit,
    Floats,
    quantise_on,
    track,
    track_any,
    usual_off,
    viterbi,
)
from musicgen.music.estimation import GRID
from musicgen.music.notation.rhythms import UNITS
from musicgen.music.tune import Tempo

MAX_ONSETS = 20_000
FEWEST_ONSETS = 8  # below, the file's own beat is taken
# Nats over chance, in all, to believe in a beat: random onsets, evenly spread or a Poisson process,
# seldom reach half of that, on the file's beat or on one that is bent to them.
LEAST_CLICKED, LEAST_TRACKED = 8.0, 12.0
CLICK_NATS = 3.0  # in all, by which a free beat must be likelier than the file's to be preferred
# And an onset, another beginning of the quarters, over the file's; judged by so many onsets.
SHIFT_GAIN, OPENING = 0.02, 300
PACE_GAIN = 0.4  # nats an onset over chance, for other tempos than the file's not to be tried
PACE_NATS = 12.0  # by which one of those must be likelier


@dataclass(frozen=True)
class Beat:
    """Where onsets belong. `places` are in units, for each onset; `deviation` in quarters by tick;
    `off_s` how far onsets are from their places on average, `furthest_s` at most, in seconds.
    `clicked` says that the beat is the file's own."""

    places: Ints
    deviation: Mapping[int, float]
    clicked: bool
    tempo: Tempo
    slowest: float
    fastest: float
    off_s: float
    furthest_s: float
    off: float
    ticks: Floats
    quarters: Floats

    def place(self, ticks: Ints) -> Floats:
        """Where ticks fall on the beat, in quarters, not rounded."""
        return _interpolate(ticks.astype(float), self.ticks, self.quarters)

    def describe(self) -> str:
        """One line: what was done, and how far notes were moved."""
        source = (
            "the file's beat" if self.clicked else f"a beat of {float(self.tempo.bpm or 0):.0f}"
        )
        vary = ""
        if not self.clicked and self.fastest > 1.03 * self.slowest:
            vary = f" ({self.slowest:.0f} to {self.fastest:.0f})"
        unit = "" if self.clicked else f" quarter notes a minute{vary}"
        return (
            f"a performance: {len(self.places)} onsets moved to {source}{unit}, by "
            f"{1000 * self.off_s:.0f} ms on average, at most {1000 * self.furthest_s:.0f} ms"
        )


def follow(onsets: Ints, ticks_per_quarter: int, quarter_s: float, *, chords: bool = False) -> Beat:
    """The places of a performance's onsets.

    Args:
        onsets: in ticks, increasing.
        ticks_per_quarter: of the file, whose quarters may or may not be the player's.
        quarter_s: how long a quarter of the file lasts, in seconds.
        chords: whether several onsets may belong to one place.

    Raises:
        ParseError: too many onsets, or no beat in them.
    """
    if len(onsets) > MAX_ONSETS:
        raise ParseError(f"a performance of more than {MAX_ONSETS} notes; cut it into pieces")
    times = onsets / ticks_per_quarter
    if len(onsets) < FEWEST_ONSETS:
        clicked = _on_click(times, quarter_s, chords=chords)
        return _describe(_Choice(clicked, clicked=True), onsets, times, quarter_s)
    choice, chance = _choose(times, quarter_s, chords=chords), _chance(times)
    gained = (chance - choice.cost) * len(onsets)
    if gained < (LEAST_CLICKED if choice.clicked else LEAST_TRACKED):
        raise ParseError(
            "a performance in which no steady beat can be found (its onsets fit one little "
            "better than onsets at random would); quantise it where it was recorded"
        )
    return _describe(choice, onsets, times, quarter_s)


@dataclass(frozen=True)
class _Choice:
    """A fit, on the file's beat or on one that was tracked; `prior` is how unlikely that is."""

    fit: Fit
    clicked: bool
    prior: float = 0.0  # nats

    @property
    def cost(self) -> float:
        """Nats an onset."""
        return self.fit.cost + self.prior / len(self.fit.places)


def _choose(times: Floats, quarter_s: float, *, chords: bool) -> _Choice:
    """The likeliest of the file's beat and a tracked one; one of any tempo only where neither is
    likely, since music in other note values sounds the same."""
    clicked = _Choice(_on_click(times, quarter_s, chords=chords), clicked=True)
    tracked = _Choice(track(times, quarter_s, chords=chords), clicked=False, prior=CLICK_NATS)
    best = min(clicked, tracked, key=lambda choice: choice.cost)
    if best.cost < _chance(times) - PACE_GAIN:
        return best
    others = track_any(times, quarter_s, chords=chords)
    choices = [_Choice(fit, clicked=False, prior=PACE_NATS) for fit in others]
    return min(best, *choices, key=lambda choice: choice.cost)


def _on_click(times: Floats, quarter_s: float, *, chords: bool) -> Fit:
    """Places on the file's own beat.

    The music's quarters may begin elsewhere than the file's, since pickups do not: the first onsets
    say where. How late all of the recording is, is taken off.
    """
    off = usual_off(quarter_s)
    scored = []
    for shift in (0, GRID // 2, GRID // 4, 3 * GRID // 4):
        fit = viterbi(times[:OPENING] + shift / GRID, off, chords=chords)
        scored.append((fit.cost + SHIFT_GAIN * (shift > 0), shift))
    shift = min(scored)[1]
    moved = times + shift / GRID
    fit = quantise_on(moved, quarter_s, chords=chords)
    late = float(np.median(moved - fit.places / GRID))
    if abs(late) > 0.3 * fit.off:
        fit = quantise_on(moved - late, quarter_s, chords=chords)
    return Fit(fit.places - shift, fit.beats - shift / GRID, fit.cost, fit.off)


def _chance(times: Floats) -> float:
    """Nats an onset of a Poisson process with as many onsets."""
    mean = (times[-1] - times[0]) / max(len(times) - 1, 1)
    return math.log(max(mean, 1e-6)) + 1


def _describe(choice: _Choice, onsets: Ints, times: Floats, quarter_s: float) -> Beat:
    fit, clicked = choice.fit, choice.clicked
    units, quarters, beats = fit.places * (UNITS // GRID), fit.places / GRID, fit.beats
    lead = quarters[0] // 1
    if lead < 0 or not clicked:  # silence before the music belongs to no bar
        units, quarters, beats = units - int(lead) * UNITS, quarters - lead, beats - lead
    deviation = beats - quarters
    paces = np.ones(1)
    if not clicked:
        step, passed = np.diff(beats), np.diff(times)
        kernel = np.ones(min(8, len(step)))
        passed, step = np.convolve(passed, kernel, "valid"), np.convolve(step, kernel, "valid")
        paces = passed / np.maximum(step, 1e-3)
    off_s = np.abs(deviation) * quarter_s * float(np.median(paces))
    qpm = 60 / (quarter_s * paces)
    whole = 1.0 if clicked else (times[-1] - times[0]) / max(quarters[-1] - quarters[0], 1e-6)
    return Beat(
        places=units,
        deviation=dict(zip(onsets.tolist(), deviation.tolist(), strict=True)),
        clicked=clicked,
        tempo=Tempo(Fraction(max(round(60 / (quarter_s * whole)), 1))),
        slowest=float(qpm.min()),
        fastest=float(qpm.max()),
        off_s=float(off_s.mean()),
        furthest_s=float(off_s.max()),
        off=fit.off,
        ticks=onsets.astype(float),
        quarters=beats,
    )


def _interpolate(at: Floats, ticks: Floats, quarters: Floats) -> Floats:
    """Piecewise linear, and beyond the ends as steep as on average."""
    found: Floats = np.interp(at, ticks, quarters)
    span = ticks[-1] - ticks[0]
    slope = (quarters[-1] - quarters[0]) / span if span else 0.0
    if not span:
        return found
    found = np.where(at > ticks[-1], quarters[-1] + (at - ticks[-1]) * slope, found)
    return np.where(at < ticks[0], quarters[0] + (at - ticks[0]) * slope, found)
