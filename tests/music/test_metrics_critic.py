"""The critic: scikit-learn's own trees, as plain numbers, that prefer what is like real tunes."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from musicgen.composer import FIRST, Composer, Selection
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import CheckpointError, ConfigError
from musicgen.evaluation import critics
from musicgen.evaluation.discrimination import auc
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.metrics.baselines import shuffled
from musicgen.music.metrics.critic import MAX_NODES, MAX_TREES, VERSION_1_MEASURES, Critic, Trees
from musicgen.music.metrics.features import Features
from musicgen.music.metrics.note_arrays import NoteArrays
from musicgen.music.metrics.table import MEASURES
from musicgen.music.metrics.vectors import FeatureSpace
from musicgen.music.tune import Tune
from tests.melodies import notes


def tunes(rng: np.random.Generator, n: int) -> list[Tune]:
    """Tunes of two phrases, each of them twice."""
    found = []
    for _ in range(n):
        bars = ["".join(rng.choice(list("DEFGABcd"), 8)) for _ in range(4)]
        text = "|".join([bars[0], bars[1], bars[0], bars[2], bars[3], bars[1], bars[3], bars[2]])
        found.append(notes(f"{text}|", "M:4/4\nL:1/8\nK:G"))
    return found


@pytest.fixture(scope="module")
def real() -> Features:
    return Features.of([NoteArrays.of(tune) for tune in tunes(np.random.default_rng(0), 200)])


@pytest.fixture(scope="module")
def new() -> Features:
    """The same notes in another order: nothing comes back."""
    rng = np.random.default_rng(1)
    return Features.of([NoteArrays.of(shuffled(tune, rng)) for tune in tunes(rng, 200)])


@pytest.fixture(scope="module")
def critic(real: Features, new: Features) -> Critic:
    return critics.fit(real, new)


def test_its_odds_are_those_of_scikit_learns_trees(
    real: Features, new: Features, critic: Critic
) -> None:
    space = FeatureSpace.of(real)
    vectors, labels = critics._labelled(space, real, new)
    trees = critics._trees(vectors, labels, 0)
    vectors[::7, ::3] = math.nan  # what does not apply goes its own way
    ours = [critic.of_vector(vector) for vector in vectors]
    assert np.allclose(ours, trees.decision_function(vectors), atol=1e-4)


def test_it_tells_tunes_that_it_has_not_seen(real: Features, new: Features, critic: Critic) -> None:
    odds, labels = critics.held_out_odds(real, new)
    assert auc(odds, labels) > 0.9
    fresh = tunes(np.random.default_rng(2), 20)
    rng = np.random.default_rng(3)
    better = sum(critic(tune) > critic(shuffled(tune, rng)) for tune in fresh)
    assert better >= 18


def test_a_family_is_in_one_fold() -> None:
    groups = tuple(str(i // 5) for i in range(100))
    folds = critics._folds(groups, 3, np.random.default_rng(0))
    assert all(len(set(folds[i : i + 5])) == 1 for i in range(0, 100, 5))
    assert set(folds) == {0, 1, 2}


def test_one_tune_is_measured_as_in_a_set(real: Features) -> None:
    space = FeatureSpace.of(real)
    rows = space.vectors(real)
    for row, tune in zip(rows, tunes(np.random.default_rng(0), 5), strict=False):
        assert np.array_equal(space.vector(NoteArrays.of(tune)), row, equal_nan=True)
    assert len(space.names) == rows.shape[1]


def test_it_is_the_same_when_read_again(critic: Critic) -> None:
    again = Critic.from_bytes(critic.to_bytes(), "critic.json")
    assert again.to_bytes() == critic.to_bytes()
    for tune in tunes(np.random.default_rng(4), 5):
        assert again(tune) == critic(tune)
    assert critic(notes("z8|")) == -math.inf
    sent = pickle.loads(pickle.dumps(critic))  # to a worker process, after it has been used
    assert sent.to_bytes() == critic.to_bytes()


def _set(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update({name: value})


@pytest.mark.parametrize(
    "change",
    [
        _set("bias", "much"),
        _set("bias", math.inf),
        _set("trees", [[]]),
        _set("trees", [[[0, 1.0, 0, 0, True]]]),  # goes round for ever
        _set("trees", [[[0, 1.0, 1, 2, True], [0.5]]]),  # leads nowhere
        _set("trees", [[[10**6, 1.0, 1, 2, True], [0.5], [0.5]]]),  # looks at nothing
        _set("trees", [[[0, math.nan, 1, 2, True], [0.5], [0.5]]]),
        _set("trees", [[[0, 10**400, 1, 2, True], [0.5], [0.5]]]),
        _set("trees", []),
        _set("trees", [[[0.5]]] * (MAX_TREES + 1)),
        _set("trees", [[[0.5]] * (MAX_NODES + 1)]),
        _set("measures", ["leaps", "leaps"]),
        _set("kinds", {"smell": ["good"]}),
        _set("kinds", ["intervals"]),
        lambda data: data.pop("kinds"),
        lambda data: data.pop("measures"),
        _set("measures", [["leaps"]]),
    ],
)
def test_what_is_no_critic_is_refused(
    critic: Critic, change: Callable[[dict[str, Any]], None]
) -> None:
    data = json.loads(critic.to_bytes())
    change(data)
    with pytest.raises(
        CheckpointError, match=r"critic\.json: cannot be read: .*; get the model again"
    ):
        Critic.from_bytes(json.dumps(data).encode(), "critic.json")


def test_a_later_version_is_refused_by_name(critic: Critic) -> None:
    data = critic.to_bytes().replace(b'"version": 2', b'"version": 3')
    with pytest.raises(CheckpointError, match="of another version; update musicgen"):
        Critic.from_bytes(data, "critic.json")


def test_a_measure_that_is_not_in_the_table_is_refused_by_name(critic: Critic) -> None:
    data = critic.to_bytes().replace(b'"leaps"', b'"smell"')
    message = r"^critic\.json: uses the measure 'smell', which this musicgen does not have"
    with pytest.raises(CheckpointError, match=message):
        Critic.from_bytes(data, "critic.json")


def test_a_critic_names_its_measures_and_the_first_version_is_read_by_their_places(
    critic: Critic,
) -> None:
    data = json.loads(critic.to_bytes())
    assert tuple(data.pop("measures")) == VERSION_1_MEASURES == tuple(MEASURES)
    data["version"] = 1
    old = Critic.from_bytes(json.dumps(data).encode(), "critic.json")
    assert old.to_bytes() == critic.to_bytes()
    for tune in tunes(np.random.default_rng(5), 3):
        assert old(tune) == critic(tune)


def test_a_critic_looks_at_its_own_measures_only(critic: Critic, real: Features) -> None:
    fewer = {node[0] for tree in critic.nodes for node in tree if len(node) > 1}
    kept = [i for i in range(len(MEASURES)) if i in fewer or i % 2]
    moved = {feature: kept.index(feature) for feature in kept}
    moved |= {i: i - len(MEASURES) + len(kept) for i in fewer if i >= len(MEASURES)}
    nodes = [
        [node if len(node) == 1 else (moved[node[0]], *node[1:]) for node in tree]
        for tree in critic.nodes
    ]
    names = tuple(name for i, name in enumerate(MEASURES) if i in kept)
    small = Critic(FeatureSpace(names, critic.space.kinds), nodes, critic.bias)
    assert len(names) < len(MEASURES)
    rows = zip(small.space.vectors(real), critic.space.vectors(real), strict=True)
    assert all(small.of_vector(ours) == critic.of_vector(theirs) for ours, theirs in rows)


def test_a_composer_with_a_critic_keeps_the_tune_most_like_a_real_one(
    untrained: Checkpoint, critic: Critic
) -> None:
    composer, how = Composer(replace(untrained, critic=critic)), SamplingConfig(seed=3)
    controls = Controls(bars=4)
    own = [take.tune for take in composer.takes(8, controls, how)]
    asked = [
        t.tune for t in composer.takes(8, controls, how, Selection(best_of=4, judge="likeness"))
    ]
    assert own == asked
    first = [take.tune for take in composer.takes(8, controls, how, FIRST)]
    assert all(critic(a) >= critic(b) for a, b in zip(own, first, strict=True))
    assert own != first
    plain = Composer(untrained)
    assert [take.tune for take in plain.takes(8, controls, how)] == first
    with pytest.raises(ConfigError, match="this model has no critic"):
        plain.takes(1, controls, how, Selection(judge="likeness"))


def test_a_large_critic_costs_no_more_than_its_nodes(critic: Critic) -> None:
    """One tree of many nodes among many of one: a table of both would have ten million places."""
    long: list[Any] = [(0, 1e9, n + 1, n + 1, True) for n in range(MAX_NODES - 1)]
    trees = Trees.of([[*long, (0.25,)], *([(0.5,)] for _ in range(MAX_TREES - 1))])
    assert len(trees.value) == MAX_NODES + MAX_TREES - 1
    assert trees.total(np.zeros(1)) == 0.25 + 0.5 * (MAX_TREES - 1)
