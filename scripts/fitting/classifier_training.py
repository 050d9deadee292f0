"""Fit a head to the states of a network, all questions together; the network is not touched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from musicgen.errors import ConfigError
from musicgen.evaluation.classification.head import shapes
from musicgen.evaluation.classification.questions import N_ANSWERS, QUESTIONS

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
_SIZES = [len(question.classes) for question in QUESTIONS]
_SPREAD = 1e-6  # under the root, whose slope at 0 is infinite


@dataclass(frozen=True, kw_only=True)
class FittingConfig:
    """`n_features` is K of the head; `crops` the share of tunes that are seen in part in an epoch;
    `dropout` of states and of what is pooled."""

    n_features: int = 128
    epochs: int = 12
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    dropout: float = 0.15
    crops: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_features", "epochs", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: {getattr(self, name)} is not positive")


class _Fitted(nn.Module):
    """The head in torch; see `head`."""

    def __init__(self, centre: Floats, scale: Floats, config: FittingConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("centre", torch.from_numpy(centre))
        self.register_buffer("scale", torch.from_numpy(scale))
        wide = shapes(len(centre), config.n_features)
        self.feature = nn.Linear(len(centre), config.n_features)
        self.output = nn.Linear(wide["output"][0], N_ANSWERS)
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)

    centre: Tensor
    scale: Tensor

    def forward(self, states: Tensor, present: Tensor) -> Tensor:
        """States (B, T, C), present (B, T) as 0 and 1 -> logits (B, N_ANSWERS)."""
        rate = self.config.dropout
        x = F.dropout((states - self.centre) / self.scale, rate, self.training)
        mask = present[:, :, None]
        n = mask.sum(dim=1)
        mean = (x * mask).sum(dim=1) / n
        spread = ((((x - mean[:, None]) ** 2) * mask).sum(dim=1) / n + _SPREAD).sqrt()
        last = x[torch.arange(len(x)), present.sum(dim=1).long() - 1]
        features = torch.relu(self.feature(x)) * mask
        pooled = [mean, spread, last, features.sum(dim=1) / n, features.amax(dim=1)]
        return self.output(F.dropout(torch.cat(pooled, dim=1), rate, self.training))

    def weights(self) -> dict[str, Floats]:
        """As `head.shapes` names them."""
        return {
            "centre": self.centre.numpy().copy(),
            "scale": self.scale.numpy().copy(),
            "feature": self.feature.weight.detach().numpy().T.copy(),
            "feature_bias": self.feature.bias.detach().numpy().copy(),
            "output": self.output.weight.detach().numpy().T.copy(),
            "output_bias": self.output.bias.detach().numpy().copy(),
        }


def fit(
    states: Sequence[Floats],
    targets: Ints,
    config: FittingConfig,
    *,
    report: Callable[[int, dict[str, Floats]], None] = lambda epoch, weights: None,
) -> dict[str, Floats]:
    """Weights of a head after the last epoch. `targets` (n, questions) are -1 where nothing is
    known; `report` is called after each epoch, from 1, with the weights so far."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    sample = np.concatenate(list(states[:: max(1, len(states) // 300)]))
    model = _Fitted(sample.mean(axis=0), sample.std(axis=0) + 1e-3, config)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    n_steps = config.epochs * -(-len(states) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=n_steps, pct_start=0.1
    )
    for epoch in range(1, config.epochs + 1):
        model.train()
        for rows in _batches(states, config.batch, rng):
            x, present = _side_by_side([_crop(states[i], config.crops, rng) for i in rows])
            loss = _loss(model(x, present), torch.from_numpy(targets[rows]))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        report(epoch, model.weights())
    return model.weights()


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Nats of the known answers, the mean of each question, summed."""
    total = logits.new_zeros(())
    for own, wanted in zip(torch.split(logits, _SIZES, dim=1), targets.T, strict=True):
        if (wanted >= 0).any():
            total = total + F.cross_entropy(own, wanted, ignore_index=-1)
    return total


def _batches(
    states: Sequence[Floats], size: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Every tune once, those of like length together."""
    lengths = np.array([len(each) for each in states]) * rng.uniform(0.8, 1.2, len(states))
    order = np.argsort(lengths, kind="stable")
    cut = [order[i : i + size] for i in range(0, len(order), size)]
    return [cut[i] for i in rng.permutation(len(cut))]


def _crop(states: Floats, share: float, rng: np.random.Generator) -> Floats:
    """A tune, or at times a half or more of it."""
    if rng.random() >= share or len(states) < 40:
        return states
    length = int(rng.integers(len(states) // 2, len(states) + 1))
    begin = int(rng.integers(0, len(states) - length + 1))
    return states[begin : begin + length]


def _side_by_side(several: Sequence[Floats]) -> tuple[Tensor, Tensor]:
    longest = max(len(each) for each in several)
    x = np.zeros((len(several), longest, several[0].shape[1]), np.float32)
    present = np.zeros((len(several), longest), np.float32)
    for row, each in enumerate(several):
        x[row, : len(each)], present[row, : len(each)] = each, 1
    return torch.from_numpy(x), torch.from_numpy(present)
