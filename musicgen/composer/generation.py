"""New tunes from controls alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from musicgen.composer.controls import Controls, Request, understand
from musicgen.composer.controls.values import usual_tempo
from musicgen.composer.engine import ATTEMPTS, BATCH, HURRY_AFTER, Engine, Take, sample_to_end
from musicgen.composer.pool import MIN_TAKES, Job, in_order
from musicgen.composer.sampling import SamplingConfig
from musicgen.composer.selection import Rules, select
from musicgen.music.tune import Tune
from musicgen.tokens.constraint import Constraint
from musicgen.tokens.melody.automaton import GrammarConstraint
from musicgen.tokens.melody.encoding import decode
from musicgen.tokens.melody.grammar import Limits, Outline

if TYPE_CHECKING:
    from concurrent.futures import Executor


def takes(
    engine: Engine,
    numbers: range,
    controls: Controls,
    sampling: SamplingConfig,
    rules: Rules,
    *,
    workers: int = 1,
    executor: Executor | None = None,
) -> Iterator[Take]:
    """New tunes of these numbers in order, sampled a batch at a time; many of them by `workers`
    processes, or by an executor.

    Raises:
        ControlError: the controls contradict each other or the model does not know them, or copied
            bars are to be counted without an index of the corpus.
    """
    request = request_of(engine, controls)
    job: Job = (
        partial(chosen, request=request, sampling=sampling, rules=rules)
        if rules.choose
        else partial(draft, request=request, sampling=sampling)
    )
    size = max(1, BATCH // rules.best_of)
    batches = [numbers[begin : begin + size] for begin in range(0, len(numbers), size)]
    many = len(numbers) * rules.best_of >= MIN_TAKES
    return in_order(
        engine, job, batches, workers=workers if many else 1, executor=executor if many else None
    )


def chosen(
    engine: Engine,
    numbers: Sequence[int],
    request: Request,
    sampling: SamplingConfig,
    rules: Rules,
) -> list[Take]:
    """The takes of these numbers, each chosen from several attempts."""
    return list(select(partial(draft, engine, request=request, sampling=sampling), numbers, rules))


def request_of(engine: Engine, controls: Controls) -> Request:
    """The controls as a request to this model.

    Raises:
        ControlError: they contradict each other or the model does not know them.
    """
    return understand(controls, engine.openings, engine.vocabulary, engine.outlines)


def draft(
    engine: Engine,
    indices: Sequence[int],
    request: Request,
    sampling: SamplingConfig,
    *,
    hold: Callable[[Constraint], Constraint] = lambda constraint: constraint,
) -> list[Take]:
    """Any takes of a seed in one batch: take `index` is the same whatever else is in it. `hold`
    may put a constraint of its own around the request's."""
    if not indices:
        return []
    drawn = [request.draw(sampling.seed, index) for index in indices]
    prompts = [engine.prompt(header) for header, _ in drawn]
    constraint = hold(constraint_of(engine, request, drawn))
    rows = sample_to_end(engine.stepper, prompts, constraint, sampling, indices)
    return [
        finished(engine, request, header, row.ids[row.n_prompt :], row.bits, (sampling.seed, index))
        for index, row, (header, _) in zip(indices, rows, drawn, strict=True)
    ]


def finished(
    engine: Engine,
    request: Request,
    header: tuple[str, ...],
    ids: Sequence[int],
    bits: float,
    named: tuple[int, int],
) -> Take:
    """The take whose music is these ids; `bits` is what they cost, `named` its seed and number."""
    composed = request.fulfil(decode([*header, *engine.vocabulary.decode(ids)]), header)
    return Take(
        titled(composed, *named),
        named[1],
        bits / max(1, composed.n_notes),
        corpus=engine.corpus,
        critic=engine.critic,
    )


def constraint_of(
    engine: Engine, request: Request, drawn: Sequence[tuple[tuple[str, ...], Outline]]
) -> Constraint:
    """The constraint that holds tunes with these headings and outlines to the request."""
    controlled = request.constraint(drawn, hurry_after=HURRY_AFTER)
    if controlled is not None:
        return controlled
    limits = [Limits(form=outline) if outline else None for _, outline in drawn]
    keys = [request.key_of(header) for header, _ in drawn]
    return GrammarConstraint(
        engine.automaton, len(drawn), hurry_after=HURRY_AFTER, limits=limits, keys=keys
    )


def titled(tune: Tune, seed: int, index: int, *, kind: str = "Tune") -> Tune:
    """The tune with its number, a title that names its rhythm (or `kind`) and its seed, and the
    tempo that it is played at."""
    number = index % ATTEMPTS + 1
    title = f"{tune.rhythm.capitalize() or kind} {seed}-{number}"
    tempo = tune.tempo or usual_tempo(tune.rhythm, tune.meter)
    return replace(tune, title=title, number=number, tempo=tempo)
