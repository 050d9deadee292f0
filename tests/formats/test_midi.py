"""MIDI in and out, against other libraries and against itself."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen.errors import InvalidTuneError, ParseError
from musicgen.formats import midi
from musicgen.music.playback import played_notes
from musicgen.music.theory import FREE_METER, Key, Meter, Pitch, default_qpm, spell
from musicgen.music.tune import Bar, Change, Note, Rest, Tempo, Tune, Tuplet, Voice

JIG = Meter((6,), 8)


def note(name: str, duration: str | int = "1/2", *, tie: bool = False) -> Note:
    return Note(Pitch(name[0], 0, int(name[1:])), Fraction(duration), tie)


def jig() -> Tune:
    """A pickup, a triplet, a tie over a bar line, a repeat whose ends make up one bar."""
    triplet = tuple(
        Note(Pitch("C", 1, 5), Fraction(1, 3), tuplet=Tuplet(3, 2, 3, i)) for i in range(3)
    )
    bars = (
        Bar(events=(note("D4"),)),
        Bar(events=(note("G4", "3/2"), note("A4"), note("B4", 1))),
        Bar(events=(*triplet, note("D5"), note("E5", "3/2", tie=True))),
        Bar(events=(note("E5"), Rest(Fraction(1)), note("A4", 1)), repeat_end=1),
        Bar(events=(note("D4"),)),
        Bar(events=(note("G4", 3),)),
        Bar(events=(Rest(Fraction(3), full_bar=True),)),
        Bar(events=(note("G4", 1), note("F4", "3/2")), barline="|]"),
    )
    return Tune(title="Café Jig", rhythm="jig", meter=JIG, key=Key("D"), voices=(Voice(bars=bars),))


def sounding(tune: Tune) -> list[tuple[Fraction, Fraction, int]]:
    return [(n.onset, n.duration, n.midi) for n in played_notes(tune)]


def reread(tune: Tune) -> Tune:
    (again,) = midi.parse(midi.render([tune]), "x.mid").tunes
    return again


def midi_file(*tracks: Iterable[tuple[int, int, int]], ticks: int = 480, **meta: object) -> bytes:
    """Tracks of (onset, end, pitch) in ticks; `names`, `meters`, `drums` are optional."""
    file = mido.MidiFile(type=1, ticks_per_beat=ticks)
    heading = mido.MidiTrack()
    position = 0
    for at, beats, unit in meta.get("meters", [(0, 4, 4)]):  # type: ignore[attr-defined]
        heading.append(
            mido.MetaMessage(
                "time_signature", numerator=beats, denominator=unit, time=at - position
            )
        )
        position = at
    file.tracks.append(heading)
    for number, notes in enumerate(tracks):
        channel = 9 if number in meta.get("drums", ()) else number  # type: ignore[operator]
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=f"part {number + 1}")])
        events = [(on, 1, p) for on, _, p in notes] + [(off, 0, p) for _, off, p in notes]
        position = 0
        for tick, is_on, pitch in sorted(events):
            kind = "note_on" if is_on else "note_off"
            track.append(mido.Message(kind, note=pitch, channel=channel, time=tick - position))
            position = tick
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def read_line(*notes: tuple[int, int, int], **options: object) -> Tune:
    (tune,) = midi.parse(midi_file(notes, **options)).tunes  # type: ignore[arg-type]
    return tune


# --- writing -------------------------------------------------------------------------------------


def test_mido_finds_every_note_on_its_exact_tick() -> None:
    file = mido.MidiFile(file=io.BytesIO(midi.render([jig()])))
    found, starts, tick = [], {}, 0
    for message in file.tracks[1]:
        tick += message.time
        if message.type == "note_on":
            starts[message.note] = tick
        elif message.type == "note_off":
            onset = starts.pop(message.note)
            found.append((Fraction(onset, 480), Fraction(tick - onset, 480), message.note))
    assert file.ticks_per_beat == 480
    assert sorted(found) == sorted(sounding(jig()))


def test_symusic_finds_the_same_notes_meter_key_and_name() -> None:
    from symusic import Score

    score = Score.from_midi(midi.render([jig()]))
    (track,) = score.tracks
    notes = [(Fraction(n.time, 480), Fraction(n.duration, 480), n.pitch) for n in track.notes]
    assert notes == sounding(jig())
    assert [(s.time, s.numerator, s.denominator) for s in score.time_signatures] == [
        (0, 1, 8),
        (240, 6, 8),
    ]
    assert (score.key_signatures[0].key, track.name, track.program) == (2, "Café Jig", 73)


def test_pretty_midi_finds_the_same_notes_in_seconds() -> None:
    import pretty_midi

    file = pretty_midi.PrettyMIDI(io.BytesIO(midi.render([jig()])))
    quarter = 60 / 174
    notes = sorted((n.start, n.end, n.pitch) for n in file.instruments[0].notes)
    expected = [(float(a) * quarter, float(a + d) * quarter, p) for a, d, p in sounding(jig())]
    assert notes == [pytest.approx(n, abs=1e-4) for n in expected]


def test_music21_finds_the_same_notes(tmp_path: Path) -> None:
    from music21 import converter

    path = tmp_path / "jig.mid"
    path.write_bytes(midi.render([jig()]))
    score = converter.parse(path, forceSource=True, quantizePost=False)
    flat = score.flatten().stripTies().notes
    notes = [(Fraction(n.offset).limit_denominator(480), n.pitch.midi) for n in flat]
    assert notes == [(onset, pitch) for onset, _, pitch in sounding(jig())]


def test_ticks_get_finer_when_a_tuplet_needs_it() -> None:
    sevens = tuple(Note(Pitch("C", 0, 4), Fraction(1, 7)) for _ in range(7))
    tune = Tune(voices=(Voice(bars=(Bar(events=sevens),)),))
    assert mido.MidiFile(file=io.BytesIO(midi.render([tune]))).ticks_per_beat == 483
    assert sounding(reread(tune)) == sounding(tune)


def test_each_voice_is_a_track_and_drums_are_no_voice() -> None:
    voices = tuple(Voice(id=str(i), bars=(Bar(events=(note("C4"),)),)) for i in range(12))
    file = mido.MidiFile(file=io.BytesIO(midi.render([Tune(voices=voices)])))
    channels = [m.channel for track in file.tracks for m in track if m.type == "note_on"]
    assert channels == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12]


def test_tempo_changes_and_defaults_by_rhythm_are_written() -> None:
    tune = replace(jig(), rhythm="Slip Jig")
    faster = Bar(events=(Change(tempo=Tempo(Fraction(100), Fraction(3, 2))), note("G4", 3)))
    tune = replace(tune, voices=(Voice(bars=(*tune.bars[:2], faster)),))
    file = mido.MidiFile(file=io.BytesIO(midi.render([tune])))
    tempos = [round(mido.tempo2bpm(m.tempo)) for m in file.tracks[0] if m.type == "set_tempo"]
    assert tempos == [default_qpm("slip jig"), 150]


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        (Tune(title="Silence"), "'Silence' has no notes to write as MIDI"),
        (
            Tune(title="Deep", voices=(Voice(bars=(Bar(events=(Note(Pitch("C", 0, -2)),)),)),)),
            "'Deep' has pitch -12, beyond MIDI's 0 to 127; transpose it",
        ),
        (
            Tune(
                title="Fine",
                voices=(Voice(bars=(Bar(events=(note("C4", "1/40009"), note("C4"))),)),),
            ),
            "'Fine' needs 80018 ticks per quarter note, more than MIDI's 32767; "
            "use simpler tuplets",
        ),
    ],
)
def test_what_midi_cannot_hold_is_refused(tune: Tune, message: str) -> None:
    with pytest.raises(InvalidTuneError) as error:
        midi.render([tune])
    assert str(error.value) == message


def test_several_tunes_need_several_files() -> None:
    with pytest.raises(InvalidTuneError, match="a MIDI file holds one tune, not 2"):
        midi.render([jig(), jig()])


# --- reading back --------------------------------------------------------------------------------


def test_a_tune_with_a_pickup_reads_back_with_the_same_bars() -> None:
    tune = replace(jig(), tempo=Tempo(Fraction(120)))
    tune = replace(tune, voices=(Voice(program=73, bars=tune.bars[:3] + tune.bars[6:]),))
    tune = replace(
        tune,
        voices=(
            replace(
                tune.voices[0],
                bars=(*tune.bars[:2], Bar(events=(note("E5", 3),)), *tune.bars[3:]),
            ),
        ),
    )
    again = reread(tune)
    assert (again.title, again.meter, again.key) == (tune.title, tune.meter, tune.key)
    assert again.bars == tune.bars
    assert again.warnings == ()


def test_a_repeat_is_played_out_into_whole_bars() -> None:
    lengths = [bar.duration for bar in reread(jig()).bars]
    assert lengths == [Fraction(1, 2), *[Fraction(3)] * 8, Fraction(5, 2)]


def test_an_unfinished_bar_stays_unfinished() -> None:
    tune = read_line((0, 480, 60), (480, 960, 62))
    assert [(bar.duration, bar.barline) for bar in tune.bars] == [(2, "")]


def test_a_rest_at_the_end_counts_when_the_file_ends_with_it_within_a_bar() -> None:
    def ending(*events: Note | Rest) -> tuple[object, ...]:
        return reread(Tune(voices=(Voice(bars=(Bar(events=events),)),))).bars[0].events

    assert ending(note("C4", 2), Rest(Fraction(1)))[1:] == (Rest(Fraction(1)),)
    assert ending(note("C4", 2), Rest(Fraction(2)))[1:] == (Rest(Fraction(2)),)


def test_meter_changes_are_announced() -> None:
    notes = [(480 * i, 480 * i + 480, 60) for i in range(7)]
    tune = read_line(*notes, meters=[(0, 4, 4), (4 * 480, 3, 4)])
    assert tune.meter == Meter((4,), 4)
    assert tune.bars[1].events[0] == Change(meter=Meter((3,), 4))
    assert [bar.duration for bar in tune.bars] == [4, 3]


def test_rests_are_filled_in_and_whole_bars_marked() -> None:
    tune = read_line((0, 480, 60), (8 * 480, 9 * 480, 60))
    assert tune.bars[0].events[1:] == (Rest(Fraction(3)),)
    assert tune.bars[1].events == (Rest(Fraction(4), full_bar=True),)


def test_eighth_triplets_are_written_as_triplets() -> None:
    tune = read_line(*[(160 * i, 160 * i + 160, 60 + i) for i in range(3)], (480, 1920, 67))
    assert [e.tuplet for e in tune.bars[0].timed][:3] == [Tuplet(3, 2, 3, i) for i in range(3)]


def test_a_long_and_a_short_note_make_a_triplet_too() -> None:
    tune = read_line((0, 320, 60), (320, 480, 62), (480, 1920, 67))
    assert [e.tuplet for e in tune.bars[0].timed][:2] == [Tuplet(3, 2, 2, i) for i in range(2)]


def test_a_note_of_five_eighths_is_tied_from_two_heads() -> None:
    tune = read_line((0, 1200, 60), (1200, 1920, 62))
    written = [(e.duration, e.tie) for e in tune.bars[0].timed if isinstance(e, Note)]
    assert written == [(2, True), (Fraction(1, 2), False), (Fraction(3, 2), False)]


def test_detached_notes_are_written_out_to_the_next() -> None:
    tune = read_line(*[(240 * i, 240 * i + 227, 60) for i in range(8)])
    assert {event.duration for event in tune.bars[0].timed} == {Fraction(1, 2)}
    assert "8 lengths read as clean, at most 0.027 of a quarter note off" in [
        w.what for w in tune.warnings
    ]


def test_a_performance_is_moved_to_the_grid() -> None:
    late = [3, -4, 5, 2, -6, 1, 7, -2]
    tune = read_line(*[(240 * i + j + 10, 240 * i + j + 230, 60) for i, j in enumerate(late)])
    assert [e.duration for e in tune.bars[0].timed] == [Fraction(1, 2)] * 8
    assert any("moved to the file's beat" in w.what for w in tune.warnings)


def test_accidentals_are_spelled_in_the_key() -> None:
    bars = (
        Bar(events=(Note(Pitch("B", -1, 4), Fraction(2)), Note(Pitch("E", -1, 4), Fraction(2)))),
    )
    tune = Tune(key=Key("Bb"), voices=(Voice(bars=bars),))
    assert [e.pitch.name for e in reread(tune).bars[0].timed] == ["Bb4", "Eb4"]  # type: ignore[union-attr]


def test_a_key_is_estimated_where_none_is_given() -> None:
    scale = [62, 64, 66, 67, 69, 71, 73, 74, 69, 66, 62, 62]
    tune = read_line(*[(240 * i, 240 * i + 240, p) for i, p in enumerate(scale)])
    assert tune.key == Key("D")
    assert "no key signature; D major fits the notes best" in [w.what for w in tune.warnings]


def test_without_a_meter_it_is_four_four_and_says_so() -> None:
    tune = read_line((0, 480, 60), meters=[])
    assert tune.meter == Meter((4,), 4)
    assert "no time signature; read as 4/4" in [w.what for w in tune.warnings]


def test_the_melody_is_the_highest_full_line_of_single_notes() -> None:
    chords = [(480 * i, 480 * i + 480, p) for i in range(8) for p in (84, 88, 91)]
    bass = [(480 * i, 480 * i + 480, 40) for i in range(8)]
    tune_line = [(480 * i, 480 * i + 480, 72) for i in range(8)]
    drums = [(240 * i, 240 * i + 100, 38) for i in range(64)]
    data = midi_file(bass, chords, tune_line, drums, drums=(3,))
    (tune,) = midi.parse(data).tunes
    assert {n.midi for n in played_notes(tune)} == {72}
    assert [w.what for w in tune.warnings][:2] == [
        "drums (channel 10), left out: 64 notes",
        "melody taken from track 4 'part 3', the highest line with many notes; 2 other parts are "
        "left out",
    ]


def test_a_part_called_bass_is_no_melody() -> None:
    line = [(480 * i, 480 * i + 480, 40 + i) for i in range(8)]
    chords = [(480 * i, 480 * i + 480, p) for i in range(8) for p in (60, 64)]
    data = midi_file(line, chords).replace(b"part 1", b"E Bass")
    assert played_notes(midi.parse(data).tunes[0])[0].midi == 64


def test_notes_that_a_notation_program_plays_short_are_written_whole() -> None:
    lengths = [(0, 720), (1440, 480), (1920, 480), (2400, 960), (3840, 320), (4480, 320)]
    data = midi_file([(at, at + round(0.82 * long), 60) for at, long in lengths], ticks=960)
    (tune,) = midi.parse(data).tunes
    assert [d for _, d, _ in sounding(tune)] == [
        Fraction(3, 4), Fraction(1, 2), Fraction(1, 2), 1, Fraction(1, 3), Fraction(1, 3)
    ]  # fmt: skip
    assert "notes moved to the grid" in tune.warnings[1].what


def test_where_most_notes_end_at_no_simple_place_none_of_them_is_a_triplet() -> None:
    tune = read_line(*((480 * i, 480 * i + 200, 60) for i in range(8)))
    assert {d for _, d, _ in sounding(tune)} == {Fraction(1, 2)}
    assert read_line((0, 200, 60)).voices[0].bars[0].duration == Fraction(5, 12)


def test_a_last_bar_is_filled_up_where_it_makes_up_for_a_pickup_after_rests() -> None:
    line = [(1440 + 480 * i, 1920 + 480 * i, 60) for i in range(8)]
    (last,) = (bar for bar in read_line(*line).voices[0].bars[-1:])
    assert (last.duration, last.barline) == (4, "|]")
    (last,) = (bar for bar in read_line(*line[:-1]).voices[0].bars[-1:])
    assert (last.duration, last.barline) == (2, "")


def test_chords_that_a_program_rolls_are_put_together_however_few() -> None:
    line = [(480 * i, 480 * i + 480, 60) for i in range(30)]
    tune = read_line(*line, (480 * 30, 480 * 31, 67), (480 * 30 + 10, 480 * 31, 64))
    assert sounding(tune)[-1] == (30, 1, 67)


def test_overlaps_and_chords_become_one_line_and_are_counted() -> None:
    tune = read_line((0, 960, 60), (480, 960, 64), (480, 960, 67), (960, 1920, 60))
    assert sounding(tune) == [(0, 1, 60), (1, 1, 67), (2, 2, 60)]
    assert [w.what for w in tune.warnings][:2] == [
        "notes struck together with a higher one, left out: 1",
        "notes that sounded on, shortened to the next: 1",
    ]


# --- properties ----------------------------------------------------------------------------------

DURATIONS = [
    Fraction(d) for d in ("1/4", "1/3", "1/2", "2/3", "3/4", "1", "3/2", "2", "5/2", "1/6")
]


@st.composite
def score_midi(
    draw: st.DrawFn,
) -> tuple[list[tuple[int, int, int]], int, list[tuple[int, int, int]]]:
    """Notes of a score in ticks, the ticks per quarter, and meters."""
    ticks = draw(st.sampled_from([24, 96, 120, 480, 960]))
    position, notes = Fraction(0), []
    for _ in range(draw(st.integers(1, 30))):
        position += draw(st.sampled_from([Fraction(0), *DURATIONS[:4]]))
        end = position + draw(st.sampled_from(DURATIONS))
        notes.append((int(position * ticks), int(end * ticks), draw(st.integers(40, 100))))
        position = end
    meter = draw(st.sampled_from([(2, 4), (3, 4), (4, 4), (6, 8), (9, 8), (5, 8)]))
    return notes, ticks, [(0, *meter)]


@settings(max_examples=150, deadline=None)
@given(score_midi())
def test_score_midi_comes_back_tick_for_tick(
    case: tuple[list[tuple[int, int, int]], int, list[tuple[int, int, int]]],
) -> None:
    notes, ticks, meters = case
    tune = read_line(*notes, ticks=ticks, meters=meters)
    expected = [(Fraction(a, ticks), Fraction(b - a, ticks), p) for a, b, p in notes]
    assert sounding(tune) == expected
    assert sounding(reread(tune)) == expected
    full = tune.meter.bar_duration
    assert all(bar.duration == full for bar in tune.bars[:-1])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 400))
def test_no_bytes_do_more_than_raise_a_parse_error(junk: bytes, start: int, stop: int) -> None:
    good = midi.render([jig()])
    for data in (junk, good[:start] + junk + good[stop:], good[:start]):
        with contextlib.suppress(ParseError):
            midi.parse(data, "x.mid")


GOOD = midi.render([jig()])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.mid: not a MIDI file (no MThd at its start); export it again"),
        (b"RIFF" + GOOD, "x.mid: not a MIDI file (no MThd at its start); export it again"),
        (GOOD[:-9], "x.mid: MIDI cut short: 9 bytes are missing; copy or export it again"),
        (
            GOOD[:12] + b"\0\0" + GOOD[14:],
            "x.mid: MIDI with 0 ticks per quarter note; export it again",
        ),
        (
            GOOD[:12] + b"\xe8\0" + GOOD[14:],
            "x.mid: MIDI time of 24 frames a second and 0 ticks a frame does not exist; "
            "export it again",
        ),
        (
            GOOD[:9] + b"\7" + GOOD[10:],
            "x.mid: MIDI type 7 does not exist; export it as type 0 or 1",
        ),
        (
            midi_file([(0, 10, 60), (480 * 60000, 480 * 60001, 60)], ticks=480),
            "x.mid: a silence of 60000 quarter notes; cut it to at most 512",
        ),
        (
            midi_file([(0, 10, 60), (200000, 200001, 60)], ticks=1),
            "x.mid: MIDI is longer than 100000 quarter notes; shorten it (byte 74)",
        ),
        (
            midi_file([(0, 10, 38)], drums=(0,)),
            "x.mid: holds no notes other than drums; is it the right file?",
        ),
    ],
)
def test_damaged_files_are_refused_with_one_line(data: bytes, message: str) -> None:
    with pytest.raises(ParseError) as error:
        midi.parse(data, "x.mid")
    assert str(error.value) == message


def test_a_header_that_lies_about_its_tracks_is_only_a_warning() -> None:
    (tune,) = midi.parse(GOOD[:11] + b"\5" + GOOD[12:]).tunes
    assert tune.warnings[0].what == "the header says 5 tracks, there are 2"
    assert sounding(tune) == sounding(jig())


def test_a_note_without_an_end_is_left_out_and_counted() -> None:
    data = midi_file([(0, 480, 60), (480, 960, 62)])
    (tune,) = midi.parse(data.replace(b"\x80\x3e\x40", b"\x80\x3f\x40")).tunes
    assert sounding(tune) == [(0, 1, 60)]
    assert tune.warnings[0].what == "notes that never end, left out: 1"


def test_free_meter_still_makes_a_file() -> None:
    assert sounding(reread(replace(jig(), meter=FREE_METER))) == sounding(jig())


def test_spelling_and_midi_numbers_agree() -> None:
    assert all(spell(p, Key("Eb", "minor")).midi == p for p in range(128))
