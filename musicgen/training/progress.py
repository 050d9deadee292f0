"""How a run reports: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

_LINE_EVERY_S = 30.0


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
            parts.append(f"training {self.train_bits_per_token:.3f} bits/token")
        if self.val_bits_per_note is not None:
            parts.append(f"validation {self.val_bits_per_note:.3f} bits/{self.unit}")
        return "  ".join(parts)


Report = Callable[[Progress], None]


@contextmanager
def reporting(stream: TextIO) -> Iterator[Report]:
    """A `Report` for a text stream, as `with reporting(sys.stderr) as report: train(...)`."""
    if stream.isatty():
        with _bar(stream) as report:
            yield report
    else:
        yield _lines(stream)


def _lines(stream: TextIO) -> Report:
    last = -_LINE_EVERY_S

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if progress.scored or now - last >= _LINE_EVERY_S:
            last = now
            print(f"{progress.fraction:4.0%}  {progress}", file=stream, flush=True)

    return report


@contextmanager
def _bar(stream: TextIO) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Bar(*columns, console=Console(file=stream)) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda progress: bar.update(
            task, completed=progress.fraction, description=str(progress)
        )
