"""The beat of a performance tracked, and places found on a beat, both by dynamic programming."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from musicgen.formats.midi.smf import Ints
from musicgen.music.estimation import (
    GRID,
    PREVIOUS,
    place_probability,
    previous_class,
    style_probabilities,
    style_weights,
)

Floats = NDArray[np.float64]

USUAL_OFF_S, LEAST_OFF_S, MOST_OFF_S = 0.022, 0.004, 0.06  # what a player is off, in seconds
MOST_OFF = 0.16  # of a quarter
PACE_SPREAD = 0.08  # how far from the file's tempo, relatively, a player begins
# How much a tempo changes, relatively, a quarter note: a steady player, and one who is not.
DRIFTS = (0.006, 0.02)
BEAT_DRIFT = 0.012  # of a quarter, a quarter note: the beat itself wavers
N_HYPOTHESES = 48
REACH = 14  # places around the expected one that are tried
LONGEST = 8 * GRID
SIDE = 4  # places on each side of an onset that it may have been meant for
TOGETHER = 0.25  # how often an onset of a chord belongs to the place of the one before
_NEVER, _LONG = 1e-200, 3e-4  # probabilities
_IMPOSSIBLE = 1e6  # nats
_OFF_FACTORS = (0.2, 0.35, 0.6, 0.8, 1.0, 1.3, 1.7, 2.7)
_TWO_PI = 2 * math.pi


@dataclass(frozen=True)
class Fit:
    """Places (in `GRID`-ths), the beat's coordinate of each onset (the same, not rounded), nats an
    onset of both times and rhythm, and the spread of onsets around their places in quarters."""

    places: Ints
    beats: Floats
    cost: float
    off: float


_PLACES = np.array([p for p in range(GRID) if p % 3 == 0 or p % 4 == 0])
_CLASSES = np.array([previous_class(length) for length in range(LONGEST + 1)])
_FIRST = len(PREVIOUS)  # class of what went before the first onset


@cache
def _place_costs() -> Floats:
    """Nats of each place of the quarter, to begin there."""
    return np.array([-math.log(place_probability(place)) for place in range(GRID)])


@cache
def _step_table(chords: bool) -> Floats:
    """Probability of the time to the next onset (in `GRID`-ths, long ones together), after each
    place of the quarter and each class of the time before, in each of K styles: (.., K). The last
    two columns are longer times, and what cannot be."""
    table = np.maximum(style_probabilities(), _NEVER)
    if chords:
        table[:, :, 0] = TOGETHER
    beyond = np.empty((*table.shape[:2], 2, table.shape[3]))
    beyond[:, :, 0], beyond[:, :, 1] = _LONG, _NEVER
    return np.concatenate([table, beyond], axis=2)


def _step_probabilities(places: Ints, classes: Ints, steps: Ints, *, chords: bool) -> Floats:
    """Of some steps, in each style (.., K); the three are broadcast together."""
    column = np.where(steps < 0, LONGEST + 2, np.minimum(steps, LONGEST + 1))
    found: Floats = _step_table(chords)[places % GRID, classes, column]
    return found


def _rhythm_nats(places: Ints, *, chords: bool) -> float:
    """Nats of the rhythm of a sequence of places, in whatever style."""
    steps = np.diff(places)
    before = _CLASSES[np.clip(steps, 0, LONGEST)]
    classes = np.concatenate([[_FIRST], before[:-1]]) if len(steps) else before
    each = np.log(_step_probabilities(places[:-1], classes, steps, chords=chords)).sum(axis=0)
    most = float(each.max())
    mixed = most + math.log(float(style_weights() @ np.exp(each - most)))
    return float(_place_costs()[places[0] % GRID]) - mixed


# --- a beat that is known ---------------------------------------------------------------------


def quantise_on(beats: Floats, quarter_s: float, *, chords: bool) -> Fit:
    """The likeliest places of onsets, whose coordinates on a beat are known, by Viterbi's
    algorithm; how far the player is off is found on the way."""
    off = usual_off(quarter_s)
    fit = viterbi(beats, off, chords=chords)
    for _ in range(2):
        spread = float(np.sqrt(np.mean((beats - fit.places / GRID) ** 2)))
        new = _plausible(spread, quarter_s)
        if abs(new - off) < 0.1 * off:
            break
        off = new
        fit = viterbi(beats, off, chords=chords)
    return fit


def usual_off(quarter_s: float) -> float:
    """What players are off, in quarters of some length."""
    return min(USUAL_OFF_S / quarter_s, MOST_OFF)


def _plausible(off: float, quarter_s: float) -> float:
    """What a player is off, in quarters, within what a player can be."""
    return min(max(off, LEAST_OFF_S / quarter_s), MOST_OFF_S / quarter_s, MOST_OFF)


def viterbi(beats: Floats, off: float, *, chords: bool) -> Fit:
    """Places of the least cost, where a step's cost depends on the step before as well."""
    n, width = len(beats), 2 * SIDE + 1
    quarters = np.floor(beats).astype(np.int64)
    near = quarters * len(_PLACES) + np.searchsorted(_PLACES / GRID, beats - quarters)
    index = near[:, None] + np.arange(-SIDE, SIDE + 1)
    candidates = index // len(_PLACES) * GRID + _PLACES[index % len(_PLACES)]
    local = 0.5 * ((candidates / GRID - beats[:, None]) / off) ** 2
    local += math.log(off * math.sqrt(_TWO_PI))
    best = np.full((width, width), _IMPOSSIBLE)  # of the places before and now
    best[0] = local[0] + _place_costs()[candidates[0] % GRID]
    styles = np.tile(style_weights(), (width, width, 1))  # of the best way to each
    classes = np.full((width, width), _FIRST)
    back = np.zeros((n, width, width), np.int8)
    now_at = np.arange(width)[:, None], np.arange(width)[None, :]
    for i in range(1, n):
        steps = candidates[i][None, :] - candidates[i - 1][:, None]
        chance = _step_probabilities(
            candidates[i - 1][None, :, None], classes[:, :, None], steps[None], chords=chords
        )
        chance = chance * styles[:, :, None, :]
        total = best[:, :, None] - np.log(chance.sum(axis=-1))
        back[i] = total.argmin(axis=0)
        best = total.min(axis=0) + local[i]
        styles = chance[back[i], *now_at]
        styles /= styles.sum(axis=-1, keepdims=True)
        classes = _CLASSES[np.clip(steps, 0, LONGEST)]
    before, now = divmod(int(best.argmin()), width)
    cost = float(best[before, now]) / n
    places = np.empty(n, np.int64)
    for i in range(n - 1, -1, -1):
        places[i] = candidates[i, now]
        before, now = int(back[i, before, now]), before
    return Fit(places, beats, cost, off)


