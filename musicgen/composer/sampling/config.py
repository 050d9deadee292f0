"""The settings of sampling, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from musicgen.config import checked
from musicgen.errors import ConfigError

# By a classifier its tunes are nearest to real ones; at 1 too many slips add up (see
# docs/experiments.md).
TEMPERATURE = 0.95


@checked
@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How to draw tokens. `temperature` 0 takes the likeliest token; `top_k` 0, `top_p` 1 and
    `min_p` 0 are off; at most `max_tokens` tokens are added to a prompt.

    Raises:
        ConfigError: a setting is out of range.
    """

    temperature: float = TEMPERATURE
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0
    max_tokens: int = 2048

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(f"temperature: {self.temperature} is not a number from 0 up")
        if self.top_k < 0:
            raise ConfigError(f"top_k: {self.top_k} is negative; 0 turns it off")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p: {self.top_p} is not in (0, 1]; 1 turns it off")
        if not 0 <= self.min_p <= 1:
            raise ConfigError(f"min_p: {self.min_p} is not in [0, 1]; 0 turns it off")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"seed: {self.seed} is not in 0 .. 2^63 - 1")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens: {self.max_tokens} is not at least 1")
