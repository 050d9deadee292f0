"""The checkpoint of a network: its weights, openings and outlines, scores and model card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from musicgen.corpus.tokenset import TokenSet
from musicgen.models import KINDS, ModelConfig, weights_of
from musicgen.models.checkpoint import Checkpoint, Opening, Outlines
from musicgen.music.similarity import NoveltyIndex
from musicgen.tokens.melody.encoding import NAME
from musicgen.tokens.melody.grammar import Outline, outline_of

if TYPE_CHECKING:
    from torch import nn

MIN_TUNES = 3  # that share an outline, or it is one tune's own way


_CARD = """\
# {kind} that writes {what}

{parameters:,} parameters, {n_layers} layer(s) of {d_model} channels, \
{vocab} tokens of the tokenizer `{tokenizer}`.

{scores}
| split | tunes | tokens | {unit}s |
|---|---|---|---|
{splits}

Trained for {steps:,} steps with seed {seed}; every setting is in config.json.
Token set `{fingerprint}`.
The validation tunes chose the best step, so a score on the test tunes is the fair one.
"""


def describe_model(
    network: nn.Module,
    tokens: TokenSet,
    *,
    score: float | None,
    step: int,
    training: dict[str, Any],
    about: str,
    novelty: NoveltyIndex | None,
) -> Checkpoint:
    """The network with everything that is needed to use it.

    `score` is its bits per unit on the validation split, None if it was not measured; `training`
    are the settings that it was trained with.
    """
    metrics = {
        "steps": float(step),
        "parameters": float(sum(p.numel() for p in network.parameters())),
    }
    if score is not None:
        val = tokens.splits["val"]
        per_token = score * float(val.notes.sum()) / (len(val.ids) - len(val))
        metrics |= {f"val_bits_per_{tokens.unit}": score, "val_bits_per_token": per_token}
    config = cast(ModelConfig, network.config)
    openings = tokens.openings()
    return Checkpoint(
        weights=weights_of(network),
        model=config,
        vocab=tokens.vocab,
        feature_sizes=tokens.feature_sizes,
        tokenizer=tokens.tokenizer,
        fingerprint=tokens.fingerprint,
        openings=openings,
        outlines=outlines_of(tokens, openings),
        training=training,
        metrics=metrics,
        card=write_card(config, tokens, metrics, about, seed=training.get("seed", 0)),
        novelty=novelty,
    )


def outlines_of(tokens: TokenSet, openings: tuple[Opening, ...]) -> tuple[Outlines, ...]:
    """For each of the openings the outlines of the training tunes that begin so, with counts, most
    frequent first; () where the tokens are not those of a melody."""
    if tokens.tokenizer != NAME:
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
    config: ModelConfig, tokens: TokenSet, metrics: Mapping[str, float], about: str, *, seed: int
) -> str:
    """README.md of a checkpoint, in Markdown; `about` is added at the end."""
    rows = [
        f"| {name} | {len(split):,} | {len(split.ids):,} | {int(split.notes.sum()):,} |"
        for name, split in tokens.splits.items()
    ]
    text = _CARD.format(
        kind=KINDS[config.kind].title,
        parameters=int(metrics["parameters"]),
        n_layers=config.n_layers,
        d_model=config.d_model,
        vocab=len(tokens.vocab),
        tokenizer=tokens.tokenizer,
        what="melodies" if tokens.unit == "note" else "text",
        unit=tokens.unit,
        scores=_scores(metrics),
        splits="\n".join(rows),
        steps=int(metrics["steps"]),
        seed=seed,
        fingerprint=tokens.fingerprint,
    )
    return f"{text}\n{about.strip()}\n" if about.strip() else text


def _scores(metrics: Mapping[str, float]) -> str:
    """The validation scores as a table, if there are any."""
    rows = [
        f"| {name.removeprefix('val_').replace('_', ' ')} | {value:.4f} |\n"
        for name, value in metrics.items()
        if name.startswith("val_")
    ]
    return "".join(["| held-out tunes | |\n|---|---|\n", *rows]) if rows else ""
