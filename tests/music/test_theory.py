"""Theory against textbook facts and against music21."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen.music import theory
from musicgen.music.theory import Interval, Key, Meter, Pitch

KEYS = [
    Key(f"{s}{a}", mode) for s in "ABCDEFG" for a in ("", "#", "b") for mode in theory.MODE_FIFTHS
]
USUAL_KEYS = [key for key in KEYS if abs(key.fifths) <= 7]


@pytest.mark.parametrize("key", USUAL_KEYS, ids=str)
def test_signatures_agree_with_music21(key: Key) -> None:
    from music21.key import Key as Music21Key

    other = Music21Key(key.tonic.replace("b", "-"), key.mode)
    altered = {p.step: int(p.alter) for p in other.alteredPitches}
    assert key.fifths == other.sharps
    assert key.signature == {step: altered.get(step, 0) for step in "ABCDEFG"}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("D", Key("D")),
        ("Dm", Key("D", "minor")),
        ("D minor", Key("D", "minor")),
        ("Ador", Key("A", "dorian")),
        ("F# mixolydian", Key("F#", "mixolydian")),
        ("bb", Key("Bb")),
        ("B♭ Lydian", Key("Bb", "lydian")),
        ("E AEOLIAN", Key("E", "minor")),
        ("GM", Key("G", "minor")),  # capitals do not matter in ABC
        ("", None),
        ("H", None),
        ("D banana", None),
        ("Dmi", None),
    ],
)
def test_keys_are_read_in_every_spelling(text: str, key: Key | None) -> None:
    assert theory.parse_key(text) == key


@given(st.sampled_from(KEYS))
def test_a_key_reads_back_from_its_name(key: Key) -> None:
    assert theory.parse_key(str(key)) == key


@pytest.mark.parametrize(
    ("text", "bar", "beats"),
    [
        ("6/8", 3, ["3/2", "3/2"]),
        ("9/8", Fraction(9, 2), ["3/2"] * 3),
        ("3/4", 3, [1, 1, 1]),
        ("3/8", Fraction(3, 2), ["1/2"] * 3),
        ("C", 4, [1] * 4),
        ("C|", 4, [2, 2]),
        ("2+3/8", Fraction(5, 2), [1, "3/2"]),
        ("(2+3)/8", Fraction(5, 2), [1, "3/2"]),
        ("none", None, []),
    ],
)
def test_meters_know_their_bar_and_beats(
    text: str, bar: Fraction | None, beats: list[int | str]
) -> None:
    meter = theory.parse_meter(text)
    assert meter is not None
    assert meter.bar_duration == bar
    assert meter.beat_durations == tuple(Fraction(b) for b in beats)


@pytest.mark.parametrize("text", ["", "6", "6/0", "6/7", "0/4", "6/128", "x/8", "9999/8"])
def test_what_is_no_meter_is_none(text: str) -> None:
    assert theory.parse_meter(text) is None


def test_the_default_unit_follows_the_meter() -> None:
    short, long = Meter((2,), 4), Meter((3,), 4)
    assert theory.default_unit(short) == Fraction(1, 4)
    assert theory.default_unit(long) == Fraction(1, 2)
    assert theory.default_unit(theory.FREE_METER) == Fraction(1, 2)


@given(st.integers(0, 127), st.sampled_from(USUAL_KEYS))
def test_spelling_keeps_the_pitch(midi: int, key: Key) -> None:
    assert theory.spell(midi, key).midi == midi


@given(st.sampled_from(USUAL_KEYS), st.sampled_from("ABCDEFG"))
def test_notes_of_the_scale_are_spelled_as_the_signature_has_them(key: Key, step: str) -> None:
    pitch = Pitch(step, key.signature[step], 4)
    assert theory.spell(pitch.midi, key) == pitch


@pytest.mark.parametrize(
    ("midi", "key", "name"),
    [(61, Key("D", "minor"), "C#4"), (66, Key("G", "minor"), "F#4"), (70, Key("C"), "Bb4")],
)
def test_chromatic_notes_are_spelled_as_musicians_expect(midi: int, key: Key, name: str) -> None:
    assert theory.spell(midi, key).name == name


@given(st.sampled_from(USUAL_KEYS), st.sampled_from(USUAL_KEYS), st.integers(40, 90))
def test_transposing_there_and_back_sounds_the_same(low: Key, high: Key, midi: int) -> None:
    there = Interval.between(low, high)
    pitch = theory.spell(midi, low)
    moved = theory.transpose_pitch(pitch, there)
    assert moved.midi == midi + there.semitones
    assert abs(there.semitones) <= 6
    back = Interval(-there.steps, -there.semitones)
    assert theory.transpose_pitch(moved, back).midi == midi


@given(st.sampled_from("ABCDEFG"), st.integers(-2, 2), st.integers(0, 9))
def test_a_pitch_is_its_staff_position_and_alteration(step: str, alter: int, octave: int) -> None:
    pitch = Pitch(step, alter, octave)
    assert Pitch.from_diatonic(pitch.diatonic, alter) == pitch


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Slipjig", "slip jig"),
        ("slip-jig", "slip jig"),
        ("Double  Jig", "jig"),
        ("REELS", "reel"),
        ("", ""),
        ("Gavotte", "gavotte"),
        ("Xiaodiao", "xiaodiao"),
    ],
)
def test_rhythms_have_one_name(text: str, name: str) -> None:
    assert theory.canonical_rhythm(text) == name


KEYS = [Key(theory.tonic_name(m, pc), m) for m in theory.KEY_PROFILES for pc in range(12)]


def best_fit(durations: Sequence[float]) -> Key:
    return max(KEYS, key=lambda key: theory.profile_fit(durations, key))


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_a_key_profile_is_recognised_as_its_own_key(tonic: int, mode: str) -> None:
    profile = theory.KEY_PROFILES[mode]
    key = best_fit([profile[(i - tonic) % 12] for i in range(12)])
    assert (key.tonic_pitch_class, key.mode) == (tonic, mode)
    assert abs(key.fifths) <= 6


def test_equal_durations_fit_every_key_alike() -> None:
    assert {theory.profile_fit([1] * 12, key) for key in KEYS} == {0}


def test_key_estimates_agree_with_music21() -> None:
    from music21 import analysis, note, stream

    line = [62, 66, 69, 74, 73, 71, 69, 67, 66, 64, 62, 61, 62]
    durations = [sum(m % 12 == pc for m in line) for pc in range(12)]
    score = stream.Stream([note.Note(m) for m in line])
    theirs = analysis.discrete.KrumhanslKessler(score).getSolution(score)
    ours = best_fit(durations)
    assert (ours.tonic, ours.mode) == (theirs.tonic.name.replace("-", "b"), theirs.mode)
