"""The instruments of a part as MusicXML: programs, changes of program, percussion keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from musicgen.music.instruments import (
    FIRST_PERCUSSION_KEY,
    GENERAL_MIDI,
    PERCUSSION,
    sounding_program,
)
from musicgen.music.theory import Pitch
from musicgen.music.tune import Change, Event, Note, Voice, notes_of
from musicgen.system.markup import element, text

DRUM_CHANNEL = 10
_CHANNELS = [channel for channel in range(1, 17) if channel != DRUM_CHANNEL]


def instruments(voice: Voice, part: int) -> list[str]:
    """The elements of a <score-part> that say what plays; parts are counted from 1."""
    if voice.percussion is None:
        programs = _programs(voice)
        ids = [_instrument_id(part, number) for number in range(len(programs))]
        names = [GENERAL_MIDI[program] for program in programs]
        channels = [_channel(part, number) for number in range(len(programs))]
        named = map(_named, [voice.name or names[0], *names[1:]], ids)
        return [*named, *map(_midi, ids, channels, programs)]
    keys = sorted(set(drum_map(voice).values()))
    names = [_percussion_name(key) for key in keys]
    ids = [_drum_id(part, key) for key in keys]
    program = sounding_program(voice, voice.program)
    drums = zip(ids, keys, strict=True)
    midi = [_midi(id_, DRUM_CHANNEL, program, key) for id_, key in drums]
    return [*map(_named, names, ids), *midi]


def drum_map(voice: Voice) -> dict[int, int]:
    """The General MIDI key of each MIDI pitch that is struck in a voice of percussion."""
    struck = {note.midi for bar in voice.bars for line in bar.lines for note in _struck(line)}
    return {midi: dict(voice.percussion or ()).get(midi, midi) for midi in sorted(struck)}


class DrumWriter:
    """Writes the notes of a voice of percussion: their places on the staff, and the drums."""

    def __init__(self, voice: Voice, part: int) -> None:
        self.part = part
        self.keys = drum_map(voice)

    def unpitched(self, pitch: Pitch) -> str:
        """The <unpitched> of a note."""
        place = element("display-step", pitch.step), element("display-octave", text(pitch.octave))
        return element("unpitched", *place)

    def instrument(self, pitch: Pitch) -> str:
        """The <instrument> of a note."""
        return element("instrument", id=_drum_id(self.part, self.keys[pitch.midi]))


def instrument(voice: Voice, part: int, program: int | None) -> str:
    """The <instrument> of notes that a program plays; "" where the voice has only one."""
    programs = _programs(voice)
    if voice.percussion is not None or len(programs) == 1:
        return ""
    return element(
        "instrument", id=_instrument_id(part, programs.index(sounding_program(voice, program)))
    )


def _instrument_id(part: int, number: int) -> str:
    return f"P{part}-I{number + 1}"


def _channel(part: int, number: int) -> int:
    """The channel of the first instrument of a part, and from the other end those of its others:
    on one channel MuseScore plays them all as the last."""
    return _CHANNELS[(part - 1 if not number else -part - number + 1) % len(_CHANNELS)]


def _drum_id(part: int, key: int) -> str:
    return f"P{part}-D{key}"


def _programs(voice: Voice) -> list[int]:
    """The programs of a voice, each once, the first first."""
    changes = (e for bar in voice.bars for e in bar.events if isinstance(e, Change))
    turned_to = (change.program for change in changes if change.program is not None)
    return list(dict.fromkeys([sounding_program(voice, voice.program), *turned_to]))


def _struck(line: Iterable[Event]) -> Iterator[Note]:
    """The notes of a line, grace notes among them."""
    for event in line:
        yield from notes_of(event)
        if not isinstance(event, Change) and event.marks.grace is not None:
            yield from event.marks.grace.notes


def _percussion_name(key: int) -> str:
    index = key - FIRST_PERCUSSION_KEY
    return PERCUSSION[index] if 0 <= index < len(PERCUSSION) else f"percussion {key}"


def _named(name: str, id_: str) -> str:
    return element("score-instrument", element("instrument-name", text(name)), id=id_)


def _midi(id_: str, channel: int, program: int, key: int | None = None) -> str:
    return element(
        "midi-instrument",
        element("midi-channel", text(channel)),
        element("midi-program", text(program + 1)),
        element("midi-unpitched", text(key + 1)) if key is not None else "",
        id=id_,
    )
