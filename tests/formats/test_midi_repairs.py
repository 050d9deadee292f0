"""MIDI files with faults that other programs write: bytes above 127, texts in other encodings,
lengths a few ticks off, grace notes played before the beat."""

from __future__ import annotations

import contextlib
import io
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import mido
import pytest

from musicgen.errors import ParseError
from musicgen.formats import midi
from musicgen.music.playback import played_notes
from musicgen.music.tune import Tune
from tests.timing import within

LINE = [(480 * i, 480 * i + 480, pitch) for i, pitch in enumerate((60, 62, 64, 65, 67, 69, 71, 72))]


def file_of(
    *tracks: Sequence[tuple[int, int, int]],
    ticks: int = 480,
    name: bytes = b"",
    lyrics: bytes = b"",
) -> bytes:
    """A type 1 file of tracks of (onset, end, pitch) in ticks, in 4/4 and C major."""
    file = mido.MidiFile(type=1, ticks_per_beat=ticks, charset="latin-1")
    for number, notes in enumerate(tracks):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name.decode("latin-1"))])
        if not number:
            track.append(mido.MetaMessage("time_signature", numerator=4, denominator=4))
            track.append(mido.MetaMessage("key_signature", key="C"))
        if lyrics:
            track.append(mido.MetaMessage("lyrics", text=lyrics.decode("latin-1")))
        events = [(on, 1, pitch) for on, _, pitch in notes]
        events += [(off, 0, pitch) for _, off, pitch in notes]
        now = 0
        for tick, on, pitch in sorted(events):
            kind = "note_on" if on else "note_off"
            track.append(
                mido.Message(kind, note=pitch, velocity=64, channel=number % 9, time=tick - now)
            )
            now = tick
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def read(data: bytes, **options: str) -> Tune:
    (tune,) = midi.parse(data, "x.mid", **options).tunes
    return tune


def warnings(tune: Tune) -> str:
    return "; ".join(warning.what for warning in tune.warnings)


# --- bytes above 127 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "place"),
    [(b"\x90\x3c", 2), (b"\x80\x3e", 2), (b"\x90\x40", 1)],
    ids=["velocity of a note-on", "velocity of a note-off", "pitch"],
)
def test_a_byte_above_127_is_clipped_as_mido_clips_it(message: bytes, place: int) -> None:
    data = bytearray(file_of(LINE))
    byte = data.index(message) + place
    data[byte] = 200
    theirs, now = [], 0
    for event in mido.MidiFile(file=io.BytesIO(data), clip=True).tracks[0]:
        now += event.time
        if event.type == "note_on" and event.velocity:
            theirs.append((now, event.note))
    tune = read(bytes(data))
    ours = [(n.onset * 480, n.midi) for n in played_notes(tune)]
    # The note whose note-on and note-off have different pitches never ends.
    assert ours == [note for note in theirs if note[1] != 127]
    assert f"read as 127 (track 1, from byte {byte} on): 1" in warnings(tune)


def test_bytes_above_127_are_counted_and_the_rest_is_read() -> None:
    data = file_of(LINE, LINE).replace(b"\x40\x83\x60", b"\xc8\x83\x60")
    tune = read(data)
    assert len(played_notes(tune)) == 8
    assert warnings(tune).count("data bytes above 127") == 2


# --- encodings -------------------------------------------------------------------------------

TITLES = [
    ("utf-8", "Dvořák: さくら"),
    *(("shift_jis", title) for title in ("さくら", "荒城の月", "トルコ行進曲", "桜")),
    *(("gb18030", title) for title in ("茉莉花", "月亮代表我的心", "康定情歌 Kangding")),
    *(("latin-1", title) for title in ("Für Elise", "Größe", "Ça ira, où?", "¡Olé!", "Å, Ætt")),
]


@pytest.mark.parametrize(("encoding", "title"), TITLES)
def test_a_title_is_read_in_the_encoding_that_it_is_written_in(encoding: str, title: str) -> None:
    tune = read(file_of(LINE, name=title.encode(encoding)))
    assert tune.title == title
    assert ("read as" in warnings(tune)) == (encoding in ("shift_jis", "gb18030"))


def test_all_texts_of_a_file_decide_its_encoding_together() -> None:
    """Alone, the title would be taken for Chinese."""
    title = "ﾃﾞﾓ"
    alone = read(file_of(LINE, name=title.encode("shift_jis")))
    assert alone.title != title
    tune = read(file_of(LINE, name=title.encode("shift_jis"), lyrics="さくら".encode("shift_jis")))
    assert tune.title == title


