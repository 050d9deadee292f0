"""The content of ABC information fields: K:, M:, L:, Q: and V: to values of the model and back.

Each reader returns the value and, as text, the part that it does not understand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from musicgen.formats.abc_notation.text import decode_text, one_line, quote
from musicgen.music.theory import (
    BAGPIPE,
    FREE_METER,
    Key,
    Meter,
    parse_key,
    parse_meter,
    parse_mode,
)
from musicgen.music.tune import Tempo

NO_KEY = Key("", "none")

_LABEL = (
    r"(?:clef|octave|transpose|middle|stafflines|staffscale|score|sound|shift|instrument|cue|m|t"
    r"|style)="
)
_TONIC = re.compile(
    r"([A-Ga-g])(##|bb|[#b♯♭])?"
    rf"(?:[ \t]*(?!{_LABEL}|(?:treble|bass|alto|tenor|perc)\b)([A-Za-z]+))?"
)
_NOT_KEY = re.compile(rf"{_LABEL}|(?:treble|bass|alto|tenor|soprano|mezzo|baritone|perc)")
_ACCIDENTAL = re.compile(r"(\^\^|__|\^|_|=)([A-Ga-g])[,']*")
_ALTERS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
_BARE_CLEF = re.compile(r"(?:treble|bass|alto|tenor|soprano|mezzo|baritone|perc)\d?(?:[+-]\d+)?")
_PROPERTY = re.compile(r"(?:[mt]|[a-z][a-z-]+)=(?:\"[^\"]*\"|\S*)")
PIECE = re.compile(r"[A-Za-z]\w*=\"[^\"]*\"|[^\s\"]+|\"[^\"]*\"?")
_METER_PREFIX = re.compile(
    r"(C\||[Cc](?![A-Za-z])|none\b|free\b|\(?\s*\d{1,3}(?:\s*\+\s*\d{1,3})*\s*\)?\s*/\s*\d{1,3})(.*)",
    re.IGNORECASE,
)
_UNIT = re.compile(r"(\d{1,3})\s*(?:/\s*(\d{1,3}))?(.*)")
_TEMPO_TEXT = re.compile(r'"([^"]*)"')
_FRACTION = re.compile(r"(\d{1,3})/(\d{1,3})")
_BPM = re.compile(r"(\d{1,4}(?:\.\d{1,4})?)(?:\s*-\s*\d{1,4})?(.*)")
_OLD_TEMPO = re.compile(r"[Cc](\d{0,2})(?:/(\d{1,2}))?\s*=\s*(\d{1,4})")
_MODE_NAMES = (
    "major", "minor", "mixolydian", "dorian", "phrygian", "lydian", "locrian", "aeolian", "ionian",
)  # fmt: skip
_GERMAN = {"h": "B", "es": "Eb", "as": "Ab", "fis": "F#", "cis": "C#", "gis": "G#"}


@dataclass(frozen=True, slots=True)
class KeyField:
    """A K: field: the key (None where it names none), the clef, other properties, other text."""

    key: Key | None
    clef: str = ""
    properties: str = ""
    unread: str = ""


def read_key(content: str) -> KeyField:
    """Read K: (3.1.14): "D", "Ador", "F# minor", "Dmix=c", "D exp _b", "Hp", "none", clefs."""
    text = one_line(content)
    if text[:2] in ("Hp", "HP") and not text[2:3].isalpha():
        return _with_rest(BAGPIPE, text[2:])
    if not text or text.lower().startswith("none"):
        return _with_rest(NO_KEY, text[4:])
    if german := _GERMAN.get(text.split()[0].lower()):
        return KeyField(parse_key(german), unread=text)
    match = None if _NOT_KEY.match(text) else _TONIC.match(text)
    if match is None:
        field = _with_rest(NO_KEY, text)
        explicit = field.key is not None and field.key.accidentals
        return field if explicit else replace(field, key=None)
    letter, accidental, word = match[1], match[2] or "", match[3] or ""
    mode = "none" if word.lower() == "exp" else parse_mode(word)
    tonic = letter.upper() + {"♯": "#", "♭": "b"}.get(accidental, accidental)
    field = _with_rest(Key(tonic, mode or "major"), text[match.end() :])
    is_spelled = any(name.startswith(word.lower()) for name in _MODE_NAMES)
    if mode is None or (len(word) > 3 and not is_spelled):
        return replace(field, unread=f"{word} {field.unread}".strip())
    return field


def _with_rest(key: Key, rest: str) -> KeyField:
    accidentals: dict[str, int] = dict(key.accidentals)
    clef, properties, unread = "", [], []
    for piece in PIECE.findall(rest):
        marks = _ACCIDENTAL.findall(piece)
        if marks and _ACCIDENTAL.sub("", piece) == "":
            accidentals |= {step.upper(): _ALTERS[sign] for sign, step in marks}
        elif (piece.startswith("clef=") or _BARE_CLEF.fullmatch(piece)) and not clef:
            clef = piece.removeprefix("clef=").strip('"')
        elif _PROPERTY.fullmatch(piece):
            properties.append(piece)
        elif piece.lower() == "exp" and key.tonic:
            key = Key(key.tonic, "none")
        else:
            unread.append(piece)
    return KeyField(
        Key(key.tonic, key.mode, tuple(accidentals.items())),
        clef,
        " ".join(properties),
        " ".join(unread),
    )


def write_key(key: Key) -> str:
    """Content of K: for a key; `read_key` of it gives the key back."""
    if key == BAGPIPE:
        return "Hp"
    signs = {alter: sign for sign, alter in _ALTERS.items()}
    accidentals = "".join(f" {signs[alter]}{step.lower()}" for step, alter in key.accidentals)
    if not key.tonic:
        return f"none{accidentals}"
    short = {"major": "", "minor": "m", "none": " exp"}
    return f"{key.tonic}{short.get(key.mode, key.mode[:3])}{accidentals}"


def read_meter(content: str) -> tuple[Meter, str]:
    """Read M: (3.1.6): the meter, and what stands after it or was not understood.

    An unreadable meter is free.
    """
    match = _METER_PREFIX.match(content.strip())
    meter = parse_meter(match[1]) if match else None
    if match is None or meter is None:
        return FREE_METER, content.strip()
    return meter, match[2].strip()


def read_unit(content: str) -> tuple[Fraction | None, str]:
    """Read L: (3.1.7) as quarters, "1/8" being 1/2; None when it is not a length."""
    match = _UNIT.match(content.strip())
    if match is None:
        return None, content.strip()
    top, bottom = int(match[1]), int(match[2] or 1)
    if not top or not bottom or bottom & (bottom - 1):
        return None, content.strip()
    return Fraction(4 * top, bottom), match[3].strip()


def write_unit(unit: Fraction) -> str:
    """Content of L: for a length in quarters: 1/2 is "1/8"."""
    return "{}/{}".format(*(unit / 4).as_integer_ratio())


def read_tempo(content: str, unit: Fraction) -> tuple[Tempo, str]:
    """Read Q: (3.1.8), also the older "120" and "C3=40" which count unit notes."""
    words = decode_text(" ".join(t.strip() for t in _TEMPO_TEXT.findall(content)))
    rest = _TEMPO_TEXT.sub(" ", content).strip()
    if not rest:
        return Tempo(None, text=words), ""
    if old := _OLD_TEMPO.fullmatch(rest):
        beat = unit * Fraction(int(old[1] or 1), max(int(old[2] or 1), 1))
        return Tempo(Fraction(old[3]), beat or unit, words), ""
    beats, equals, number = rest.partition("=")
    if not equals:
        beats, number = "", rest
    lengths = [
        Fraction(4 * int(a), int(b)) for a, b in _FRACTION.findall(beats) if int(a) and int(b)
    ]
    match = _BPM.match(number.strip())
    beat = sum(lengths, Fraction(0)) or unit
    if match is None or not Fraction(match[1]) or (equals and not lengths):
        return Tempo(None, text=words or rest), rest
    return Tempo(Fraction(match[1]), beat, words), match[2].strip()


def write_tempo(tempo: Tempo) -> str:
    """Content of Q: for a tempo."""
    words = quote(tempo.text) if tempo.text else ""
    if tempo.bpm is None:
        return words
    bpm = f"{float(tempo.bpm):.4f}".rstrip("0").rstrip(".")
    return f"{words} {write_unit(tempo.beat)}={bpm}".strip()


@dataclass(frozen=True, slots=True)
class VoiceField:
    """A V: field: the voice's id, its name, clef and other properties."""

    id: str
    name: str = ""
    clef: str = ""
    properties: str = ""


def read_voice(content: str) -> VoiceField:
    """Read V: (7.1): the id, then name=, clef= or a bare clef, and other properties verbatim."""
    head, _, rest = re.sub(r"\s", " ", one_line(content)).partition(" ")
    name, clef, properties = "", "", []
    for piece in PIECE.findall(rest):
        label, equals, value = piece.partition("=")
        if label in ("name", "nm") and equals and not name:
            name = value.strip('"').strip()
        elif ((label == "clef" and equals) or _BARE_CLEF.fullmatch(piece)) and not clef:
            clef = (value or piece).strip('"')
        else:
            properties.append(piece)
    return VoiceField(head, name, clef, " ".join(properties))
