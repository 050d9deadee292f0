"""Estimate of key and mode from notes: the time on each degree, the first and the last note."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from musicgen.music.estimation.note_line import NoteLine
from musicgen.music.estimation.tables import tables
from musicgen.music.theory import C_MAJOR, Key, tonic_name

MODES = ("major", "minor", "dorian", "mixolydian")


def key_features(line: NoteLine) -> NDArray[np.float64]:
    """For each of twelve tonics (12, 36): the share of time on each degree, from the tonic up by
    semitones, then which degree comes last, then which comes first."""
    times = np.array(line.pitch_classes(), float)
    shares = times / (times.sum() or 1)
    last, first = np.zeros(12), np.zeros(12)
    if line.notes:
        last[line.notes[-1][2] % 12] = first[line.notes[0][2] % 12] = 1
    return np.stack(
        [np.concatenate([np.roll(part, -tonic) for part in (shares, last, first)])
         for tonic in range(12)]
    )  # fmt: skip


def key_scores(line: NoteLine) -> NDArray[np.float64]:
    """The fit of each mode (row, as in `MODES`) on each tonic (column, from C up): (4, 12)
    logits."""
    weights, bias = _weights()
    return weights @ key_features(line).T + bias[:, None]


@cache
def _weights() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    table = tables()["key"]
    return np.array(table["weights"]), np.array(table["bias"])


def estimate_key(line: NoteLine) -> Key:
    """The likeliest of 48 keys: major, minor, dorian, mixolydian on each tonic.

    A multinomial logit as in Krumhansl and Kessler's key profiles (Krumhansl, Cognitive
    Foundations of Musical Pitch, 1990), with the last and first note besides, fitted to
    public-domain folk tunes, whole ones and fragments, by `scripts/fitting/estimation.py`. C major
    where there are no notes.
    """
    if not line.notes:
        return C_MAJOR
    mode, tonic = divmod(int(key_scores(line).argmax()), 12)
    return Key(tonic_name(MODES[mode], tonic), MODES[mode])
