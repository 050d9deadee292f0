"""Sampling: the batched next-token loop, the filters on its distribution, one sequence live.

sample(stepper, prompts, constraint, SamplingConfig(seed=1))     # complete every prompt
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicgen.composer.sampling.config import TEMPERATURE, SamplingConfig
from musicgen.system.lazy import lazy

if TYPE_CHECKING:
    from musicgen.composer.sampling.live import Live
    from musicgen.composer.sampling.loop import Sampled, sample, stepper_of, stream

__all__ = [
    "TEMPERATURE",
    "Live",
    "Sampled",
    "SamplingConfig",
    "sample",
    "stepper_of",
    "stream",
]
__getattr__ = lazy(
    __name__,
    {
        "Live": "live",
        "Sampled": "loop",
        "sample": "loop",
        "stepper_of": "loop",
        "stream": "loop",
    },
)
