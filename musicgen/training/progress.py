"""What a run reports while it trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

TARGETS = ("label", "chord")  # units that are predicted one by one, as tokens are


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands. `fraction` of the budget is used up; the bits are the latest known."""

    fraction: float
    step: int
    epoch: float
    elapsed_s: float
    tokens_per_s: float
    train_bits_per_token: float | None
    val_bits_per_note: float | None
    best_bits_per_note: float | None
    scored: bool = False  # `val_bits_per_note` is new
    unit: str = "note"  # what the token files count by, and the bits are quoted per

    def __str__(self) -> str:
        parts = [
            f"step {self.step}",
            f"epoch {self.epoch:.1f}",
            f"{self.tokens_per_s:,.0f} tokens/s",
        ]
        if self.train_bits_per_token is not None:
            parts.append(f"training {self.train_bits_per_token:.3f} bits/{target_of(self.unit)}")
        if self.val_bits_per_note is not None:
            parts.append(f"validation {self.val_bits_per_note:.3f} bits/{self.unit}")
        return "  ".join(parts)


def target_of(unit: str) -> str:
    """What training losses are per: the unit of a task with targets of its own, else a token."""
    return unit if unit in TARGETS else "token"


Report = Callable[[Progress], None]
