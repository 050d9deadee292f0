"""What decides how written notes sound: properties of K: and V:, and %%MIDI directives.

`octave=` and `transpose=` are those of the ABC standard 2.1, section 4.6; `sound=`, `shift=` and
`instrument=` mean what they mean to abc2midi; the directives are those of abc2midi's guide, and
`%%percmap` that of abcjs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from musicgen.formats.abc_notation.fields import PIECE
from musicgen.formats.abc_notation.scanner import ALTERS, pitch_of
from musicgen.music.instruments import PERCUSSION_KEYS

MAX_OCTAVES = 9  # that octave= may move a voice
MAX_SEMITONES = 48  # that a voice may sound from where it is written
DRUM_CHANNEL = 10

_NUMBER = re.compile(r"[+-]?\d{1,3}")
_MIDI = re.compile(r"MIDI(?:\s*=\s*|\s+)(.+)", re.DOTALL)
_NOTE = re.compile(r"(\^\^|\^|__|_|=)?([A-Ga-g])([,']*)")
_PAIR = re.compile(rf"({_NOTE.pattern})/?({_NOTE.pattern})")
_MIDDLE = 72  # the c from which instrument= counts


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of a K: or V: field: octaves that it moves the notes by, semitones from
    written to sounding pitch (None: not said), and all others as text."""

    octaves: int | None
    semitones: int | None
    others: tuple[str, ...]


def read_properties(text: str) -> Properties:
    """Read what stands in K: and V: after the clef."""
    octaves = semitones = None
    others = []
    for piece in PIECE.findall(text):
        label, _, value = piece.partition("=")
        value = value.strip('"')
        moved = _semitones(label, value)
        if label == "octave" and _NUMBER.fullmatch(value):
            octaves = bounded(int(value), MAX_OCTAVES)
        elif moved is not None:
            semitones = moved
        else:
            others.append(piece)
    return Properties(octaves, semitones, tuple(others))


def _semitones(label: str, value: str) -> int | None:
    if label == "transpose" and _NUMBER.fullmatch(value):
        return bounded(int(value))
    pair = _PAIR.fullmatch(value) if label in ("sound", "shift", "instrument") else None
    if pair is None:
        return None
    first, second = (_midi(*pair.group(n, n + 1, n + 2)) for n in (2, 6))
    return second - (_MIDDLE if label == "instrument" else first)


def bounded(number: int, most: int = MAX_SEMITONES) -> int:
    """The number, or the nearest that is not beyond `most` up or down."""
    return max(-most, min(most, number))


def _midi(sign: str | None, letter: str, octave: str) -> int:
    return pitch_of(letter, octave, ALTERS[sign or "="]).midi


@dataclass(frozen=True, slots=True)
class Directive:
    """A directive that decides how notes sound: `kind` is program, channel, transpose, rtranspose
    (relative to the one before) or drummap. `argument` is the channel of a program or the MIDI
    number of a note on the staff; 0 where there is none."""

    kind: str
    value: int
    argument: int = 0

    @property
    def is_kept(self) -> bool:
        """Whether it is kept as text too: a Tune has no place for a channel but that of drums."""
        return self.kind == "channel" and self.value != DRUM_CHANNEL


def read_directive(content: str) -> Directive | None:
    """The directive after %% or I:; None for any other, and for one that is not understood."""
    content = content.partition("%")[0].strip()
    midi = _MIDI.fullmatch(content)
    kind, *arguments = (content if midi is None else midi[1]).split() or [""]
    if kind == "percmap" or (kind == "drummap" and midi):
        note = _NOTE.fullmatch(arguments[0]) if len(arguments) >= 2 else None
        key = note and _percussion_key(arguments[1])
        return Directive("drummap", key, _midi(*note.groups())) if note and key else None
    if midi is None or not arguments or not all(map(_NUMBER.fullmatch, arguments[:2])):
        return None
    numbers = [int(argument) for argument in arguments[:2]]
    if kind == "program" and 0 <= numbers[-1] < 128:
        return Directive(kind, numbers[-1], numbers[0] if len(numbers) == 2 else 0)
    if kind == "channel" and 1 <= numbers[0] <= 16:
        return Directive(kind, numbers[0])
    if kind in ("transpose", "rtranspose"):
        return Directive(kind, bounded(numbers[0]))
    return None


def _percussion_key(text: str) -> int:
    """A General MIDI key from its number or name; 0 for anything else."""
    if text.isascii() and text.isdecimal():
        return int(text) if len(text) < 4 and int(text) < 128 else 0
    return PERCUSSION_KEYS.get(text.lower().replace("-", " "), 0)


@dataclass(slots=True)
class Instruments:
    """What the directives of a heading say, of all voices ("") or of the one declared before."""

    programs: dict[str, int] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)
    channel_programs: dict[int, int] = field(default_factory=dict)
    drum_map: dict[int, int] = field(default_factory=dict)
    semitones: int = 0

    def take(self, directive: Directive, voice: str) -> None:
        """Note a directive that stands below the V: of a voice ("" before the first)."""
        kind, value = directive.kind, directive.value
        if kind == "program" and directive.argument and not voice:
            self.channel_programs[directive.argument] = value
        elif kind == "program":
            self.programs[voice] = value
        elif kind == "channel":
            self.channels[voice] = value
        elif kind == "drummap":
            self.drum_map[directive.argument] = value
        else:  # of all voices, wherever it stands in a heading
            self.semitones = value + (self.semitones if kind == "rtranspose" else 0)

    def channel(self, voice: str) -> int | None:
        """The MIDI channel of a voice, from 1, where one is given."""
        return self.channels.get(voice, self.channels.get(""))

    def program(self, voice: str, number: int) -> int | None:
        """The program of a voice, the `number`th of the tune, where one is given. A program of a
        channel is also that of all others, if it is the only one."""
        others = {c: p for c, p in self.channel_programs.items() if c != DRUM_CHANNEL}
        usual = next(iter(others.values())) if len(others) == 1 else None
        usual = others.get(self.channel(voice) or number, self.programs.get("", usual))
        return self.programs.get(voice, usual)
