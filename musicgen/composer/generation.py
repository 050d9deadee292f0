"""New tunes from controls alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from musicgen.composer.engine import BATCH, HURRY_AFTER, Engine, Take
from musicgen.composer.pool import MIN_TAKES, in_order
from musicgen.constraint import GrammarConstraint
from musicgen.controls import Controls, Request, understand
from musicgen.prompt import heard_as
from musicgen.sampling import SamplingConfig
from musicgen.tokenizer import BOS
from musicgen.tokenizer.melody import decode

# Attempt a (0, 1, ...) at take k of a seed is number k + a * ATTEMPTS.
ATTEMPTS = 1 << 32


def takes(
    engine: Engine, n: int, controls: Controls, sampling: SamplingConfig, *, workers: int = 1
) -> Iterator[Take]:
    """`n` new tunes in order, sampled a batch at a time; many of them by `workers` processes.

    Raises:
        ControlError: the controls contradict each other or the model does not know them.
    """
    request = understand(controls, engine.openings, engine.vocabulary)
    job = partial(draft, request=request, sampling=sampling)
    batches = [range(begin, min(begin + BATCH, n)) for begin in range(0, n, BATCH)]
    return in_order(engine, job, batches, workers=workers if n >= MIN_TAKES else 1)


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
    headers = [request.draw(sampling.seed, index) for index in indices]
    prompts = [
        engine.vocabulary.encode((BOS, *heard_as(header, engine.vocabulary))) for header in headers
    ]
    constraint = request.constraint(headers, hurry_after=HURRY_AFTER) or GrammarConstraint(
        engine.automaton, len(headers), hurry_after=HURRY_AFTER
    )
    rows = engine.sample(prompts, constraint, sampling, indices)
    composed = []
    for index, row, header in zip(indices, rows, headers, strict=True):
        music = engine.vocabulary.decode(row.ids[row.n_prompt :])
        tune = request.fulfil(decode([*header, *music]), header)
        number = index % ATTEMPTS + 1
        title = f"{tune.rhythm.capitalize() or 'Tune'} {sampling.seed}-{number}"
        tune = replace(tune, title=title, number=number)
        bits = row.bits / max(1, tune.n_notes)
        composed.append(Take(tune, index, bits, corpus=engine.corpus))
    return composed
