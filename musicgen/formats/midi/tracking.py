"""Track the beat of a performance, and find places on a beat, both by dynamic programming."""

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

# Standard deviation of a player's onsets from the beat: usual, least, most; in quarters at most.
USUAL_OFF_S, LEAST_OFF_S, MOST_OFF_S = 0.022, 0.004, 0.06
MOST_OFF = 0.16
PACE_SPREAD = 0.08  # relative spread of a player's first tempo around the file's
# Relative change of tempo a quarter note, of a steady and of an unsteady player.
DRIFTS = (0.006, 0.02)
BEAT_DRIFT = 0.012  # random change of the beat a quarter note, of a quarter
N_HYPOTHESES = 48
REACH = 14  # places tried on each side of the expected one
LONGEST = 8 * GRID
SIDE = 4  # places on each side of an onset that it may have been meant for
TOGETHER = 0.25  # probability that an onset belongs to the place of the one before, in chords
_NEVER, _LONG = 1e-200, 3e-4  # probabilities
_IMPOSSIBLE = 1e6  # nats
_OFF_FACTORS = (0.2, 0.35, 0.6, 0.8, 1.0, 1.3, 1.7, 2.7)
_TWO_PI = 2 * math.pi


@dataclass(frozen=True)
class Fit:
    """Places (in `GRID`-ths), the beat's coordinate of each onset (the same, not rounded), nats an
    onset of both times and rhythm, and the spread of onsets around their places in quarters. `pace`
    and `drift` are those that a tracked beat was begun with."""

    places: Ints
    beats: Floats
    cost: float
    off: float
    pace: float = 1.0
    drift: float = 0.0


_PLACES = np.array([p for p in range(GRID) if p % 3 == 0 or p % 4 == 0])
_CLASSES = np.array([previous_class(length) for length in range(LONGEST + 1)])
_FIRST = len(PREVIOUS)  # class of the time before the first onset


@cache
def _place_costs() -> Floats:
    """Nats of a first onset at each place of the quarter."""
    return np.array([-math.log(place_probability(place)) for place in range(GRID)])


@cache
def _step_table(chords: bool) -> Floats:
    """Probability of the time to the next onset (in `GRID`-ths), after each place of the quarter
    and each class of the time before, in each of K styles: shape (places, classes, times, K). The
    last two times stand for all longer ones, and for impossible ones."""
    table = np.maximum(style_probabilities(), _NEVER)
    if chords:
        table[:, :, 0] = TOGETHER
    beyond = np.empty((*table.shape[:2], 2, table.shape[3]))
    beyond[:, :, 0], beyond[:, :, 1] = _LONG, _NEVER
    return np.concatenate([table, beyond], axis=2)


def _step_probabilities(places: Ints, classes: Ints, steps: Ints, *, chords: bool) -> Floats:
    """Probability of steps in each style, shape (.., K); the three arrays are broadcast."""
    column = np.where(steps < 0, LONGEST + 2, np.minimum(steps, LONGEST + 1))
    return _step_table(chords)[places % GRID, classes, column]


def _rhythm_nats(places: Ints, *, chords: bool) -> float:
    """Nats of the rhythm of a sequence of places, over all styles."""
    steps = np.diff(places)
    before = _CLASSES[np.clip(steps, 0, LONGEST)]
    classes = np.concatenate([[_FIRST], before[:-1]]) if len(steps) else before
    each = np.log(_step_probabilities(places[:-1], classes, steps, chords=chords)).sum(axis=0)
    most = float(each.max())
    mixed = most + math.log(float(style_weights() @ np.exp(each - most)))
    return float(_place_costs()[places[0] % GRID]) - mixed


# --- a known beat -----------------------------------------------------------------------------


def quantise_on(beats: Floats, quarter_s: float, *, chords: bool) -> Fit:
    """The likeliest places of onsets with known coordinates on a beat, by Viterbi's algorithm, for
    the player's deviation that fits best."""
    off = usual_off(quarter_s)
    fit = viterbi(beats, off, chords=chords)
    for _ in range(2):
        new = _plausible(float(np.sqrt(np.mean((beats - fit.places / GRID) ** 2))), quarter_s)
        if abs(new - off) < 0.1 * off:
            break
        off = new
        fit = viterbi(beats, off, chords=chords)
    return fit


