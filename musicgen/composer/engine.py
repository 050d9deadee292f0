"""A trained model ready to compose, and what it composes: takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from musicgen.checkpoint import Checkpoint
from musicgen.constraint import Automaton
from musicgen.controls import Opening
from musicgen.errors import CheckpointError
from musicgen.novelty import Novelty, NoveltyIndex
from musicgen.sampling import Constraint, Sampled, SamplingConfig, sample, stepper_of
from musicgen.stepping import ArrayStepper, Stepper
from musicgen.tokenizer import Vocabulary
from musicgen.tokenizer.melody import NAME
from musicgen.tune import Tune

BATCH = 128
# The grammar ends every tune (`Limits`, and hurry after so many tokens), so the sampler need not.
HURRY_AFTER = 1500
ENDLESS = 1 << 20


@dataclass(frozen=True)
class Take:
    """One composed tune: number `index` (from 0) of its seed, and what the new music cost the
    model, in bits per note; lower is more expected. `warning` says what was asked for and could
    not be had."""

    tune: Tune
    index: int
    bits_per_note: float
    warning: str = field(default="", kw_only=True)
    corpus: NoveltyIndex | None = field(default=None, kw_only=True, repr=False, compare=False)

    @cached_property
    def novelty(self) -> Novelty | None:
        """How close the tune is to those of the model's corpus, worked out when first asked for;
        None where the model has no index of it."""
        return None if self.corpus is None else self.corpus.assess(self.tune)


@dataclass(frozen=True, eq=False)
class Engine:
    """The parts of a model that composing needs. `openings` are header tokens with counts;
    `corpus` is the index of what it was trained on, where the model has one."""

    stepper: Stepper
    vocabulary: Vocabulary
    automaton: Automaton
    openings: tuple[Opening, ...]
    corpus: NoveltyIndex | None = None

    @staticmethod
    def of(checkpoint: Checkpoint) -> Engine:
        """The engine of a model.

        Raises:
            CheckpointError: the model speaks another token language.
        """
        if checkpoint.tokenizer != NAME or not checkpoint.openings:
            raise CheckpointError(
                f"this model reads '{checkpoint.tokenizer}' tokens and cannot compose; "
                f"train one with the '{NAME}' tokenizer"
            )
        vocabulary = Vocabulary(checkpoint.vocab)
        openings = tuple((tuple(vocabulary.decode(ids)), n) for ids, n in checkpoint.openings)
        if checkpoint.device == "cpu":
            stepper: Stepper = ArrayStepper(checkpoint.model, checkpoint.weights)
        else:
            stepper = stepper_of(checkpoint.network)
        return Engine(stepper, vocabulary, Automaton(vocabulary), openings, checkpoint.novelty)

    def sample(
        self,
        prompts: list[list[int]],
        constraint: Constraint,
        sampling: SamplingConfig,
        indices: Sequence[int],
    ) -> list[Sampled]:
        """Complete every prompt, however long it takes to its valid end; row k is take
        `indices[k]` of the seed."""
        endless = replace(sampling, max_tokens=ENDLESS)
        return sample(self.stepper, prompts, constraint, endless, indices=indices)
