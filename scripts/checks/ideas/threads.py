"""Ideas: many threads and processes on one thing."""

from __future__ import annotations

from scripts.checks.ideas import Idea, script

IDEAS: dict[str, Idea] = {
    "eight threads with one new composer compose what one does": script(
        "threads.py", "--checkpoint", "celtic-rnn", "--calls", 96, "--tunes", 16
    ),
    "the same with the shipped transformer": script(
        "threads.py", "--checkpoint", "celtic-transformer", "--calls", 32, "--tunes", 16
    ),
}
