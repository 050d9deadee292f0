"""Continuing in parts: what was given stays to the tick, in the same voices, on the beat."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mido
import pytest

from musicgen.composer import PolyphonicComposer
from musicgen.composer.prompts.unfinished_parts import UnfinishedParts
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ControlError
from musicgen.formats import read, write
from musicgen.music.playback import played_notes, timeline
from musicgen.music.tune import Tune
from musicgen.music.validation import validate
from musicgen.tokens.vocabulary import Vocabulary
from tests.pieces import CHOIR_PARTS, CHORALE, SONG, SONG_PARTS, THEME, UNFINISHED, tune, untrained

HALF = CHORALE.replace("(d B) A2 | G3 |]", "").replace("G G F2 | D3 |]", "")
HALF = (
    HALF.replace("d d d c | B3 |]", "").replace("B,, G,, D,2 | G,,3 |]", "").replace("G- |", "G |")
)
# Voices that stop at different places inside a bar.
RAGGED = "X:1\nM:4/4\nL:1/4\nK:C\nV:1\nefga|g\nV:2\nc2 d3/2 z/|zz/e/\nV:3\nC,4|\n"
SILENT = "X:1\nM:3/4\nL:1/4\nK:Dm\nV:1\nA2d|f3|\nV:2\nz3|z3|\nV:3\nD,3|D,3|z3|z3|]\n"


@pytest.fixture(scope="module")
def choir() -> PolyphonicComposer:
    return PolyphonicComposer(untrained(parts=CHOIR_PARTS))


@pytest.fixture(scope="module")
def band() -> PolyphonicComposer:
    return PolyphonicComposer(untrained(parts=SONG_PARTS))


def assert_continued(given: Tune, whole: Tune, begin: Fraction) -> None:
    """What every continuation must be: the same notes, and new ones from `begin` on."""
    before, after = played_notes(given), played_notes(whole)
    assert [n for n in after if n.onset < begin] == before
    assert min(n.onset for n in after if n not in before) == begin
    assert [replace(v, bars=()) for v in whole.voices] == [
        replace(v, bars=()) for v in given.voices
    ]
    assert len({sum(bar.duration for bar in voice.bars) for voice in whole.voices}) == 1
    assert not [p for p in validate(whole) if p.kind in ("length", "tie")]


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        (HALF, 5),
        (RAGGED, 6),
        (SILENT, 6),
        (THEME.read_text(), 32),
        (UNFINISHED.read_text(), 48),
        (SONG, 9),
    ],
    ids=["chorale", "ragged", "silent", "theme", "unfinished", "song"],
)
def test_what_was_given_stays_and_the_rest_begins_on_the_beat(
    choir: PolyphonicComposer, text: str, begin: int
) -> None:
    given = tune(text)
    for take in choir.continuations(given, 3, SamplingConfig(seed=1)):
        assert_continued(given, take.tune, Fraction(begin))


@pytest.mark.parametrize("text", [HALF, SONG, RAGGED])
def test_a_model_of_other_instruments_goes_on_in_the_given_ones(
    band: PolyphonicComposer, text: str
) -> None:
    given = tune(text)
    for take in band.continuations(given, 2, SamplingConfig(seed=1)):
        begin = min(n.onset for n in played_notes(take.tune) if n not in played_notes(given))
        assert_continued(given, take.tune, begin)


def test_bars_are_the_full_bars_of_the_whole(choir: PolyphonicComposer) -> None:
    given = tune(HALF)
    whole = choir.continue_(given, bars=6, seed=3)
    assert timeline(whole).duration == 24
    assert whole.bars[-1].barline == "|]"
    assert whole.bars[:1] == given.bars[:1]
    assert len(choir.continue_(tune(THEME.read_text()), seed=3).bars) == 16


def test_a_midi_theme_goes_on_tick_by_tick_in_its_tracks(
    choir: PolyphonicComposer, tmp_path: Path
) -> None:
    given = tune(THEME.read_text())
    whole = choir.continue_(given, bars=10, seed=1)
    write(given, tmp_path / "theme.mid")
    write(whole, tmp_path / "whole.mid")
    short, long = (mido.MidiFile(tmp_path / f"{name}.mid") for name in ("theme", "whole"))
    assert short.ticks_per_beat == long.ticks_per_beat
    assert [t.name for t in short.tracks] == [t.name for t in long.tracks]
    for one, other in zip(short.tracks[1:], long.tracks[1:], strict=True):
        assert [m.program for m in one if m.type == "program_change"] == [
            m.program for m in other if m.type == "program_change"
        ]
        notes = [m for m in one if m.type in ("note_on", "note_off")]
        assert [m for m in other if m.type in ("note_on", "note_off")][: len(notes)] == notes


def test_a_symphony_s_theme_in_a_midi_file_goes_on_on_the_beat(
    choir: PolyphonicComposer, tmp_path: Path
) -> None:
    """Sixteen bars in 3/4: cellos and basses, then oboe and clarinet, who all go on."""
    theme, whole = tmp_path / "theme.mid", tmp_path / "whole.mid"
    write(tune(UNFINISHED.read_text()), theme)
    (given,) = read(theme, all_voices=True)
    write(choir.continue_(given, bars=24, seed=1), whole)
    short, long = mido.MidiFile(theme), mido.MidiFile(whole)
    bar = 3 * short.ticks_per_beat
    assert (long.type, long.ticks_per_beat) == (short.type, short.ticks_per_beat)
    assert len(long.tracks) == len(short.tracks) == 5
    starts = []
    for one, other in zip(short.tracks, long.tracks, strict=True):
        assert one.name == other.name
        before, after = timed(one), timed(other)
        assert [m for m in after if m[1].type == "program_change"] == [
            m for m in before if m[1].type == "program_change"
        ]
        assert [m for m in after if m[0] < 16 * bar or m in before] == before
        starts += [at for at, m in after if m.type == "note_on" and (at, m) not in before]
    assert {m.program for track in long.tracks for m in track if m.type == "program_change"} == {
        68, 71, 42, 43,
    }  # fmt: skip
    assert min(starts) == 16 * bar
    assert max(at for track in long.tracks for at, m in timed(track)) == 24 * bar


def timed(track: mido.MidiTrack) -> list[tuple[int, mido.Message]]:
    """Notes and programs of a track, each at its tick."""
    now, found = 0, []
    for message in track:
        now += message.time
        if message.type in ("note_on", "note_off", "program_change"):
            found.append((now, message.copy(time=0)))
    return found


def test_parts_are_heard_in_the_register_that_they_are_in() -> None:
    vocabulary = Vocabulary(untrained(parts=CHOIR_PARTS).vocab)
    low = UnfinishedParts.read(tune(THEME.read_text()), None, vocabulary)
    assert low.slots == (2, 3)
    assert low.known_tokens[6:10] == tuple(f"Part_{name}" for name in CHOIR_PARTS)
    assert low.tokens[8:10] == ("Part_line.42", "Part_line.43")
    assert UnfinishedParts.read(tune(HALF), None, vocabulary).slots == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("text", "bars", "message"),
    [
        (HALF, 1, "bars 1: the piece has 1; ask for more"),
        ("X:1\nM:4/4\nK:C\nz8|", None, "cannot be continued: no notes"),
        ("X:1\nM:5/4\nK:C\nA10|", None, "the model knows no 5/4; it knows 3/4, 4/4, 6/8"),
        (
            "X:1\nM:4/4\nL:1/4\nK:C\nABcd|[M:3/4]ABc|",
            None,
            "cannot be continued: the meter changes; give a part in one meter",
        ),
        (
            "X:1\nM:4/4\nL:1/4\nK:C\n" + "".join(f"V:{i}\nABcd|\n" for i in range(5)),
            None,
            "it has 5 parts; the model knows at most 4",
        ),
    ],
)
def test_what_the_model_cannot_follow_is_refused(
    choir: PolyphonicComposer, text: str, bars: int | None, message: str
) -> None:
    with pytest.raises(ControlError) as error:
        choir.continue_(tune(text), bars=bars)
    assert str(error.value) == message


def test_an_abc_file_is_read_like_any_other(choir: PolyphonicComposer) -> None:
    (given,) = read(THEME)
    assert choir.continue_(given, seed=2).n_notes > given.n_notes


def test_a_midi_file_goes_on_in_its_own_tracks_with_everything_else_as_it_was(
    choir: PolyphonicComposer, tmp_path: Path
) -> None:
    file = mido.MidiFile(ticks_per_beat=960)
    file.add_track("Song").append(mido.MetaMessage("set_tempo", tempo=550_001))
    for name, channel, pitches in (("Low", 5, [47, 52]), ("High", 0, [66, 67]), ("Kit", 9, [38])):
        track = file.add_track(name)
        track.append(mido.Message("program_change", program=40, channel=channel))
        for pitch in pitches * 4:
            track.append(mido.Message("note_on", note=pitch, velocity=71, channel=channel))
            track.append(mido.Message("note_off", note=pitch, time=960, channel=channel))
    path, target = tmp_path / "band.mid", tmp_path / "whole.mid"
    file.save(path)
    take = next(choir.continuations(read(path, all_voices=True)[0], 1, SamplingConfig(seed=1)))
    take.write(target)
    whole = mido.MidiFile(target)
    assert whole.ticks_per_beat == 960
    new = []
    for before, after in zip(file.tracks, whole.tracks, strict=True):
        assert list(after)[: len(before)] == list(before)
        rest = [m for m in list(after)[len(before) :] if m.type == "note_on"]
        new.append({(m.channel, m.velocity) for m in rest})
    assert new == [set(), {(5, 71)}, {(0, 71)}, set()]