# --- a beat that is not -----------------------------------------------------------------------


def track(times: Floats, quarter_s: float, *, chords: bool, pace: float = 1.0) -> Fit:
    """Follow a beat that at first is about as fast as the file's, or as `pace` says: the likeliest
    of what a steady and an unsteady player may have meant."""
    fits = [_track_with(times, pace, quarter_s, drift, chords=chords) for drift in DRIFTS]
    return min(fits, key=lambda fit: fit.cost)


def track_any(times: Floats, quarter_s: float, *, chords: bool) -> list[Fit]:
    """Follow a beat of any tempo: the likeliest two."""
    paces = _paces(times, quarter_s, chords=chords)
    return [track(times, quarter_s, chords=chords, pace=pace) for pace in paces]


def _paces(times: Floats, quarter_s: float, *, chords: bool) -> list[float]:
    """How many of the file's quarters one of the player's may last at first: the two likeliest,
    judged by the first onsets."""
    off = usual_off(quarter_s)
    start = times[:60]
    scored = []
    for i in (-7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7):
        pace = 2 ** (i / 7)
        nats = _beam(start, pace, off, DRIFTS[0], chords=chords)[1]
        scored.append((nats + 0.15 * (i / 7) ** 2, pace))
    return [pace for _, pace in sorted(scored)[:2]]


def _track_with(times: Floats, pace: float, quarter_s: float, drift: float, *, chords: bool) -> Fit:
    """Places by a beam; then the beat that they imply is smoothed, the places found again, and so
    on, as long as all of it becomes likelier."""
    places, _ = _beam(times, pace, usual_off(quarter_s), drift, chords=chords)
    fit = _judged(times, places, pace, drift, quarter_s, chords=chords)
    for _ in range(3):
        found = quantise_on(fit.beats, quarter_s, chords=chords)
        again = _judged(times, found.places, pace, drift, quarter_s, chords=chords)
        if again.cost >= fit.cost - 1e-4:
            break
        fit = again
    return fit


def _judged(
    times: Floats, places: Ints, pace: float, drift: float, quarter_s: float, *, chords: bool
) -> Fit:
    """The likeliest beat of some places, for a player who is off by this or that."""
    offs = {_plausible(USUAL_OFF_S * factor / quarter_s, quarter_s) for factor in _OFF_FACTORS}
    fits = (_Beat(pace, drift).judge(times, places, off, chords=chords) for off in offs)
    return min(fits, key=lambda fit: fit.cost)


