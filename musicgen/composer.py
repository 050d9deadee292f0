"""Composer: new tunes from a trained model, and ways on from an unfinished one.

    composer = Composer(checkpoint.load("runs/first"))
    tune = composer.generate(key="D", meter="6/8", rhythm="jig", seed=7)
    whole = composer.continue_(half, seed=7)

What is asked for holds by construction: the model only ever chooses among tokens that the grammar
allows. Take k of a seed is the same however many takes are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from musicgen.checkpoint import Checkpoint
from musicgen.constraint import Automaton, GrammarConstraint
from musicgen.controls import Controls, Request
from musicgen.errors import CheckpointError
from musicgen.prompt import Prompt, heard_as
from musicgen.sampling import LANES, Sampled, SamplingConfig, sample
from musicgen.tokenizer import BOS, Vocabulary
from musicgen.tokenizer.melody import NAME, decode
from musicgen.tune import Tune

BATCH = 2 * LANES
# The grammar ends every tune (`Limits`, and hurry after so many tokens), so the sampler need not.
HURRY_AFTER = 1500
ENDLESS = 1 << 20


@dataclass(frozen=True, slots=True)
class Take:
    """One composed tune: number `index` (from 0) of its seed, and what the new music cost the
    model, in bits per note; lower is more expected."""

    tune: Tune
    index: int
    bits_per_note: float


class Composer:
    """Composes with one trained model.

    Raises:
        CheckpointError: the model speaks another token language.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        if checkpoint.tokenizer != NAME or not checkpoint.openings:
            raise CheckpointError(
                f"this model reads '{checkpoint.tokenizer}' tokens and cannot compose; "
                f"train one with the '{NAME}' tokenizer"
            )
        self.network = checkpoint.network
        self.vocabulary = Vocabulary(checkpoint.vocab)
        self.automaton = Automaton(self.vocabulary)
        self.openings = [
            (tuple(self.vocabulary.decode(ids)), count) for ids, count in checkpoint.openings
        ]

    def generate(
        self,
        *,
        key: str | None = None,
        meter: str | None = None,
        rhythm: str | None = None,
        seed: int = 0,
        temperature: float = 1.0,
    ) -> Tune:
        """One new tune; the same arguments give the same tune.

        Raises:
            ControlError: the controls contradict each other or the model does not know them.
            ConfigError: an impossible seed or temperature.
        """
        controls = Controls(key=key, meter=meter, rhythm=rhythm)
        sampling = SamplingConfig(seed=seed, temperature=temperature)
        return next(self.takes(1, controls, sampling)).tune

    def takes(self, n: int, controls: Controls, sampling: SamplingConfig) -> Iterator[Take]:
        """`n` new tunes in order, sampled a batch at a time.

        Raises:
            ControlError: the controls contradict each other or the model does not know them.
        """
        request = Request.understand(controls, self.openings)
        for begin in range(0, n, BATCH):
            indices = range(begin, min(begin + BATCH, n))
            prompts = [
                self.vocabulary.encode((BOS, *request.draw(sampling.seed, index)))
                for index in indices
            ]
            constraint = GrammarConstraint(self.automaton, len(prompts), hurry_after=HURRY_AFTER)
            rows = self._sample(prompts, constraint, sampling, begin)
            for index, row in zip(indices, rows, strict=True):
                tune = request.fulfil(decode(self.vocabulary.decode(row.ids)))
                title = f"{tune.rhythm.capitalize() or 'Tune'} {sampling.seed}-{index + 1}"
                tune = replace(tune, title=title, number=index + 1)
                yield Take(tune, index, row.bits / max(1, tune.n_notes))

    def _sample(
        self,
        prompts: list[list[int]],
        constraint: GrammarConstraint,
        sampling: SamplingConfig,
        first_index: int,
    ) -> list[Sampled]:
        endless = replace(sampling, max_tokens=ENDLESS)
        return sample(self.network, prompts, constraint, endless, first_index=first_index)

    def continue_(self, tune: Tune, *, seed: int = 0, temperature: float = 1.0) -> Tune:
        """The tune finished: every note given stays as it was, and the rest follows from it.

        Raises:
            ControlError: it is no single line in one key and one meter.
            ConfigError: an impossible seed or temperature.
        """
        sampling = SamplingConfig(seed=seed, temperature=temperature)
        return next(self.continuations(tune, 1, sampling)).tune

    def continuations(self, tune: Tune, n: int, sampling: SamplingConfig) -> Iterator[Take]:
        """`n` ways on from an unfinished tune.

        Raises:
            ControlError: it is no single line in one key and one meter.
        """
        prompt = Prompt.read(tune, self.automaton.smallest)
        ids = self.vocabulary.encode((BOS, *heard_as(prompt.tokens, self.vocabulary)))
        for begin in range(0, n, BATCH):
            indices = range(begin, min(begin + BATCH, n))
            constraint = GrammarConstraint(
                self.automaton, len(indices), hurry_after=HURRY_AFTER, script=prompt.tokens
            )
            rows = self._sample([ids] * len(indices), constraint, sampling, begin)
            for index, row in zip(indices, rows, strict=True):
                whole = prompt.complete(self.vocabulary.decode(row.ids[row.n_prompt :]))
                yield Take(whole, index, row.bits / max(1, whole.n_notes - tune.n_notes))
