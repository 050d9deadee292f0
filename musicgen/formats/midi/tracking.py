"""The beat of a performance tracked, and places found on a beat, both by dynamic programming."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from musicgen.estimation import GRID, PREVIOUS, previous_class, rhythm_probability
from musicgen.formats.midi.smf import Ints

Floats = NDArray[np.float64]

PACE_GAIN = 0.4  # nats an onset over chance, for other tempos than the file's not to be tried
USUAL_OFF_S, LEAST_OFF_S, MOST_OFF_S = 0.022, 0.004, 0.06  # what a player is off, in seconds
MOST_OFF = 0.16  # of a quarter
TEMPO_DRIFT = 0.012  # relative, a quarter note
BEAT_DRIFT = 0.012  # of a quarter, a quarter note: the beat itself wavers
N_HYPOTHESES = 48
REACH = 14  # places around the expected one that are tried
LONGEST = 8 * GRID
SIDE = 6  # places on each side of an onset that it may have been meant for
_NEVER, _LONG = 1e6, 8.0  # nats


@dataclass(frozen=True)
class Fit:
    """Places (in `GRID`-ths), the beat's coordinate of each onset (the same, not rounded), nats an
    onset, and the spread of onsets around their places in quarters."""

    places: Ints
    beats: Floats
    cost: float
    off: float


_PLACES = np.array([p for p in range(GRID) if p % 3 == 0 or p % 4 == 0])
_CLASSES = np.array([previous_class(length) for length in range(LONGEST + 1)])
_FIRST = len(PREVIOUS)  # class of what went before the first onset


@cache
def _step_costs(chords: bool) -> Floats:
    """Nats of the time to the next onset (last axis, in `GRID`-ths, long ones together), after
    each place of the quarter and each class of the time before."""
    costs = np.full((GRID, len(PREVIOUS) + 1, LONGEST + 1), _NEVER)
    for place in _PLACES.tolist():
        for length in range(1, LONGEST + 1):
            if (place + length) % GRID in _PLACES:
                for before in range(len(PREVIOUS) + 1):
                    nats = -math.log(rhythm_probability(place, length, before))
                    costs[place, before, length] = nats
    if chords:
        costs[:, :, 0] = -math.log(0.25)
    return costs


def _step_nats(places: Ints, classes: Ints, steps: Ints, *, chords: bool) -> Floats:
    """Nats of some steps; the three are broadcast together."""
    nats: Floats = _step_costs(chords)[places % GRID, classes, np.clip(steps, 0, LONGEST)]
    nats = np.where(steps > LONGEST, _LONG + 0.01 * (steps - LONGEST), nats)
    return np.where(steps < (0 if chords else 1), _NEVER, nats)


def quantise_on(beats: Floats, quarter_s: float, *, chords: bool) -> Fit:
    """The likeliest places of onsets, whose coordinates on a beat are known, by Viterbi's
    algorithm; how far the player is off is found on the way."""
    off = min(USUAL_OFF_S / quarter_s, MOST_OFF)
    fit = _viterbi(beats, off, chords=chords)
    for _ in range(2):
        spread = float(np.sqrt(np.mean((beats - fit.places / GRID) ** 2)))
        new = min(max(spread, LEAST_OFF_S / quarter_s), MOST_OFF_S / quarter_s, MOST_OFF)
        if abs(new - off) < 0.1 * off:
            break
        off = new
        fit = _viterbi(beats, off, chords=chords)
    return fit


def _viterbi(beats: Floats, off: float, *, chords: bool) -> Fit:
    """Places of the least cost, where a step's cost depends on the step before as well."""
    n, width = len(beats), 2 * SIDE + 1
    quarters = np.floor(beats).astype(np.int64)
    near = quarters * len(_PLACES) + np.searchsorted(_PLACES / GRID, beats - quarters)
    index = near[:, None] + np.arange(-SIDE, SIDE + 1)
    candidates = index // len(_PLACES) * GRID + _PLACES[index % len(_PLACES)]
    local = 0.5 * ((candidates / GRID - beats[:, None]) / off) ** 2
    local += math.log(off * math.sqrt(2 * math.pi))
    best = np.full((width, width), _NEVER)  # of the places before and now
    best[0] = local[0]
    classes = np.full((width, width), _FIRST)
    back = np.zeros((n, width, width), np.int8)
    for i in range(1, n):
        steps = candidates[i][None, :] - candidates[i - 1][:, None]
        nats = _step_nats(
            candidates[i - 1][None, :, None], classes[:, :, None], steps[None], chords=chords
        )
        total = best[:, :, None] + nats
        back[i] = total.argmin(axis=0)
        best = total.min(axis=0) + local[i]
        classes = _CLASSES[np.clip(steps, 0, LONGEST)]
    before, now = divmod(int(best.argmin()), width)
    cost = float(best[before, now]) / n
    places = np.empty(n, np.int64)
    for i in range(n - 1, -1, -1):
        places[i] = candidates[i, now]
        before, now = int(back[i, before, now]), before
    return Fit(places, beats, cost, off)


