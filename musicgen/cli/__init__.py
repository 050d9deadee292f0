"""The `musicgen` command: parse arguments, call one function, print what it returns.

Music goes to standard output or to the files of -o, everything else to standard error. Exit code
0: done, 1: bad input (one line says why), 2: wrong usage, 130: interrupted, 143: terminated, 138:
stopped by SIGUSR1.
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
from musicgen.errors import EndedElsewhere, MusicgenError, Terminated, TrainingInterrupted

# Commands in the order of the panels, and in the order of their modules within one.
app.registered_commands.sort(key=lambda command: PANELS.index(str(command.rich_help_panel)))

# Batch systems send the second before they end a job; Windows has none.
_TERMINATING = [signal.SIGTERM, *filter(None, [getattr(signal, "SIGUSR1", None)])]

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
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # advice to its programmers
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack letters of a title
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = common_first(sys.argv[1:])
    before = {number: signal.signal(number, _terminate) for number in _TERMINATING}
    try:
        with standard_output() as screen:
            code = _code(arguments)
            raise SystemExit(code if screen.end() else code or 1)
    except Terminated as error:  # while the command is ending anyway
        raise SystemExit(128 + error.signal) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


def _terminate(number: int, _frame: object) -> None:
    raise Terminated(number)


def _explain(error: BaseException) -> int | None:
    """Print in one line why the command ended; its exit code, or None for a stranger."""
    match error:
        case TrainingInterrupted():
            say(str(error))
            return 128 + error.signal
        case EndedElsewhere():
            return error.code
        case MusicgenError():
            say(f"error: {kept(error)}")
        case BrokenPipeError():  # the reader of our output has stopped
            pass
        case KeyboardInterrupt() | SystemExit(code=130):  # the latter is typer's
            say("interrupted")
            return 128 + signal.SIGINT
        case Terminated():
            say("terminated")
            return 128 + error.signal
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
