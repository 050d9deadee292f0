"""The tuning error of a sounding note, by Fourier transform."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SPAN_CENTS = 90  # each way from the pitch: short of its neighbours
MIN_STRENGTH = 0.05  # of the fundamental, relative to the strongest partial
MAX_RIVAL = 0.5  # of a second peak in the span, relative to the first: voices that beat on purpose
MIN_PERIODS = 12  # of a tone that can be measured
_RESOLUTION = 1 << 17


def cents_off(mono: NDArray[np.float32], midi: int, sample_rate: int) -> float | None:
    """Cents from the tempered pitch (A4 = 440 Hz), sharp positive.

    None where it cannot be measured: the tone is too short, has no clear fundamental (bells,
    effects), or several of them (a chorus of strings).
    """
    expected = 440.0 * 2.0 ** ((midi - 69) / 12)
    if len(mono) * expected < MIN_PERIODS * sample_rate:
        return None
    length = max(_RESOLUTION, len(mono))
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono)), length))
    width = 2.0 ** (SPAN_CENTS / 1200)
    low, high = (int(expected * w * length / sample_rate) for w in (1 / width, width))
    window = spectrum[low : high + 1]
    inner = window[1:-1]
    peaks = np.flatnonzero((inner > window[:-2]) & (inner >= window[2:])) + 1
    if not len(peaks):
        return None
    best = int(peaks[np.argmax(window[peaks])])
    rivals = window[peaks[np.abs(peaks - best) > 4 * length / len(mono)]]
    is_weak = window[best] < MIN_STRENGTH * spectrum.max()
    if is_weak or rivals.max(initial=0.0) > MAX_RIVAL * window[best]:
        return None
    left, middle, right = np.log(window[best - 1 : best + 2] + 1e-30)
    shift = 0.5 * (left - right) / (left - 2 * middle + right)  # a parabola through the top
    frequency = (low + best + shift) * sample_rate / length
    return float(1200 * np.log2(frequency / expected))
