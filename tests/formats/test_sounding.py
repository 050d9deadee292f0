"""Written and sounding pitch, and drums: what is played of a score, here and by other programs."""

from __future__ import annotations

import shutil
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import mido
import pytest

from musicgen.errors import ParseError
from musicgen.formats import kern, midi, musicxml
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.formats.abc_notation.places import TuneText, find_stop
from musicgen.formats.abc_notation.splicing import append
from musicgen.formats.musicxml.writing import to_musicxml
from musicgen.music.performance import Style, perform
from musicgen.music.playback import melody, timeline
from musicgen.music.theory import Key, Pitch
from musicgen.music.transposition import at_concert_pitch
from musicgen.music.tune import Bar, Change, Note, Tune
from musicgen.tokens.melody import encoding
from tests.players import by_abc2midi, by_abcjs, by_musescore, has_abcjs, of_midi

HEAD = "X:1\nT:t\nM:4/4\nL:1/4\n"

# What sounds: the pitches of each voice, voices parted by "|". By ABC 2.1, section 4.6, and the
# guide of abc2midi; abc2midi 4.84 and abcjs 6 play what we write of it.
SOUNDING = {
    "K:C clef=treble-8\nCDEF|": "48 50 52 53",
    "K:C treble-8\nCDEF|": "48 50 52 53",
    "K:C treble+8\nCDEF|": "72 74 76 77",
    "K:C bass+8\nCDEF|": "72 74 76 77",
    "K:C clef=bass-8\nCDEF|": "48 50 52 53",
    "K:C clef=G2-8\nCDEF|": "48 50 52 53",
    "K:Gm clef=alto-8\nGABc|": "55 57 58 60",
    'K:C clef="treble-8"\nCDEF|': "48 50 52 53",
    "K:clef=treble-8\nCDEF|": "48 50 52 53",
    "V:1 clef=tenor-8\nK:C\nCDEF|": "48 50 52 53",
    "V:1 treble-8\nK:C\nCDEF|": "48 50 52 53",
    'V:1 clef=treble-8 name="Tenor" stem=up\nK:C\nCDEF|': "48 50 52 53",
    "K:D treble-8\n^c=c_d c|cdef|": "61 60 61 60 61 62 64 66",
    "K:C\n^c C =c C|": "73 61 72 60",
    "K:D\n=C2-|=C2 C2|": "60 60",
    "I:propagate-accidentals octave\nK:C treble-8\n^Cc C2|": "49 60 49",
    "K:C\nCD[K:C treble-8]EF|[K:C]CD[K:treble]EF|": "60 62 52 53 48 50 64 65",
    "K:C\nCD[K:treble-8]EF|[K:clef=treble]CDEF|": "60 62 52 53 60 62 64 65",
    "K:C\nCDEF|\nK:C treble-8\nCDEF|\nK:C bass\nCDEF|":
        "60 62 64 65 48 50 52 53 60 62 64 65",
    "K:C clef=treble-8\nCD[K:D]EF|[K:C bass+8]CDEF|": "48 50 52 54 72 74 76 77",
    "K:C\nV:1 clef=treble-8\nCDEF|\nV:1 clef=treble\nCDEF|": "48 50 52 53 60 62 64 65",
    "K:C\n[V:1 bass-8]CDEF|[V:1 bass]CDEF|": "48 50 52 53 60 62 64 65",
    "V:1\nV:2 clef=bass\nK:C treble-8\nV:1\nCD|\nV:2\nCD|": "48 50|60 62",
    "V:S\nV:T clef=treble-8\nV:B clef=bass\nK:G\nV:S\nGF|\nV:T\nGF|\nV:B\nG,F,|":
        "67 66|55 54|55 54",
    # octave= moves the notes, and transpose= what is played; both are summed with the clef's.
    "K:C octave=-1\nCDEF|": "48 50 52 53",
    "K:C treble-8 octave=-1\nCDEF|": "36 38 40 41",
    "V:1 octave=1\nV:2 octave=-1\nK:C\nV:1\nCD|\nV:2\nCD|": "72 74|48 50",
    "K:C\nCDEF|[K:octave=1]CD[K:octave=0]EF|": "60 62 64 65 72 74 64 65",
    "K:C\n[V:1 octave=-1]CD|[V:1]CD|[V:1 octave=0]CD|": "48 50 48 50 60 62",
    "K:C transpose=-2\nCDEF|": "58 60 62 63",
    "V:1 transpose=-2\nV:2 clef=bass transpose=-24\nK:C\nV:1\nCD|\nV:2\nCD|": "58 60|36 38",
    "K:C treble-8 transpose=-2\nCDEF|": "46 48 50 51",
    "K:C\nCD[K:transpose=-2]EF|[K:C transpose=3]CD[K:C]EF|": "60 62 62 63 63 65 67 68",
    "K:C\n[V:1 transpose=-2]CD|[V:1 transpose=3]CD|[V:1 transpose=0]CD|": "58 60 63 65 60 62",
    "K:C sound=CD\nCDEF|": "62 64 66 67",
    "V:1 shift=CD,\nK:C\nCDEF|": "50 52 54 55",
    "V:1 instrument=D/A\nK:C\nCDEF|": "57 59 61 62",
    # abc2midi's directives, which last from where they stand, over repeats too.
    "K:C\n%%MIDI transpose -12\nCDEF|\n%%MIDI transpose 0\nCDEF|": "48 50 52 53 60 62 64 65",
    "%%MIDI transpose -2\nV:1\nV:2\nK:C\nV:1\nCD|\nV:2\nCD|": "58 60|58 60",
    "K:C\nCD[I:MIDI transpose -2]EF|[I:MIDI=transpose -5]CDEF|": "60 62 62 63 55 57 59 60",
    "K:C\n%%MIDI transpose -12\nCD|\n%%MIDI rtranspose 2\nCD|": "48 50 50 52",
    "K:C\n|:CD|[I:MIDI transpose 2]CD:|": "60 62 62 64 62 64 62 64",
    "K:C\n|:[I:MIDI transpose 0]CD|[I:MIDI transpose 2]CD:|": "60 62 62 64 60 62 62 64",
    "V:1\nV:2\nK:C\nV:1\n%%MIDI transpose 1\nCD|\nV:2\n[I:MIDI transpose 3]CD|": "61 63|63 65",
}  # fmt: skip
DRUMS = {
    "V:1\nV:2 clef=perc\nK:C\nV:1\nCDEF|\nV:2\n%%MIDI channel 10\n%%MIDI drummap F 36\n"
    "%%MIDI drummap c 38\n%%MIDI drummap ^g 42\nFc^gF|": "60 62 64 65|36 38 42 36",
    "V:1\nV:2 perc\nK:C\nV:1\nCDEF|\nV:2\n[I:MIDI channel 10]C,,D,,E,,F,,|":
        "60 62 64 65|36 38 40 41",
    "V:1\nV:2\n%%MIDI channel 10\nK:C\nV:1\nCD|\nV:2\n%%MIDI drummap _B 40\n_BC|": "60 62|40 60",
    "%%percmap D pedal-hi-hat\n%%percmap F 36 x\nV:1\nV:2 clef=perc\nK:C\nV:1\nCD|\nV:2\nDF|":
        "60 62|44 36",
    "V:1 clef=perc transpose=2\nV:2\nK:G\nV:1\n[FG]{c}=F|\nV:2\nCF|": "60 66|66 67 65",
}  # fmt: skip
ABCJS_DIFFERS = {"K:C treble-8 transpose=-2\nCDEF|"}  # it forgets transpose= at an octave clef


