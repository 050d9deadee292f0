"""Perceived loudness by ITU-R BS.1770: K-weighted and gated, measured block by block."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from musicgen.formats.audio.sound import Samples

HOP_S = 0.1  # gating blocks of 400 ms begin every 100 ms
HOPS_A_BLOCK = 4
ABSOLUTE_GATE = -70.0  # LUFS
RELATIVE_GATE = -10.0  # LU below the mean of what passed the absolute gate
_OFFSET = -0.691  # makes a sine of 997 Hz at full scale in one channel read -3.01 LUFS

# BS.1770-5, annex 1, tables 1 and 2: a shelf for the head and a high-pass, at 48 kHz.
_DESIGN_RATE = 48_000
_STAGES = (
    (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (-1.69065929318241, 0.73248077421585),
    ),
    ((1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621)),
)


class LoudnessMeter:
    """Takes a signal in pieces of any length; `integrated` is its loudness as a whole."""

    def __init__(self, sample_rate: int) -> None:
        self.peak = 0.0
        self._hop = round(HOP_S * sample_rate)
        self._weights = _weights(self._hop, sample_rate)
        self._rest: Samples | None = None
        self._energies: list[NDArray[np.float64]] = []

    def add(self, samples: Samples) -> None:
        """The next piece, (frames, channels)."""
        self.peak = max(self.peak, float(np.abs(samples).max(initial=0.0)))
        if self._rest is not None:
            samples = np.concatenate([self._rest, samples])
        n_hops = len(samples) // self._hop
        self._rest = samples[n_hops * self._hop :].copy()
        if n_hops:
            hops = samples[: n_hops * self._hop].reshape(n_hops, self._hop, samples.shape[1])
            bins = np.fft.rfft(hops, axis=1)
            power = bins.real**2 + bins.imag**2  # (hops, bins, channels)
            self._energies.append(np.einsum("hbc,b->h", power, self._weights))

    def integrated(self) -> float:
        """LUFS of all that was added; minus infinity when it was silent.

        A signal too short for one gating block is measured without gating.
        """
        if not self._energies:
            return -np.inf
        hops = np.concatenate(self._energies)
        width = min(HOPS_A_BLOCK, len(hops))
        energies = np.convolve(hops, np.full(width, 1 / width), mode="valid")
        audible = energies[_lufs(energies) > ABSOLUTE_GATE]
        if not len(audible):
            return -np.inf
        gate = _lufs(audible.mean()) + RELATIVE_GATE
        return float(_lufs(audible[_lufs(audible) > gate].mean()))


def _lufs(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    return _OFFSET + 10 * np.log10(np.maximum(energy, 1e-20))


@cache
def _weights(n_frames: int, sample_rate: int) -> NDArray[np.float64]:
    """Weight of each bin of a real transform in the mean square of the K-weighted signal."""
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(n_frames, 1 / sample_rate) / _DESIGN_RATE)
    gain = np.ones(len(z))
    for numerator, (a1, a2) in _STAGES:
        above = np.polyval(numerator[::-1], z)
        gain *= np.abs(above / (1 + a1 * z + a2 * z**2)) ** 2
    both_sides = np.full(len(z), 2.0)  # bins of positive and negative frequency
    both_sides[0] = 1.0
    if n_frames % 2 == 0:
        both_sides[-1] = 1.0
    return gain * both_sides / n_frames**2