def usual_off(quarter_s: float) -> float:
    """The usual deviation of players, in quarters of this length."""
    return min(USUAL_OFF_S / quarter_s, MOST_OFF)


def _plausible(off: float, quarter_s: float) -> float:
    """A deviation in quarters, limited to what players have."""
    return min(max(off, LEAST_OFF_S / quarter_s), MOST_OFF_S / quarter_s, MOST_OFF)


def viterbi(beats: Floats, off: float, *, chords: bool) -> Fit:
    """Places of least cost, where the cost of a step also depends on the step before."""
    n, width = len(beats), 2 * SIDE + 1
    quarters = np.floor(beats).astype(np.int64)
    near = quarters * len(_PLACES) + np.searchsorted(_PLACES / GRID, beats - quarters)
    index = near[:, None] + np.arange(-SIDE, SIDE + 1)
    candidates = index // len(_PLACES) * GRID + _PLACES[index % len(_PLACES)]
    local = 0.5 * ((candidates / GRID - beats[:, None]) / off) ** 2
    local += math.log(off * math.sqrt(_TWO_PI))
    best = np.full((width, width), _IMPOSSIBLE)  # by the candidate before and the one now
    best[0] = local[0] + _place_costs()[candidates[0] % GRID]
    styles = np.tile(style_weights(), (width, width, 1))  # of the best path to each
    classes = np.full((width, width), _FIRST)
    back = np.zeros((n, width, width), np.int8)
    rows, columns = np.arange(width)[:, None], np.arange(width)[None, :]
    for i in range(1, n):
        steps = candidates[i][None, :] - candidates[i - 1][:, None]
        chance = _step_probabilities(
            candidates[i - 1][None, :, None], classes[:, :, None], steps[None], chords=chords
        )
        chance = chance * styles[:, :, None, :]
        total = best[:, :, None] - np.log(chance.sum(axis=-1))
        back[i] = total.argmin(axis=0)
        best = total.min(axis=0) + local[i]
        styles = chance[back[i], rows, columns]
        styles /= styles.sum(axis=-1, keepdims=True)
        classes = _CLASSES[np.clip(steps, 0, LONGEST)]
    before, now = divmod(int(best.argmin()), width)
    cost = float(best[before, now]) / n
    places = np.empty(n, np.int64)
    for i in range(n - 1, -1, -1):
        places[i] = candidates[i, now]
        before, now = int(back[i, before, now]), before
    return Fit(places, beats, cost, off)


# --- an unknown beat --------------------------------------------------------------------------


def track(times: Floats, quarter_s: float, *, chords: bool, pace: float = 1.0) -> Fit:
    """Track a beat whose quarter at first lasts about `pace` quarters of the file, for a steady or
    an unsteady player, whichever is likelier."""
    return min(
        (track_with(times, pace, quarter_s, drift, chords=chords) for drift in DRIFTS),
        key=lambda fit: fit.cost,
    )


def track_any(times: Floats, quarter_s: float, *, chords: bool) -> list[Fit]:
    """Track a beat of any tempo: a fit for each of the two likeliest tempos of the first onsets."""
    off = usual_off(quarter_s)
    scored = []
    for i in (-7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7):
        pace = 2 ** (i / 7)
        nats = _beam(times[:60], pace, off, DRIFTS[0], chords=chords)[1]
        scored.append((nats + 0.15 * (i / 7) ** 2, pace))
    return [track(times, quarter_s, chords=chords, pace=pace) for _, pace in sorted(scored)[:2]]


def track_with(
    times: Floats, pace: float, quarter_s: float, drift: float, *, chords: bool, rounds: int = 3
) -> Fit:
    """Track a beat of known pace and drift. Places by a beam search; then smooth the beat that they
    imply and find the places again, as long as the fit becomes likelier, at most some rounds."""
    places, _ = _beam(times, pace, usual_off(quarter_s), drift, chords=chords)
    fit = _judged(times, places, pace, drift, quarter_s, chords=chords)
    for _ in range(rounds):
        places = quantise_on(fit.beats, quarter_s, chords=chords).places
        again = _judged(times, places, pace, drift, quarter_s, chords=chords)
        if again.cost >= fit.cost - 1e-4:
            break
        fit = again
    return fit


