"""Whole tunes in other keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen.errors import ConfigError
from musicgen.formats.abc_notation import parse, to_abc
from musicgen.music.playback import played_notes
from musicgen.music.transposition import transpose
from musicgen.music.tune import Change, Tune

TEXT = 'X:1\nT:Test\nM:4/4\nL:1/8\nK:D\n"D"F2{g}A2 "A7/C#"[ce]4|[K:Bm]"Bm"B4 ^A4|]\n'


def tune() -> Tune:
    return parse(TEXT.encode(), "").tunes[0]


@pytest.mark.parametrize(
    ("to", "key", "symbols"),
    [
        ("G", "G major", ["G", "D7/F#", "Em"]),
        ("+2", "E major", ["E", "B7/D#", "C#m"]),
        ("-12", "D major", ["D", "A7/C#", "Bm"]),
        ("Bb", "Bb major", ["Bb", "F7/A", "Gm"]),
    ],
)
def test_key_and_chord_symbols_move_with_the_notes(to: str, key: str, symbols: list[str]) -> None:
    moved = transpose(tune(), to)
    assert str(moved.key) == key
    found = [e.marks.chord_symbol for e in moved.voices[0].events if e.marks.chord_symbol]
    assert found == symbols


def test_grace_notes_and_changes_of_key_move_too() -> None:
    moved = transpose(tune(), "G")
    assert "{c'}" in to_abc(moved)
    keys = [e.key for bar in moved.bars for e in bar.events if isinstance(e, Change)]
    assert list(map(str, keys)) == ["E minor"]


@given(st.integers(-24, 24))
def test_every_note_moves_by_the_same_semitones_and_back(semitones: int) -> None:
    moved = transpose(tune(), f"{semitones:+d}")
    before, after = (sorted(n.midi for n in played_notes(t)) for t in (tune(), moved))
    assert after == [midi + semitones for midi in before]
    assert played_notes(transpose(moved, f"{-semitones:+d}")) == played_notes(tune())


@pytest.mark.parametrize("to", ["H", "+25", "up", ""])
def test_what_is_neither_a_key_nor_semitones_is_an_error(to: str) -> None:
    with pytest.raises(ConfigError, match=f"transpose '\\{to}'" if to[:1] == "+" else "transpose"):
        transpose(tune(), to)
