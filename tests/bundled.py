"""The collections that come with music21, as files."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def abc_files(collection: str) -> list[Path]:
    """The ABC files of a collection such as "oneills1850", in order."""
    spec = importlib.util.find_spec("music21")
    assert spec is not None
    assert spec.origin is not None
    return sorted((Path(spec.origin).parent / "corpus" / collection).glob("*.abc"))
