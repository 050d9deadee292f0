"""Novelty: similarity of melodies, and an index that finds copies however they are disguised."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen.errors import CorpusError
from musicgen.music.similarity import COPY, NEW, SHORT, NoveltyIndex, similarity
from musicgen.music.similarity.alignment import MelodyLine, line_similarity, transposed
from musicgen.music.similarity.melody import Melody
from musicgen.music.transposition import transpose
from musicgen.music.tune import Tune
from tests.melodies import BUTTERFLY, KESH, REEL, notes, tune


def test_the_same_melody_is_alike_in_any_key_octave_barring_and_note_value() -> None:
    a = notes("CDEF GABc|cBAG FEDC|")
    for same in (
        notes("DEFG ABcd|dcBA GFED|", "M:4/4\nL:1/8\nK:D"),
        notes("C,D,E,F, G,A,B,C|CB,A,G, F,E,D,C,|"),
        notes("CDEF GABc|cBAG FEDC|", "M:4/4\nL:1/4\nK:C"),
        notes("CDEF|GABc|cBAG|FEDC|", "M:2/4\nL:1/8\nK:C"),
        notes("CDEFGA|BccBAG|FEDC|", "M:6/8\nL:1/8\nK:C"),
    ):
        assert similarity(a, same) == 1


def test_unrelated_tunes_are_less_alike_than_a_disguised_copy() -> None:
    kesh, butterfly, reel = map(tune, (KESH, BUTTERFLY, REEL))
    ornamented = tune(KESH.replace("GAG GAB", "G/A/AG G/A/AB").replace("edB", "e/f/dB"))
    strangers = [similarity(kesh, butterfly), similarity(kesh, reel), similarity(butterfly, reel)]
    assert max(strangers) < 0.45
    assert similarity(kesh, ornamented) > 0.8


PITCHES = st.lists(st.integers(0, 127), max_size=40)
LENGTHS = st.lists(st.integers(1, 96), min_size=40, max_size=40)


def melody(pitches: list[int], lengths: list[int]) -> Melody:
    kept = [p for k, p in enumerate(pitches) if k == 0 or p != pitches[k - 1]]
    return Melody(
        pitches=np.array(kept, np.uint8),
        lengths=np.array(lengths[: len(kept)], np.uint16),
        bars=np.array([192] * (sum(lengths[: len(kept)]) // 192 + 1), np.uint16),
    )


MELODIES = st.builds(melody, PITCHES, LENGTHS)


@settings(deadline=None, max_examples=40)
@given(MELODIES, MELODIES, st.integers(0, 11))
def test_similarity_is_a_symmetric_number_from_0_to_1(a: Melody, b: Melody, up: int) -> None:
    one, other = MelodyLine.of(a), MelodyLine.of(b)
    found = line_similarity(one, other)
    assert 0 <= found <= 1
    assert found == line_similarity(other, one) == line_similarity(transposed(one, up), other)
    assert line_similarity(one, transposed(one, up)) == 1


def random_bar(rng: random.Random) -> str:
    return "".join(rng.choice("CDEFGABcdef") for _ in range(8))


def random_tune(rng: random.Random, number: int) -> Tune:
    bars = "|".join(random_bar(rng) for _ in range(16))
    return replace(notes(f"{bars}|"), title=f"tune {number}", number=number)


@pytest.fixture(scope="module")
def index() -> NoveltyIndex:
    rng = random.Random(0)
    made = [random_tune(rng, number) for number in range(100)]
    return NoveltyIndex.build([*made, *map(tune, (KESH, BUTTERFLY, REEL))])


def test_a_transposed_copy_is_found_with_its_bars_and_where_they_are(index: NoveltyIndex) -> None:
    novelty = index.assess(transpose(tune(KESH), "D"))
    nearest = novelty.neighbours[0]
    assert (novelty.verdict, novelty.copied_bars) == (COPY, 16)
    assert (nearest.title, nearest.number, nearest.place) == ("The Kesh", 1, "test.abc:1")
    assert nearest.similarity == 1
    assert nearest.transposition == -5
    run = nearest.run
    assert (run.first_bar, run.last_bar, run.other_first_bar, run.other_last_bar) == (1, 16, 1, 16)


def test_a_tune_that_shares_one_part_shares_its_bars(index: NoveltyIndex) -> None:
    first = "GAG GAB|ABA ABd|edd gdd|edB dBA|GAG GAB|ABA ABd|edd gdB|AGF G3:|"
    second = "cAF fcA|dBG gdB|c2F AFC|DGF EDC|fcf agf|bag fed|cfa gec|F3 F3:|"
    novelty = index.assess(notes(first + second, "M:6/8\nL:1/8\nK:G"))
    assert novelty.neighbours[0].title == "The Kesh"
    assert novelty.copied_bars == 8
    assert novelty.neighbours[0].run.first_bar == 1


def test_a_new_tune_is_new_and_a_very_short_one_cannot_be_told(index: NoveltyIndex) -> None:
    assert index.assess(random_tune(random.Random(99), 1)).verdict == NEW
    assert index.assess(notes("CDEF|")).verdict == SHORT
    assert index.assess(notes("z8|")).line() == "too short to tell"
    assert index.assess(Tune()).neighbours == ()
    assert NoveltyIndex.build([]).assess(tune(KESH)).verdict == NEW


def test_an_index_says_the_same_after_a_file(index: NoveltyIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "novelty.npz")
    again = NoveltyIndex.load(tmp_path / "novelty.npz")
    assert len(again) == len(index)
    assert again.assess(tune(KESH)) == index.assess(tune(KESH))
    assert again.to_bytes() == index.to_bytes()


def test_a_damaged_file_is_refused_in_one_line(index: NoveltyIndex, tmp_path: Path) -> None:
    data = index.to_bytes()
    path = tmp_path / "novelty.npz"
    entry = data.rindex(b"PK\1\2")  # of the directory at the end
    damages = {8: b"\1", 10: b"\x0e"}  # encrypted; packed in a way that can take gigabytes
    forged = [data[: entry + n] + byte + data[entry + n + 1 :] for n, byte in damages.items()]
    damaged_files = (b"", b"PK", data[: len(data) // 2], data[:300] + b"\0" + data[301:])
    for damaged in (*damaged_files, *forged):
        path.write_bytes(damaged)
        with pytest.raises(CorpusError, match=r"novelty\.npz: (is not an index|was changed)"):
            NoveltyIndex.load(path)
    with pytest.raises(CorpusError, match="no such file"):
        NoveltyIndex.load(tmp_path / "none.npz")


def test_tunes_with_odd_rhythms_and_pitches_are_compared_all_the_same() -> None:
    far = notes("C,,,,,,,,D'''''''' E/1024 F1000 (3GAB z10000 c2|CDEFGABcdefg|")
    assert similarity(far, far) == 1
    assert Fraction(similarity(far, tune(KESH))) <= 1


def disguised(text: str, disguise: str) -> str:
    head, music = text.split("K:G\n")
    if disguise == "passing notes":
        music = music.replace("GB", "GA/B/").replace("ed", "e/f/d").replace("dg", "de/g/")
    elif disguise == "changed notes":
        music = music.replace("GAG G", "GAF G").replace("edB", "eBB").replace("bgf", "bga")
    elif disguise == "other bars":
        music, head = music.replace(" ", "|").replace("||", "|"), head.replace("6/8", "3/8")
    else:
        head = head.replace("L:1/8", "L:1/4").replace("6/8", "6/4")
    return f"{head}K:G\n{music}"


@pytest.mark.parametrize(
    "disguise", ["passing notes", "changed notes", "other bars", "longer notes"]
)
def test_a_copy_in_disguise_is_found(index: NoveltyIndex, disguise: str) -> None:
    novelty = index.assess(tune(disguised(KESH, disguise)))
    assert novelty.verdict == COPY
    assert novelty.neighbours[0].title == "The Kesh"
    assert novelty.copied_bars >= (3 if disguise == "changed notes" else 12)


@settings(deadline=None, max_examples=60)
@given(MELODIES, st.lists(MELODIES, max_size=4), st.integers(1, 4))
def test_whatever_is_asked_the_answer_is_within_bounds(
    query: Melody, others: list[Melody], n: int
) -> None:
    index = NoveltyIndex.build([*others, query])
    novelty = index.assess(query, n)
    assert len(novelty.neighbours) <= n
    assert novelty.copied_bars <= len(query.bars)
    for neighbour in novelty.neighbours:
        assert 0 < neighbour.similarity <= 1
        assert 0 <= neighbour.run.first_bar <= neighbour.run.last_bar <= len(query.bars)
    given_order = [neighbour.similarity for neighbour in novelty.neighbours[:-1]]
    assert given_order == sorted(given_order, reverse=True)
    assert NoveltyIndex.from_bytes(index.to_bytes()).assess(query, n) == novelty


def test_of_several_voices_the_first_that_sounds_is_compared(index: NoveltyIndex) -> None:
    kesh = KESH.replace("K:G\n", "K:G\nV:1\nz6|z6|\nV:2\n")
    assert index.assess(tune(kesh)).neighbours[0].title == "The Kesh"
    chords = KESH.replace("GAG", "[DG]A[B,G]").replace("d", "[Bd]")
    assert index.assess(tune(chords)).verdict == COPY


def test_a_bar_in_which_nothing_begins_is_not_counted_as_shared(index: NoveltyIndex) -> None:
    rests = tune(KESH.replace("AGF G3:|", "AGF G3-|G6-|G6-|G6:|"))
    assert index.assess(rests).copied_bars == 16


def test_a_very_long_tune_is_compared_by_its_first_notes() -> None:
    rng = random.Random(1)
    long = notes("|".join(random_bar(rng) for _ in range(800)) + "|")
    index = NoveltyIndex.build([long])
    novelty = index.assess(long)
    assert len(index.melody(0)) == 4096
    assert (novelty.verdict, novelty.neighbours[0].similarity) == (COPY, 1)
