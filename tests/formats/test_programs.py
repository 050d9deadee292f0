"""The instrument of a voice is the same in MIDI, MusicXML and sound: its own, by name, by range."""

from __future__ import annotations

from io import BytesIO

import mido
import pytest

from musicgen.formats import midi, musicxml
from musicgen.formats.abc_notation.tunebook import parse_text
from musicgen.music.performance import Style, perform
from musicgen.music.tune import Tune

HEAD = "X:1\nT:t\nM:4/4\nL:1/4\n"
SATB = (
    "V:S\nV:A\nV:T clef=bass\nV:B clef=bass\nK:C\n"
    "V:S\ngfed|\nV:A\nGGGG|\nV:T\nC,C,C,C,|\nV:B\nC,,D,,C,,D,,|\n"
)
# General MIDI's flute is 73, viola 41, cello 42, contrabass 43, violin 40, fiddle 110, choir 53.
VOICES = [
    ("a high melody", "K:G\nGABc|d4|]\n", [73]),
    ("a low melody", "K:C\nC,D,E,F,|G,4|]\n", [42]),
    ("a program", "%%MIDI program 24\nK:G\nGABc|d4|]\n", [24]),
    ("piano", "%%MIDI program 0\nK:G\nGABc|d4|]\n", [0]),
    ("transposed", "K:G transpose=-12\nGABc|d4|]\n", [41]),
    ("four parts", SATB, [73, 73, 42, 43]),
    ("names", 'V:1 name="Violin I"\nV:2 name="Bass"\nK:C\nV:1\nC4|\nV:2\ng4|\n', [40, 32]),
    ("parts", 'V:1 name="Soprano"\nV:2 name="Tenor"\nK:C\nV:1\nc4|\nV:2\nC4|\n', [53, 53]),
    ("ids", "V:Fiddle\nV:Cello\nK:C\nV:Fiddle\nc4|\nV:Cello\nc4|\n", [110, 42]),
]  # fmt: skip


def of_midi(tune: Tune, **options: str) -> list[int]:
    file = mido.MidiFile(file=BytesIO(midi.render([tune], **options)))
    return [m.program for track in file.tracks for m in track if m.type == "program_change"]


def of_sound(tune: Tune, **options: str) -> list[int]:
    return [part.program for part in perform(tune, Style(backing=False, **options)).parts]


@pytest.mark.parametrize(
    ("music", "programs"), [row[1:] for row in VOICES], ids=[r[0] for r in VOICES]
)
def test_a_voice_is_played_by_one_instrument_everywhere(music: str, programs: list[int]) -> None:
    music21 = pytest.importorskip("music21")
    tune = parse_text(HEAD + music).tunes[0]
    score = music21.converter.parse(musicxml.render([tune]), format="musicxml", forceSource=True)
    assert [part.getInstrument().midiProgram for part in score.parts] == programs
    assert of_midi(tune) == programs
    assert of_sound(tune) == programs
    (again,) = musicxml.parse(musicxml.render([tune])).tunes
    assert [voice.program for voice in again.voices] == [voice.program for voice in tune.voices]


def test_instruments_that_are_asked_for_go_before_those_of_the_voices() -> None:
    tune = parse_text(HEAD + VOICES[6][1]).tunes[0]
    assert (
        of_midi(tune, instrument="harp, oboe")
        == of_sound(tune, instrument="harp, oboe")
        == [46, 68]
    )
    assert of_midi(tune, instrument="harp") == of_sound(tune, instrument="harp") == [46, 46]
