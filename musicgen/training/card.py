"""The model card: what a network was trained on, how, and how well it predicts."""

from __future__ import annotations

from collections.abc import Mapping

from musicgen.corpus.tokenset import TokenSet
from musicgen.training.config import TrainConfig

_NAMES = {
    "rnn": "A recurrent network",
    "lstm": "An LSTM",
    "transformer": "A transformer",
}

_CARD = """\
# {kind} that writes {what}

{parameters:,} parameters, {n_layers} layer(s) of {d_model} channels, \
{vocab} tokens of the tokenizer `{tokenizer}`.

| held-out tunes | |
|---|---|
| bits per {unit} | {val_bits:.4f} |
| bits per token | {val_bits_per_token:.4f} |

| split | tunes | tokens | {unit}s |
|---|---|---|---|
{splits}

Trained for {steps:,} steps with seed {seed}; every setting is in config.json.
Token set `{fingerprint}`.
The validation tunes chose the best step, so a score on the test tunes is the fair one.
"""


def write_card(
    config: TrainConfig, tokens: TokenSet, metrics: Mapping[str, float], about: str
) -> str:
    """README.md of a checkpoint, in Markdown; `about` is added at the end."""
    rows = [
        f"| {name} | {len(split):,} | {len(split.ids):,} | {int(split.notes.sum()):,} |"
        for name, split in tokens.splits.items()
    ]
    text = _CARD.format(
        kind=_NAMES[config.model.kind],
        parameters=int(metrics["parameters"]),
        n_layers=config.model.n_layers,
        d_model=config.model.d_model,
        vocab=len(tokens.vocab),
        tokenizer=tokens.tokenizer,
        what="melodies" if tokens.unit == "note" else "text",
        unit=tokens.unit,
        val_bits=metrics[f"val_bits_per_{tokens.unit}"],
        val_bits_per_token=metrics["val_bits_per_token"],
        splits="\n".join(rows),
        steps=int(metrics["steps"]),
        seed=config.seed,
        fingerprint=tokens.fingerprint,
    )
    return f"{text}\n{about.strip()}\n" if about.strip() else text
