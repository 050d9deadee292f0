"""The heading of an ABC tune: information fields collected until K:."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from musicgen.formats.abc_notation import decorations
from musicgen.formats.abc_notation.fields import (
    KeyField,
    VoiceField,
    read_key,
    read_meter,
    read_number,
    read_tempo,
    read_unit,
    read_voice,
)
from musicgen.formats.abc_notation.macros import Macro, parse_macro
from musicgen.formats.abc_notation.scanner import NOTE_LIKE
from musicgen.formats.abc_notation.text import decode_text, one_line
from musicgen.music.theory import FREE_METER, Key, Meter, default_unit
from musicgen.music.tune import Tempo

Warn = Callable[[str], None]

# Fields that a file may give before its first tune, for all tunes (ABC 2.1, section 2.2.2).
INHERITED = frozenset("ABCDFGHILMmNORSUZQ")
_PROGRAM = re.compile(r"MIDI\s+program\s+(\d{1,3})\s*$")
_PROPAGATE = re.compile(r"propagate-accidentals\s+(not|octave|pitch)\s*$")
_USER_SYMBOL = re.compile(r"\s*([.~H-Yh-w])\s*=\s*[!+]?([^\s!+]+(?:\([^\s!+]*)?)[!+]?\s*$")
_NOTHING = ("nil", "none", "beambreak")


class Header:
    """Everything a heading says, in the order of `read` calls."""

    def __init__(self, warn: Warn) -> None:
        self.warn = warn
        self.number = 1
        self.title = ""
        self.rhythm = ""
        self.composer = ""
        self.parts = ""
        self.meter: Meter | None = None
        self.unit: Fraction | None = None
        self.tempo_text = ""
        self.key: KeyField | None = None
        self.fields: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.voices: list[VoiceField] = []
        self.programs: dict[str, int] = {}
        self.letters = dict(decorations.LETTERS)
        self.macros: list[Macro] = []
        self.scope = "pitch"

    def read(self, letter: str, content: str) -> None:
        """Take in one field."""
        special = {
            "X": self._number,
            "M": self.read_meter,
            "L": self.read_unit,
            "Q": self.read_tempo,
            "K": self.read_key,
            "V": self._voice,
            "U": self.read_symbol,
            "m": self.read_macro,
            "W": self.read_words,
            "I": self.read_instruction,
        }.get(letter)
        if special is not None:
            special(content)
        else:
            self._text(letter, content)

    def _text(self, letter: str, content: str) -> None:
        text = decode_text(content)
        slot = {"T": "title", "R": "rhythm", "C": "composer", "P": "parts"}.get(letter)
        if slot is None:
            self.fields.append((letter, text))
        elif text and not getattr(self, slot):
            setattr(self, slot, text)
        elif text:
            self.fields.append((letter, text))

    def directive(self, content: str) -> None:
        """Take in a %% line."""
        program = _PROGRAM.match(content)
        if program and int(program[1]) < 128:
            self.programs[self.voices[-1].id if self.voices else ""] = int(program[1])
        elif not self._propagates(content):
            self.fields.append(("%%", one_line(content)))

    def read_instruction(self, content: str) -> None:
        """Take in an I: field."""
        if not self._propagates(content):
            self.fields.append(("I", decode_text(content)))

    def _propagates(self, content: str) -> bool:
        match = _PROPAGATE.match(content.strip())
        if match:
            self.scope = match[1]
        return match is not None

    def _number(self, content: str) -> None:
        number = read_number(content)
        if number is None and content.strip():
            self.warn(f"X:{content.strip()[:20]} is no number; read as 1")
        self.number = number if number is not None else 1

    def read_meter(self, content: str) -> str:
        """Take in M:; returns what follows the meter on its line."""
        if not content.strip():
            return ""
        self.meter, rest = read_meter(content)
        if rest and "|" not in rest:
            self.warn(f"'{rest[:40]}' in M: is not understood; read as {self.meter}")
            return ""
        return rest

    def read_unit(self, content: str) -> None:
        """Take in L:."""
        unit, rest = read_unit(content)
        if unit is not None:
            self.unit = unit
        if rest:
            self.warn(f"'{rest[:40]}' in L: is not understood; left out")

    def read_tempo(self, content: str) -> None:
        """Take in Q:; its meaning may depend on a later L:."""
        if content.strip():
            self.tempo_text = content

    def read_key(self, content: str) -> None:
        """Take in K:."""
        field = read_key(content)
        if field.unread:
            self.warn(f"'{field.unread[:40]}' in K: is not understood; read as {field.key}")
        self.key = field

    def _voice(self, content: str) -> None:
        field = read_voice(content)
        if field.id:
            self.voices.append(field)

    def read_symbol(self, content: str) -> None:
        """Take in U:, a new meaning for a letter."""
        match = _USER_SYMBOL.match(content)
        known = match is not None and decorations.is_known(match[2])
        if match is None or not (known or NOTE_LIKE.fullmatch(match[2]) is None):
            self.warn(f"'{content.strip()[:40]}' in U: is not understood; left out")
        else:
            name = "" if match[2].lower() in _NOTHING else decorations.canonical_name(match[2])
            self.letters[match[1]] = name
        self.fields.append(("U", decode_text(content)))

    def read_macro(self, content: str) -> None:
        """Take in m:."""
        macro = parse_macro(content)
        if macro is None:
            self.warn(f"'{content.strip()[:40]}' in m: is not understood; left out")
        else:
            self.macros.append(macro)

    def read_words(self, content: str) -> None:
        """Take in W:."""
        self.words.append(decode_text(content))

    def the_meter(self) -> Meter:
        """The meter; free where none is given (3.1.6)."""
        return self.meter if self.meter is not None else FREE_METER

    def the_unit(self) -> Fraction:
        """The unit note length in quarters, by the meter where none is given (3.1.7)."""
        return self.unit if self.unit is not None else default_unit(self.the_meter())

    def the_key(self) -> Key:
        """The key; none where no K: names one."""
        return self.key.key if self.key is not None and self.key.key else Key("", "none")

    def the_tempo(self) -> Tempo | None:
        """The tempo, if there is one."""
        if not self.tempo_text:
            return None
        tempo, rest = read_tempo(self.tempo_text, self.the_unit())
        if rest:
            self.warn(f"'{rest[:40]}' in Q: is not understood")
        return tempo
