"""Where the text fonts are: STIX, a Times with every European letter, and DejaVu for the rest.

Both come with matplotlib, so that pages look the same on every machine.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

FACES = {
    ("normal", "normal"): "STIXGeneral",
    ("bold", "normal"): "STIXGeneralBol",
    ("normal", "italic"): "STIXGeneralItalic",
    ("bold", "italic"): "STIXGeneralBolIta",
}
FALLBACK = "DejaVuSans"


@cache
def font_file(name: str) -> Path:
    """The TrueType file of a face; matplotlib is found, not imported."""
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"


def font_files() -> list[str]:
    """All files, for a renderer that chooses by itself."""
    return [str(font_file(name)) for name in (*FACES.values(), FALLBACK)]
