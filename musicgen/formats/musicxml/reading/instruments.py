"""The instruments of a part: General MIDI programs and percussion keys by their ids, drums."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.instruments import DRUM_CHANNEL
from musicgen.formats.musicxml.reading.sounds import read_pitch
from musicgen.formats.musicxml.values import LeftOut, content, integer
from musicgen.music.instruments import PERCUSSION_KEYS
from musicgen.music.theory import Pitch

_PAIR = re.compile(r"(\d{1,3})=(\d{1,3})")
_UNKNOWN_KEY = 38  # acoustic snare
_MIDDLE_LINE = Pitch("B", 0, 4)


@dataclass(frozen=True, slots=True)
class PartInstruments:
    """Programs and percussion keys by id, as General MIDI counts them; `on_drum_channel` says that
    all play on channel 10. `drum_map` has the keys of MIDI pitches, from scores of our own."""

    programs: Mapping[str, int] = field(default_factory=dict)
    keys: Mapping[str, int] = field(default_factory=dict)
    on_drum_channel: bool = False
    drum_map: Mapping[int, int] = field(default_factory=dict)

    @property
    def program(self) -> int | None:
        """The program that the part begins with."""
        return next(iter(self.programs.values()), None)


def read_instruments(part: Element, drum_map: str) -> PartInstruments:
    """The instruments of a <score-part>; `drum_map` is the text that our own scores have."""
    names = {
        e.get("id", ""): content(e, "instrument-name") for e in part.iterfind("score-instrument")
    }
    keys = {
        id_: PERCUSSION_KEYS[n.lower()] for id_, n in names.items() if n.lower() in PERCUSSION_KEYS
    }
    programs, channels = {}, set()
    for element in part.iterfind("midi-instrument"):
        id_ = element.get("id", "")
        program = integer(element.findtext("midi-program"))
        if program is not None and 1 <= program <= 128:
            programs[id_] = program - 1
        key = integer(element.findtext("midi-unpitched"))
        if key is not None and 1 <= key <= 128:
            keys[id_] = key - 1
        channels.add(integer(element.findtext("midi-channel")))
    pairs = {int(midi): int(key) for midi, key in _PAIR.findall(drum_map)}
    return PartInstruments(programs, keys, channels == {DRUM_CHANNEL}, pairs)


def drums_of(measures: Sequence[Element], instruments: PartInstruments) -> Drums | None:
    """The drums of a part whose notes have no pitches, that plays on channel 10 or begins with a
    percussion clef; else None."""
    if not any(True for measure in measures for _ in measure.iter("pitch")):
        unpitched = any(True for measure in measures for _ in measure.iter("unpitched"))
        return Drums(instruments.keys, instruments.drum_map) if unpitched else None
    signs = (content(measure, "attributes/clef/sign") for measure in measures[:1])
    return Drums({}, {}) if instruments.on_drum_channel or "percussion" in signs else None


class Drums:
    """Reads the notes of percussion as pitches, their places on the staff, and collects the keys
    of these."""

    def __init__(self, keys: Mapping[str, int], drum_map: Mapping[int, int]) -> None:
        self._keys = keys  # of instruments, by id
        self.keys = dict(drum_map)  # of MIDI pitches

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """MIDI pitches and their keys, where the two differ."""
        return tuple(sorted((midi, key) for midi, key in self.keys.items() if midi != key))

    def pitch(self, note: Mapping[str, Element], left_out: LeftOut) -> Pitch | None:
        """The place of a note with these children; altered where another drum has it already."""
        if "pitch" in note:
            return read_pitch(note["pitch"], left_out)
        if "unpitched" not in note:
            return None
        pitch = _place(note["unpitched"])
        key = self._key(note)
        altered = [replace(pitch, alter=alter) for alter in (0, 1, -1, 2, -2)]
        altered.sort(key=lambda p: p.midi not in self.keys)
        free = (p for p in altered if self.keys.get(p.midi, key) == key)
        pitch = next(free, pitch)
        self.keys.setdefault(pitch.midi, key)
        return pitch

    def _key(self, note: Mapping[str, Element]) -> int:
        only = next(iter(self._keys.values())) if len(self._keys) == 1 else _UNKNOWN_KEY
        id_ = note["instrument"].get("id", "") if "instrument" in note else ""
        return self._keys.get(id_, only)


def _place(element: Element) -> Pitch:
    """The pitch that a place on the staff has in the treble clef."""
    step, octave = content(element, "display-step"), integer(element.findtext("display-octave"))
    if step not in tuple("CDEFGAB") or octave is None or not 0 <= octave <= 9:
        return _MIDDLE_LINE
    return Pitch(step, 0, octave)