def tune(text: str) -> Tune:
    reading = parse_text(HEAD + text)
    assert not reading.rejected
    (read,) = reading.tunes
    assert not read.warnings
    return read


def sounding(read: Tune) -> str:
    """The pitches of each voice."""
    voices: list[list[int]] = [[] for _ in read.voices]
    for note in timeline(read).notes:
        voices[note.voice].append(note.midi)
    return "|".join(" ".join(map(str, pitches)) for pitches in voices)


def played(read: Tune) -> list[tuple[float, int, bool]]:
    drums = [voice.percussion is not None for voice in read.voices]
    notes = timeline(read).notes
    return sorted((round(float(n.onset), 1), n.midi, drums[n.voice]) for n in notes)


@pytest.mark.parametrize(("text", "expected"), [*SOUNDING.items(), *DRUMS.items()])
def test_the_pitch_that_is_meant_sounds_from_every_format(text: str, expected: str) -> None:
    read = tune(text)
    assert sounding(read) == expected
    assert of_midi(midi.render([read])) == played(read)
    assert parse_text(to_abc(read)).tunes == (read,)
    (score,) = musicxml.parse(to_musicxml(read).encode()).tunes
    assert score == read


@pytest.mark.skipif(shutil.which("abc2midi") is None, reason="needs abc2midi")
@pytest.mark.parametrize("text", [*SOUNDING, *DRUMS])
def test_abc2midi_plays_what_we_write_as_we_do(text: str, tmp_path: Path) -> None:
    read = tune(text.replace("{c}", ""))
    assert by_abc2midi(to_abc(read), tmp_path) == played(read)


