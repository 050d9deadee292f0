"""Baselines of `likelihood.py`: n-grams, the LSTM of the lecture lab, the network of folk-rnn.

All of them read the canonical ABC of the tunes and are scored on every character or token of a
tune and its end, given what stands before it in the same tune. A network is trained for so many
seconds of process time, with a score for each of several budgets on the way, as no setting of it
depends on the budget; scoring on validation tunes, to keep the best, is not charged to it.
"""

from __future__ import annotations

import copy
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

END = "\n\n"
Text = tuple[str, int]  # the ABC of a tune and its number of notes
Ids = NDArray[np.int64]
_LOOK_EVERY_S = 150.0  # at the validation tunes
_ROWS_SCORED = 16  # at once
UNKNOWN_BITS = math.log2(0x110000)  # a character that training never met: any of Unicode's


@dataclass(frozen=True)
class Score:
    """`bits` of each test tune (n,), the CPU-seconds of training (None: unknown), and the number of
    parameters."""

    bits: NDArray[np.float64]
    cpu_s: float | None
    parameters: int


# --- n-grams -------------------------------------------------------------------------------------

_PRIME = np.uint64(0x9E3779B97F4A7C15)
_MATCH_BUCKETS = np.array([4, 6, 8, 12, 16, 24, 32, 48])  # characters


class KneserNey:
    """Interpolated Kneser-Ney over characters, vectorised: an n-gram is a 64-bit hash.

    Chen and Goodman, "An empirical study of smoothing techniques for language modeling", 1998,
    with one discount for each order, D = n1 / (n1 + 2 n2).
    """

    def __init__(self, ids: Ids, order: int, vocab_size: int) -> None:
        self.order, self.vocab_size = order, vocab_size
        grams = [_hashes(ids, n) for n in range(order + 2)]  # grams[n][t]: the n ids up to t
        self.tables = []
        for n in range(1, order + 1):
            where = np.arange(n - 1, len(ids))
            if n < order:  # an n-gram counts once for each different id before it
                _, first = np.unique(grams[n + 1][n:], return_index=True)
                where = first + n
            gram, first, count = np.unique(grams[n][where], return_index=True, return_counts=True)
            contexts, inverse = np.unique(grams[n - 1][where[first] - 1], return_inverse=True)
            total, types = np.bincount(inverse, weights=count), np.bincount(inverse)
            ones, twos = int((count == 1).sum()), int((count == 2).sum())
            discount = ones / max(1, ones + 2 * twos)
            self.tables.append((gram, count, contexts, total, types, discount))

    @property
    def parameters(self) -> int:
        """Counts that are kept."""
        return sum(len(gram) for gram, *_ in self.tables)

    def probabilities(self, ids: Ids) -> NDArray[np.float64]:
        """That of each id of a text after those before it: (T,)."""
        p = np.full(len(ids), 1 / self.vocab_size)
        for n, (gram, count, contexts, total, types, discount) in enumerate(self.tables, start=1):
            context = np.concatenate([[np.uint64(0)], _hashes(ids, n - 1)[:-1]])
            seen = _look_up(gram, count, _hashes(ids, n))
            n_context = _look_up(contexts, total, context)
            n_types = _look_up(contexts, types, context)
            known = n_context > 0
            safe = np.where(known, n_context, 1)
            mixed = (np.maximum(seen - discount, 0) + discount * n_types * p) / safe
            p = np.where(known & (np.arange(len(ids)) >= n - 1), mixed, p)
        return p


def _hashes(ids: Ids, n: int) -> NDArray[np.uint64]:
    """A hash of the n ids that end at each place (of fewer at the beginning): (T,)."""
    out = np.zeros(len(ids), np.uint64)
    for back in range(n):
        shifted = np.zeros(len(ids), np.uint64)
        shifted[back:] = ids[: len(ids) - back].astype(np.uint64) + np.uint64(1)
        out = (out ^ (shifted + np.uint64(back))) * _PRIME
        out ^= out >> np.uint64(29)
    return out


def _look_up(
    keys: NDArray[np.uint64], values: NDArray[np.generic], wanted: NDArray[np.uint64]
) -> NDArray[np.float64]:
    at = np.searchsorted(keys, wanted).clip(0, len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0).astype(np.float64)


def _matches(ids: Ids) -> tuple[Ids, Ids]:
    """For each place of one tune, what followed the longest earlier match of at least
    `_MATCH_BUCKETS[0]` ids (-1: none), and the bucket of its length (0: none)."""
    length = len(ids)
    said, bucket = np.full(length, -1), np.zeros(length, np.int64)
    runs = np.zeros(length, np.int64)  # runs[lag]: ids that agree with those `lag` earlier
    for t in range(1, length):
        lags = np.arange(1, t)
        same = ids[t - 1] == ids[t - 1 - lags]
        runs[1:t] = np.where(same, runs[1:t] + 1, 0)
        if not len(lags):
            continue
        lag = int(runs[1:t].argmax()) + 1
        if runs[lag] >= _MATCH_BUCKETS[0]:
            said[t] = ids[t - lag]
            bucket[t] = np.searchsorted(_MATCH_BUCKETS, runs[lag], side="right")
    return said, bucket


