"""MIDI files with faults that other programs write: bytes above 127, texts in other encodings,
lengths a few ticks off, grace notes played before the beat."""

from __future__ import annotations

import io
from collections.abc import Sequence

import mido
import pytest

from musicgen.formats import midi
from musicgen.music.playback import played_notes
from musicgen.music.tune import Tune

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
                mido.Message(kind, note=pitch, velocity=64, channel=number, time=tick - now)
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
