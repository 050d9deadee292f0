"""Humdrum **kern files, read: spines to voices, their subspines, text and dynamics beside them.

The representation is that of the Humdrum Toolkit's user guide (D. Huron, 1999), chapters 2 and 5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import PurePath

from musicgen.errors import ParseError
from musicgen.formats.musicxml.reading.barlines import MeasureFrame
from musicgen.formats.musicxml.reading.instruments import Drums
from musicgen.formats.musicxml.reading.part import PartMusic, Placed, place_sound
from musicgen.formats.musicxml.reading.score import ScorePart, assemble
from musicgen.formats.musicxml.reading.sounds import SoundingEvent
from musicgen.formats.musicxml.signs import DYNAMICS
from musicgen.formats.musicxml.values import LeftOut
from musicgen.music.clefs import PERCUSSION
from musicgen.music.theory import (
    ACCIDENTAL_TEXT,
    COMMON_TIME,
    CUT_TIME,
    Key,
    Meter,
    Pitch,
    parse_key,
    parse_meter,
)
from musicgen.music.tune import EIGHTH, Change, Note, Reading, Source, Tempo, Tune
from musicgen.system.files import decode

MAX_BYTES = 8 * 2**20  # a string quartet is a fifth of a megabyte
MAX_SPINES = 200
MAX_CELLS = 100_000  # notes, rests and bar lines in all spines
_CLEFS = {"F4": "bass", "Gv2": "treble-8", "C3": "alto", "C4": "tenor", "C1": "soprano"}
_CLEFS |= {"C2": "mezzosoprano", "F3": "bass3", "G^2": "treble+8", "Fv4": "bass-8", "X": "perc"}
_SIGNS = {
    "'": "staccato", "`": "wedge", "~": "tenuto", "^": "accent", ";": "fermata", "T": "trill",
    "t": "trill", "M": "lowermordent", "m": "lowermordent", "W": "uppermordent",
    "w": "uppermordent", "S": "turn", "$": "invertedturn", "v": "upbow", "u": "downbow",
    ",": "breath", ":": "arpeggio",
}  # fmt: skip
_HAIRPINS = {"<": "crescendo(", "[": "crescendo)", ">": "diminuendo(", "]": "diminuendo)"}
# A longer number, or more dots, is no length.
_LENGTH = re.compile(r"(?<![\d%])(\d{1,4})(?!\d)(?:%(\d{1,4})(?!\d))?(\.{0,4})(?![.%])")
# What begins as a meter, tempo or key signature and was not read as one.
_SENSELESS = re.compile(r"M-?\d|MM[^\[]|k\[")
_NOTE = re.compile(r"([A-Ga-g])\1*([#-]{0,3})")
_KEY = re.compile(r"([A-Ga-g][#-]?):([a-z]{3})?")
_SIGNATURE = re.compile(r"k\[((?:[a-g](?:#|-|n))*)\]")
_MODES = {"mix": "mixolydian", "dor": "dorian", "phr": "phrygian", "lyd": "lydian"}
_MODES |= {"loc": "locrian", "ion": "major", "aeo": "minor"}


@dataclass(slots=True)
class _Spine:
    """A **kern spine: its music, what it is called, its key so far."""

    music: PartMusic = field(default_factory=PartMusic)
    name: str = ""
    clef: str = ""  # now
    fifths: int | None = None
    designated: Key | None = None
    key_changed: bool = False
    graces: dict[int, list[Note]] = field(default_factory=dict)


@dataclass(slots=True)
class _Column:
    """A column of the file: the kind of its spine, whose music it belongs to, and in which voice;
    for lyrics the number of the verse. `end` is where its last note ends."""

    kind: str
    spine: int
    voice: int = 0
    end: Fraction = Fraction(0)


def parse(data: bytes, path: str = "") -> Reading:
    """The score, as one tune, its highest spine first.

    Raises:
        ParseError: it is not Humdrum text with **kern spines.
    """
    if len(data) > MAX_BYTES:
        raise ParseError(
            f"is **kern of more than {MAX_BYTES // 2**20} MiB; split it", path=path or None
        )
    try:
        return Reading((_Reader().read(decode(data, "utf-8-sig", "latin-1"), path),))
    except ParseError as error:
        raise ParseError(error.what, path=path or None, line=error.line) from None


class _Reader:
    """Reads a file row by row; `now` is the time of the row, `start` that of the bar's beginning,
    in quarters."""

    def __init__(self) -> None:
        self.left_out = LeftOut()
        self.spines: list[_Spine] = []
        self.columns: list[_Column] = []
        self.records: list[tuple[str, str]] = []
        self.now = self.start = Fraction(0)
        self.frames = [MeasureFrame()]
        self.meter: Meter | None = None

    def read(self, text: str, path: str) -> Tune:
        """The tune of a whole file."""
        lines = text.splitlines()
        n_cells = sum(1 + line.count("\t") for line in lines if not line.startswith(("!", "*")))
        if n_cells > MAX_CELLS:
            raise ParseError(f"has {n_cells} cells, more than {MAX_CELLS}; split it")
        for number, line in enumerate(lines, 1):
            self.left_out.place = number
            try:
                self._line(line)
            except ParseError as error:
                raise ParseError(error.what, line=number) from None
        if not self.spines:
            raise ParseError("holds no **kern spine; is it the right file?")
        self.left_out.place = None
        self._close_bar()
        for spine in self.spines:
            spine.music.frames = [replace(frame) for frame in self.frames]
        parts = [(ScorePart("", spine.name), spine.music) for spine in reversed(self.spines)]
        tune = assemble(parts, self.left_out)
        values = dict(reversed(self.records))  # the first of each name
        title, composer = values.get("OTL", ""), values.get("COM", "")
        others = [r for r in self.records if r not in (("OTL", title), ("COM", composer))]
        return replace(
            tune,
            title=title or PurePath(path).stem,
            composer=composer,
            fields=tuple(("N", f"{name}: {value}") for name, value in others),
            source=Source(path),
            warnings=tuple(self.left_out.warnings()),
        )

    def _line(self, line: str) -> None:
        if line.startswith("!!!"):
            name, colon, value = line[3:].partition(":")
            if colon and value.strip():
                self.records.append((name.strip(), " ".join(value.split())))
            return
        if not line.strip() or line.startswith("!"):
            return
        tokens = line.split("\t")
        if tokens[0].startswith("**"):
            self._begin(tokens)
        elif len(tokens) != len(self.columns):
            what = "comes before any **kern" if not self.columns else "does not fit its spines"
            raise ParseError(f"a line of {len(tokens)} columns {what}; is it the right file?")
        elif tokens[0].startswith("="):
            self._barline(tokens[0])
        elif tokens[0].startswith("*"):
            self._interpret(tokens)
        else:
            self._row(tokens)

    def _begin(self, tokens: Sequence[str]) -> None:
        if len(tokens) > MAX_SPINES:
            raise ParseError(f"has more than {MAX_SPINES} spines; split it")
        self.columns = []
        verses = 0
        for token in tokens:
            kind = token[2:]
            if kind == "kern":
                self.spines.append(_Spine())
                verses = 0
            known = kind in ("kern", "text", "silbe", "dynam", "dyn", "mxhm") and self.spines
            if not known:
                self.left_out[f"a **{kind[:20]} spine left out"] += 1
            column = _Column(kind if known else "", len(self.spines) - 1, end=self.now)
            if kind in ("text", "silbe"):
                column.voice, verses = verses, verses + 1
            self.columns.append(column)

    # --- interpretations

    def _interpret(self, tokens: Sequence[str]) -> None:
        self._advance()  # the last notes before changes, and of spines that end here
        if any(token in ("*^", "*v", "*-", "*x", "*+") for token in tokens):
            self._change_paths(tokens)
            return
        for column, token in zip(self.columns, tokens, strict=True):
            if column.kind == "kern" and len(token) > 1:
                self._tandem(self.spines[column.spine], token[1:], leads=column.spine == 0)

    def _change_paths(self, cells: Sequence[str]) -> None:
        columns: list[_Column] = []
        joining: _Column | None = None
        exchanged: list[int] = []
        if len(self.columns) + cells.count("*^") + cells.count("*+") > MAX_SPINES:
            raise ParseError(f"has more than {MAX_SPINES} spines; split it")
        for column, cell in zip(self.columns, cells, strict=True):
            if cell == "*v" and joining is not None and joining.spine == column.spine:
                joining.voice = min(joining.voice, column.voice)
                joining.end = max(joining.end, column.end)
                continue
            joining = column if cell == "*v" else None
            if cell == "*-":
                continue
            exchanged += [len(columns)] if cell == "*x" else []
            columns.append(column)
            if cell == "*^":
                voice = column.voice
                if column.kind == "kern":
                    used = {c.voice for c in (*self.columns, *columns) if c.spine == column.spine}
                    voice = next(n for n in range(len(used) + 1) if n not in used)
                columns.append(_Column(column.kind, column.spine, voice, column.end))
            elif cell == "*+":
                columns.append(_Column("", column.spine, end=column.end))
        if len(exchanged) == 2:
            first, second = exchanged
            columns[first], columns[second] = columns[second], columns[first]
        self.columns = columns

    def _tandem(self, spine: _Spine, token: str, *, leads: bool) -> None:
        meter = parse_meter(token[1:]) if token.startswith("M") else None
        if meter is not None:
            self._set_meter(spine, meter)
        elif token in ("met(c)", "met(c|)") and self.meter is not None:
            symbol = COMMON_TIME if token == "met(c)" else CUT_TIME  # noqa: S105
            if self.meter == replace(symbol, symbol=""):
                self._set_meter(spine, symbol)
        elif match := _SIGNATURE.fullmatch(token):
            spine.fifths = sum((sign == "#") - (sign == "-") for sign in match[1][1::2])
            spine.designated, spine.key_changed = None, True
        elif match := _KEY.fullmatch(token):
            name, mode = match[1].replace("-", "b"), _MODES.get(match[2] or "")
            key = parse_key(name[0].upper() + name[1:])
            assert key is not None
            plain = "major" if name[0].isupper() else "minor"
            spine.designated, spine.key_changed = Key(key.tonic, mode or plain), True
        elif token.startswith("clef"):
            self._clef(spine, _CLEFS.get(token[4:], ""))
        elif token.startswith('I"'):
            spine.name = " ".join(token[2:].split())
        elif leads:
            self._common_tandem(spine, token)

    def _common_tandem(self, spine: _Spine, token: str) -> None:
        """Read an interpretation of the first spine that concerns all spines."""
        if re.fullmatch(r"MM\d{1,4}(?:\.\d{1,3})?", token) and Fraction(token[2:]):
            self._place(spine, Change(tempo=Tempo(Fraction(token[2:]))))
        elif token.startswith(">") and "[" not in token and len(token) > 1:
            self._place(spine, Change(part=token[1:]))
        elif _SENSELESS.match(token):
            self.left_out[f"interpretations that make no sense ('*{token[:20]}'), left out"] += 1

    def _set_meter(self, spine: _Spine, meter: Meter) -> None:
        self.meter = meter
        self._place(spine, Change(meter=meter))
        before = spine.music.changes[-2:-1]  # *M4/4 before *met(c)
        place = (len(self.frames) - 1, self.now - self.start)
        if before and before[0].change.meter and (before[0].measure, before[0].onset) == place:
            del spine.music.changes[-2]

    def _clef(self, spine: _Spine, clef: str) -> None:
        music = spine.music
        if "1" not in music.clefs:
            music.clefs["1"] = clef
            music.drums = Drums({}, {}) if clef == PERCUSSION else None
        elif clef != spine.clef:
            self._place(spine, Change(clef=clef or "treble"))
        spine.clef = clef

    def _place(self, spine: _Spine, change: Change) -> None:
        spine.music.changes.append(Placed(len(self.frames) - 1, self.now - self.start, change))

    def _resolve_key(self, spine: _Spine) -> None:
        """Set the key of a signature and a designation; the mode of a signature alone is estimated
        later, from the notes."""
        spine.key_changed = False
        key, fifths = spine.designated, spine.fifths
        if key is None or (fifths is not None and key.fifths != fifths):
            key = Key.of_signature(max(-7, min(7, fifths or 0)))
            spine.music.modes_missing = True
        self._place(spine, Change(key=key))

    # --- bar lines

    def _barline(self, token: str) -> None:
        signs = token.lstrip("=").lstrip("0123456789abc")
        forward = "|:" in signs or "!:" in signs
        backward = ":|" in signs or ":!" in signs
        if token.startswith("==") or ("!" in signs and not forward and not backward):
            line = "|]"
        elif "||" in signs:
            line = "||"
        else:
            line = "" if "-" in signs else "|"
        frame = self.frames[-1]
        self._advance()
        if self.now > self.start:
            frame.repeat_end, frame.barline = int(backward), line
            self._close_bar()
            self.frames.append(MeasureFrame(repeat_start=forward))
            self.start = self.now
        else:
            frame.repeat_start = frame.repeat_start or forward

    def _close_bar(self) -> None:
        self._advance()
        frame = self.frames[-1]
        frame.length = self.now - self.start
        frame.full = self.meter.bar_duration if self.meter else None
        if not frame.length and len(self.frames) > 1:
            self.frames.pop()

    # --- music

    def _advance(self) -> None:
        ends = [column.end for column in self.columns if column.kind == "kern"]
        self.now = max(self.now, min(ends, default=self.now))

    def _row(self, tokens: Sequence[str]) -> None:
        self._advance()
        sounds: dict[int, SoundingEvent] = {}  # spine -> the sound of its first voice in the row
        for column, token in zip(self.columns, tokens, strict=True):
            if token.strip() in (".", "") or not column.kind:
                continue
            if column.kind != "kern":
                self._beside(column, token, sounds.get(column.spine))
            elif sound := self._sound(column, token):
                sounds.setdefault(column.spine, sound)

    def _sound(self, column: _Column, token: str) -> SoundingEvent | None:
        spine = self.spines[column.spine]
        if spine.key_changed:
            self._resolve_key(spine)
        pieces = token.split()
        duration, ratio = _length(pieces[0])
        if "q" in token.lower():
            notes = [_pitched(piece, EIGHTH) for piece in pieces]
            spine.graces.setdefault(column.voice, []).extend(filter(None, notes))
            return None
        if not duration:
            self.left_out["notes without a duration left out"] += 1
            return None
        notes = [_pitched(piece, _length(piece)[0] or duration) for piece in pieces]
        if not any(notes) and "r" not in token:
            self.left_out["signs of neither a note nor a rest, read as rests"] += 1
        graces = spine.graces.pop(column.voice, [])
        sound = SoundingEvent(
            self.now - self.start,
            duration,
            notes=list(filter(None, notes)),
            visible="yy" not in token,
            ratio=ratio,
            decorations=list(dict.fromkeys(_SIGNS[c] for c in token if c in _SIGNS)),
            graces=graces,
            slashed=bool(graces),
            opened=token.count("("),
            closed=token.count(")"),
        )
        place_sound(spine.music.lines, (str(column.voice + 1), "1"), len(self.frames) - 1, sound)
        column.end = self.now + duration
        return sound

    def _beside(self, column: _Column, token: str, sound: SoundingEvent | None) -> None:
        """A syllable, dynamic sign or chord symbol for the note of its spine."""
        if sound is None:
            self.left_out["signs beside no note left out"] += 1
        elif column.kind in ("text", "silbe"):
            text = " ".join(token.split())
            bare = text.strip("-_")
            sound.lyrics[column.voice] = bare + "-" * text.endswith("-") if bare else "_"
        elif column.kind == "mxhm":
            sound.chord_symbol = token.strip()
        else:
            for name in (_HAIRPINS.get(piece, piece) for piece in token.split()):
                if name in DYNAMICS or name in _HAIRPINS.values():
                    sound.decorations.append(name)
                else:
                    self.left_out["dynamic signs left out"] += 1


@lru_cache(maxsize=4096)
def _length(piece: str) -> tuple[Fraction, tuple[int, int]]:
    """Quarters of a note and the tuplet it belongs to; 0 where it gives none. "4." is 3/2, "12" an
    eighth in a triplet, "0" a breve."""
    match = _LENGTH.search(piece)
    if match is None:
        return Fraction(0), (1, 1)
    dots = 2 - Fraction(1, 2 ** len(match[3]))
    parts = int(match[1])
    if parts == 0:
        return Fraction(8 * 2 ** (min(len(match[1]), 3) - 1)) * dots, (1, 1)
    duration = Fraction(4 * int(match[2] or 1), parts) * dots
    odd = parts // (parts & -parts)
    ratio = (odd, 1 << (odd.bit_length() - 1)) if 1 < odd < 100 else (1, 1)
    return duration, ratio


def _pitched(piece: str, duration: Fraction) -> Note | None:
    """The note of a token; None for a rest."""
    match = _NOTE.search(piece)
    if match is None or "r" in piece:
        return None
    letter, count = match[1], len(match[0]) - len(match[2])
    octave = 3 + count if letter.islower() else 4 - count
    alter = match[2].count("#") - match[2].count("-")
    if alter not in ACCIDENTAL_TEXT or not 0 <= octave <= 9:
        return None
    return Note(Pitch(letter.upper(), alter, octave), duration, "[" in piece or "_" in piece)
