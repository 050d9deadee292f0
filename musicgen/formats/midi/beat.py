"""Beat tracking of a performance: the place of a score that each onset was meant for.

An onset has two likelihoods: of its deviation from the beat, and of its rhythm after the place
before (`estimation.style_probabilities`). The likeliest sequence of places is found by dynamic
programming. The beat is that of the file, if the player had a click, or it is tracked: a beam of
hypotheses, each with a Kalman filter for the time of the last place and the tempo (a switching
state space model, Cemgil and Kappen 2003, JAIR 18), smoothed backwards and used for another round.
The likelihood per onset of the opening decides between both, and against onsets at random (no
beat).
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
    DRIFTS,
    Fit,
    Floats,
    quantise_on,
    track,
    track_any,
    track_with,
    usual_off,
    viterbi,
)
from musicgen.music.estimation import GRID
from musicgen.music.notation.rhythms import UNITS
from musicgen.music.tune import Tempo

DECIDING = 200  # onsets that decide for a beat
# What may be spent on the performances of a file, less than three seconds of a processor, counted
# in onsets on a tracked beat; the cost of an onset of the opening, and of one on the file's beat.
MAX_EFFORT, OPENING_EFFORT, CLICK_EFFORT = 7_500, 26, 0.45
LOST_NATS = 0.3  # an onset; a beat of the file that fits so much less after the opening is not used
FEWEST_ONSETS = 8  # with fewer, the file's own beat is used
# The least evidence of a beat, in nats over chance for all onsets. Random onsets, evenly spread or
# of a Poisson process, seldom reach half of it, on the file's beat or on a tracked one.
LEAST_CLICKED, LEAST_TRACKED = 8.0, 12.0
CLICK_NATS = 3.0  # prior cost of a tracked beat, for all onsets
# Prior cost of quarters that begin elsewhere than the file's, in nats an onset; the onsets used.
SHIFT_GAIN, OPENING = 0.02, 300
PACE_GAIN = 0.4  # nats an onset over chance, from which tempos far from the file's are not tried
PACE_NATS = 12.0  # prior cost of such a tempo, for all onsets


@dataclass(frozen=True)
class Beat:
    """The places of onsets. `places` are in units, one for each onset; `deviation` in quarters by
    tick; `off_s` is the average distance of onsets from their places in seconds, `furthest_s` the
    greatest. `clicked`: the beat is the file's own. `slowest`, `fastest`: quarters a minute."""

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
        """The places of ticks on the beat, in quarters, not rounded."""
        return _interpolate(ticks.astype(float), self.ticks, self.quarters)

    def describe(self) -> str:
        """A line for the warnings of a tune: the beat, and how far notes were moved."""
        beat = "the file's beat"
        if not self.clicked:
            beat = f"a beat of {float(self.tempo.bpm or 0):.0f} quarter notes a minute"
            if self.fastest > 1.03 * self.slowest:
                beat += f" ({self.slowest:.0f} to {self.fastest:.0f})"
        return (
            f"a performance: {len(self.places)} onsets moved to {beat}, by "
            f"{1000 * self.off_s:.0f} ms on average, at most {1000 * self.furthest_s:.0f} ms"
        )


@dataclass(slots=True)
class Effort:
    """What may still be spent on performances."""

    left: float = MAX_EFFORT

    def spend(self, effort: float, n_onsets: int) -> None:
        """Take some of it.

        Raises:
            ParseError: so much is not left.
        """
        self.left -= effort
        if self.left < 0:
            raise ParseError(
                f"performances that take too long to follow ({n_onsets} onsets); "
                "cut the file into pieces"
            )


