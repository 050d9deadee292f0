"""The heading of an ABC tune: information fields collected until K:."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial

from musicgen.formats.abc_notation import decorations
from musicgen.formats.abc_notation.fields import (
    KeyField,
    VoiceField,
    read_key,
    read_meter,
    read_tempo,
    read_unit,
    read_voice,
)
from musicgen.formats.abc_notation.macros import Macro, parse_macro
from musicgen.formats.abc_notation.sounding import Instruments, read_directive
from musicgen.formats.abc_notation.text import decode_text, one_line
from musicgen.music.theory import FREE_METER, Key, Meter, default_unit
from musicgen.music.tune import Tempo

Warn = Callable[[str], None]

# Fields that a file may give before its first tune, for all tunes (ABC 2.1, section 2.2.2).
INHERITED = frozenset("ABCDFGHILMmNORSUZQ")
_PROPAGATE = re.compile(r"propagate-accidentals\s+(not|octave|pitch)\s*$")
_NUMBER = re.compile(r"\d{1,9}")
_USER_SYMBOL = re.compile(r"\s*([.~H-Yh-w])\s*=\s*[!+]?([^\s!+]+(?:\([^\s!+]*)?)[!+]?\s*$")
_NO_DECORATION = ("nil", "none", "beambreak")
# Fields with an attribute of the tune; a second one of a kind is a line of the heading.
_ATTRIBUTES = {"T": "title", "R": "rhythm", "C": "composer", "P": "parts"}


class Header:
    """The fields of a heading, in the order of `read` calls."""

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
        self.instruments = Instruments()
        self.letters = dict(decorations.LETTERS)
        self.macros: list[Macro] = []
        self.scope = "pitch"

    def read(self, letter: str, content: str) -> None:
        """Read one field."""
        read = {
            "X": self._number,
            "M": self.read_meter,
            "L": self._unit,
            "Q": self.read_tempo,
            "K": self._key,
            "V": self._voice,
            "U": self.read_symbol,
            "m": self.read_macro,
            "W": self.read_words,
            "I": self.read_instruction,
        }.get(letter, partial(self._text, letter))
        read(content)

    def _text(self, letter: str, content: str) -> None:
        text = decode_text(content)
        attribute = _ATTRIBUTES.get(letter)
        if attribute and text and not getattr(self, attribute):
            setattr(self, attribute, text)
        elif text or not attribute:
            self.fields.append((letter, text))

    def directive(self, content: str) -> None:
        """Read a %% line."""
        if not self._instructs(content):
            self.fields.append(("%%", one_line(content)))

    def read_instruction(self, content: str) -> None:
        """Read an I: field, which is the same as %% (11)."""
        if not self._instructs(content):
            self.fields.append(("I", decode_text(content)))

    def _instructs(self, content: str) -> bool:
        directive = read_directive(content)
        if directive is None:
            return self.propagates(content)
        self.instruments.take(directive, self.voices[-1].id if self.voices else "")
        return not directive.is_kept

    def propagates(self, content: str) -> bool:
        """Read an instruction on how far accidentals reach (11.3); whether it is one."""
        match = _PROPAGATE.match(content.strip())
        self.scope = match[1] if match else self.scope
        return match is not None

    def _number(self, content: str) -> None:
        match = _NUMBER.match(content.strip())
        if match is None and content.strip():
            self.warn(f"X:{content.strip()[:20]} is no number; read as 1")
        self.number = int(match[0]) if match else 1

    def read_meter(self, content: str) -> str:
        """Read M:; returns the text after the meter on its line."""
        if not content.strip():
            return ""
        self.meter, rest = self.parse_meter(content)
        return rest if "|" in rest else ""

    def parse_meter(self, content: str) -> tuple[Meter, str]:
        """The meter of M: and the rest of its line, with a warning where that is no music."""
        meter, rest = read_meter(content)
        if rest and "|" not in rest:
            self.warn(f"'{rest[:40]}' in M: is not understood; read as {meter}")
        return meter, rest

    def _unit(self, content: str) -> None:
        self.unit = self.parse_unit(content) or self.unit

    def parse_unit(self, content: str) -> Fraction | None:
        """The unit of L: in quarters, with a warning where it is not understood."""
        unit, rest = read_unit(content)
        if rest:
            self.warn(f"'{rest[:40]}' in L: is not understood")
        return unit

    def read_tempo(self, content: str) -> None:
        """Read Q:; its meaning may depend on a later L:."""
        if content.strip():
            self.tempo_text = content
            self.parse_tempo(content, Fraction(1, 2))  # for its warning, which needs no unit

    def parse_tempo(self, content: str, unit: Fraction) -> Tempo:
        """The tempo of Q:, with a warning where it is not understood."""
        tempo, rest = read_tempo(content, unit)
        if rest:
            self.warn(f"'{rest[:40]}' in Q: is not understood")
        return tempo

    def _key(self, content: str) -> None:
        self.key = self.parse_key(content)

    def parse_key(self, content: str) -> KeyField:
        """The key of K:, with a warning where it is not understood."""
        field = read_key(content)
        if field.unread:
            self.warn(f"'{field.unread[:40]}' in K: is not understood; read as {field.key}")
        return field

    def _voice(self, content: str) -> None:
        field = read_voice(content)
        if field.id:
            self.voices.append(field)

    def read_symbol(self, content: str) -> None:
        """Read U:, a new meaning for a letter."""
        match = _USER_SYMBOL.match(content)
        if match is None or not decorations.is_name(match[2]):
            self.warn(f"'{content.strip()[:40]}' in U: is not understood; left out")
        else:
            no_sign = match[2].lower() in _NO_DECORATION
            self.letters[match[1]] = "" if no_sign else decorations.canonical_name(match[2])
        self.fields.append(("U", decode_text(content)))

    def read_macro(self, content: str) -> None:
        """Read m:, a macro."""
        if macro := parse_macro(content):
            self.macros.append(macro)
        else:
            self.warn(f"'{content.strip()[:40]}' in m: is not understood; left out")

    def read_words(self, content: str) -> None:
        """Read W:, words below the music."""
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
        return read_tempo(self.tempo_text, self.the_unit())[0] if self.tempo_text else None
