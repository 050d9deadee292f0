"""Playing order and sounding notes, against what a musician would play."""

from __future__ import annotations

import importlib.util
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from symusic import Score

from musicgen.errors import InvalidTuneError
from musicgen.formats.abc_notation import parse_text
from musicgen.music import playback
from musicgen.music.theory import Key, Pitch
from musicgen.music.tune import Bar, Change, Chord, Marks, Note, Rest, Tempo, Tune, Voice

STEPS = {letter: Pitch(letter, 0, 4) for letter in "ABCDEFG"}


def note(letter: str, *, tie: bool = False, marks: Marks | None = None) -> Note:
    return Note(STEPS[letter], Fraction(1), tie, marks=marks or Marks())


def bar(letter: str, *, mark: str = "", part: str = "", **written: object) -> Bar:
    """A bar of one quarter note; `mark` is a decoration on it."""
    label = (Change(part=part),) if part else ()
    marks = Marks(decorations=(mark,) if mark else ())
    return Bar(events=(*label, note(letter, marks=marks)), **written)  # type: ignore[arg-type]


def tune(*bars: Bar, parts: str = "") -> Tune:
    return Tune(voices=(Voice(bars=bars),), parts=parts)


def played(*bars: Bar, parts: str = "") -> str:
    """Letters of the bars in playing order."""
    piece = tune(*bars, parts=parts)
    (order,) = playback.playing_order(piece)
    return "".join(next(bars[i].timed).pitch.step for i in order)  # type: ignore[union-attr]


END = {"repeat_end": 1}
START = {"repeat_start": True}

ORDERS = [
    ("nothing to repeat", [bar("A"), bar("B")], "AB"),
    ("a repeat without a start goes back to the beginning", [bar("A"), bar("B", **END)], "ABAB"),
    ("and the next to the end of the last", [bar("A", **END), bar("B", **END)], "AABB"),
    ("a start sign is obeyed", [bar("A"), bar("B", **START, **END)], "ABB"),
    (
        "once something was repeated, a double bar moves the start",
        [bar("A", **END), bar("B", barline="||"), bar("C", **END)],
        "AABCC",
    ),
    (
        "before that it does not",
        [bar("A", barline="||"), bar("B", **END)],
        "ABAB",
    ),
    ("a final bar does", [bar("A", barline="|]"), bar("B", **END)], "ABB"),
    ("two extra times", [bar("A", repeat_start=True, repeat_end=2), bar("B")], "AAAB"),
    ("an unclosed repeat is played once", [bar("A", **START), bar("B")], "AB"),
    (
        "two endings",
        [
            bar("A", **START),
            bar("B", volta=(1,), **END),
            bar("C", volta=(2,), barline="||"),
            bar("D"),
        ],
        "ABACD",
    ),
    (
        "a second ending that is closed by a repeat sign is not repeated",
        [bar("A"), bar("B", volta=(1,), **END), bar("C", volta=(2,), **END), bar("D", **END)],
        "ABACDD",
    ),
    (
        "a first ending without its repeat sign",
        [bar("A"), bar("B", volta=(1,)), bar("C", volta=(2,))],
        "ABAC",
    ),
    (
        "lists of passes",
        [bar("A"), bar("B", volta=(1, 3), **END), bar("C", volta=(2, 4), barline="|]")],
        "ABACABAC",
    ),
    (
        "an ending of several bars",
        [bar("A"), bar("B", volta=(1,)), bar("C", **END), bar("D", volta=(2,)), bar("E")],
        "ABCADE",
    ),
    (
        "only the second ending is numbered",
        [bar("A"), bar("B", **END), bar("C", volta=(2,), barline="||")],
        "ABABC",
    ),
    (
        "only the first ending is numbered",
        [bar("A"), bar("B", volta=(1,), **END), bar("C", barline="||"), bar("D")],
        "ABACD",
    ),
    (
        "endings twice, the first pair's end unmarked",
        [
            bar("A"),
            bar("B", volta=(1,), **END),
            bar("C", volta=(2,)),
            bar("D"),
            bar("E", volta=(1,), **END),
            bar("F", volta=(2,), barline="|]"),
        ],
        "ABACDEDF",
    ),
    ("da capo", [bar("A"), bar("B", mark="D.C.")], "ABAB"),
    (
        "da capo al fine, after the repeats and then without them",
        [bar("A", mark="fine", **END), bar("B", mark="D.C.alfine", **END)],
        "AABBA",
    ),
    (
        "dal segno al fine",
        [bar("A"), bar("B", mark="segno"), bar("C", mark="fine"), bar("D", mark="D.S.")],
        "ABCDBC",
    ),
    (
        "dal segno al coda",
        [
            bar("A"),
            bar("B", mark="segno"),
            bar("C", mark="dacoda"),
            bar("D", mark="D.S.alcoda"),
            bar("E", mark="coda"),
        ],
        "ABCDBCE",
    ),
    (
        "two coda signs",
        [bar("A", mark="coda"), bar("B", mark="D.C.alcoda"), bar("C", mark="coda")],
        "ABAC",
    ),
    ("dal segno without a sign is ignored", [bar("A"), bar("B", mark="D.S.")], "AB"),
    ("a fine alone does not stop anything", [bar("A", mark="fine"), bar("B")], "AB"),
]


