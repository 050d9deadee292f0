"""The match features: by hand, against a slow reading of their definition, step by step."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from musicgen.tokens.lookback import match
from musicgen.tokens.lookback.match import (
    BUCKETS,
    MIN_MATCH,
    MatchTracker,
    match_features,
    match_sizes,
)

IDS = st.lists(st.integers(1, 4), min_size=1, max_size=90)


def by_definition(ids: list[int]) -> list[tuple[int, int]]:
    """For each position the longest earlier match, looked for the slow way."""
    rows = []
    for t in range(len(ids)):
        best, following = 0, 0
        for j in range(t - 1, -1, -1):  # most recent first
            length = 0
            while length <= j and ids[j - length] == ids[t - length]:
                length += 1
            if length > best:
                best, following = length, ids[j + 1]
        if best < MIN_MATCH:
            best, following = 0, 0
        rows.append((following, int(sum(best >= BUCKETS))))
    return rows


def test_the_example_of_the_docstring() -> None:
    features = match_features(np.array([2, 7, 8, 9, 4, 7, 8]))
    assert features.tolist() == [[0, 0]] * 6 + [[9, 1]]


def test_the_most_recent_of_equal_matches_counts() -> None:
    ids = np.array([7, 8, 5, 7, 8, 6, 7, 8])
    assert match_features(ids)[-1].tolist() == [6, 1]


@given(ids=IDS)
def test_features_are_the_longest_earlier_match(ids: list[int]) -> None:
    assert [tuple(row) for row in match_features(np.array(ids)).tolist()] == by_definition(ids)


@given(ids=IDS)
def test_blocks_of_lags_change_nothing(ids: list[int]) -> None:
    whole = match_features(np.array(ids))
    size, match._BLOCK = match._BLOCK, 7
    try:
        np.testing.assert_array_equal(match_features(np.array(ids)), whole)
    finally:
        match._BLOCK = size


@given(
    rows=st.lists(st.lists(st.integers(1, 3), min_size=150, max_size=150), min_size=1, max_size=4)
)
def test_step_by_step_equals_all_at_once(rows: list[list[int]]) -> None:
    ids = np.array(rows)
    steps = follow(MatchTracker(len(rows)), ids)
    np.testing.assert_array_equal(steps, np.stack([match_features(row) for row in ids]))


def follow(tracker: MatchTracker, ids: np.ndarray) -> np.ndarray:
    return np.stack([tracker.advance(column) for column in ids.T], axis=1)


def test_a_long_tune_is_followed_to_its_end() -> None:
    ids = np.random.default_rng(0).integers(1, 4, (3, 1200))
    ids[:, 700:1100] = ids[:, 200:600]
    expected = np.stack([match_features(row) for row in ids])
    np.testing.assert_array_equal(follow(MatchTracker(3), ids), expected)


def test_rows_can_be_left_out_and_reordered_on_the_way() -> None:
    ids = np.random.default_rng(1).integers(1, 4, (5, 300))
    tracker, kept = MatchTracker(5), np.array([4, 1])
    follow(tracker, ids[:, :130])
    tracker.keep(kept)
    expected = np.stack([match_features(row)[130:] for row in ids[kept]])
    np.testing.assert_array_equal(follow(tracker, ids[kept, 130:]), expected)


@given(ids=IDS)
def test_values_lie_in_their_sizes(ids: list[int]) -> None:
    features = match_features(np.array(ids))
    assert (features < np.array(list(match_sizes(5).values()))).all()
