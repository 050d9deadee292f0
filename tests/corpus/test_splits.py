"""Splits of families: a hash decides, no split is empty, and little moves when tunes are added."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import pytest

from musicgen.corpus.preparation import prepare
from musicgen.corpus.splits import split_families

SPLITS = {"train", "val", "test"}


class Family(NamedTuple):
    """The digest of its first tune, and how many of it can be used."""

    digest: bytes
    size: int


def families(seed: int, n: int, size: int = 1) -> list[Family]:
    random = Random(seed)
    return [Family(random.randbytes(16), size) for _ in range(n)]


def split(
    found: list[Family], val: float = 0.1, test: float = 0.1
) -> tuple[dict[int, str], dict[int, str]]:
    splits, moved = split_families(
        [f.digest for f in found], [f.size for f in found], val=val, test=test
    )
    return dict(enumerate(splits)), moved


@pytest.mark.parametrize(("val", "test"), [(0.1, 0.1), (0.4, 0.5), (0.01, 0.9), (0.9, 0.01)])
def test_from_three_families_on_every_split_has_one(val: float, test: float) -> None:
    for seed in range(100):
        for n in range(3, 9):
            splits, moved = split(families(seed, n), val, test)
            assert set(splits.values()) == SPLITS
            assert len(moved) <= 2


def test_fewer_families_serve_training_first_then_validation() -> None:
    for seed in range(100):
        assert set(split(families(seed, 1))[0].values()) == {"train"}
        assert set(split(families(seed, 2))[0].values()) == {"train", "val"}
    assert split([]) == ({}, {})


def test_nothing_is_moved_where_the_hash_fills_every_split() -> None:
    by_hash = [split([family], val=0) for family in families(1, 200)]
    assert all(moved in ({}, {0: "train"}) for _, moved in by_hash)
    splits, moved = split(families(1, 200))
    assert moved == {}
    assert [splits[i] for i in range(200)].count("train") > 140
    assert all(splits[i] == "test" for i, (_, alone) in enumerate(by_hash) if alone)


def test_a_split_that_is_not_wanted_stays_empty() -> None:
    for seed in range(50):
        assert set(split(families(seed, 5), val=0, test=0)[0].values()) == {"train"}
        assert set(split(families(seed, 5), val=0.1, test=0)[0].values()) == {"train", "val"}


def test_a_family_without_a_usable_tune_fills_nothing_and_is_not_moved() -> None:
    for seed in range(100):
        found = families(seed, 4) + families(1000 + seed, 40, size=0)
        splits, moved = split(found)
        assert {splits[i] for i in range(4)} == SPLITS
        assert all(i < 4 for i in moved)


def test_whatever_the_sizes_no_split_is_empty_and_no_large_family_leaves_training() -> None:
    for seed in range(1500):
        random = Random(seed)
        found = [
            Family(family.digest, random.choice([1, 1, 1, 2, 30]))
            for family in families(seed, random.randint(3, 5))
        ]
        shares = random.choice([(0.1, 0.1), (0.4, 0.4), (0.8, 0.1), (0.1, 0.8)])
        splits, moved = split(found, *shares)
        assert set(splits.values()) == SPLITS
        assert len(moved) <= 2
        by_hash, _ = split([Family(family.digest, 0) for family in found], *shares)
        for i, to in moved.items():
            there = [found[k].size for k in by_hash if by_hash[k] == by_hash[i]]
            assert to == "train" or 2 * found[i].size <= sum(there) or len(there) == 1


def test_a_family_of_most_of_the_tunes_stays_in_training() -> None:
    seed = next(s for s in range(99) if split(families(s, 5))[1] == {0: "val", 1: "test"})
    large, *small = families(seed, 5)
    found = [Family(large.digest, 25), *small]
    assert split(found)[1] == {1: "val", 2: "test"}


@pytest.mark.parametrize(("at_the_end", "most_in_all"), [(True, 3), (False, 12)])
def test_adding_tunes_moves_at_most_two_families(at_the_end: bool, most_in_all: int) -> None:
    """From 3 to 12 families, 1 to 20 more: two families at most are elsewhere than before, also
    when the new ones come anywhere in the order; one at a time, at the end, three moves in all."""
    mean = 0.0
    for seed in range(60):
        random = Random(seed)
        found = families(seed, random.randint(3, 12))
        first = latest = dict(zip(found, split(found)[0].values(), strict=True))
        n_moves = 0
        for new in families(9000 + seed, 20):
            found.insert(len(found) if at_the_end else random.randint(0, len(found)), new)
            now = dict(zip(found, (split(found)[0][i] for i in range(len(found))), strict=True))
            assert sum(now[family] != first[family] for family in first) <= 2
            n_moves += sum(now[family] != latest[family] for family in latest)
            latest = now
        assert n_moves <= most_in_all
        mean += n_moves / 60
    assert mean < (1.5 if at_the_end else 3)


def abc(number: int) -> str:
    notes = "".join(Random(number).choices("DEFGABcde", k=32))
    bars = "|".join(notes[i : i + 8] for i in range(0, 32, 8))
    return f"X:{number}\nM:C|\nL:1/8\nK:G\n{bars}|]\n"


def test_what_was_moved_is_said(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for n in (3, 4, 5, 29):
        book = tmp_path_factory.mktemp("book") / "in.abc"
        book.write_text("\n".join(abc(100 * n + i) for i in range(n)))
        prepared = prepare(book)
        assert all(len(prepared.tokens.splits[name]) for name in SPLITS)
        for notice in prepared.corpus.notices:
            assert notice.startswith("small corpus: ")
            assert f"{book}:" in notice
    book.write_text(abc(1) + "\n" + abc(1).replace("|]", "G|]"))
    notices = prepare(book).corpus.notices
    assert notices[-1] == (
        "small corpus: no tune is left for val and test; near-identical tunes count as one, so add "
        "2 that differ"
    )


def test_tunes_that_tokens_cannot_represent_are_no_validation_tunes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for seed in range(4):
        book = tmp_path_factory.mktemp("book") / "in.abc"
        refused = [abc(1000 * seed + i).replace("M:C|", "M:none") for i in range(30)]
        book.write_text("\n".join([*refused, *(abc(9000 * seed + i) for i in range(3))]))
        prepared = prepare(book, tokenizer="melody")
        assert len(prepared.omitted) == 30
        assert [len(prepared.tokens.splits[name]) for name in sorted(SPLITS)] == [1, 1, 1]
