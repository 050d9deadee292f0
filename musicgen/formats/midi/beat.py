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
from musicgen.estimation import GRID
from musicgen.formats.midi.grid import UNITS
from musicgen.formats.midi.smf import Ints
from musicgen.formats.midi.tracking import Fit, Floats, quantise_on, track
from musicgen.tune import Tempo

MAX_ONSETS = 20_000
FEWEST_ONSETS = 8  # below, the file's own beat is taken
# Nats an onset over chance, to believe in a beat: on a click random onsets reach -0.1, while a free
# beat can be bent to them and reaches 0.25.
LEAST_CLICKED, LEAST_TRACKED = 0.0, 0.3
CLICK_NATS = 3.0  # and in all, since a free beat has more to choose
# Nats an onset that tracking must win to be preferred to the file's beat: when onsets are further
# from that than from the tracked one, and when they are not.
CLICK_GAIN, TIGHT_GAIN, LOOSE = -0.05, 0.7, 1.2
SHIFT_GAIN = 0.02  # and another beginning of the quarters, over the file's


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
    clicked = _on_click(times, quarter_s, chords=chords)
    best, is_clicked = clicked, True
    if len(onsets) >= FEWEST_ONSETS:
        chance = _chance(times)
        tracked = track(times, quarter_s, chance, chords=chords)
        gain = clicked.cost - tracked.cost
        loose = clicked.off > LOOSE * tracked.off
        if gain > (CLICK_GAIN if loose else TIGHT_GAIN) + CLICK_NATS / len(onsets):
            best, is_clicked = tracked, False
        if chance - best.cost < (LEAST_CLICKED if is_clicked else LEAST_TRACKED):
            raise ParseError(
                "a performance in which no steady beat can be found (its onsets fit one little "
                "better than onsets at random would); quantise it where it was recorded"
            )
    return _describe(best, onsets, times, quarter_s, is_clicked)


def _on_click(times: Floats, quarter_s: float, *, chords: bool) -> Fit:
    """Places on the file's own beat.

    How late all of the recording is, is taken off. The music's quarters may begin elsewhere than
    the file's, since pickups do not.
    """
    best: Fit | None = None
    for shift in (0, GRID // 2, GRID // 4, 3 * GRID // 4):
        moved = times + shift / GRID
        fit = quantise_on(moved, quarter_s, chords=chords)
        late = float(np.median(moved - fit.places / GRID))
        if abs(late) > 0.3 * fit.off:
            fit = quantise_on(moved - late, quarter_s, chords=chords)
        if best is None or fit.cost < best.cost - SHIFT_GAIN:
            best = Fit(fit.places - shift, fit.beats - shift / GRID, fit.cost, fit.off)
    assert best is not None
    return best


def _chance(times: Floats) -> float:
    """Nats an onset of a Poisson process with as many onsets."""
    mean = (times[-1] - times[0]) / max(len(times) - 1, 1)
    return math.log(max(mean, 1e-6)) + 1


def _describe(fit: Fit, onsets: Ints, times: Floats, quarter_s: float, clicked: bool) -> Beat:
    places, beats = fit.places.copy(), fit.beats.copy()
    if not clicked:  # silence before the music belongs to no bar
        lead = places[0] // GRID * GRID
        places, beats = places - lead, beats - lead / GRID
    elif places[0] < 0:
        places = places + GRID * -(places[0] // GRID)
        beats = beats + (places[0] - fit.places[0]) / GRID
    deviation = beats - places / GRID
    on_beat = beats - deviation
    paces = np.ones(1)
    if not clicked and len(times) > 1:
        smooth = beats - (beats - places / GRID) * 0
        step, passed = np.diff(smooth), np.diff(times)
        window = min(8, len(step))
        kernel = np.ones(window)
        passed, step = np.convolve(passed, kernel, "valid"), np.convolve(step, kernel, "valid")
        paces = passed / np.maximum(step, 1e-3)
    off_s = np.abs(deviation) * quarter_s * float(np.median(paces))
    qpm = 60 / (quarter_s * paces)
    whole = (times[-1] - times[0]) / max(on_beat[-1] - on_beat[0], 1e-6) if len(times) > 1 else 1.0
    bpm = 60 / quarter_s if clicked else 60 / (quarter_s * whole)
    return Beat(
        places=places * (UNITS // GRID),
        deviation=dict(zip(onsets.tolist(), deviation.tolist(), strict=True)),
        clicked=clicked,
        tempo=Tempo(Fraction(max(round(bpm), 1))),
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
