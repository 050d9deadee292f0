"""A reel, and tunes from a line of ABC, for what is measured of melodies."""

from __future__ import annotations

from musicgen.formats.abc_notation import parse
from musicgen.music.tune import Tune

REEL = """X:3
T:A reel
M:C|
L:1/8
K:D
D2FA dAFA|BAGB AFDF|E2EF GFEG|FDEC DEFA|dfaf gfed|cdef g2fg|afge fdec|ABAG FDD2|]
"""


def tune(text: str) -> Tune:
    """The first tune of an ABC text."""
    return parse(text.encode(), "test.abc").tunes[0]


def notes(text: str, head: str = "M:4/4\nL:1/8\nK:C") -> Tune:
    """A tune of these notes."""
    return tune(f"X:1\nT:t\n{head}\n{text}\n")
