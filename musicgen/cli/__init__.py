"""The `musicgen` command: parse arguments, call one function, print what it returns.

Music goes to standard output or to the files of -o, everything else to standard error. Exit code
0: done, 1: bad input (one line says what), 2: wrong usage, 130: interrupted, 143: terminated.
"""

from __future__ import annotations

import os
import signal
import sys

from musicgen.cli import (
    check,
    compare,
    compose,
    evaluate,
    inspect,
    learn,
    play,
    render,
    rework,
    studio,
    study,
)
from musicgen.cli.options import app
from musicgen.cli.output import say
from musicgen.errors import MusicgenError, TrainingInterrupted

__all__ = [
    "app",
    "check",
    "compare",
    "compose",
    "evaluate",
    "inspect",
    "learn",
    "main",
    "play",
    "render",
    "rework",
    "studio",
    "study",
]


def main() -> None:
    """Run the command; every error that is the input's fault becomes one line."""
    # Starting a thread for each core takes longer than what numpy has to calculate here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        app()
    except TrainingInterrupted as error:
        say(str(error))
        raise SystemExit(128 + error.signal) from None
    except MusicgenError as error:
        say(f"error: {error}")
        raise SystemExit(1) from None
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        say("interrupted")
        raise SystemExit(128 + signal.SIGINT) from None