def test_abcjs_plays_what_we_write_as_we_do() -> None:
    if not has_abcjs():
        pytest.skip("needs node and abcjs (npm install abcjs)")
    texts = [text.replace("{c}", "") for text in (*SOUNDING, *DRUMS)]
    tunes = list(map(tune, texts))
    theirs = by_abcjs(list(map(to_abc, tunes)))
    differing = {
        text
        for text, read, notes in zip(texts, tunes, theirs, strict=True)
        if notes != played(read)
    }
    assert differing == ABCJS_DIFFERS


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mscore3") is None, reason="needs MuseScore 3")
@pytest.mark.parametrize("text", [*SOUNDING, *DRUMS])
def test_musescore_plays_what_we_write_as_we_do(text: str, tmp_path: Path) -> None:
    read = tune(text.replace("{c}", ""))
    if "|:" in text:
        pytest.skip("its transpositions are written ones, and a repeat takes them back")
    assert by_musescore(to_musicxml(read), tmp_path) == played(read)


def test_music21_reads_the_sounding_pitches() -> None:
    music21 = pytest.importorskip("music21")
    for text in ("K:C bass+8\nCD|", "K:C transpose=-2\nCD|", "K:C\nCD|[K:treble-8]CD|"):
        read = tune(text)
        document = to_musicxml(read)
        score = music21.converter.parseData(document, format="musicxml", forceSource=True)
        score = score.toSoundingPitch()
        assert " ".join(str(n.pitch.midi) for n in score.flatten().notes) == sounding(read)


# --- what stays written -----------------------------------------------------------------------


def test_an_octave_clef_counts_in_the_pitch_and_a_transposition_does_not() -> None:
    (voice,) = tune("K:C treble-8 transpose=-2\nCG|").voices
    assert [event.pitch for event in voice.events] == [Pitch("C", 0, 3), Pitch("G", 0, 3)]
    assert (voice.clef, voice.transposition) == ("treble-8", -2)


def test_musicxml_has_an_octave_clef_or_a_transposition_never_both_for_one() -> None:
    clef = to_musicxml(tune("K:C treble-8\nC4|"))
    assert "<clef-octave-change>-1<" in clef
    assert "<octave>3<" in clef
    assert "<transpose>" not in clef
    clarinet = to_musicxml(tune("K:C transpose=-2\nC4|"))
    assert "<transpose><chromatic>-2<" in clarinet
    assert "<octave>4<" in clarinet


CONTINUED = {
    "K:C treble-8\nCDEF|": ("CDEF|C D E F|", 3),
    "K:C\nCDEF|[K:bass-8]CDEF|": ("CDEF|[K:bass-8]CDEF|C D E F|", 3),
    "K:C transpose=-2\nCDEF|": ("CDEF|C D E F|", 4),
}


