"""Counts and weights that `scripts/fitting/estimation.py` took from the bundled training split."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def tables() -> dict[str, Any]:
    """All of them: "key", "meter" and "rhythm"."""
    return json.loads(Path(__file__).with_suffix(".json").read_bytes())