@pytest.mark.parametrize(("bars", "order"), [o[1:] for o in ORDERS], ids=[o[0] for o in ORDERS])
def test_bars_are_played_in_the_order_a_musician_would(bars: list[Bar], order: str) -> None:
    assert played(*bars) == order


@pytest.mark.parametrize(
    ("parts", "order"),
    [
        ("ABA", "AABBAA"),
        ("A2B", "AAAABB"),
        ("A(BA)2", "AABBAABBAA"),
        ("A.B", "AABB"),
        ("Variations", "AABB"),
        ("ABX", "AABB"),
        ("A(B", "AABB"),
    ],
)
def test_parts_are_played_as_the_heading_orders_them(parts: str, order: str) -> None:
    bars = bar("A", part="A", **END), bar("B", part="B", **END)
    assert played(*bars, parts=parts) == order


def test_music_before_the_first_part_is_played_first() -> None:
    assert played(bar("C"), bar("A", part="A"), bar("B", part="B"), parts="BA") == "CBA"


@pytest.mark.parametrize(
    "piece",
    [
        tune(bar("A", repeat_end=10**9)),
        tune(bar("A"), bar("B", volta=(10**12,))),
        tune(bar("A", part="A"), parts="((((((A9)9)9)9)9)9"),
        tune(bar("A", part="A"), parts="A999999"),
    ],
    ids=["repeat", "volta", "nested parts", "part count"],
)
def test_absurd_repeats_are_refused_before_they_are_expanded(piece: Tune) -> None:
    with pytest.raises(InvalidTuneError, match="shorten the repeats"):
        playback.playing_order(piece)


def test_voices_share_their_repeat_marks() -> None:
    first = Voice(bars=(bar("A", **END), bar("B")))
    second = Voice(bars=(bar("C"), bar("D")))
    assert playback.playing_order(Tune(voices=(first, second))) == ((0, 0, 1), (0, 0, 1))


def test_unfolding_twice_changes_nothing_more() -> None:
    once = playback.unfold(tune(bar("A"), bar("B", volta=(1,), **END), bar("C", volta=(2,))))
    assert playback.unfold(once) == once
    assert [n.midi for n in playback.played_notes(once)] == [69, 71, 69, 60]


def test_tied_notes_sound_as_one_across_bar_lines() -> None:
    bars = Bar(events=(note("A"), note("B", tie=True))), Bar(events=(note("B"), note("B")))
    sounding = [(n.onset, n.duration, n.midi) for n in playback.played_notes(tune(*bars))]
    assert sounding == [(0, 1, 69), (1, 2, 71), (3, 1, 71)]


def test_a_tie_to_another_pitch_or_over_a_rest_joins_nothing() -> None:
    events = (note("A", tie=True), note("B", tie=True), Rest(Fraction(1)), note("B"))
    assert [n.duration for n in playback.played_notes(tune(Bar(events=events)))] == [1, 1, 1]