@pytest.mark.parametrize(("text", "expected"), CONTINUED.items())
def test_music_is_continued_as_it_is_written(text: str, expected: tuple[str, int]) -> None:
    body, octave = expected
    bar = Bar(events=tuple(Note(Pitch(step, 0, octave), Fraction(1)) for step in "CDEF"))
    continued, whole = append(find_stop(TuneText(HEAD + text)), [bar], goes_on=False)
    assert continued == HEAD + text.partition("\n")[0] + "\n" + body
    assert whole.voices[0].bars[-1].events == bar.events


def test_concert_pitch_moves_keys_chord_symbols_and_notes_of_transposing_voices() -> None:
    read = at_concert_pitch(tune('V:1 transpose=-2\nV:2\nK:D\nV:1\n"A7"A4|[K:E]E4|\nV:2\nD4|E4|'))
    first, second = read.voices
    assert read.key == Key("C")
    assert [(e.pitch.name, e.marks.chord_symbol) for e in first.events] == [
        ("G4", "G7"),
        ("D4", ""),
    ]
    assert [e.key for e in first.bars[1].events if isinstance(e, Change)] == [Key("D")]
    assert [event.pitch.name for event in second.events] == ["D4", "E4"]
    assert first.transposition == 0


def test_the_key_in_midi_is_the_sounding_one() -> None:
    file = mido.MidiFile(file=BytesIO(midi.render([tune("K:D transpose=-2\nD4|[K:G]G4|")])))
    keys = [message.key for message in file.tracks[0] if message.type == "key_signature"]
    assert keys == ["C", "F"]


# --- tempo and instrument over time -----------------------------------------------------------


def at_onsets(read: Tune, kind: str, value: str) -> list[tuple[float, int]]:
    """Onsets and values of a kind of message in the MIDI file of a tune."""
    file, found = mido.MidiFile(file=BytesIO(midi.render([read]))), []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == kind:
                found.append((tick / file.ticks_per_beat, getattr(message, value)))
    return found


PROGRAMS = {
    "K:C\n%%MIDI program 40\nC4|\n%%MIDI program 21\nC4|[I:MIDI program 56]C4|":
        [(0, 40), (4, 21), (8, 56)],
    "K:C\n%%MIDI program 2 40\nC4|[I:MIDI program 2 50]C4|": [(0, 40), (4, 50)],
    "I:MIDI program 33\nK:C\nC4|\nI:MIDI program 21\nC4|": [(0, 33), (4, 21)],
    "V:1\n%%MIDI program 40\nV:2\n%%MIDI program 60\nK:C\nV:1\nC4|\nV:2\nC4|": [(0, 40), (0, 60)],
    "%%MIDI program 1 40\n%%MIDI program 2 60\nV:1\nV:2\nK:C\nV:1\nC4|\nV:2\nC4|":
        [(0, 40), (0, 60)],
    "%%MIDI program 40\nV:1\nV:2\nK:C\nV:1\nC4|\nV:2\nC4|": [(0, 40), (0, 40)],
    "V:1\nV:2\nK:C\nV:1\n%%MIDI program 9\nC4|C4|\nV:2\n%%MIDI program 1\nC4|[I:MIDI program 2]C4|":
        [(0, 9), (0, 1), (4, 2)],
    "K:C\n%%MIDI program 1\n|:C4|[I:MIDI program 2]C4:|": [(0, 1), (4, 2)],
    "K:C\n|:[I:MIDI program 1]C4|[I:MIDI program 2]C4:|": [(0, 1), (4, 2), (8, 1), (12, 2)],
    "K:C\n%%MIDI program 1 % a comment\nC4|": [(0, 1)],
    "K:C\nC4|[I:MIDI program 10 5]C4|": [(0, 73)],
}  # fmt: skip


