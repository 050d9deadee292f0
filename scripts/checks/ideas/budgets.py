"""Ideas about cost: files of every kind with one thing grown, and what a tunebook costs."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.checks import growth
from scripts.checks.ideas import Idea, script

IDEAS: Mapping[str, Idea] = {
    f"{kind} with one thing grown": script("growth.py", "--kind", kind, "--sample", 40)
    for kind in growth.KINDS
}
