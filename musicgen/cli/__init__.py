"""The `musicgen` command: parse arguments, call one function, print what it returns.

Music goes to standard output or to the files of -o, everything else to standard error. Exit code
0: done, 1: bad input (one line says what), 2: wrong usage, 130: interrupted, 143: terminated.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback

from musicgen.cli import (
    classify,
    corpus,
    evaluate,
    generate,
    harmonize,
    inspect,
    novelty,
    play,
    render,
    rewrite,
    studio,
    train,
    validate,
)
from musicgen.cli.messages import say
from musicgen.cli.options import app, common_first
from musicgen.errors import MusicgenError, TrainingInterrupted

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
    "render",
    "rewrite",
    "studio",
    "train",
    "validate",
]


def main() -> None:
    """Run the command; every error that is the input's fault becomes one line."""
    # Starting a thread for each core takes longer than what numpy has to calculate here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack letters of a title
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = common_first(sys.argv[1:])
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        app(args=arguments, prog_name="musicgen")
    except BaseException as error:
        if "--debug" in arguments and not isinstance(error, SystemExit):
            traceback.print_exc()
        code = _explain(error)
        if code is None:
            raise
        raise SystemExit(code) from None
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminated(BaseException):
    """SIGTERM came: what is open is closed on the way out."""


def _terminate(_number: int, _frame: object) -> None:
    raise _Terminated


def _explain(error: BaseException) -> int | None:
    """Say in one line why the command ended, and with which exit code; None for an exit."""
    match error:
        case TrainingInterrupted():
            say(str(error))
            return 128 + error.signal
        case MusicgenError():
            say(f"error: {error}")
        case BrokenPipeError():  # the reader of our output has seen enough
            sys.stderr.close()
        case KeyboardInterrupt() | SystemExit(code=130):  # the latter is typer's
            say("interrupted")
            return 128 + signal.SIGINT
        case _Terminated():
            say("terminated")
            return 128 + signal.SIGTERM
        case MemoryError():
            say("error: not enough memory; close other programs, or ask for less at a time")
        case OSError() if error.strerror:
            place = f"{error.filename}: " if error.filename else ""
            say(f"error: {place}{error.strerror}; check the disk and the permissions")
        case Exception():
            what = " ".join(str(error).split())[:200]
            say(
                f"error: a defect of musicgen ({type(error).__name__}: {what}); please report it "
                "with what --debug prints"
            )
        case _:
            return None
    return 1