@pytest.mark.parametrize(("text", "programs"), PROGRAMS.items())
def test_a_voice_has_programs_over_time(text: str, programs: list[tuple[int, int]]) -> None:
    read = tune(text)
    assert at_onsets(read, "program_change", "program") == programs
    assert parse_text(to_abc(read)).tunes == (read,)
    (score,) = musicxml.parse(to_musicxml(read).encode()).tunes
    assert score == read


def test_a_note_that_ends_at_a_change_of_program_ends_before_it() -> None:
    (track,) = mido.MidiFile(file=BytesIO(midi.render([tune(next(iter(PROGRAMS)))]))).tracks[1:]
    kinds = [message.type for message in track if not message.is_meta]
    assert kinds == ["program_change", "note_on", "note_off"] * 3


def test_other_programs_read_instruments_from_the_notes_of_musicxml() -> None:
    foreign = to_musicxml(tune(next(iter(PROGRAMS)))).replace(">musicgen<", ">other<")
    (score,) = musicxml.parse(foreign.encode()).tunes
    assert at_onsets(score, "program_change", "program") == [(0, 40), (4, 21), (8, 56)]


def test_an_instrument_of_musicxml_is_that_of_its_place_in_a_repeat_too() -> None:
    text = "K:C\n%%MIDI program 40\nC4|[I:MIDI program 21]C4:|"
    foreign = to_musicxml(tune(text)).replace(">musicgen<", ">other<")
    (score,) = musicxml.parse(foreign.encode()).tunes
    programs = [(0, 40), (4, 21), (8, 40), (12, 21)]
    assert at_onsets(score, "program_change", "program") == programs
    (again,) = parse_text(to_abc(score)).tunes
    assert at_onsets(again, "program_change", "program") == programs


def test_sound_has_a_player_for_each_program() -> None:
    performance = perform(tune("K:C\n%%MIDI program 40\nCD|\n%%MIDI program 21\nCD|"), Style())
    assert [part.program for part in performance.parts] == [40, 21]
    assert [note.part for note in performance.notes] == [0, 0, 1, 1]
    asked = perform(tune("K:C\nCD|\n%%MIDI program 21\nCD|"), Style(instrument="violin"))
    assert [part.program for part in asked.parts] == [40]


TEMPOS = {
    "Q:1/4=120\nV:1\nV:2\nK:C\nV:1\nCDEF|GABc|\nV:2\nC4|[Q:1/4=60]G4|": [(0, 120), (4, 60)],
    "Q:1/4=120\nV:1\nV:2\nK:C\nV:1\nC4|C4|C4|\nV:2\nC4|C2[Q:1/4=60]C2|[Q:1/4=90]C4|":
        [(0, 120), (6, 60), (8, 90)],
    "Q:1/4=120\nV:1\nV:2\nK:C\nV:1\nC4|[Q:1/4=60]C4|\nV:2\nC4|[Q:1/4=60]C4|": [(0, 120), (4, 60)],
    "Q:1/4=120\nV:1\nV:2\nK:C\nV:1\n|:C4|C4:|\nV:2\n|:C4|[Q:1/4=60]C4:|":
        [(0, 120), (4, 60), (8, 120), (12, 60)],
    "V:1\nV:2\nK:C\nV:1\nC4|\nV:2\n[Q:1/4=60]C4|": [(0, 60)],
}  # fmt: skip


@pytest.mark.parametrize(("text", "tempos"), TEMPOS.items())
def test_a_tempo_in_any_voice_is_that_of_the_piece(
    text: str, tempos: list[tuple[int, int]]
) -> None:
    read = tune(text)
    found = at_onsets(read, "set_tempo", "tempo")
    assert [(at, round(mido.tempo2bpm(tempo))) for at, tempo in found] == tempos
    (score,) = musicxml.parse(to_musicxml(read).replace(">musicgen<", ">other<").encode()).tunes
    again = at_onsets(score, "set_tempo", "tempo")
    assert [(at, round(mido.tempo2bpm(tempo))) for at, tempo in again] == tempos


# --- drums ------------------------------------------------------------------------------------


