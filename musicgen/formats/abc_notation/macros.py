"""Macros of ABC (m: fields): text that stands for other text, fixed or moved with the note."""

from __future__ import annotations

import re
from dataclasses import dataclass

from musicgen.formats.abc_notation.scanner import letter_of, pitch_of

MAX_MACROS = 64
MAX_EXPANSION = 200  # characters of a replacement
# Characters that macros may put into a tune, beside so many for each of its own.
PUT_IN, PUT_IN_EACH = MAX_EXPANSION, 8

_NOTE = r"[A-Ga-g][,']{0,4}"
_LETTERS = "CDEFGAB"


@dataclass(frozen=True, slots=True)
class Macro:
    """A pattern to look for and the text to put there; `moving` where it follows its note."""

    pattern: re.Pattern[str]
    replacement: str
    moving: bool


def parse_macro(content: str) -> Macro | None:
    """Read m: such as "~G2 = {A}G{F}G" or, for any note n, "~n2 = {o}n{m}n" (ABC 2.1, 9.1, 9.2)."""
    target, equals, replacement = content.partition("=")
    target, replacement = target.strip(), replacement.strip()
    if not target or not equals or len(target) > 31 or len(replacement) > MAX_EXPANSION:
        return None
    moving = target.count("n") == 1
    pattern = re.escape(target).replace("n", f"({_NOTE})" if moving else "n")
    return Macro(re.compile(pattern + r"(?!\d)"), replacement, moving)


def expand(
    line: str, macros: list[Macro], most: int, columns: list[int] | None = None
) -> tuple[str, list[int] | None, int]:
    """The line with its macros replaced, the source column of each of its characters, and how
    many characters were inserted; macros stop where those would be more than `most`.

    The columns (one more than characters; given where the line has been changed before) are None
    where nothing was replaced.
    """
    n_put_in = 0
    for macro in macros[:MAX_MACROS]:
        if not macro.pattern.search(line):
            continue
        columns_before = columns
        before = columns if columns is not None else list(range(len(line) + 1))
        pieces: list[str] = []
        columns, position = [], 0
        for match in macro.pattern.finditer(line):
            text = _moved(macro.replacement, match[1]) if macro.moving else macro.replacement
            n_put_in += len(text)
            pieces += [line[position : match.start()], text]
            columns += before[position : match.start()] + [before[match.start()]] * len(text)
            position = match.end()
            if n_put_in > most:
                return line, columns_before, n_put_in
        pieces.append(line[position:])
        columns += before[position:]
        line = "".join(pieces)
    return line, columns, n_put_in


def _moved(replacement: str, note: str) -> str:
    """The replacement with the letters h to z as notes around `note`, which is n."""
    center = pitch_of(note[0], note[1:], 0).octave * 7 + _LETTERS.index(note[0].upper())
    return re.sub(r"[h-x]", lambda m: _spelled(center + ord(m[0]) - ord("n")), replacement)


def _spelled(diatonic: int) -> str:
    octave, index = divmod(diatonic, 7)
    return letter_of(_LETTERS[index], octave)
