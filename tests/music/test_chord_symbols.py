"""Chord symbols against what the notes of each chord are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen.music.chord_symbols import NO_CHORD, QUALITIES, ChordSymbol, parse_chord

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

CHORDS = [
    ("G", "G B D"),
    ("Am", "A C E"),
    ("Bdim", "B D F"),
    ("Caug", "C E Ab"),
    ("D7", "D F# A C"),
    ("Em7", "E G B D"),
    ("Fmaj7", "F A C E"),
    ("F#m7b5", "F# A C E"),
    ("Bb6", "Bb D F G"),
    ("Asus4", "A D E"),
    ("Dsus2", "D E A"),
    ("E5", "E B"),
    ("B♭m", "Bb C# F"),
    ("C°7", "C Eb F# A"),
    ("Gadd9", "G B D A"),
    ("Dm(maj7)", "D F A C#"),
]


@pytest.mark.parametrize(("symbol", "notes"), CHORDS)
def test_a_symbol_means_these_notes(symbol: str, notes: str) -> None:
    chord = parse_chord(symbol)
    assert chord is not None
    assert [NAMES[pitch] for pitch in chord.pitch_classes] == notes.split()
    assert chord.bass == chord.root


@pytest.mark.parametrize(
    ("symbol", "bass"), [("G/B", 11), ("D/f#", 6), ("D/f+", 6), ("C/Bb", 10), ("Am/G", 7)]
)
def test_the_note_after_the_stroke_is_the_bass(symbol: str, bass: int) -> None:
    chord = parse_chord(symbol)
    assert chord is not None
    assert chord.bass == bass


def test_a_chord_in_brackets_is_for_the_eye() -> None:
    assert parse_chord("G(Em)") == parse_chord("G") == parse_chord("(G)")


def test_no_chord_is_silence() -> None:
    assert parse_chord("N.C.") == NO_CHORD
    assert NO_CHORD.pitch_classes == ()


@pytest.mark.parametrize("text", ["", "Fine", "H7", "slow", "Da Capo", "/B", "G/H", "A" * 99])
def test_other_words_are_no_chords(text: str) -> None:
    assert parse_chord(text) is None


@given(
    st.sampled_from(NAMES),
    st.sampled_from([spelling for spellings, _ in QUALITIES for spelling in spellings]),
)
def test_every_kind_is_the_same_on_every_root(root: str, kind: str) -> None:
    chord, on_c = parse_chord(root + kind), parse_chord("C" + kind)
    assert chord is not None
    assert on_c is not None
    shift = NAMES.index(root)
    assert chord == ChordSymbol((on_c.root + shift) % 12, on_c.intervals, (on_c.bass + shift) % 12)


def test_no_spelling_means_two_chords() -> None:
    spellings = [spelling for group, _ in QUALITIES for spelling in group]
    assert len(spellings) == len(set(spellings))