# --- the beat --------------------------------------------------------------------------------


def track(times: Floats, quarter_s: float, chance: float, *, chords: bool) -> Fit:
    """Follow a beat that is as fast as the file's at first; if there is none, any.

    Music in other note values sounds the same, so another tempo is not tried where the file's does.
    """
    best = _track_from(times, 1.0, quarter_s, chords=chords)
    if best.cost < chance - PACE_GAIN:
        return best
    for pace in _paces(times, quarter_s, chords=chords):
        fit = _track_from(times, pace, quarter_s, chords=chords)
        if fit.cost < best.cost:
            best = fit
    return best


def _track_from(times: Floats, pace: float, quarter_s: float, *, chords: bool) -> Fit:
    off = min(USUAL_OFF_S / quarter_s, MOST_OFF)
    places, _ = _beam(times, pace, off, chords=chords)
    return _refine(times, places, quarter_s, chords=chords)


def _paces(times: Floats, quarter_s: float, *, chords: bool) -> list[float]:
    """How many of the file's quarters one of the player's may last at first: the two likeliest,
    judged by the first onsets."""
    off = min(USUAL_OFF_S / quarter_s, MOST_OFF)
    start = times[:60]
    scored = []
    for i in (-7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7):
        pace = 2 ** (i / 7)
        scored.append((_beam(start, pace, off, chords=chords)[1] + 0.15 * (i / 7) ** 2, pace))
    return [pace for _, pace in sorted(scored)[:2]]


