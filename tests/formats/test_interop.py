"""Tunes as objects of other libraries and back: the same notes, judged by those libraries."""

from __future__ import annotations

from fractions import Fraction

import mido
import music21
import pretty_midi
import pytest
import symusic

from musicgen.errors import ParseError
from musicgen.formats import abc_notation, read
from musicgen.formats.interop import (
    from_mido,
    from_music21,
    from_pretty_midi,
    from_symusic,
    to_mido,
    to_music21,
    to_pretty_midi,
    to_symusic,
)
from musicgen.music.playback import played_notes
from musicgen.music.theory import Key
from musicgen.music.tune import Tune
from tests.bundled import abc_files

KESH = abc_notation.parse_text(
    "X:1\nT:The Kesh\nR:jig\nM:6/8\nL:1/8\nQ:3/8=110\nK:G\n"
    '|:"G"G3 GAB|"D"A3 ABd|edd gdd|[1 edB dBA:|[2 edB d3|]\n'
).tunes[0]
TRIPLETS = abc_notation.parse_text(
    "X:1\nT:Triplets\nM:2/4\nL:1/8\nK:Edor\n(3Bcd e2-|e^c =c2|z2 [Gd]2|]\n"
).tunes[0]


def sounding(tune: Tune) -> list[tuple[Fraction, Fraction, int]]:
    return [(note.onset, note.duration, note.midi) for note in played_notes(tune)]


@pytest.mark.parametrize("tune", [KESH, TRIPLETS], ids=["jig", "triplets"])
def test_music21_has_the_same_notes_spelled_the_same(tune: Tune) -> None:
    score = to_music21(tune)
    names = [pitch.nameWithOctave for note in score.flatten().notes for pitch in note.pitches
             if not isinstance(note, music21.harmony.ChordSymbol)]  # fmt: skip
    written = [n for event in tune.voices[0].events for n in getattr(event, "notes", (event,))]
    ours = [note.pitch.name.replace("b", "-") for note in written if hasattr(note, "pitch")]
    assert sorted(names) == sorted(ours)
    back = from_music21(score)
    assert sounding(back) == sounding(tune)
    assert (back.title, back.key, str(back.meter)) == (tune.title, tune.key, str(tune.meter))


def test_pretty_midi_has_the_notes_as_played() -> None:
    midi = to_pretty_midi(KESH)
    (instrument,) = midi.instruments
    assert [note.pitch for note in instrument.notes] == [midi for _, _, midi in sounding(KESH)]
    beat_s = 60 / 110 / 1.5  # a quarter; the tempo counts dotted ones
    assert instrument.notes[1].start == pytest.approx(1.5 * beat_s, abs=2e-3)
    assert sounding(from_pretty_midi(midi)) == sounding(KESH)


@pytest.mark.parametrize(
    ("there", "back", "kind"),
    [
        (to_mido, from_mido, mido.MidiFile),
        (to_symusic, from_symusic, type(symusic.Score())),
        (to_pretty_midi, from_pretty_midi, pretty_midi.PrettyMIDI),
    ],
)
def test_a_tune_goes_through_a_library_and_sounds_the_same(there, back, kind) -> None:  # type: ignore[no-untyped-def]
    for tune in (KESH, TRIPLETS):
        converted = there(tune)
        assert isinstance(converted, kind)
        assert sounding(back(converted, voices="all")) == sounding(tune)


def test_reading_options_hold_for_what_comes_from_a_library() -> None:
    assert from_mido(to_mido(KESH), key="Em").key == Key("E", "minor")


def test_what_holds_no_tune_is_refused() -> None:
    with pytest.raises(ParseError):
        from_mido(mido.MidiFile())
    with pytest.raises(ParseError):
        from_pretty_midi(pretty_midi.PrettyMIDI())


@pytest.mark.slow
def test_bundled_tunes_go_through_each_library() -> None:
    files = [file for name in ("oneills1850", "ryansMammoth") for file in abc_files(name)]
    tunes = [tune for file in files[::8] for tune in read(file)][::5]
    assert len(tunes) >= 70
    for there, back in ((to_mido, from_mido), (to_symusic, from_symusic)):
        for tune in tunes:
            assert sounding(back(there(tune), voices="all")) == sounding(tune), tune.title
    same = [sounding(from_music21(to_music21(tune))) == sounding(tune) for tune in tunes]
    assert sum(same) >= 0.98 * len(tunes)
