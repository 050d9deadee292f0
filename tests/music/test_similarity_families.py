"""Families: the same melody, and variants of it."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen.music.similarity import families
from musicgen.music.similarity.families import Line, group_families, melody_digest, shingles
from musicgen.music.theory import parse_meter
from musicgen.system import partitions


def line(*pitches: int | None, duration: Fraction = Fraction(1, 2)) -> Line:
    return [(pitch, duration) for pitch in pitches]


def group(sets: list[frozenset[int]]) -> list[int]:
    values = [value for one in sets for value in sorted(one)]
    return group_families([np.array(values, np.uint64)], [len(one) for one in sets]).tolist()


def jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    return len(a & b) / len(a | b)


@settings(deadline=None)
@given(
    st.lists(st.frozensets(st.integers(0, 12), min_size=1, max_size=8), max_size=12),
    st.sampled_from([1, 5, 1 << 20]),
)
def test_families_are_the_connected_components_of_near_identity(
    sets: list[frozenset[int]], block: int
) -> None:
    """However little of them is in memory at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partitions, "BLOCK", block)
        patch.setattr(families, "BLOCK", block)
        found = group(sets)
    expected = list(range(len(sets)))
    for _ in sets:  # spread the smallest number along every edge until nothing changes
        for a, b in combinations(range(len(sets)), 2):
            if jaccard(sets[a], sets[b]) >= families.SAME_FAMILY_JACCARD:
                expected[a] = expected[b] = min(expected[a], expected[b])
    assert found == expected


def test_too_common_shingles_are_compared_but_propose_no_more_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(families, "MAX_SHINGLE_TUNES", 2)
    common = frozenset({0, 1})
    first = [common | set(range(10, 16)), common | set(range(20, 26))]
    later = [common | {30}, common | {30, 31}, common]
    assert group([*first, *later]) == [0, 1, 2, 2, 4]


def test_shingles_are_runs_of_eight_intervals_whatever_the_key_or_the_rests() -> None:
    tune = line(60, 62, 64, 65, 67, 69, 71, 72, 74, 76)
    assert len(shingles(tune)) == 2
    moved = line(55, 57, 59, 60, None, 62, 64, 66, 67, 69, 71)
    assert shingles(moved).tolist() == shingles(tune).tolist()


@given(st.lists(st.integers(0, 127), max_size=8), st.lists(st.integers(0, 127), max_size=8))
def test_short_tunes_share_their_one_shingle_only_if_all_intervals_agree(
    a: list[int], b: list[int]
) -> None:
    same = np.diff(a).tolist() == np.diff(b).tolist()
    assert (shingles(line(*a)).tolist() == shingles(line(*b)).tolist()) == same


def test_a_digest_tells_durations_and_meters_but_not_keys_apart() -> None:
    four, three = parse_meter("4/4"), parse_meter("3/4")
    assert four is not None
    assert three is not None
    tune = line(60, 62, None, 64)
    assert melody_digest(four, [tune]) == melody_digest(four, [line(67, 69, None, 71)])
    others = [
        melody_digest(three, [tune]),
        melody_digest(four, [line(60, 62, None, 64, duration=Fraction(1))]),
        melody_digest(four, [line(60, 62, 64)]),
        melody_digest(four, [tune, tune]),
    ]
    assert melody_digest(four, [tune]) not in others
    assert len(set(others)) == 4


def test_large_sets_are_grouped_as_when_each_is_compared_with_each() -> None:
    """Sets of up to 400 shingles, where two sketches of 256 bits say little."""
    random = Random(1)
    sets: list[frozenset[int]] = []
    for _ in range(60):
        size = random.choice([5, 40, 400])
        own = frozenset(random.randrange(2**63) for _ in range(size))
        other = random.choice([own, *sets])
        kept = random.choice([0.2, 0.45, 0.5, 0.9])
        sets.append(own | frozenset(i for i in sorted(other) if random.random() < kept))
    expected = list(range(len(sets)))
    for _ in sets:
        for a, b in combinations(range(len(sets)), 2):
            if jaccard(sets[a], sets[b]) >= families.SAME_FAMILY_JACCARD:
                expected[a] = expected[b] = min(expected[a], expected[b])
    assert 2 < len(set(expected)) < len(sets)
    assert group(sets) == expected
