"""The networks beside the package that the guide compares: numpy gradients, rows of `KINDS`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from musicgen.models import KINDS, ModelConfig, build_model
from scripts.docs import numpy_rnn, parallel

KIND_NAMES = (
    "window", "bag", "concatenation", "sinusoidal", "learned", "no-positions", "bidirectional"
)  # fmt: skip
WIDTH, SYMBOLS = 16, 12


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The rows of the guide's networks, in the table for these tests only."""
    before = dict(KINDS)
    from scripts.docs.baseline_networks import ROWS

    KINDS.update(ROWS)
    yield
    KINDS.clear()
    KINDS.update(before)


def small(kind: str) -> torch.nn.Module:
    """An untrained network that is scored as after training."""
    torch.manual_seed(0)
    config = ModelConfig(kind=kind, vocab_size=SYMBOLS, d_model=WIDTH, tie_embeddings=False)
    return build_model(config).eval()


def logits(network: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Scores of the next token at each time (B, T, V)."""
    with torch.no_grad():
        scores: torch.Tensor = network(ids)[0]
    return scores


@pytest.mark.parametrize("name", ["W_xh", "W_hh", "W_hy", "b_h", "b_y"])
def test_gradients_in_numpy_are_slopes_of_the_loss(name: str) -> None:
    random = np.random.default_rng(1)
    weights = {
        key: random.normal(0, 0.5, np.shape(w))
        for key, w in numpy_rnn.new_weights(SYMBOLS, WIDTH).items()
    }
    ids = random.integers(0, SYMBOLS, 31).tolist()
    window = (ids[:-1], ids[1:])
    h = random.uniform(-1, 1, WIDTH)
    _, states, predictions = numpy_rnn.forward(weights, *window, h)
    gradients = numpy_rnn.backward(weights, *window, states, predictions)
    for place in random.integers(0, weights[name].size, 5):
        losses = []
        for step in (1e-5, -1e-5):
            moved = {key: w.copy() for key, w in weights.items()}
            moved[name].flat[place] += step
            losses.append(numpy_rnn.forward(moved, *window, h)[0])
        assert gradients[name].flat[place] == pytest.approx(
            (losses[0] - losses[1]) / 2e-5, abs=1e-5
        )


def test_the_network_in_numpy_learns_a_text_and_writes_it() -> None:
    ids = [0, 1, 2, 3, 4, 5] * 50
    weights = numpy_rnn.new_weights(6, WIDTH)
    smoothed = list(numpy_rnn.train(weights, ids, 400))
    assert smoothed[0] == pytest.approx(np.log2(6), abs=0.01)
    assert smoothed[-1] < 0.75 * smoothed[0]
    drawn = numpy_rnn.sample(weights, 5, np.zeros(WIDTH), 60, np.random.default_rng(0))
    right = np.mean([y == (x + 1) % 6 for x, y in zip([5, *drawn], drawn, strict=False)])
    assert right > 0.9


@pytest.mark.parametrize("kind", [kind for kind in KIND_NAMES if kind != "bidirectional"])
def test_the_guides_networks_read_token_by_token_as_all_at_once(kind: str) -> None:
    network = small(kind)
    ids = torch.randint(0, SYMBOLS, (2, 600), generator=torch.Generator().manual_seed(0))
    pieces, state = [], None
    with torch.no_grad():
        for piece in (ids[:, :1], ids[:, 1:5], ids[:, 5:590], ids[:, 590:]):
            scores, state = network(piece, None, state)
            pieces.append(scores)
    torch.testing.assert_close(torch.cat(pieces, dim=1), logits(network, ids), atol=1e-4, rtol=1e-4)


def test_a_bag_tells_no_order_and_a_concatenation_no_motif_elsewhere() -> None:
    ids = torch.arange(SYMBOLS)[None]
    other = torch.cat([ids[:, :-1].flip(1), ids[:, -1:]], dim=1)
    moved = torch.cat([torch.zeros(1, 30, dtype=torch.int64), ids], dim=1)
    reordered, elsewhere = {}, {}
    for kind in KIND_NAMES[:3]:
        last, *others = (logits(small(kind), row)[0, -1] for row in (ids, other, moved))
        reordered[kind], elsewhere[kind] = (float((last - each).abs().max()) for each in others)
    assert reordered["bag"] < 1e-5 < 1e-2 < min(reordered["window"], reordered["concatenation"])
    assert elsewhere["window"] < 1e-5 < 1e-2 < elsewhere["concatenation"]


def test_a_bidirectional_network_sees_every_token_but_the_one_it_predicts() -> None:
    network = small("bidirectional")
    ids = torch.randint(0, SYMBOLS, (1, 20), generator=torch.Generator().manual_seed(0))
    other = ids.clone()
    other[0, 11] = (ids[0, 11] + 1) % SYMBOLS
    moved = (logits(network, ids) - logits(network, other))[0].abs().amax(dim=1)
    assert moved[10] == 0  # position 10 predicts token 11
    assert (moved > 0).sum() == 19


def test_the_longest_chain_grows_with_time_for_recurrence_and_not_for_attention() -> None:
    x = torch.ones(3, requires_grad=True)
    assert parallel.longest_chain(x.tanh().exp().sum() + x.sum()) == 5  # leaf, tanh, exp, sum, add
    ids = [torch.zeros(1, length, dtype=torch.int64) for length in (10, 30)]
    for kind, least in (("rnn", 20), ("lstm", 20), ("transformer", 0)):
        short, long = (parallel.chain_of(parallel.network_of(kind), row) for row in ids)
        assert long - short >= least
        assert least or long == short


def test_bits_that_a_state_keeps_are_those_of_each_distance_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which the script sets for itself
    from scripts.docs import recall

    class Oracle(torch.nn.Module):
        """Names what was read n + `late` steps ago for each n, if it is `sure`."""

        def __init__(self, sure: float, late: int = 0) -> None:
            super().__init__()
            self.sure, self.late = sure, late

        def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, None]:
            back = [ids.roll(n + self.late, dims=1) for n in range(recall.BACK)]
            named = torch.nn.functional.one_hot(torch.stack(back, dim=2), recall.SYMBOLS)
            return self.sure * named.double(), None

    ids = torch.randint(0, recall.SYMBOLS, (4, 60), generator=torch.Generator().manual_seed(0))
    assert recall.costs(Oracle(99.0), ids).tolist() == pytest.approx([0.0] * recall.BACK)
    assert recall.costs(Oracle(0.0), ids).tolist() == pytest.approx([4.0] * recall.BACK)
    assert recall.costs(Oracle(99.0, late=1), ids).min() > 50
    kept = recall.bits_kept("lstm", 16, seconds=1.0)
    assert kept[0] > 1 > kept[-1]