def follow(
    onsets: Ints,
    ticks_per_quarter: int,
    quarter_s: float,
    *,
    chords: bool = False,
    effort: Effort | None = None,
) -> Beat:
    """The places of a performance's onsets.

    Args:
        onsets: in ticks, increasing.
        ticks_per_quarter: of the file, whose quarters need not be the player's.
        quarter_s: duration of a quarter of the file in seconds.
        chords: whether several onsets may belong to one place.
        effort: what is left for the performances of the file.

    Raises:
        ParseError: too many onsets, or no beat in them.
    """
    effort = effort or Effort()
    effort.spend(OPENING_EFFORT * min(len(onsets), DECIDING), len(onsets))
    times = onsets / ticks_per_quarter
    if len(onsets) < FEWEST_ONSETS:
        clicked = _on_click(times, quarter_s, chords=chords)
        return _describe(_Choice(clicked, clicked=True), onsets, times, quarter_s)
    opening = times[:DECIDING]
    choice = _choose(opening, quarter_s, chords=chords)
    gained = (_chance(opening) - choice.cost) * len(opening)
    if gained < (LEAST_CLICKED if choice.clicked else LEAST_TRACKED):
        raise ParseError(
            "a performance in which no steady beat can be found (its onsets fit one little "
            "better than onsets at random would); quantise it where it was recorded"
        )
    if len(opening) < len(times):
        choice = _followed(choice, times, quarter_s, effort, chords=chords)
    return _describe(choice, onsets, times, quarter_s)


def _followed(
    opening: _Choice, times: Floats, quarter_s: float, effort: Effort, *, chords: bool
) -> _Choice:
    """The whole on the beat of its opening, or on a tracked one where the file's own is lost."""
    pace, drift = opening.fit.pace, opening.fit.drift or DRIFTS[0]
    if opening.clicked:
        effort.spend(CLICK_EFFORT * len(times), len(times))
        fit = _on_click(times, quarter_s, chords=chords)
        if fit.cost < opening.fit.cost + LOST_NATS:
            return _Choice(fit, clicked=True)
    effort.spend(len(times), len(times))
    return _Choice(
        track_with(times, pace, quarter_s, drift, chords=chords, rounds=1), clicked=False
    )


@dataclass(frozen=True)
class _Choice:
    """A fit to the file's beat or to a tracked one, with the prior cost of that beat."""

    fit: Fit
    clicked: bool
    prior: float = 0.0  # nats

    @property
    def cost(self) -> float:
        """Nats an onset."""
        return self.fit.cost + self.prior / len(self.fit.places)


def _choose(times: Floats, quarter_s: float, *, chords: bool) -> _Choice:
    """The likelier of the file's beat and a tracked one; a beat of any tempo only if neither is
    likely, since the same music can be written in other note values."""
    clicked = _Choice(_on_click(times, quarter_s, chords=chords), clicked=True)
    tracked = _Choice(track(times, quarter_s, chords=chords), clicked=False, prior=CLICK_NATS)
    best = min(clicked, tracked, key=lambda choice: choice.cost)
    if best.cost < _chance(times) - PACE_GAIN:
        return best
    choices = [
        _Choice(fit, clicked=False, prior=PACE_NATS)
        for fit in track_any(times, quarter_s, chords=chords)
    ]
    return min(best, *choices, key=lambda choice: choice.cost)


def _on_click(times: Floats, quarter_s: float, *, chords: bool) -> Fit:
    """Places on the file's own beat.

    The quarters of the music may begin elsewhere than those of the file; the first onsets decide.
    A constant delay of the recording is subtracted.
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
    if lead < 0 or not clicked:  # no bars before the music
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
    pace = 1.0 if clicked else (times[-1] - times[0]) / max(quarters[-1] - quarters[0], 1e-6)
    return Beat(
        places=units,
        deviation=dict(zip(onsets.tolist(), deviation.tolist(), strict=True)),
        clicked=clicked,
        tempo=Tempo(Fraction(max(round(60 / (quarter_s * pace)), 1))),
        slowest=float(qpm.min()),
        fastest=float(qpm.max()),
        off_s=float(off_s.mean()),
        furthest_s=float(off_s.max()),
        off=fit.off,
        ticks=onsets.astype(float),
        quarters=beats,
    )


def _interpolate(x: Floats, ticks: Floats, quarters: Floats) -> Floats:
    """Piecewise linear interpolation; beyond the ends with the average slope."""
    result: Floats = np.interp(x, ticks, quarters)
    span = ticks[-1] - ticks[0]
    if not span:
        return result
    slope = (quarters[-1] - quarters[0]) / span
    result = np.where(x > ticks[-1], quarters[-1] + (x - ticks[-1]) * slope, result)
    return np.where(x < ticks[0], quarters[0] + (x - ticks[0]) * slope, result)