def test_drums_are_no_melody() -> None:
    read = tune("V:1 clef=perc\nV:2\nK:C\nV:1\nFFFF|\nV:2\nCDEF|")
    first, drums = read.voices
    assert (first.id, drums.id) == ("2", "1")
    assert melody(drums) == []
    assert melody(first)[0] == (60, Fraction(1))
    assert len(encoding.melody(read).tune.voices) == 1
    performance = perform(read, Style())
    assert [part.percussion for part in performance.parts] == [False, True]


@pytest.mark.parametrize("text", ["K:C perc\nFFFF|", "K:C\n%%MIDI channel 10\nFFFF|"])
def test_a_tune_of_drums_alone_is_refused(text: str) -> None:
    (rejected,) = parse_text(HEAD + text).rejected
    assert rejected.reason == "holds no notes other than drums; is it the right file?"


def test_drums_in_the_middle_of_a_voice_are_left_out_with_a_warning() -> None:
    text = HEAD + "K:C\nCD|[I:MIDI channel 10]C,,[D,,F,,]|[I:MIDI channel 1]EF|"
    (read,) = parse_text(text).tunes
    assert sounding(read) == "60 62 64 65"
    assert read.bars[1].duration == 2
    assert [w.what for w in read.warnings] == [
        "3 notes of a voice of drums and of pitches, left out"
    ]


UNPITCHED = """<score-partwise version="4.0"><part-list>
<score-part id="P1"><part-name>Kit</part-name>
<score-instrument id="P1-A"><instrument-name>Cowbell</instrument-name></score-instrument>
<score-instrument id="P1-B"><instrument-name>x</instrument-name></score-instrument>
<midi-instrument id="P1-B"><midi-channel>10</midi-channel><midi-unpitched>43</midi-unpitched>
</midi-instrument></score-part>
<score-part id="P2"><part-name>Air</part-name></score-part></part-list>
<part id="P1"><measure><attributes><divisions>1</divisions></attributes>
{drum}<instrument id="P1-A"/></note>{drum}<instrument id="P1-B"/></note>{drum}</note>
</measure></part>{other}</score-partwise>"""
DRUM = (
    "<note><unpitched><display-step>E</display-step><display-octave>4</display-octave></unpitched>"
    "<duration>1</duration>"
)
AIR = (
    '<part id="P2"><measure><attributes><divisions>1</divisions><key><fifths>2</fifths></key>'
    "</attributes><note><pitch><step>D</step><octave>4</octave></pitch><duration>3</duration>"
    "</note></measure></part>"
)


def test_unpitched_notes_of_musicxml_are_drums() -> None:
    (read,) = musicxml.parse(UNPITCHED.format(drum=DRUM, other=AIR).encode()).tunes
    assert [(voice.name, voice.percussion) for voice in read.voices] == [
        ("Air", None),
        ("Kit", ((63, 38), (64, 56), (65, 42))),
    ]
    assert read.key.fifths == 2
    assert sounding(read) == "62|56 42 38"


def test_unpitched_notes_alone_are_refused() -> None:
    with pytest.raises(ParseError, match="holds no notes other than drums"):
        musicxml.parse(UNPITCHED.format(drum=DRUM, other="").encode())


KERN = """**kern	**kern
*clef{clef}	*clefG2
*M2/4	*M2/4
*k[]	*k[]
4c	4cc
*clefF4	*
4d	4dd
*-	*-
"""


def test_kern_has_sounding_pitches_under_any_clef() -> None:
    (read,) = kern.parse(KERN.format(clef="Gv2").encode()).tunes
    _, low = read.voices
    assert (low.clef, sounding(read)) == ("treble-8", "72 74|60 62")
    assert [e.clef for e in low.bars[0].events if isinstance(e, Change)] == ["bass"]
    assert parse_text(to_abc(read)).tunes == (read,)
    assert "c2[V:2 clef=bass] D2" in to_abc(read)


def test_kern_with_a_percussion_clef_is_drums() -> None:
    (read,) = kern.parse(KERN.format(clef="X").encode()).tunes
    assert [voice.percussion for voice in read.voices] == [None, ()]