def train_ngram(texts: dict[str, list[Text]], order: int = 12) -> Score:
    """Kneser-Ney with an in-tune match cache, whose weight for each length of match is fitted to
    the validation tunes by expectation-maximisation."""
    begin = time.process_time()
    characters = sorted({c for text, _ in texts["train"] for c in text} | set(END))
    known = {c: i for i, c in enumerate(characters)}
    start = END * ((order + 1) // 2)

    def encode(text: str) -> Ids:
        return np.array([known[c] for c in start + text + END if c in known])

    corpus = np.concatenate([encode(text)[len(END) :] for text, _ in texts["train"]])
    model = KneserNey(corpus, order, len(characters))

    def parts(text: str) -> tuple[NDArray[np.float64], NDArray[np.bool_], Ids]:
        ids = encode(text)
        said, bucket = _matches(ids[len(start) :])
        return model.probabilities(ids)[len(start) :], said == ids[len(start) :], bucket

    p, hit, bucket = map(
        np.concatenate, zip(*(parts(t) for t, _ in texts["val"][::4]), strict=True)
    )
    weight = np.full(len(_MATCH_BUCKETS) + 1, 0.5)
    weight[0] = 0
    for _ in range(30):
        share = weight[bucket] * hit / (weight[bucket] * hit + (1 - weight[bucket]) * p)
        n = np.maximum(np.bincount(bucket, minlength=len(weight)), 1)
        weight = np.bincount(bucket, weights=share, minlength=len(weight)) / n
    cpu_s = time.process_time() - begin
    bits = []
    for text, _ in texts["test"]:
        p, hit, bucket = parts(text)
        mixed = weight[bucket] * hit + (1 - weight[bucket]) * p
        bits.append(-np.log2(mixed).sum() + _unknown(text, known))
    return Score(np.array(bits), cpu_s, model.parameters)


def _unknown(text: str, known: dict[str, int]) -> float:
    return sum(c not in known for c in text) * UNKNOWN_BITS


# --- networks ------------------------------------------------------------------------------------


class LabLSTM(nn.Module):
    """The lecture lab's character model: embedding 256, one LSTM layer of 1024, linear output."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 256)
        self.lstm = nn.LSTM(256, 1024, batch_first=True)
        self.output = nn.Linear(1024, vocab_size)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, T) ids -> (B, T, V) logits."""
        hidden, _ = self.lstm(self.embedding(ids))
        return self.output(hidden)


class FolkRNN(nn.Module):
    """The network of folk-rnn v2: one-hot tokens, three LSTM layers of 512, dropout 0.5 after each.

    Sturm, Santos, Ben-Tal and Korshunova, "Music transcription modelling and composition using
    deep learning", 2016.
    """

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.lstm = nn.LSTM(vocab_size, 512, num_layers=3, dropout=0.5, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(512, vocab_size)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, T) ids -> (B, T, V) logits."""
        one_hot = nn.functional.one_hot(ids, self.vocab_size).float()
        hidden, _ = self.lstm(one_hot)
        return self.output(self.dropout(hidden))


# A field, a bar line with its repeats, an ending, a tuplet, a pitch, a length, or one character.
_ABC_TOKEN = re.compile(
    r"[A-Z]:[^\n]*\n|\[[12]|:?\|[\]|:]?|\(\d(?::\d*)*|[_=^]*[A-Ga-gz][,']*|\d+(?:/\d+)?|/+\d*|[\s\S]"
)


def abc_tokens(text: str) -> list[str]:
    """The ABC tokens of a tune, as folk-rnn reads them."""
    return _ABC_TOKEN.findall(text)


def _batch(rows: Sequence[Ids]) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole tunes side by side, padded: what is read, and what is to be guessed (-1: nothing)."""
    longest = max(map(len, rows)) - 1
    read, wanted = np.zeros((len(rows), longest), np.int64), np.full((len(rows), longest), -1)
    for i, row in enumerate(rows):
        read[i, : len(row) - 1], wanted[i, : len(row) - 1] = row[:-1], row[1:]
    return torch.from_numpy(read), torch.from_numpy(wanted)


@torch.inference_mode()
def _bits(network: nn.Module, rows: Sequence[Ids], skip: int) -> NDArray[np.float64]:
    """Bits of each row (n,), its first `skip` places after the very first not counted."""
    bits = np.zeros(len(rows))
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    for start in range(0, len(rows), _ROWS_SCORED):
        own = order[start : start + _ROWS_SCORED]
        read, wanted = _batch([rows[i] for i in own])
        wanted[:, :skip] = -1
        cost = nn.functional.cross_entropy(
            network(read).transpose(1, 2), wanted, ignore_index=-1, reduction="none"
        )
        bits[own] = cost.sum(1).double().numpy() / math.log(2)
    return bits


def _fit(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
    bits: Callable[[nn.Module, Sequence[Text]], NDArray[np.float64]],
    val: Sequence[Text],
    budgets: Sequence[float],
    name: str,
) -> Iterator[tuple[nn.Module, float]]:
    """Train, and once each of the `budgets` of CPU-seconds (rising) is spent, give the network
    that had the best score on a quarter of the validation tunes, and what was spent."""
    torch.set_flush_denormal(True)  # as in ours: tiny gradients are slow on a CPU
    sample = val[::4]
    n_notes = sum(n for _, n in sample)
    best, best_val, spent, checked, steps = copy.deepcopy(network), math.inf, 0.0, 0.0, 0
    for budget in budgets:
        while spent < budget:
            begin = time.process_time()
            network.train()
            read, wanted = next(batches)
            loss = nn.functional.cross_entropy(
                network(read).flatten(0, 1), wanted.flatten(), ignore_index=-1
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            steps += 1
            spent += time.process_time() - begin
            if spent - checked > _LOOK_EVERY_S or spent >= budget:
                checked = spent
                network.eval()
                score = float(bits(network, sample).sum()) / n_notes
                print(f"  {name}: {spent:5.0f} CPU-s, step {steps}, val {score:.3f}", flush=True)
                if score < best_val:
                    best_val, best = score, copy.deepcopy(network)
        yield best.eval(), spent


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def train_lab(texts: dict[str, list[Text]], budgets: Sequence[float]) -> Iterator[Score]:
    """The lab's model as in the lab: windows of 100 characters, batches of 8, Adam at 5e-3
    (MIT 6.S191, lab 1, part 2), with the gradients clipped; a score for each budget."""
    corpus = END.join(text for text, _ in texts["train"])
    ids = {c: i for i, c in enumerate(sorted(set(corpus)))}
    data = np.array([ids[c] for c in corpus])
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = LabLSTM(len(ids))

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            starts = rng.integers(0, len(data) - 101, 8)
            window = torch.from_numpy(data[starts[:, None] + np.arange(101)])
            yield window[:, :-1], window[:, 1:]

    def bits(model: nn.Module, split: Sequence[Text]) -> NDArray[np.float64]:
        rows = [np.array([ids[c] for c in END + text + END if c in ids]) for text, _ in split]
        unknown = np.array([_unknown(text, ids) for text, _ in split])
        return _bits(model, rows, len(END) - 1) + unknown

    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    found = _fit(network, optimizer, batches(), bits, texts["val"], budgets, "lab")
    for best, spent in found:
        yield Score(bits(best, texts["test"]), spent, _parameters(network))


def train_folk_rnn(
    texts: dict[str, list[Text]], budgets: Sequence[float], *, small_steps: bool = False
) -> Iterator[Score]:
    """folk-rnn's network and training: whole tunes of like length in batches of 64, RMSprop at
    3e-3, gradients clipped; tokens seen once only are unknown; a score for each budget. With
    `small_steps`, which are kinder to it where time is short, batches of 8 and Adam at 1e-3."""
    rows = 8 if small_steps else 64
    spoken = [["<s>", *abc_tokens(text), "</s>"] for text, _ in texts["train"]]
    names: dict[str, int] = {}
    for tokens in spoken:
        for token in tokens:
            names[token] = names.get(token, 0) + 1
    kept = ["<unk>", *sorted(token for token, n in names.items() if n > 1)]
    ids = {token: i for i, token in enumerate(kept)}

    def encode(tokens: Sequence[str]) -> Ids:
        return np.array([ids.get(token, 0) for token in tokens])

    def spelled(text: str) -> float:
        """Bits of what `<unk>` does not say, each character as likely as any known one."""
        lost = sum(len(token) + 1 for token in abc_tokens(text) if token not in ids)
        return lost * math.log2(len({c for token in kept for c in token}) + 1)

    train = sorted((encode(tokens) for tokens in spoken), key=len)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = FolkRNN(len(kept))

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            for start in rng.permutation(range(0, len(train), rows)).tolist():
                yield _batch(train[start : start + rows])

    def bits(model: nn.Module, split: Sequence[Text]) -> NDArray[np.float64]:
        spoken = [encode(["<s>", *abc_tokens(text), "</s>"]) for text, _ in split]
        return _bits(model, spoken, 0) + np.array([spelled(text) for text, _ in split])

    optimizer: torch.optim.Optimizer = torch.optim.RMSprop(
        network.parameters(), lr=3e-3, alpha=0.95
    )
    if small_steps:
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    found = _fit(network, optimizer, batches(), bits, texts["val"], budgets, "folk-rnn")
    for best, spent in found:
        yield Score(bits(best, texts["test"]), spent, _parameters(network))
