"""How much a network gains from a longer memory: bits per note by the length of its context.

At sampled places of held-out tunes the network is given only the last k tokens before the one it
must predict, from an empty state. The lookback features are computed from those tokens alone; the
place of a token in the bar and the part is given at every length, as always.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import CheckpointError, CorpusError
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.cost import nats
from musicgen.models.inference.threads import torch_single_threaded
from musicgen.system.charts import chart

CONTEXTS = (8, 16, 32, 64, 128, 256, 512)
# Places with less before them say nothing about long contexts; of short tunes the later ones count.
_EARLIEST = (192, 96, 48, 24)
_BATCH_TOKENS = 16384


@dataclass(frozen=True, slots=True)
class Memory:
    """`bits_per_note` by tokens of context; `error` the standard error of each."""

    name: str
    bits_per_note: dict[int, float]
    error: dict[int, float]
    n_places: int
    unit: str = "note"


@torch_single_threaded()
@torch.inference_mode()
def measure(
    name: str,
    checkpoint: Checkpoint,
    tokens: TokenSet,
    *,
    split: str = "val",
    n_places: int = 400,
    contexts: Sequence[int] = CONTEXTS,
    seed: int = 0,
) -> Memory:
    """Bits per note (or other unit of the tokens) at `n_places` places, the same ones for every
    network and length.

    Raises:
        CheckpointError: the model has another vocabulary than the tokens.
        CorpusError: no tune of the split is long enough.
    """
    if tokens.vocab != checkpoint.vocab:
        raise CheckpointError(f"{name}: the model and the tokens have different vocabularies")
    tokens = tokens.with_features(checkpoint.feature_sizes)
    places = _places(tokens, split, n_places, seed)
    held_out = tokens.splits[split]
    tokens_per_note = (len(held_out.ids) - len(held_out)) / float(held_out.notes.sum())
    means, errors = {}, {}
    for context in contexts:
        bits = np.concatenate(
            [
                _bits(checkpoint, tokens, split, places[i : i + _BATCH_TOKENS // context], context)
                for i in range(0, len(places), _BATCH_TOKENS // context)
            ]
        )
        means[context] = float(bits.mean()) * tokens_per_note
        errors[context] = float(bits.std()) / math.sqrt(len(bits)) * tokens_per_note
    return Memory(name, means, errors, len(places), tokens.unit)


def _places(tokens: TokenSet, split: str, n: int, seed: int) -> NDArray[np.int64]:
    """(n, 2): the tune, and the index in it of the token to predict. There is as much before it as
    `n` places have, or the most that any has."""
    lengths = np.diff(tokens.splits[split].offsets)
    counts = {least: int(np.maximum(lengths - least, 0).sum()) for least in _EARLIEST}
    enough = [least for least in _EARLIEST if counts[least] >= n] or [
        least for least in _EARLIEST if counts[least]
    ]
    if not enough:
        raise CorpusError(f"split '{split}' has no tune of more than {_EARLIEST[-1]} tokens")
    least = enough[0]
    places = np.concatenate(
        [
            np.column_stack([np.full(length - least, i), np.arange(least, length)])
            for i, length in enumerate(lengths.tolist())
            if length > least
        ]
    )
    return places[np.sort(np.random.default_rng(seed).permutation(len(places))[:n])]


def _bits(
    checkpoint: Checkpoint, tokens: TokenSet, split: str, places: NDArray[np.int64], context: int
) -> NDArray[np.float64]:
    """Bits of the token at each place, given at most `context` tokens: (n,)."""
    windows, targets = [], []
    lookback = tokens.lookback
    for tune, target in places.tolist():
        ids, features = tokens.splits[split].tune(tune)
        seen = slice(max(0, target - context), target)
        window = np.array(features[seen], np.int64)
        if lookback is not None:
            n = len(lookback.sizes)
            window[:, -n:] = lookback.features(ids[seen], window[:, :-n])
        windows.append((np.array(ids[seen], np.int64), window))
        targets.append(int(ids[target]))
    longest = max(len(seen_ids) for seen_ids, _ in windows)
    # Padded behind: no logit depends on a later token.
    batch = np.zeros((len(windows), longest), np.int64)
    columns = np.zeros((len(windows), longest, windows[0][1].shape[1]), np.int64)
    for row, (seen_ids, window) in enumerate(windows):
        batch[row, : len(seen_ids)], columns[row, : len(seen_ids)] = seen_ids, window
    logits, _ = checkpoint.network(torch.from_numpy(batch), torch.from_numpy(columns))
    last = torch.tensor([len(seen_ids) - 1 for seen_ids, _ in windows])
    at_last = logits[torch.arange(len(windows)), last]  # (n, V)
    cost = nats(at_last[:, None], torch.tensor(targets)[:, None])[:, 0]
    return cost.double().numpy() / math.log(2)


def draw(memories: Sequence[Memory], path: str | Path) -> None:
    """Bits per note against the length of the context, a line for each network."""
    with chart(path) as figure:
        axes = figure.subplots()
        for k, memory in enumerate(memories):
            # Side by side, so that no bar hides another.
            x = [n * 1.04 ** (k - (len(memories) - 1) / 2) for n in memory.bits_per_note]
            axes.errorbar(x, list(memory.bits_per_note.values()), list(memory.error.values()),
                          fmt="o-", markersize=4, capsize=2, label=memory.name)  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_xticks(CONTEXTS, [str(n) for n in CONTEXTS])
        axes.set_xlabel("tokens of context")
        units = " or ".join(dict.fromkeys(memory.unit for memory in memories))
        axes.set_ylabel(f"bits per {units}; bars: standard error")
        axes.grid(alpha=0.3)
        axes.legend()


def rows(memories: Sequence[Memory]) -> list[tuple[str, int, float, float]]:
    """The numbers as a table: network, tokens of context, bits per note, standard error."""
    return [(m.name, n, bits, m.error[n]) for m in memories for n, bits in m.bits_per_note.items()]
