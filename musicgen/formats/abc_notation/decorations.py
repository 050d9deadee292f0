"""Decorations of ABC: the meaning of the letters, and one name for each sign."""

from __future__ import annotations

import re

_NOTES = re.compile(r"[\^_=A-Ga-gzx,'\d/<>()-]*")
# ABC 2.1, section 4.14: single letters and their default meaning (section 4.16: U: changes them).
LETTERS = {
    ".": "staccato",
    "~": "roll",
    "H": "fermata",
    "J": "slide",
    "L": "accent",
    "M": "lowermordent",
    "O": "coda",
    "P": "uppermordent",
    "R": "roll",
    "S": "segno",
    "T": "trill",
    "u": "upbow",
    "v": "downbow",
}

# The same sign under another name in the standard or in common programs.
ALIASES = {
    ">": "accent",
    "emphasis": "accent",
    "mordent": "lowermordent",
    "pralltriller": "uppermordent",
    "+": "plus",
    "<(": "crescendo(",
    "<)": "crescendo)",
    ">(": "diminuendo(",
    ">)": "diminuendo)",
    "dacapo": "D.C.",
    "dalsegno": "D.S.",
    "dc": "D.C.",
    "ds": "D.S.",
    "d.c": "D.C.",
    "d.s": "D.S.",
    "d.c.": "D.C.",
    "d.s.": "D.S.",
    "stacc": "staccato",
    "ten": "tenuto",
    "tr": "trill",
    "marcato": "^",
}

# fmt: off
NAMES = frozenset((
    "trill", "trill(", "trill)", "lowermordent", "uppermordent", "roll", "turn", "turnx",
    "invertedturn", "invertedturnx", "arpeggio", "accent", "fermata", "invertedfermata",
    "tenuto", "0", "1", "2", "3", "4", "5", "plus", "snap", "slide", "wedge", "upbow", "downbow",
    "open", "thumb", "breath", "pppp", "ppp", "pp", "p", "mp", "mf", "f", "ff", "fff", "ffff",
    "sf", "sfz", "crescendo(", "crescendo)", "diminuendo(", "diminuendo)", "segno", "coda",
    "D.S.", "D.C.", "dacoda", "fine", "staccato", "shortphrase", "mediumphrase", "longphrase",
    "^", "D.C.alfine", "D.C.alcoda", "D.S.alfine", "D.S.alcoda", "editorial", "courtesy",
    "fz", "/", "//", "///", "////",
))
# Signs that end a passage: between two bar lines, they belong to the first.
CLOSING = frozenset((
    "D.C.", "D.S.", "fine", "dacoda", "D.C.alfine", "D.C.alcoda", "D.S.alfine", "D.S.alcoda",
    "fermata", "invertedfermata", "trill)", "crescendo)", "diminuendo)", "breath",
    "shortphrase", "mediumphrase", "longphrase",
))
# fmt: on
_FOLDED = {name.lower(): name for name in NAMES} | {a.lower(): n for a, n in ALIASES.items()}

# Letters the writer uses instead of !name!, where nothing redefines them; abc2midi knows some of
# the signs by their letters alone.
SHORT = {name: letter for letter, name in LETTERS.items() if letter not in "JR"}


def canonical_name(name: str) -> str:
    """One name for each decoration, in any case; an unknown one stays as it is."""
    return _FOLDED.get(name.lower(), name)


def is_known(name: str) -> bool:
    """Whether the standard or common programs know the name."""
    return name.lower() in _FOLDED


def is_name(text: str) -> bool:
    """Whether a text between two ! is a decoration, not notes between two line breaks."""
    return is_known(text) or _NOTES.fullmatch(text) is None
