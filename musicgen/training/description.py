"""The checkpoint of a network: its weights, openings and outlines, scores and model card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from musicgen.config import to_dict
from musicgen.corpus.tokenset import TokenSet
from musicgen.models import KINDS, weights_of
from musicgen.models.checkpoint import Checkpoint, Opening, Outlines
from musicgen.music.similarity import NoveltyIndex
from musicgen.tokens.lookback.features import supports_echo
from musicgen.tokens.melody.grammar import Outline, outline_of
from musicgen.training.config import TrainConfig

if TYPE_CHECKING:
    from torch import nn

MIN_TUNES = 3  # that share an outline, or it is one tune's own way


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


def describe_model(
    network: nn.Module,
    config: TrainConfig,
    bits_per_note: float,
    step: int,
    *,
    tokens: TokenSet,
    about: str,
    novelty: NoveltyIndex | None,
) -> Checkpoint:
    """The network with everything that is needed to use it; `bits_per_note` on validation."""
    val = tokens.splits["val"]
    metrics = {
        f"val_bits_per_{tokens.unit}": bits_per_note,
        "val_bits_per_token": bits_per_note * float(val.notes.sum()) / (len(val.ids) - len(val)),
        "steps": float(step),
        "parameters": float(sum(p.numel() for p in network.parameters())),
    }
    openings = tokens.openings()
    return Checkpoint(
        weights=weights_of(network),
        model=config.model,
        vocab=tokens.vocab,
        feature_sizes=tokens.feature_sizes,
        tokenizer=tokens.tokenizer,
        fingerprint=tokens.fingerprint,
        openings=openings,
        outlines=outlines_of(tokens, openings),
        training=to_dict(config),
        metrics=metrics,
        card=write_card(config, tokens, metrics, about),
        novelty=novelty,
    )


def outlines_of(tokens: TokenSet, openings: tuple[Opening, ...]) -> tuple[Outlines, ...]:
    """For each of the openings the outlines of the training tunes that begin so, with counts, most
    frequent first; () where the features of these tokens do not tell parts."""
    if not supports_echo(tokens.feature_sizes):
        return ()
    train = tokens.splits["train"]
    tunes = [train.tune(i) for i in range(len(train))]
    found = [outline_of(f, [tokens.vocab[i] for i in ids.tolist()]) for ids, f in tunes]
    common = {outline for outline, n in Counter(found).items() if outline and n >= MIN_TUNES}
    counts: dict[tuple[int, ...], Counter[Outline]] = {ids: Counter() for ids, _ in openings}
    for (ids, _), outline in zip(tunes, found, strict=True):
        heading = tuple(ids[1 : 1 + tokens.n_header].tolist())
        if outline in common and heading in counts:
            counts[heading][outline] += 1
    return tuple(tuple(counts[ids].most_common()) for ids, _ in openings)


def write_card(
    config: TrainConfig, tokens: TokenSet, metrics: Mapping[str, float], about: str
) -> str:
    """README.md of a checkpoint, in Markdown; `about` is added at the end."""
    rows = [
        f"| {name} | {len(split):,} | {len(split.ids):,} | {int(split.notes.sum()):,} |"
        for name, split in tokens.splits.items()
    ]
    text = _CARD.format(
        kind=KINDS[config.model.kind].title,
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
