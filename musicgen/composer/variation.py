"""Variations of a tune: stretches of it are rewritten until its similarity lies in a band.

Similarity is `music.similarity.similarity`. Starting from the tune, random stretches of one to four
bars are infilled in turn; of the candidates for a stretch one that brings the melody into the band
is taken, else the one that comes nearest to it from above.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from musicgen.composer.engine import ATTEMPTS, Engine, Take
from musicgen.composer.infilling import (
    InfillCandidate,
    draw,
    rewritten_take,
    sample_stretch,
)
from musicgen.composer.prompts.infill_target import InfillTarget, Notes, sounding
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ControlError
from musicgen.music.similarity import similarity
from musicgen.music.tune import Tune

CANDIDATES = 8
LONGEST = 4  # bars of a stretch
STEPS_A_BAR = 2
TRIES = 4  # of a whole version, while none is new and in the band
_BAND = re.compile(r"\s*(\d*\.?\d+)\s*(?:-\s*(\d*\.?\d+)\s*)?")


@dataclass(frozen=True, slots=True)
class Band:
    """Similarities from `low` to `high`, both included."""

    low: float
    high: float

    @staticmethod
    def read(text: str) -> Band:
        """Read "0.6-0.8", or "0.7" for 0.65 to 0.75.

        Raises:
            ControlError: not such a band within 0 and 1.
        """
        match = _BAND.fullmatch(text)
        low = float(match[1]) if match else 2.0
        high = float(match[2]) if match and match[2] else low
        if match is not None and not match[2]:
            low, high = max(0.0, low - 0.05), high + 0.05 if high <= 1 else high
            high = min(high, 1.0) if low < 1 else high
        if not 0 <= low <= high <= 1:
            raise ControlError(f"--similarity '{text}': write a band between 0 and 1, like 0.6-0.8")
        return Band(low, high)

    def distance(self, value: float) -> float:
        """How far outside a value lies; 0 within."""
        return max(self.low - value, value - self.high, 0.0)

    def __str__(self) -> str:
        return f"{self.low:g}-{self.high:g}"


@dataclass(frozen=True, slots=True)
class _Version:
    """Changed bars, and how like the tune is with them."""

    changed: Mapping[int, Notes]
    similarity: float
    bits: float = 0.0


def variations(
    engine: Engine, tune: Tune, band: str, n: int, sampling: SamplingConfig
) -> Iterator[Take]:
    """`n` different settings of a tune, in its key, meter, form and number of bars, each with a
    similarity to it within the band.

    Raises:
        ControlError: the tune cannot be rewritten, or the band is not reached; the message names
            the nearest that was.
    """
    wanted = Band.read(band)
    target = InfillTarget.read(tune)
    seen: set[tuple[object, ...]] = {_sounding(target, {})}
    for index in range(n):
        best: _Version | None = None
        for attempt in range(TRIES):
            version = _vary(engine, target, wanted, sampling, index, attempt)
            if _sounding(target, version.changed) in seen:
                continue
            distance = wanted.distance(version.similarity)
            if best is None or distance < wanted.distance(best.similarity):
                best = version
            if distance == 0:
                break
        if best is None or wanted.distance(best.similarity) > 0:
            reached = (
                f"the nearest reached is {best.similarity:.2f}"
                if best is not None
                else "no new version was found"
            )
            raise ControlError(
                f"--similarity {wanted}: {reached}; ask for a wider band or another --seed"
            )
        seen.add(_sounding(target, best.changed))
        yield rewritten_take(engine, target, best.changed, best.bits, index, several=n > 1)


def _sounding(target: InfillTarget, changed: Mapping[int, Notes]) -> tuple[object, ...]:
    """The sounding notes of the tune with some bars changed, to tell versions apart."""
    return sounding({i: changed.get(i, bar.notes) for i, bar in enumerate(target.encoded_bars)})


def _vary(
    engine: Engine,
    target: InfillTarget,
    band: Band,
    sampling: SamplingConfig,
    index: int,
    attempt: int,
) -> _Version:
    """One walk from the tune into the band, or as near as it gets."""
    random = np.random.default_rng([sampling.seed, index, 3, attempt])
    original = _sounding(target, {})
    n_bars = len(target.encoded_bars)
    reached = _Version({}, 1.0)
    longest = min(LONGEST, n_bars)
    touched = np.zeros(n_bars)
    for step in range(STEPS_A_BAR * n_bars + 4):
        length = int(random.integers(1, longest + 1))
        start = _where(touched, length, random)
        try:
            stretch = target.stretch(start, start + length, reached.changed)
        except ControlError:
            touched[start : start + length] += 1
            continue
        row = (attempt * 10_000 + step) * CANDIDATES
        rows = [index + (row + k) * ATTEMPTS for k in range(CANDIDATES)]
        versions = [
            (candidate, _with(target, reached, candidate))
            for candidate in sample_stretch(engine, target, stretch, sampling, rows)
        ]
        good = [
            (c, v)
            for c, v in versions
            if not band.distance(v.similarity) and _sounding(target, v.changed) != original
        ]
        if good:
            chosen = draw([candidate for candidate, _ in good], random)
            return next(v for c, v in good if c is chosen)
        above = [v for _, v in versions if v.similarity > band.high]
        touched[start : start + length] += 1
        if above:
            reached = min(above, key=lambda v: v.similarity)
        else:
            longest = max(1, longest - 1)
        if not above and longest == 1 and reached.similarity <= band.high:
            break
    return reached


def _where(touched: np.ndarray, length: int, random: np.random.Generator) -> int:
    """A place for a stretch, among those touched least."""
    sums = np.convolve(touched, np.ones(length), mode="valid")
    return int(random.choice(np.flatnonzero(sums == sums.min())))


def _with(target: InfillTarget, version: _Version, candidate: InfillCandidate) -> _Version:
    changed = {**version.changed, **candidate.notes}
    melody = target.melody_with(changed)
    return _Version(changed, similarity(target.tune, melody), version.bits + candidate.bits)