def _judged(
    times: Floats, places: Ints, pace: float, drift: float, quarter_s: float, *, chords: bool
) -> Fit:
    """The likeliest beat for these places, over deviations of the player."""
    offs = {_plausible(USUAL_OFF_S * factor / quarter_s, quarter_s) for factor in _OFF_FACTORS}
    fits = (_Beat(pace, drift).judge(times, places, off, chords=chords) for off in offs)
    return min(fits, key=lambda fit: fit.cost)


def _beam(
    times: Floats, pace: float, off: float, drift: float, *, chords: bool
) -> tuple[Ints, float]:
    """Places by a beam search, and nats an onset."""
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
        v_tempo = var_tempo[:, None] + np.abs(quarters) * (drift * tempo[:, None]) ** 2
        v_cov = cov[:, None] + quarters * var_tempo[:, None]
        v_now = var_now[:, None] + 2 * quarters * cov[:, None] + quarters**2 * var_tempo[:, None]
        v_now = v_now + np.abs(quarters) * (BEAT_DRIFT * tempo[:, None]) ** 2
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
    """Indices of the best hypothesis at each place, at most `N_HYPOTHESES` of them."""
    n = min(4 * N_HYPOTHESES, len(totals) - 1)
    order = np.argpartition(totals, n)[:n] if n < len(totals) - 1 else np.arange(len(totals))
    order = order[np.argsort(totals[order], kind="stable")]
    _, firsts = np.unique(places[order], return_index=True)
    return order[np.sort(firsts)][:N_HYPOTHESES]


@dataclass(frozen=True)
class _Beat:
    """A beat whose quarter at first lasts about `pace` quarters of the file and changes by `drift`:
    the model of the beam search, for known places."""

    pace: float
    drift: float

    def judge(self, times: Floats, places: Ints, off: float, *, chords: bool) -> Fit:
        """The likelihood of these times and places, and the beat. A Kalman filter over the onsets,
        with the time of the place and the tempo as its state, predicts each onset; its states are
        smoothed backwards (Rauch, Tung and Striebel 1965)."""
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
            p = max(p, 0.0)  # rounding may make it negative
            seen, surprise = p + off**2, time - now
            nats += 0.5 * (surprise**2 / seen + math.log(_TWO_PI * seen))
            now += p / seen * surprise
            tempo = max(tempo + c / seen * surprise, 0.2 * self.pace)
            p, c, t = p * off**2 / seen, c * off**2 / seen, max(t - c * c / seen, 0.0)
            states.append((now, tempo, p, c, t))
        smooth = _smoothed(states, predicted, steps)
        beats = places / GRID + (times - smooth[:, 0]) / np.maximum(smooth[:, 1], 0.2 * self.pace)
        cost = (nats + _rhythm_nats(places, chords=chords)) / n
        return Fit(places, beats, cost, off, self.pace, self.drift)


def _smoothed(
    states: list[tuple[float, ...]], predicted: list[tuple[float, ...]], steps: list[float]
) -> Floats:
    """The time of each place and the tempo there, given all onsets; shape (onsets, 2)."""
    now, tempo = states[-1][:2]
    smooth = [(now, tempo)]
    for i in range(len(states) - 2, -1, -1):
        x, v, p, c, t = states[i]
        ahead_x, ahead_v, pp, pc, pt = predicted[i + 1]
        step = steps[i + 1]
        det = pp * pt - pc * pc
        # The covariance with the next state, times the inverse of the covariance of that state.
        a, b, d, e = p + step * c, c, c + step * t, t
        g11, g12 = (a * pt - b * pc) / det, (b * pp - a * pc) / det
        g21, g22 = (d * pt - e * pc) / det, (e * pp - d * pc) / det
        dx, dv = now - ahead_x, tempo - ahead_v
        now, tempo = x + g11 * dx + g12 * dv, v + g21 * dx + g22 * dv
        smooth.append((now, tempo))
    return np.array(smooth[::-1])
