"""Voice leading: our counts against music21's, and by hand."""

from __future__ import annotations

from random import Random

import pytest

from musicgen.music.theory import Key, Meter
from musicgen.tokens.remi.pieces import Piece, PiecePart, piece_of
from musicgen.tokens.remi.voice_leading import Counts, voice_leading
from tests.pieces import CHORALE, tune


def duet(upper: list[int], lower: list[int]) -> Piece:
    parts = [
        PiecePart(role, 52, tuple((24 * i, 24, midi) for i, midi in enumerate(voice)))
        for role, voice in (("soprano", upper), ("bass", lower))
    ]
    return Piece(((0, Meter((4,), 4)),), Key(), 0, -(-len(upper) // 4), tuple(parts))


@pytest.mark.parametrize(
    ("upper", "lower", "fifths", "octaves"),
    [
        ([67, 69], [60, 62], 1, 0),
        ([67, 69], [48, 50], 1, 0),  # a twelfth is a fifth
        ([72, 74], [60, 62], 0, 1),
        ([60, 62], [60, 62], 0, 1),  # in unison
        ([67, 69], [60, 50], 0, 0),  # contrary motion from a fifth to a twelfth
        ([67, 67], [60, 60], 0, 0),  # nobody moves
        ([67, 79], [60, 60], 0, 0),  # one moves
        ([67, 68], [60, 62], 0, 0),  # to a diminished fifth
        ([67, 69, 71], [60, 62, 64], 2, 0),
    ],
)
def test_parallels_are_counted(
    upper: list[int], lower: list[int], fifths: int, octaves: int
) -> None:
    counts = voice_leading(duet(upper, lower))
    assert (counts.parallel_fifths, counts.parallel_octaves) == (fifths, octaves)


def test_music21_finds_the_same_parallels() -> None:
    from music21.note import Note
    from music21.voiceLeading import VoiceLeadingQuartet

    random = Random(1)
    for _ in range(300):
        a, b = random.randint(60, 75), random.randint(45, 60)
        c, d = a + random.randint(-4, 4), b + random.randint(-4, 4)
        counts = voice_leading(duet([a, c], [b, d]))
        quartet = VoiceLeadingQuartet(Note(a), Note(c), Note(b), Note(d))
        assert counts.parallel_fifths == quartet.parallelFifth()
        assert counts.parallel_octaves == (quartet.parallelOctave() or quartet.parallelUnison())


def test_voices_are_counted_where_they_cross_rest_and_leave_their_range() -> None:
    counts = voice_leading(duet([60, 55, 83], [48, 60, 48]))
    assert (counts.crossed, counts.out_of_range, counts.silent) == (1, 2, 0)
    piece, _ = piece_of(tune("X:1\nM:4/4\nL:1/4\nK:C\nV:1\nzzcd|\nV:2\nCDEF|"))
    assert voice_leading(piece).silent == 2


def test_bars_are_full_bars_and_counts_add_up() -> None:
    piece, _ = piece_of(tune(CHORALE))
    counts = voice_leading(piece)
    assert (counts.bars, counts.notes) == (3, 36)
    assert sum([counts, counts], Counts()) == counts + counts
    assert Counts(bars=4, crossed=2).per_bar("crossed") == 0.5
    assert Counts().per_bar("crossed") == 0
