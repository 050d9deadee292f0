"""Estimate of meter and pickup from notes: the likelihood of the rhythm and its repetition.

Under a meter and a pickup every note has a place in its bar. How often tunes of that meter go on
from that place with a note so long was counted; the product over all notes, times how usual the
pickup and the place of the last note are, says how likely the rhythm is in that meter. To tell
meters apart, how much of pitches and onsets comes again a bar, two bars and half a line later
counts as well (autocorrelation; Brown 1993, J. Acoust. Soc. Am. 94).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np

from musicgen.music.estimation.note_line import GRID, NoteLine
from musicgen.music.estimation.rhythm import LONGEST, rhythm_probability
from musicgen.music.estimation.tables import tables
from musicgen.music.theory import Meter

# Meters with enough tunes; others are never estimated, only taken from the reader.
METERS = ("2/4", "3/4", "4/4", "6/8", "9/8")
SIXTEENTH = GRID // 4
# Lags at which music comes again, in bars.
LAGS: Mapping[str, tuple[float, ...]] = {
    "2/4": (1, 2, 4),
    "3/4": (1, 2, 4),
    "4/4": (1, 2, 0.5),
    "6/8": (1, 2, 4),
    "9/8": (1, 2, 1),
}
FEWEST_NOTES = 8  # to tell a meter from
_BACKING = 2.0  # tunes' worth of the rhythm of all meters, where one has few


@dataclass(frozen=True, slots=True)
class MeterEstimate:
    """A meter, and the length of the incomplete first bar in quarter notes, 0 for none. `margin`
    is how much likelier they are than the next best with the same meter, in nats."""

    meter: Meter
    pickup: Fraction
    margin: float = 0.0


def estimate_meter(
    line: NoteLine, *, meter: Meter | None = None, pickup: Fraction | None = None
) -> MeterEstimate:
    """The likeliest meter and pickup; what is given stays as it is.

    Meters are those of `METERS`; one that is given may be any, and is taken for the most similar of
    them, or for one without a pickup. 4/4 without a pickup where there
    are too few notes to tell.
    """
    if len(line.notes) < FEWEST_NOTES:
        return MeterEstimate(meter or Meter((4,), 4), pickup or Fraction(0))
    if meter is not None:
        name = _similar(meter)
        if pickup is not None or name is None or meter.bar_duration is None:
            return MeterEstimate(meter, pickup or Fraction(0))
        best = best_phase(line, name, None)
        return MeterEstimate(meter, Fraction(best[1], GRID), best[2])
    weights = np.array(tables()["meter"]["weights"])
    scored = []
    for i, name in enumerate(METERS):
        phase = best_phase(line, name, pickup)
        scored.append((float(meter_features(line, name, phase[0]) @ weights), i, phase))
    _, i, (_, start, margin) = max(scored)
    beats, unit = map(int, METERS[i].split("/"))
    return MeterEstimate(Meter((beats,), unit), Fraction(start, GRID), margin)


def bar_length(name: str) -> int:
    """Length of a bar of one of `METERS`, in `GRID`-ths."""
    beats, unit = map(int, name.split("/"))
    return beats * 4 * GRID // unit


def _similar(meter: Meter) -> str | None:
    text = "/".join((str(sum(meter.beats)), str(meter.unit)))
    text = {"2/2": "4/4", "12/8": "6/8", "3/8": "3/4"}.get(text, text)
    return text if text in METERS and bar_length(text) == (meter.bar_duration or 0) * GRID else None


def meter_features(line: NoteLine, name: str, likelihood: float) -> np.ndarray:
    """Likelihood of the rhythm (in all and a note), what comes again at each of `LAGS`, and which
    of `METERS` it is."""
    bar = bar_length(name)
    lags = [_again(line, round(bar * lag) // SIXTEENTH) for lag in LAGS[name]]
    kind = [float(name == other) for other in METERS]
    return np.array([likelihood / 10, likelihood / len(line.notes), *lags, *kind])


def _again(line: NoteLine, lag: int) -> float:
    """The share of sixteenths that have the same pitch so many later, plus that of onsets."""
    n = max(line.end // SIXTEENTH, 1)
    if lag >= n:
        return 0.0
    pitches, onsets = _sampled(line, n)
    return float((pitches[:-lag] == pitches[lag:]).mean() + (onsets[:-lag] == onsets[lag:]).mean())


def _sampled(line: NoteLine, n: int) -> tuple[np.ndarray, np.ndarray]:
    pitches, onsets = np.zeros(n, np.int64), np.zeros(n, bool)
    for onset, end, midi in line.notes:
        first = round(onset / SIXTEENTH)
        pitches[first : max(first + 1, round(end / SIXTEENTH))] = midi
        onsets[min(first, n - 1)] = True
    return pitches, onsets


def best_phase(line: NoteLine, name: str, pickup: Fraction | None) -> tuple[float, int, float]:
    """Log-likelihood, pickup in `GRID`-ths, and the margin to the next best pickup."""
    bar = bar_length(name)
    step = SIXTEENTH if name == "2/4" else 2 * SIXTEENTH
    starts = list(range(0, bar, step)) if pickup is None else [round(pickup * GRID) % bar]
    scored = sorted(((rhythm_likelihood(line, name, p), -p) for p in starts), reverse=True)
    margin = scored[0][0] - scored[1][0] if len(scored) > 1 else 0.0
    return scored[0][0], -scored[0][1], margin


def rhythm_likelihood(line: NoteLine, name: str, pickup: int) -> float:
    """Log-likelihood of the rhythm in a meter after a pickup of so many `GRID`-ths."""
    bar, place = bar_length(name), 0
    score = _log_share("pickups", name, pickup)
    for place, length in steps(line, pickup, bar):
        score += _log_step(name, place, length)
    complete = line.end % bar == 0 or (line.end - pickup) % bar == 0
    last = _log_share("lasts", name, place)
    return score + last + math.log(0.1 * SIXTEENTH * 2 / bar + 0.9 * complete)


def steps(line: NoteLine, pickup: int, bar: int) -> Iterator[tuple[int, int]]:
    """For each onset its place in the bar and the time to the next, in `GRID`-ths."""
    onsets = sorted({onset for onset, _, _ in line.notes})
    for onset, following in pairwise([*onsets, line.end]):
        yield (onset - pickup) % bar, min(following - onset, LONGEST)


@cache
def _log_step(name: str, place: int, length: int) -> float:
    """Log-probability of the time to the next onset after a place of the bar, from the counts of
    one meter, backed by those of all."""
    row = tables()["meter"]["counts"][name].get(str(place), {})
    backing = _BACKING * rhythm_probability(place % GRID, length)
    return math.log((row.get(str(length), 0) + backing) / (sum(row.values()) + _BACKING))


@cache
def _log_share(kind: str, name: str, value: int) -> float:
    """Log-probability of a pickup ("pickups") or of the place of the last note ("lasts") in a
    meter, from smoothed counts."""
    counts = tables()["meter"][kind][name]
    n_kinds = bar_length(name) // (2 * SIXTEENTH)
    return math.log((counts.get(str(value), 0) + 0.5) / (sum(counts.values()) + 0.5 * n_kinds))
