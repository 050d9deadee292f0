"""How far long work is: a bar on a terminal; of a training run plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from musicgen.cli.messages import is_heard

if TYPE_CHECKING:
    from musicgen.training.progress import Progress as TrainingProgress
    from musicgen.training.progress import Report as TrainingReport

_LINE_EVERY_S = 30.0

Report = Callable[[str, int, int], None]


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A function to call with what is being done, how many are done and how many there are."""
    if not (sys.stderr.isatty() and is_heard()):
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=sys.stderr), transient=True) as bar:
        tasks = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        yield report


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def reporting(stream: TextIO) -> Iterator[TrainingReport]:
    """Reports of a training run on a text stream; Lightning's advice is left out of our process."""
    warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning(\..*)?")
    if stream.isatty() and is_heard():
        with _bar(stream) as report:
            yield report
    else:
        yield _lines(stream)


def _lines(stream: TextIO) -> TrainingReport:
    last = -_LINE_EVERY_S

    def report(progress: TrainingProgress) -> None:
        nonlocal last
        now = time.monotonic()
        if progress.scored or now - last >= _LINE_EVERY_S:
            last = now
            print(f"{progress.fraction:4.0%}  {progress}", file=stream, flush=True)

    return report


@contextmanager
def _bar(stream: TextIO) -> Iterator[TrainingReport]:
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
