"""Tests, a folder for each package; across packages: `end_to_end`. Shared helpers lie here."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
