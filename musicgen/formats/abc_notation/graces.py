"""Grace notes of ABC, between { and } (ABC 2.1, section 4.12)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from musicgen.formats.abc_notation.decorations import canonical_name
from musicgen.formats.abc_notation.event_drafts import with_slurs
from musicgen.formats.abc_notation.placement import Placer
from musicgen.formats.abc_notation.scanner import GRACE_NOTE, ZERO_LENGTH, duration_of, factor
from musicgen.music.tune import Grace, Marks, Note


def read_grace(
    content: str, placer: Placer, letters: Mapping[str, str], warn: Callable[[str], None]
) -> Grace | None:
    """The grace notes of the text between the braces; None when there are none."""
    slashed = content.startswith("/")
    notes: list[Note] = []
    opened = 0
    names: list[str] = []
    for match in GRACE_NOTE.finditer(content[slashed:]):
        sign, letter, octave, length, name, other = match.groups()
        if letter:
            marks = Marks(slurs_opened=opened, decorations=tuple(names))
            pitch = placer.pitch(sign, letter, octave)
            if not factor(length):
                warn(ZERO_LENGTH)
            notes.append(Note(pitch, duration_of(length, *placer.voice.unit), marks=marks))
            opened, names = 0, []
        elif name:
            names.append(canonical_name(name))
        elif other == "(":
            opened += 1
        elif other == ")" and notes:
            notes[-1] = with_slurs(notes[-1], 0, 1)
        elif other == "-" and notes:
            notes[-1] = replace(notes[-1], tie=True)
        elif letters.get(other):
            names.append(letters[other])
        elif other not in " \t[]":
            warn(f"'{other}' among grace notes is left out")
    if opened or names:
        warn("a sign after the last grace note is left out")
    return Grace(tuple(notes), slashed) if notes else None