@pytest.mark.parametrize(
    ("tag", "encoding", "title"),
    [(b"{@JP}", "shift_jis", "ﾃﾞﾓ"), (b"{@LATIN}", "latin-1", "ÄÖÜ"), (b"{@latin}", "latin-1", "É")],
)
def test_a_tag_says_the_encoding(tag: bytes, encoding: str, title: str) -> None:
    """Recommended practice RP-026 of the MIDI Manufacturers Association."""
    tune = read(file_of(LINE, name=tag + title.encode(encoding)))
    assert tune.title == title
    assert "encoding" not in warnings(tune)


def test_a_text_in_no_known_encoding_keeps_its_bytes_with_a_warning() -> None:
    tune = read(file_of(LINE, name="Катюша".encode("cp1251")))
    assert tune.title == r"\xca\xe0\xf2\xfe\xf8\xe0"
    assert "texts in an unknown encoding, their bytes written as \\x..: 1" in warnings(tune)


# --- lengths a few ticks off -----------------------------------------------------------------


def changed(number: int, by: int, *, ticks: int = 480) -> list[tuple[int, int, int]]:
    """`LINE` in some resolution, with one note longer or shorter by so many ticks."""
    line = [(a * ticks // 480, b * ticks // 480, pitch) for a, b, pitch in LINE]
    onset, end, pitch = line[number]
    line[number] = onset, end + by, pitch
    return line


def lengths(tune: Tune) -> list[tuple[Fraction, Fraction, int]]:
    return [(n.onset, n.duration, n.midi) for n in played_notes(tune)]


QUARTERS = [(Fraction(i), Fraction(1), pitch) for i, (_, _, pitch) in enumerate(LINE)]


@pytest.mark.parametrize("number", [0, 3, 7], ids=["first", "inside", "last"])
@pytest.mark.parametrize("by", [-20, -15, -10, -5, -3, 3, 5, 10, 15, 20])
def test_one_length_a_few_ticks_off_is_a_quarter(number: int, by: int) -> None:
    """MuseScore 3 imports eight quarters of each."""
    tune = read(file_of(changed(number, by)))
    assert lengths(tune) == QUARTERS
    assert "1 lengths read as clean, at most" in warnings(tune) or number in (0, 3)


@pytest.mark.parametrize(("ticks", "by"), [(96, -2), (96, 2), (192, -4), (1024, 20), (24, -1)])
def test_a_few_ticks_are_a_few_in_any_resolution(ticks: int, by: int) -> None:
    assert lengths(read(file_of(changed(7, by, ticks=ticks), ticks=ticks))) == QUARTERS


def test_the_notes_of_a_chord_and_those_that_overlap_are_cleaned_before_lines_are_made() -> None:
    chords = [(480 * i, 480 * i + 480 - off, 60 + 4 * n) for i in range(4) for n, off in
              ((0, 0), (1, 10), (2, -10))]  # fmt: skip
    tune = read(file_of(chords), voices="all")
    assert not any(bar.overlays for bar in tune.bars)
    assert {duration for _, duration, _ in lengths(tune)} == {1}


def test_one_onset_a_few_ticks_off_is_on_the_beat() -> None:
    line = list(LINE)
    line[2], line[3] = (960, 1450, 64), (1450, 1920, 65)
    tune = read(file_of(line))
    assert lengths(tune) == QUARTERS
    assert "notes that begin a few ticks off, moved: 1" in warnings(tune)


@pytest.mark.parametrize("rest", [60, 80, 120, 160, 240])
def test_a_written_rest_stays(rest: int) -> None:
    """A thirty-second, a triplet sixteenth and longer ones."""
    tune = read(file_of(changed(3, -rest)))
    assert lengths(tune)[3][1] == Fraction(480 - rest, 480)


def test_sixty_fourths_and_their_rests_stay_where_notes_are_struck_on_them() -> None:
    line = [(30 * i, 30 * i + 30, 60 + i % 5) for i in range(32) if i % 4 != 3]
    tune = read(file_of(line))
    assert lengths(tune) == [(Fraction(a, 480), Fraction(30, 480), p) for a, _, p in line]


@pytest.mark.parametrize("length", [10, 20, 30, 45])
def test_a_grace_note_on_the_beat_takes_nothing_from_its_note(length: int) -> None:
    """Before the last note, which ends 10 ticks early."""
    line = [*LINE[:-1], (3360, 3360 + length, 74), (3360 + length, 3830, 72)]
    tune = read(file_of(line))
    assert lengths(tune) == QUARTERS
    (grace,) = [e.marks.grace for bar in tune.bars for e in bar.timed if e.marks.grace]
    assert [note.midi for note in grace.notes] == [74]


# --- grace notes of LilyPond -----------------------------------------------------------------

lilypond = pytest.mark.skipif(shutil.which("lilypond") is None, reason="needs LilyPond")


def midi_of_lilypond(music: str, folder: Path) -> bytes:
    """What LilyPond plays of some music in absolute pitches."""
    source = folder / "score.ly"
    source.write_text(
        '\\version "2.22.0"\n\\score { \\new Staff { \\time 4/4 \\key d \\major ' + music +
        " } \\midi { \\tempo 4=100 } }\n"
    )  # fmt: skip
    subprocess.run(
        ["lilypond", "--silent", f"--output={folder / 'score'}", source],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (written,) = folder.glob("score.mid*")
    return written.read_bytes()


GRACES = {
    "single": "g'4 %grace a'8% b'4 c'' d''",
    "short before eighths": "g'8 %acciaccatura e''8% d''8 c''4 %slashedGrace fis'16% a'8 g' a' b'",
    "long": "g'4 %appoggiatura a'4% b'2 d''4",
    "three": "g'4 %grace {a'16 b' c''}% d''4 %grace {fis'32 g' a' b' c''}% d''2",
    "chord": "g'4 %grace <a' cis''>8% <b' d''>4 %grace <e' a'>16% <fis' b'>2",
    "at the start": "%grace {a'16 b'}% c''4 d'' e'' fis''",
    "triplets": "\\tuplet 3/2 {g'8 %grace a'16% b'8 c''} d''4 e''2",
}


@lilypond
@pytest.mark.slow
@pytest.mark.parametrize("name", GRACES)
@pytest.mark.parametrize("voices", ["melody", "all"])
def test_lilypond_with_graces_is_read_as_lilypond_without(
    name: str, voices: str, tmp_path: Path
) -> None:
    music = f"{GRACES[name]} | d''1 | {GRACES[name]}"
    data = midi_of_lilypond(re.sub(r"%(.*?)%", r"\\\1 ", music), tmp_path)
    (tmp_path / "plain").mkdir()
    plain = midi_of_lilypond(re.sub(r"%.*?%", "", music), tmp_path / "plain")
    tune, expected = read(data, voices=voices), read(plain, voices=voices)
    assert lengths(tune) == lengths(expected)
    assert "performance" not in warnings(tune)
    graces = [e.marks.grace for bar in tune.bars for e in bar.timed if e.marks.grace]
    assert len(graces) == music.count("%") // 2


# --- what may be spent on a file -------------------------------------------------------------


def onsets_of(kind: str, n: int) -> list[int]:
    """Onsets of an unsteady player, or at random, in ticks of 480 a quarter."""
    rng, now, pace, onsets = random.Random(n), 0.0, 1.0, []
    for _ in range(n):
        pace *= 2 ** rng.gauss(0, 0.01)
        step = rng.choice((120, 240, 240, 480)) * pace
        now += step if kind == "unsteady" else rng.randint(20, 400)
        onsets.append(max(round(now + rng.gauss(0, 12)), 0))
    return sorted(set(onsets))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unsteady", "random"])
@pytest.mark.parametrize("n", [200, 1000, 2200, 5000, 12_000])
def test_no_performance_of_100_kilobytes_takes_more_than_three_seconds(kind: str, n: int) -> None:
    data = file_of([(at, at + 15, 60 + at % 12) for at in onsets_of(kind, n)])
    assert len(data) < 110_000
    with within(3), contextlib.suppress(ParseError):
        read(data)


@pytest.mark.slow
def test_the_patterns_of_a_file_share_what_may_be_spent() -> None:
    data = bytearray(file_of(*([(at, at + 15, 60) for at in onsets_of("random", 150)],) * 16))
    data[9] = 2
    with within(3), pytest.raises(ParseError):
        midi.parse(bytes(data))


def test_what_is_too_long_to_follow_is_refused_at_once() -> None:
    data = file_of([(at, at + 15, 60 + at % 12) for at in onsets_of("unsteady", 12_000)])
    with within(3), pytest.raises(ParseError, match=r"too long to follow \(\d+ onsets\); cut"):
        midi.parse(data)
