"""A trained model ready to compose, and what it composes: takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from musicgen.composer.controls import Opening
from musicgen.composer.prompts.bar_plan import BarPlanConstraint, BarPlanTables
from musicgen.composer.prompts.tokens import nearest_tokens
from musicgen.composer.sampling import Sampled, SamplingConfig, sample, stepper_of
from musicgen.errors import CheckpointError, InvalidTuneError, printable
from musicgen.formats import extension, write
from musicgen.models import KINDS
from musicgen.models.checkpoint import Checkpoint, Outlines
from musicgen.models.inference import ArrayStepper, Stepper
from musicgen.music.metrics.critic import Critic
from musicgen.music.similarity import Novelty, NoveltyIndex
from musicgen.music.tune import Tune
from musicgen.system.files import write_bytes
from musicgen.tokens.constraint import Constraint
from musicgen.tokens.melody.automaton import Automaton
from musicgen.tokens.melody.encoding import NAME
from musicgen.tokens.melody.grammar import FEATURE_SIZES
from musicgen.tokens.melody.table import HEADER_KINDS, MAX_UNITS, parse_token
from musicgen.tokens.vocabulary import BOS, Vocabulary

BATCH = 128
# Attempt a (0, 1, ...) at take k of a seed is number k + a * ATTEMPTS.
ATTEMPTS = 1 << 32
# The grammar ends every tune (`Limits`, and hurry after so many tokens), so the sampler need not.
HURRY_AFTER = 1500
ENDLESS = 1 << 20


@dataclass(frozen=True)
class Take:
    """One composed tune: number `index` (from 0) of its seed, and what the new music cost the
    model, in bits per note; lower is more expected.

    `warning` says what was asked for and could not be had. `exact` holds, by extension, files that
    keep to the letter what was given, where there was something; `name` tells takes of one title
    apart.
    """

    tune: Tune
    index: int
    bits_per_note: float
    warning: str = field(default="", kw_only=True)
    corpus: NoveltyIndex | None = field(default=None, kw_only=True, repr=False, compare=False)
    critic: Critic | None = field(default=None, kw_only=True, repr=False, compare=False)
    exact: Mapping[str, bytes] = field(default_factory=dict, kw_only=True, repr=False)
    name: str = field(default="", kw_only=True)

    def write(self, path: str | Path) -> None:
        """Write the tune, by extension, with what was given kept to the byte where the format is
        that of the file it came from.

        Raises:
            MusicgenError: see `formats.write`.
        """
        content = self.exact.get(extension(path))
        if content is None:
            write(self.tune, path)
        else:
            write_bytes(path, content)

    @cached_property
    def novelty(self) -> Novelty | None:
        """How close the tune is to those of the model's corpus, worked out when first asked for;
        None where the model has no index of it."""
        return None if self.corpus is None else self.corpus.assess(self.tune)

    @cached_property
    def likeness(self) -> float | None:
        """Log odds that the tune is a real one and not the model's, by the model's critic; None
        where it has none."""
        return None if self.critic is None else self.critic(self.tune)


@dataclass(frozen=True, eq=False)
class Engine:
    """The parts of a model that composing needs. `openings` are header tokens with counts,
    `outlines` the parts of tunes that begin so, where they are known; `corpus` is the index of
    what it was trained on and `critic` tells its tunes from real ones, where the model has them."""

    stepper: Stepper
    vocabulary: Vocabulary
    automaton: Automaton
    openings: tuple[Opening, ...]
    outlines: Mapping[tuple[str, ...], Outlines] = field(default_factory=dict)
    corpus: NoveltyIndex | None = None
    critic: Critic | None = None

    @staticmethod
    def of(checkpoint: Checkpoint) -> Engine:
        """The engine of a model.

        Raises:
            CheckpointError: the model has another token language.
        """
        if checkpoint.tokenizer != NAME or not checkpoint.openings:
            raise CheckpointError(
                f"this model reads '{printable(checkpoint.tokenizer[:40])}' tokens and cannot "
                f"compose; train one with the '{NAME}' tokenizer"
            )
        require_language(checkpoint, parse_token, HEADER_KINDS, FEATURE_SIZES)
        vocabulary = Vocabulary(checkpoint.vocab)
        openings = tuple((tuple(vocabulary.decode(ids)), n) for ids, n in checkpoint.openings)
        return Engine(
            fastest_stepper(checkpoint),
            vocabulary,
            Automaton(vocabulary),
            openings,
            dict(
                zip(
                    (header for header, _ in openings),
                    checkpoint.outlines,
                    strict=bool(checkpoint.outlines),
                )
            ),
            checkpoint.novelty,
            checkpoint.critic,
        )

    def prompt(self, tokens: Iterable[str]) -> list[int]:
        """The ids of `<bos>` and tokens; the nearest known one stands for an unknown token."""
        return self.vocabulary.encode((BOS, *nearest_tokens(tokens, self.vocabulary)))

    def fill(
        self, tables: BarPlanTables, sampling: SamplingConfig, indices: Sequence[int]
    ) -> list[tuple[tuple[str, ...], float]]:
        """Fill a bar plan once for each index: the tokens written, and their bits."""
        prompts = [self.prompt(tables.plan.tokens)] * len(indices)
        constraint = BarPlanConstraint(tables, len(indices))
        rows = sample_to_end(self.stepper, prompts, constraint, sampling, indices)
        return [(tuple(w), row.bits) for w, row in zip(constraint.written, rows, strict=True)]


def sample_to_end(
    stepper: Stepper,
    prompts: list[list[int]],
    constraint: Constraint,
    sampling: SamplingConfig,
    indices: Sequence[int],
) -> list[Sampled]:
    """Complete every prompt up to the end that the grammar brings, without a limit of tokens; row
    k is take `indices[k]` of the seed."""
    return sample(
        stepper, prompts, constraint, replace(sampling, max_tokens=ENDLESS), indices=indices
    )


def require_language(
    checkpoint: Checkpoint,
    parse: Callable[[str], Any],
    header_kinds: Sequence[str],
    sizes: Mapping[str, int],
) -> None:
    """Refuse a model whose vocabulary, headings or features are not those of its token language,
    whatever its hashes say.

    Raises:
        CheckpointError: they are not.
    """
    try:
        tokens = [parse(text) for text in checkpoint.vocab]
    except InvalidTuneError as error:
        raise CheckpointError(f"in the vocabulary {error}; get the model again") from None
    for ids, _ in checkpoint.openings:
        header = {tokens[i].kind: tokens[i].value for i in ids}
        kinds = tuple(tokens[i].kind for i in ids)
        if kinds != tuple(header_kinds) or header["pickup"] >= header["meter"].bar_duration:
            raise CheckpointError("an opening of the model is no heading; get the model again")
        full = header["meter"].bar_duration
        if full > MAX_UNITS * header.get("unit", full):
            raise CheckpointError(
                f"in an opening of the model bars have more than {MAX_UNITS} units; get it again"
            )
    lookback = checkpoint.lookback
    if checkpoint.feature_sizes != ({**sizes, **lookback.sizes} if lookback else {}):
        raise CheckpointError(
            "the features of the model are not those of this musicgen; train it again"
        )


def fastest_stepper(checkpoint: Checkpoint) -> Stepper:
    """The network one token at a time: in numpy on the CPU where its kind can, else in torch."""
    lookback = checkpoint.lookback
    if checkpoint.device == "cpu" and KINDS[checkpoint.model.kind].stepper is not None:
        return ArrayStepper(checkpoint.model, checkpoint.weights, lookback)
    return stepper_of(checkpoint.network, lookback)
