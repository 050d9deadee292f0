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
KESH = """X:1
T:The Kesh
M:6/8
L:1/8
K:G
GAG GAB|ABA ABd|edd gdd|edB dBA|GAG GAB|ABA ABd|edd gdB|AGF G3:|
BAB dBd|ege dBA|BAB dBG|ABA AGA|BAB dBd|ege dBd|gfg aga|bgf g3:|
"""
BUTTERFLY = """X:2
T:The Butterfly
M:9/8
L:1/8
K:Em
B2E G2E F3|B2E G2E FED|B2E G2E F3|B2d d2B AFD:|
B2c e2f g3|B2d g2e dBA|B2c e2f g2a|b2a g2e dBA:|
"""


def tune(text: str) -> Tune:
    """The first tune of an ABC text."""
    return parse(text.encode(), "test.abc").tunes[0]


def notes(text: str, head: str = "M:4/4\nL:1/8\nK:C") -> Tune:
    """A tune of these notes."""
    return tune(f"X:1\nT:t\n{head}\n{text}\n")