def test_a_tie_into_the_second_ending_holds_there_too() -> None:
    body = Bar(events=(note("A", tie=True),), repeat_start=True)
    bars = body, bar("A", volta=(1,), **END), bar("A", volta=(2,))
    assert [n.duration for n in playback.played_notes(tune(*bars))] == [2, 2]


def test_chord_notes_and_overlays_sound_together_and_tie_by_pitch() -> None:
    chord = Chord((note("C", tie=True), note("E")), Fraction(1))
    first = Bar(events=(chord,), overlays=((note("G"),),))
    second = Bar(events=(Chord((note("C"), note("F")), Fraction(1)),))
    sounding = [(n.onset, n.duration, n.midi) for n in playback.played_notes(tune(first, second))]
    assert sounding == [(0, 2, 60), (0, 1, 64), (0, 1, 67), (1, 1, 65)]


def test_a_tie_of_one_line_outlasts_the_same_pitch_in_another() -> None:
    first = Bar(events=(note("B"), note("G")), overlays=((Rest(Fraction(1)), note("B", tie=True)),))
    notes = playback.played_notes(tune(first, Bar(events=(note("B"),))))
    assert sorted((n.onset, n.duration) for n in notes if n.midi == 71) == [(0, 1), (1, 2)]


def test_tempo_and_key_changes_are_placed_in_played_time() -> None:
    faster = Change(tempo=Tempo(Fraction(60), Fraction(3, 2)))
    bars = bar("A", **END), Bar(events=(faster, Change(key=Key("D")), note("B")))
    piece = Tune(voices=(Voice(bars=bars),), tempo=Tempo(Fraction(120)))
    assert playback.tempo_map(piece) == [(0, 120), (2, 90)]
    assert [at for at, _ in playback.timeline(piece).changes] == [2, 2]


def test_a_melody_is_the_written_line_with_ties_joined_and_the_top_of_chords() -> None:
    chord = Chord((note("E"), note("G"), note("C")), Fraction(1))
    events = (note("A", tie=True), note("A"), Rest(Fraction(1)), chord)
    bars = Bar(events=events, repeat_end=1), bar("B")
    assert playback.melody(Voice(bars=bars)) == [(69, 2), (None, 1), (67, 1), (71, 1)]


def test_many_jumps_stay_cheap() -> None:
    bars = [bar("A", mark="D.C.") for _ in range(300)]
    assert len(played(*bars)) < 10 * len(bars)


# --- against abc2midi ----------------------------------------------------------------------------

BODIES = [
    "A4|B4:|c4|d4:|",
    "A4|B4||c4:|d4||e4:|",
    "|:A4|B4:|c4|d4||e4:|",
    "|:A4|[1,3B4:|[2,4c4:|d4|",
    "|:A4|[1-3B4:|[4c4||",
    "|:A4|1B4:|2c4||d4|]",
    "A4|1B4:|2c4|]",
    "|:A4::B4:|c4|",
    "|:A4-|A4:|B4-|B4|",
    "P:A\nA4|\nP:B\nB4|]",
    "|:A2B2|[1c2-c2:|[2c2d2|]",
]


@pytest.fixture(scope="module")
def oracle() -> Path:
    """The abc2midi that comes inside the symusic package."""
    spec = importlib.util.find_spec("symusic")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "abc2midi"


@pytest.mark.parametrize("body", BODIES)
def test_abc2midi_plays_the_same_notes(body: str, oracle: Path, tmp_path: Path) -> None:
    parts = "P:ABBA\n" if "P:" in body else ""
    text = f"X:1\nT:t\n{parts}M:4/4\nL:1/4\nK:C\n{body}\n"
    (tmp_path / "t.abc").write_text(text)
    command = [oracle, tmp_path / "t.abc", "-o", tmp_path / "t.mid"]
    subprocess.run(command, check=True, capture_output=True)
    score = Score.from_file(tmp_path / "t.mid")
    quarter = score.tpq  # its first note starts a tick late
    theirs = [
        (round(n.time / quarter), round(n.duration / quarter), n.pitch)
        for track in score.tracks
        for n in track.notes
    ]
    (tune,) = parse_text(text).tunes
    ours = [(n.onset, n.duration, n.midi) for n in playback.played_notes(tune)]
    assert ours == theirs
