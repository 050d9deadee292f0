"""New tunes from controls alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from musicgen.composer.engine import BATCH, HURRY_AFTER, Engine, Take
from musicgen.constraint import GrammarConstraint
from musicgen.controls import Controls, Request
from musicgen.sampling import SamplingConfig
from musicgen.tokenizer import BOS
from musicgen.tokenizer.melody import decode


def takes(engine: Engine, n: int, controls: Controls, sampling: SamplingConfig) -> Iterator[Take]:
    """`n` new tunes in order, sampled a batch at a time.

    Raises:
        ControlError: the controls contradict each other or the model does not know them.
    """
    request = Request.understand(controls, engine.openings)
    for begin in range(0, n, BATCH):
        indices = range(begin, min(begin + BATCH, n))
        prompts = [
            engine.vocabulary.encode((BOS, *request.draw(sampling.seed, index)))
            for index in indices
        ]
        constraint = GrammarConstraint(engine.automaton, len(prompts), hurry_after=HURRY_AFTER)
        rows = engine.sample(prompts, constraint, sampling, indices)
        for index, row in zip(indices, rows, strict=True):
            tune = request.fulfil(decode(engine.vocabulary.decode(row.ids)))
            title = f"{tune.rhythm.capitalize() or 'Tune'} {sampling.seed}-{index + 1}"
            tune = replace(tune, title=title, number=index + 1)
            yield Take(tune, index, row.bits / max(1, tune.n_notes))
