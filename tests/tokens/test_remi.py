"""Remi tokens: what a piece keeps of a tune, and that tokens and notation give it back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen.errors import InvalidTuneError
from musicgen.music.playback import played_notes
from musicgen.music.theory import Key, Meter
from musicgen.tokens.remi.encoding import (
    decode,
    encode,
    in_key,
    key_shift,
    parse_token,
    token_distance,
)
from musicgen.tokens.remi.notation import tune_of
from musicgen.tokens.remi.pieces import (
    TICKS,
    Piece,
    PiecePart,
    bar_lines,
    bar_ticks,
    is_polyphonic,
    piece_of,
    plain_meter,
)
from musicgen.tokens.vocabulary import Vocabulary
from tests.pieces import CHORALE, SONG, THEME, tune

METERS = [
    Meter((n,), u) for n, u in [(2, 4), (3, 4), (4, 4), (6, 8), (9, 8), (5, 8), (3, 2), (7, 16)]
]


def test_a_chorale_in_tokens_reads_as_the_docstring_says() -> None:
    piece, dropped = piece_of(tune(CHORALE))
    tokens = encode(piece)
    assert tokens[:6] == ["M:4/4", "K:G", "mode:major", "up:1", "tens:0", "ones:4"]
    assert tokens[6:10] == [f"Part_{v}.52" for v in ("soprano", "alto", "tenor", "bass")]
    assert tokens[10:16] == [
        *("Bar_None", "TimeSig_4/4", "Position_72", "Program_0", "Pitch_79", "Duration_1.0.24")
    ]
    assert tokens.count("Bar_None") == piece.n_bars == 4
    assert +dropped == {"slurs": 1}


@pytest.mark.parametrize("text", [CHORALE, SONG, THEME.read_text()])
def test_tokens_and_notation_give_a_piece_back(text: str) -> None:
    given_tune = tune(text)
    piece, _ = piece_of(given_tune)
    assert decode(encode(piece)) == piece
    written = tune_of(piece)
    again, dropped = piece_of(written)
    assert again.parts == piece.parts
    assert again == piece
    assert not +dropped
    assert played_notes(written) == played_notes(given_tune)


def test_a_tie_is_one_note_and_a_pickup_stands_at_the_end_of_its_bar() -> None:
    piece, _ = piece_of(tune(CHORALE))
    assert (piece.pickup, piece.before_music) == (24, 72)
    assert piece.parts[0].notes[0] == (72, 24, 74)
    assert (168, 48, 67) in piece.parts[1].notes
    assert bar_lines(piece) == [0, 96, 192, 288, 384]
    assert max(part.end for part in piece.parts) == 384 - 24


@st.composite
def pieces(draw: st.DrawFn) -> Piece:
    meter = draw(st.sampled_from(METERS))
    key = Key(
        draw(st.sampled_from(["C", "F#", "Bb", "E", "Db"])),
        draw(st.sampled_from(["major", "dorian"])),
    )
    full, parts = bar_ticks(meter), []
    for _ in range(draw(st.integers(1, 4))):
        role = draw(st.sampled_from(["line", "chords", "bass"]))
        onset, notes = 0, []
        for _ in range(draw(st.integers(1, 8))):
            onset += draw(st.integers(0, 30))
            duration = draw(st.integers(1, 4 * TICKS))
            pitches = draw(st.sets(st.integers(30, 90), min_size=1, max_size=3))
            for midi in sorted(pitches) if role == "chords" else [min(pitches)]:
                notes.append((onset, duration, midi))
            onset += duration
        parts.append(PiecePart(role, draw(st.sampled_from([None, 0, 52])), tuple(notes)))
    n_bars = -(-max(part.end for part in parts) // full)
    return Piece(((0, meter),), key, 0, n_bars, tuple(parts))


@settings(deadline=None, max_examples=60)
@given(pieces())
def test_any_piece_survives_miditok(piece: Piece) -> None:
    assert decode(encode(piece)) == piece


@settings(deadline=None, max_examples=60)
@given(pieces())
def test_any_piece_survives_its_notation(piece: Piece) -> None:
    sounding = {(p.role, n) for p in piece.parts for n in p.notes}
    again, _ = piece_of(tune_of(piece))
    assert {n for _, n in sounding} == {n for p in again.parts for n in p.notes}
    assert (again.meters, again.n_bars) == (piece.meters, piece.n_bars)


def test_a_piece_is_the_same_tokens_in_every_key() -> None:
    piece, _ = piece_of(tune(CHORALE))
    moved = in_key(piece, Key("Eb"))
    assert [n[2] for n in moved.parts[0].notes] == [n[2] + 8 for n in piece.parts[0].notes]
    tokens, others = encode(piece), encode(moved)
    assert [a for a, b in zip(tokens, others, strict=True) if a != b] == ["K:G"]
    assert {key_shift(Key(t)) for t in ("C", "F#", "Gb", "G", "B")} == {0, -6, 5, 1}


def test_meters_in_half_notes_are_counted_in_quarters_and_kept_in_name() -> None:
    piece, _ = piece_of(tune("X:1\nM:3/2\nL:1/2\nK:C\nV:1\nABc|d3|]\nV:2\nA,3|D,3|]"))
    assert str(piece.meters[0][1]) == "3/2"
    assert plain_meter(piece.meters[0][1]) == Meter((6,), 4)
    assert "TimeSig_6/4" in encode(piece)
    assert decode(encode(piece)) == piece


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("X:1\nM:none\nK:C\nV:1\nAB|\nV:2\nCD|", "no meter"),
        ("X:1\nM:4/4\nK:C\nz4|", "no notes"),
        ("X:1\nM:4/4\nL:1/4\nK:C\nABcd|AB|[M:3/4]cde|", "a change of meter inside a bar"),
        ("X:1\nM:3/64\nL:1/64\nK:C\nABc|ABc|", "a meter of 3/64"),
        ("X:1\nM:4/4\nL:4/1\nK:C\n" + "A|" * 1001, "more than 999 bars"),
        (
            "X:1\nM:4/4\nL:1/4\nK:C\n" + "".join(f"V:{i}\nABcd|\n" for i in range(17)),
            "more than 16 voices that sound",
        ),
    ],
)
def test_what_tokens_cannot_say_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidTuneError) as error:
        piece_of(tune(text))
    assert str(error.value) == reason


def test_what_is_left_out_is_counted() -> None:
    _, dropped = piece_of(
        tune('X:1\nM:4/4\nL:1/4\nK:C\n|:"C"!trill!{g}A(3BcdB:|\nw:la\n[K:G]ABcd/5|')
    )
    assert +dropped == {
        "repeats": 1,
        "chord symbols": 1,
        "decorations": 1,
        "grace notes": 1,
        "lyrics": 1,
        "text, key and tempo changes": 1,
        "notes off the grid of 24 a quarter, moved": 1,
    }


def test_the_key_is_the_one_that_the_bass_ends_in() -> None:
    piece, _ = piece_of(tune("X:1\nM:2/4\nL:1/4\nK:G\nV:1\nBe|B2|]\nV:2\nG,,B,,|E,,2|]"))
    assert piece.key == Key("E", "minor")
    unfinished, _ = piece_of(tune("X:1\nM:2/4\nL:1/4\nK:G\nBe|B2|"), finished=False)
    assert unfinished.key == Key("G")


def test_polyphony_is_voices_overlays_or_many_chords() -> None:
    assert is_polyphonic(tune(CHORALE))
    assert is_polyphonic(tune("X:1\nM:4/4\nL:1/4\nK:C\nABcd & C4|"))
    assert is_polyphonic(tune("X:1\nM:4/4\nL:1/4\nK:C\n[CE][EG]cd|"))
    assert not is_polyphonic(tune("X:1\nM:4/4\nL:1/4\nK:C\nABcd|ABcd|ABcd|[Ac]4|"))
    assert not is_polyphonic(tune("X:1\nM:4/4\nL:1/4\nK:C\nV:1\nABcd|\nV:2\nz4|"))


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        ["M:4/4"],
        ["M:4/4", "K:G", "mode:major", "up:0", "tens:0", "ones:1"],
        ["M:4/4", "K:G", "mode:major", "up:0", "tens:0", "ones:1", "Part_line", "Position_0"],
        ["M:9", "K:G", "mode:major", "up:0", "tens:0", "ones:1", "Part_line", "Bar_None"],
        ["Nonsense"],
        [
            "M:4/4",
            "K:G",
            "mode:major",
            "up:0",
            "tens:0",
            "ones:1",
            "Part_line",
            "Bar_None",
            "TimeSig_4/4",
            "Position_0",
            "Program_9",
            "Pitch_60",
            "Duration_1.0.24",
        ],
    ],
)
def test_tokens_that_are_no_piece_are_refused(tokens: list[str]) -> None:
    with pytest.raises(InvalidTuneError):
        decode(tokens)


def test_an_unknown_token_is_replaced_by_the_nearest_known_one() -> None:
    known = Vocabulary.build(
        [["Pitch_60", "Pitch_67", "Duration_1.0.24", "K:D", "K:A", "M:4/4", "tens:1"]]
    )
    tokens = ["Pitch_79", "Duration_1.1.24", "K:Db", "M:2/2", "tens:9", "Position_0"]
    assert known.replace_unknown(tokens, token_distance) == [
        *("Pitch_67", "Duration_1.0.24", "K:D", "M:4/4", "tens:1", "<unk>")
    ]


def test_a_token_is_read_with_its_unit() -> None:
    assert parse_token("Duration_1.12.24").value == Fraction(3, 2)
    assert parse_token("Position_36").value == Fraction(3, 2)
    assert parse_token("Part_bass.52").value == ("bass", 52)
    assert replace(parse_token("up:1/2")).value == Fraction(1, 2)