def _beam(
    times: Floats, pace: float, off: float, drift: float, *, chords: bool
) -> tuple[Ints, float]:
    """Places by a beam of hypotheses, and nats an onset."""
    spread = np.arange(-REACH, REACH + 1)
    first = round(times[0] * GRID)
    place = np.arange(first - GRID // 2, first + GRID // 2)
    place = place[(place % 3 == 0) | (place % 4 == 0)]
    n = len(place)
    before = np.full(n, _FIRST)
    now, tempo = np.full(n, times[0]), np.full(n, pace)
    var_now, cov, var_tempo = np.full(n, off**2), np.zeros(n), np.full(n, (PACE_SPREAD * pace) ** 2)
    styles = np.tile(style_weights(), (n, 1))
    total = np.abs(place - first) * 0.02 + _place_costs()[place % GRID]
    history: list[tuple[Ints, Ints]] = [(place, np.zeros(n, np.int64))]
    for time in times[1:].tolist():
        expected = np.rint((time - now) / tempo * GRID).astype(np.int64)
        step = expected[:, None] + spread
        quarters = step / GRID
        mean = now[:, None] + tempo[:, None] * quarters
        wavering = np.abs(quarters) * (BEAT_DRIFT * tempo[:, None]) ** 2
        v_tempo = var_tempo[:, None] + np.abs(quarters) * (drift * tempo[:, None]) ** 2
        v_cov = cov[:, None] + quarters * var_tempo[:, None]
        v_now = var_now[:, None] + 2 * quarters * cov[:, None] + quarters**2 * var_tempo[:, None]
        v_now = v_now + wavering
        seen = v_now + off**2
        surprise = time - mean
        chance = _step_probabilities(place[:, None], before[:, None], step, chords=chords)
        chance = chance * styles[:, None, :]
        nats = -np.log(chance.sum(axis=-1))
        nats = nats + 0.5 * surprise**2 / seen + 0.5 * np.log(_TWO_PI * seen)
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
        styles = chance.reshape(-1, chance.shape[-1])[kept]
        styles /= styles.sum(axis=-1, keepdims=True)
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


@dataclass(frozen=True)
class _Beat:
    """A beat that begins about as fast as `pace` (in the file's quarters) and changes by `drift`:
    the model of the beam, over places that are known."""

    pace: float
    drift: float

    def judge(self, times: Floats, places: Ints, off: float, *, chords: bool) -> Fit:
        """How likely are these times and places, and where is the beat? A Kalman filter over the
        onsets, with the time of the place and the tempo as its state, says what each onset is
        expected to be; back over them it is smoothed (Rauch, Tung and Striebel 1965)."""
        n = len(times)
        steps = (np.diff(places, prepend=places[0]) / GRID).tolist()
        states: list[tuple[float, ...]] = []
        predicted: list[tuple[float, ...]] = []
        now, tempo = float(times[0]), self.pace
        p, c, t = off**2, 0.0, (PACE_SPREAD * self.pace) ** 2
        nats = 0.0
        for time, step in zip(times.tolist(), steps, strict=True):
            now += step * tempo
            p += step * (2 * c + step * t) + step * (BEAT_DRIFT * tempo) ** 2
            c += step * t
            t += step * (self.drift * tempo) ** 2
            predicted.append((now, tempo, p, c, t))
            p = max(p, 0.0)  # which rounding may take below
            seen, surprise = p + off**2, time - now
            nats += 0.5 * (surprise**2 / seen + math.log(_TWO_PI * seen))
            now += p / seen * surprise
            tempo = max(tempo + c / seen * surprise, 0.2 * self.pace)
            p, c, t = p * off**2 / seen, c * off**2 / seen, max(t - c * c / seen, 0.0)
            states.append((now, tempo, p, c, t))
        smooth = _smoothed(states, predicted, steps)
        beats = places / GRID + (times - smooth[:, 0]) / np.maximum(smooth[:, 1], 0.2 * self.pace)
        total = nats + _rhythm_nats(places, chords=chords)
        return Fit(places, beats, total / n, off)


def _smoothed(
    states: list[tuple[float, ...]], predicted: list[tuple[float, ...]], steps: list[float]
) -> Floats:
    """The time of each place and the tempo there, from all onsets."""
    now, tempo = states[-1][:2]
    found = [(now, tempo)]
    for i in range(len(states) - 2, -1, -1):
        x, v, p, c, t = states[i]
        ahead_x, ahead_v, pp, pc, pt = predicted[i + 1]
        step = steps[i + 1]
        det = pp * pt - pc * pc
        # The covariance with the next state, times the inverse of that one's own.
        a, b, d, e = p + step * c, c, c + step * t, t
        g11, g12 = (a * pt - b * pc) / det, (b * pp - a * pc) / det
        g21, g22 = (d * pt - e * pc) / det, (e * pp - d * pc) / det
        dx, dv = now - ahead_x, tempo - ahead_v
        now, tempo = x + g11 * dx + g12 * dv, v + g21 * dx + g22 * dv
        found.append((now, tempo))
    return np.array(found[::-1])
