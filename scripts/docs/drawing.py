"""What the figures of the guide share: its tune, the shipped models, commands, axes of tokens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # networks this small only wait for a second thread

import numpy as np
import torch
from typer.testing import CliRunner

import musicgen
from musicgen.cli import app
from musicgen.evaluation.inspection.tokens import TokenView, encode_tune
from musicgen.models import checkpoint

DOCS = Path(__file__).resolve().parents[2] / "docs"
TUNE = DOCS / "tune.abc"
FIRST_PART = 71  # tokens of the tune up to its first repeat


def command(*words: str) -> None:
    """Run a musicgen command."""
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output


def shipped(name: str) -> checkpoint.Checkpoint:
    """A shipped model."""
    return checkpoint.load(checkpoint.locate(name))


def heard_by(model: checkpoint.Checkpoint) -> TokenView:
    """The guide's tune as a model hears it."""
    return encode_tune(musicgen.read(TUNE)[0], model)


@torch.no_grad()
def logits_at(model: checkpoint.Checkpoint, place: int) -> np.ndarray:
    """What a model says after the first tokens of the tune, (V,)."""
    logits, _ = model.network(*heard_by(model).batch)
    return logits[0, place].double().numpy()


def along_tokens(axes: Any, heard: TokenView) -> None:
    """Name the tokens of the first part along the x axis; no marks on the other."""
    tokens = heard.tokens[:FIRST_PART]
    axes.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=7)
    axes.set_yticks([])
    axes.set_xlabel("token read: heading, then the first part of The Kilfinane Jig")
