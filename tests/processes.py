"""Processes of others: whether they run (Linux); and forks of our own on a disk that is full."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

from musicgen.errors import MusicgenError


def refusal_in_child(work: Callable[[], object], *, most_bytes: int) -> str:
    """Do some work in a fork in which no file may grow beyond so many bytes, which stands for a
    disk that is full: the message of the MusicgenError that it ends with, or ""."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
            work()
        except MusicgenError as error:
            os.write(write, str(error).encode())
        except BaseException as error:  # noqa: BLE001 - a fork must not go on with the tests
            os.write(write, f"no message: {error!r}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        message = pipe.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    return message


def alive(pid: int) -> bool:
    """Whether a process runs: one that nobody has waited for yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
