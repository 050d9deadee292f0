"""Calibrate a model: how often it expects each token, on the validation tunes of its corpus.

    python scripts/fitting/calibration.py runs/celtic --corpus celtic --out runs/celtic-calibrated

Dropout makes a network expect rare tokens (accidentals, rests, sixteenths) too rarely. Vector
scaling (Guo et al., "On calibration of modern neural networks", ICML 2017) finds one factor for all
logits and one shift for each token, under which the validation tunes are likeliest. The shifts
become part of the output's bias. The factor, below 1, only says that the network is a little too
sure of itself; it is printed and left out, for how sure to be is a matter of the temperature.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from musicgen.corpus.preparation import prepare
from musicgen.corpus.tokenset import PAD_ID, TokenSplit
from musicgen.models import checkpoint as checkpoints
from musicgen.models.batches import collate
from musicgen.models.checkpoint import Checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

BIAS = "readout.output.bias"
ROWS = 16  # tunes at once


@torch.no_grad()
def guesses(model: Checkpoint, split: TokenSplit) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N, V) and targets (N,) of every place of the tunes, and the tune of each (N,)."""
    lengths = np.diff(split.offsets) - 1
    logits, targets, tunes = [], [], []
    for start in range(0, len(split), ROWS):
        own = np.arange(start, min(start + ROWS, len(split)))
        batch = collate(split, split.offsets[own], lengths[own])
        said, _ = model.network(batch.tokens, batch.features)
        wanted = batch.targets != PAD_ID
        logits.append(said[wanted])
        targets.append(batch.targets[wanted])
        tunes.append(torch.from_numpy(own)[:, None].expand_as(wanted)[wanted])
    return torch.cat(logits), torch.cat(targets), torch.cat(tunes)


def fit(logits: Tensor, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Factor () and shifts (V,) under which the targets are likeliest."""
    factor = torch.ones((), requires_grad=True)
    shifts = torch.zeros(logits.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([factor, shifts], max_iter=40, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        optimizer.zero_grad()
        nats = cross_entropy(logits * factor + shifts, targets, reduction="sum")
        loss = nats + penalty * (shifts**2).sum()
        loss.backward()
        return loss

    optimizer.step(cost)
    return factor.detach(), shifts.detach()


def main(
    folder: Path,
    *,
    corpus: Sequence[str] = ("celtic",),
    out_: Path,
    penalty: Annotated[float, "of the squared shifts"] = 10.0,
    folds: int = 5,
) -> None:
    """Calibrate, and say what it is worth on tunes that it was not fitted to."""
    model = checkpoints.load(checkpoints.locate(folder))
    split = prepare(corpus).tokens.splits["val"]
    logits, targets, tunes = guesses(model, split)
    units = float(split.notes.sum()) * math.log(2)

    def bits(said: Tensor, wanted: Tensor) -> float:
        return float(cross_entropy(said, wanted, reduction="sum")) / units

    print(f"validation: {bits(logits, targets):.4f} bits per note as it is")
    whole, shifted = 0.0, 0.0
    for fold in range(folds):
        out = tunes % folds == fold
        factor, shifts = fit(logits[~out], targets[~out], penalty)
        whole += bits(logits[out] * factor + shifts, targets[out])
        shifted += bits(logits[out] + shifts / factor, targets[out])
    print(
        f"  {whole:.4f} with factor and shifts, {shifted:.4f} with the shifts alone, on other folds"
    )
    factor, shifts = fit(logits, targets, penalty)
    shifts = shifts / factor
    print(f"factor {factor:.3f}; the largest shifts:")
    for token in torch.argsort(-shifts.abs())[:12].tolist():
        print(f"  {model.vocab[token]:10s} {shifts[token]:+.2f}")
    weights = {**model.weights, BIAS: model.weights[BIAS] + shifts.numpy()}
    checkpoints.save(out_, replace(model, weights=weights), overwrite=True)
    print(f"wrote {out_}")


if __name__ == "__main__":
    command_line.run(main)
