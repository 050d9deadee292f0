"""New tunes from controls alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from musicgen.composer.engine import BATCH, HURRY_AFTER, Engine, Take
from musicgen.constraint import GrammarConstraint
from musicgen.controls import Controls, Request
from musicgen.sampling import SamplingConfig
from musicgen.tokenizer import BOS
from musicgen.tokenizer.melody import decode

# Attempt a (0, 1, ...) at take k of a seed is number k + a * ATTEMPTS.
ATTEMPTS = 1 << 32


def takes(engine: Engine, n: int, controls: Controls, sampling: SamplingConfig) -> Iterator[Take]:
    """`n` new tunes in order, sampled a batch at a time.

    Raises:
        ControlError: the controls contradict each other or the model does not know them.
    """
    request = Request.understand(controls, engine.openings)
    return drafts(engine, range(n), request, sampling)


def drafts(
    engine: Engine, indices: Iterable[int], request: Request, sampling: SamplingConfig
) -> Iterator[Take]:
    """Any takes of a seed, in the order asked for, as they come: a batch at a time."""
    coming = iter(indices)
    while batch := list(islice(coming, BATCH)):
        yield from draft(engine, batch, request, sampling)


def draft(
    engine: Engine, indices: Sequence[int], request: Request, sampling: SamplingConfig
) -> list[Take]:
    """Any takes of a seed in one batch: take `index` is the same whatever else is in it."""
    if not indices:
        return []
    prompts = [
        engine.vocabulary.encode((BOS, *request.draw(sampling.seed, index))) for index in indices
    ]
    constraint = GrammarConstraint(engine.automaton, len(prompts), hurry_after=HURRY_AFTER)
    rows = engine.sample(prompts, constraint, sampling, indices)
    composed = []
    for index, row in zip(indices, rows, strict=True):
        tune = request.fulfil(decode(engine.vocabulary.decode(row.ids)))
        number = index % ATTEMPTS + 1
        title = f"{tune.rhythm.capitalize() or 'Tune'} {sampling.seed}-{number}"
        tune = replace(tune, title=title, number=number)
        composed.append(Take(tune, index, row.bits / max(1, tune.n_notes)))
    return composed