def _beam(times: Floats, pace: float, off: float, *, chords: bool) -> tuple[Ints, float]:
    """Places by a beam of hypotheses, and nats an onset."""
    spread = np.arange(-REACH, REACH + 1)
    first = round(times[0] * GRID)
    place = np.arange(first - GRID // 2, first + GRID // 2)
    place = place[(place % 3 == 0) | (place % 4 == 0)]
    n = len(place)
    before = np.full(n, _FIRST)
    now, tempo = np.full(n, times[0]), np.full(n, pace)
    var_now, cov, var_tempo = np.full(n, off**2), np.zeros(n), np.full(n, (0.08 * pace) ** 2)
    total = np.abs(place - first) * 0.05
    history: list[tuple[Ints, Ints]] = [(place, np.zeros(n, np.int64))]
    for time in times[1:].tolist():
        expected = np.rint((time - now) / tempo * GRID).astype(np.int64)
        step = expected[:, None] + spread
        quarters = step / GRID
        mean = now[:, None] + tempo[:, None] * quarters
        drift = np.abs(quarters) * (BEAT_DRIFT * tempo[:, None]) ** 2
        more = np.abs(quarters) * (TEMPO_DRIFT * tempo[:, None]) ** 2
        v_tempo = var_tempo[:, None] + more
        v_cov = cov[:, None] + quarters * var_tempo[:, None]
        v_now = var_now[:, None] + 2 * quarters * cov[:, None] + quarters**2 * var_tempo[:, None]
        v_now = v_now + drift
        seen = v_now + off**2
        surprise = time - mean
        nats = _step_nats(place[:, None], before[:, None], step, chords=chords)
        nats = nats + 0.5 * surprise**2 / seen + 0.5 * np.log(2 * math.pi * seen)
        nats = nats + 0.5 * (np.log(tempo[:, None] / pace) / 0.35) ** 2 / 50
        flat = (total[:, None] + nats).ravel()
        kept = _best_by_place((place[:, None] + step).ravel(), flat)
        parent = kept // len(spread)
        gain_now, gain_tempo = (v_now / seen).ravel()[kept], (v_cov / seen).ravel()[kept]
        off_by = surprise.ravel()[kept]
        now = mean.ravel()[kept] + gain_now * off_by
        tempo = np.maximum(tempo[parent] + gain_tempo * off_by, 0.2 * pace)
        var_tempo = v_tempo.ravel()[kept] - gain_tempo * v_cov.ravel()[kept]
        cov = v_cov.ravel()[kept] * (1 - gain_now)
        var_now = v_now.ravel()[kept] * (1 - gain_now)
        before = _CLASSES[np.clip(step.ravel()[kept], 0, LONGEST)]
        place = (place[:, None] + step).ravel()[kept]
        total = flat[kept]
        history.append((place, parent))
    which = int(total.argmin())
    places = np.empty(len(times), np.int64)
    nats_each = float(total[which]) / len(times)
    for i in range(len(times) - 1, -1, -1):
        places[i] = history[i][0][which]
        which = int(history[i][1][which])
    return places, nats_each


def _best_by_place(places: Ints, totals: Floats) -> Ints:
    """Numbers of the best hypothesis at each place, the best `N_HYPOTHESES` of them."""
    n = min(4 * N_HYPOTHESES, len(totals) - 1)
    order = np.argpartition(totals, n)[:n] if n < len(totals) - 1 else np.arange(len(totals))
    order = order[np.argsort(totals[order], kind="stable")]
    _, firsts = np.unique(places[order], return_index=True)
    kept: Ints = order[np.sort(firsts)][:N_HYPOTHESES]
    return kept


def _refine(times: Floats, places: Ints, quarter_s: float, *, chords: bool) -> Fit:
    """Smooth the beat that places imply, find the places again, and so on."""
    fit: Fit | None = None
    off = min(USUAL_OFF_S / quarter_s, MOST_OFF)
    for _ in range(3):
        beats = _smooth(times, places, off)
        new = quantise_on(beats, quarter_s, chords=chords)
        if fit is not None and new.cost >= fit.cost - 1e-4:
            break
        fit, places, off = new, new.places, new.off
    assert fit is not None
    return fit


def _smooth(times: Floats, places: Ints, off: float) -> Floats:
    """Each onset's coordinate on a smooth beat, in quarters: a Kalman filter over the onsets and
    back (Rauch, Tung and Striebel 1965), with the time of the place and the tempo as its state."""
    n = len(times)
    quarters = (np.diff(places, prepend=places[0]) / GRID).tolist()
    pace = float((times[-1] - times[0]) / max((places[-1] - places[0]) / GRID, 1e-6))
    state = np.zeros((n, 2))
    var = np.zeros((n, 2, 2))
    before, before_var = np.zeros((n, 2)), np.zeros((n, 2, 2))
    mean, cov = np.array([times[0], pace]), np.diag([off**2, (0.15 * pace) ** 2])
    for i, step in enumerate(quarters):
        move = np.array([[1.0, step], [0.0, 1.0]])
        noise = abs(step) * pace**2
        mean = move @ mean
        cov = move @ cov @ move.T
        cov += noise * np.diag([BEAT_DRIFT**2, TEMPO_DRIFT**2])
        before[i], before_var[i] = mean, cov
        gain = cov[:, 0] / (cov[0, 0] + off**2)
        mean = mean + gain * (times[i] - mean[0])
        cov = cov - np.outer(gain, cov[0])
        state[i], var[i] = mean, cov
    for i in range(n - 2, -1, -1):
        move = np.array([[1.0, quarters[i + 1]], [0.0, 1.0]])
        back = var[i] @ move.T @ np.linalg.inv(before_var[i + 1])
        state[i] = state[i] + back @ (state[i + 1] - before[i + 1])
    paces = np.maximum(state[:, 1], 0.2 * pace)
    beats: Floats = places / GRID + (times - state[:, 0]) / paces
    return beats
