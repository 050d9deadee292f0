"""The `musicgen` command: parse arguments, call one function, print what it returns.

Music goes to standard output or to the files of -o, everything else to standard error. Exit code
0: done, 1: bad input (one line says why), 2: wrong usage, 130: interrupted, 143: terminated.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from musicgen.cli import (
    classify,
    corpus,
    evaluate,
    generate,
    harmonize,
    inspect,
    novelty,
    play,
    prepare,
    push,
    render,
    rewrite,
    studio,
    train,
    validate,
)
from musicgen.cli.command import PANELS, app
from musicgen.cli.messages import say
from musicgen.cli.options import common_first
from musicgen.cli.results import kept, standard_output
from musicgen.errors import MusicgenError, TrainingInterrupted

# Commands in the order of the panels, and in the order of their modules within one.
app.registered_commands.sort(key=lambda command: PANELS.index(str(command.rich_help_panel)))

__all__ = [
    "app",
    "classify",
    "corpus",
    "evaluate",
    "generate",
    "harmonize",
    "inspect",
    "main",
    "novelty",
    "play",
    "prepare",
    "push",
    "render",
    "rewrite",
    "studio",
    "train",
    "validate",
]


def main() -> None:
    """Run the command; every error that is the input's fault becomes one line."""
    # Starting a thread for each core takes longer than numpy's calculations here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack letters of a title
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = common_first(sys.argv[1:])
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        with standard_output() as screen:
            code = _code(arguments)
            raise SystemExit(code if screen.end() else code or 1)
    finally:
        signal.signal(signal.SIGTERM, before)


def _code(arguments: Sequence[str]) -> int:
    """Run the command: its exit code."""
    try:
        app(args=arguments, prog_name="musicgen")
    except BaseException as error:
        if "--debug" in arguments and not isinstance(error, SystemExit):
            traceback.print_exc()
        code = _explain(error)
        if code is None:
            raise
        return code
    return 0


class _Terminated(BaseException):
    """SIGTERM was received: open files are closed while it is raised."""


def _terminate(_number: int, _frame: object) -> None:
    raise _Terminated


def _explain(error: BaseException) -> int | None:
    """Print in one line why the command ended; its exit code, or None for a stranger."""
    match error:
        case TrainingInterrupted():
            say(str(error))
            return 128 + error.signal
        case MusicgenError():
            say(f"error: {kept(error)}")
        case BrokenPipeError():  # the reader of our output has stopped
            pass
        case KeyboardInterrupt() | SystemExit(code=130):  # the latter is typer's
            say("interrupted")
            return 128 + signal.SIGINT
        case _Terminated():
            say("terminated")
            return 128 + signal.SIGTERM
        case SystemExit():
            return error.code if isinstance(error.code, int) else int(bool(error.code))
        case MemoryError():
            say("error: not enough memory; close other programs, or do less at a time")
        case OSError() if error.strerror:
            place = f"{error.filename}: " if error.filename else ""
            say(f"error: {place}{error.strerror}; check the disk and the permissions")
        case Exception():
            reason = " ".join(str(error).split())[:200]
            say(
                f"error: a defect of musicgen ({type(error).__name__}: {reason}); please report it "
                "with the output of --debug"
            )
        case _:
            return None
    return 1
