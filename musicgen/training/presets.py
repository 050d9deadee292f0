"""Named training configurations, each trainable on two CPU cores in minutes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from musicgen.config import unknown
from musicgen.errors import ConfigError
from musicgen.models import ModelConfig
from musicgen.models.checkpoint import Checkpoint
from musicgen.training.config import DataConfig, TrainConfig

DEFAULT = "lstm"

# Chosen by bits per note on the validation tunes of `celtic`, in short runs of 2 to 6 epochs with
# one seed each (docs/experiments.md). The largest gains: many small steps (512 tokens, not
# 2,048), a high learning rate, and for the recurrent networks an output that does not share the
# input's table.
PRESETS = {
    "lstm": TrainConfig(
        epochs=12,
        data=DataConfig(batch_tokens=512),
        model=ModelConfig(kind="lstm", d_model=256, n_layers=1, dropout=0.15, tie_embeddings=False),
        learning_rate=6e-3,
    ),
    "transformer": TrainConfig(
        epochs=8,
        data=DataConfig(batch_tokens=512),
        model=ModelConfig(kind="transformer", d_model=128, n_layers=3, n_heads=4, dropout=0.1),
        learning_rate=3e-3,
    ),
    "rnn": TrainConfig(
        epochs=12,
        data=DataConfig(batch_tokens=512),
        model=ModelConfig(kind="rnn", d_model=256, n_layers=1, dropout=0.1, tie_embeddings=False),
        learning_rate=2e-3,
    ),
    # A. Karpathy, "min-char-rnn" (2015): one-hot characters, a state of 100, windows of 25 of one
    # text after another, Adagrad, every number of a gradient cut at 5 for the sum over a window,
    # here at 5 / 25 for its mean. It reads one row of text, here 8, as a step costs hardly more.
    "lecture": TrainConfig(
        minutes=3,
        data=DataConfig(batch_tokens=200, max_len=25, carry=True, features=False),
        model=ModelConfig(
            kind="rnn",
            d_model=100,
            dropout=0.0,
            embedding_dropout=0.0,
            embedding="one-hot",
            tie_embeddings=False,
        ),
        optimizer="adagrad",
        learning_rate=0.1,
        warmup=0.0,
        schedule="constant",
        weight_decay=0.0,
        clip=0.2,
        trainer={"gradient_clip_algorithm": "value"},
        val_every=5000,
        patience=0,
        sample_every=1000,
    ),
    # MIT 6.S191, lab 1, part 2: embedding 256, one LSTM of 1024, 8 windows of 100 characters, Adam.
    "lab": TrainConfig(
        minutes=15,
        data=DataConfig(batch_tokens=800, max_len=100, carry=True, features=False),
        model=ModelConfig(
            kind="lstm",
            d_model=1024,
            d_embedding=256,
            dropout=0.0,
            embedding_dropout=0.0,
            tie_embeddings=False,
        ),
        learning_rate=5e-3,
        warmup=0.0,
        schedule="constant",
        weight_decay=0.0,
        beta2=0.999,
        val_every=100,
        log_every=10,
        patience=0,
        sample_every=100,
    ),
}
TOKENIZERS = {"lecture": "char", "lab": "char"}  # of presets for another than that of the tunes

# By scripts/fitting/small_corpora.py: 30 tunes (4,961 tokens) come to 3.70 bits per note with 64
# channels and batches of 256, to 3.91 with the preset; 150 tunes (23,784 tokens) to 3.39 and 3.06.
SMALL_TOKENS = 10_000
ENOUGH_STEPS = 600  # of those runs
# Of a small set of examples of a task: batches of so many, and so many steps.
SMALL_ROWS, ENOUGH_HEAD_STEPS = 16, 400


def suited(config: TrainConfig, n_tokens: int) -> TrainConfig:
    """The preset as it suits a training split of so many tokens: a small corpus gets a small
    network and small batches, and at least `ENOUGH_STEPS` where a budget of epochs gives fewer."""
    if n_tokens < SMALL_TOKENS:
        config = replace(
            config,
            model=replace(config.model, d_model=64),
            data=replace(config.data, batch_tokens=256),
        )
    return _with_enough_steps(config, n_tokens, ENOUGH_STEPS, validations=6)


def suited_to_examples(config: TrainConfig, lengths: NDArray[np.int64]) -> TrainConfig:
    """The settings of a task as they suit training examples (n,) of so many tokens: few or short
    ones are learned in small batches, and at least `ENOUGH_HEAD_STEPS` where a budget of epochs
    gives fewer, to the end."""
    places = min(config.data.batch_tokens, SMALL_ROWS * int(np.percentile(lengths, 90)))
    small = replace(config, data=replace(config.data, batch_tokens=max(1, places)))
    small = _with_enough_steps(small, int(lengths.sum()), ENOUGH_HEAD_STEPS, validations=20)
    return config if small.epochs == config.epochs else replace(small, patience=0, log_every=20)


def _with_enough_steps(
    config: TrainConfig, n_tokens: int, steps: int, *, validations: int
) -> TrainConfig:
    """With a budget of steps where one of epochs gives fewer."""
    if not config.epochs or config.epochs * n_tokens >= steps * config.data.batch_tokens:
        return config
    return replace(config.with_budget(steps=steps), val_every=steps // validations)


# Fraction of the learning rate of a new model, for training on (docs/experiments.md).
FINE_TUNING = 0.25


def onward(model: Checkpoint) -> TrainConfig:
    """The configuration to train a finished model on: its own network, smaller steps."""
    config = PRESETS.get(model.model.kind, PRESETS[DEFAULT])
    return replace(config, model=model.model, learning_rate=config.learning_rate * FINE_TUNING)


def preset(name: str) -> TrainConfig:
    """The configuration of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PRESETS:
        raise ConfigError(unknown(name, name, PRESETS, kind="preset"))
    return PRESETS[name]
