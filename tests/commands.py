"""The `musicgen` command in the process of the test."""

from __future__ import annotations

import sys

import pytest

from musicgen.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    before, sys.argv = sys.argv, ["musicgen", *arguments]
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = before
    out, err = capsys.readouterr()
    return code, out, err
