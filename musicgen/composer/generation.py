"""New tunes from controls alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from musicgen.composer.controls import Controls, Request, understand
from musicgen.composer.engine import ATTEMPTS, BATCH, HURRY_AFTER, Engine, Take
from musicgen.composer.pool import MIN_TAKES, Job, in_order
from musicgen.composer.prompts.tokens import nearest_tokens
from musicgen.composer.sampling import SamplingConfig
from musicgen.composer.selection import Rules, select
from musicgen.music.tune import Tune
from musicgen.tokens.constraint import Constraint
from musicgen.tokens.melody.automaton import GrammarConstraint
from musicgen.tokens.melody.encoding import decode
from musicgen.tokens.melody.grammar import Limits, Outline
from musicgen.tokens.vocabulary import BOS


def takes(
    engine: Engine,
    numbers: range,
    controls: Controls,
    sampling: SamplingConfig,
    rules: Rules,
    *,
    workers: int = 1,
) -> Iterator[Take]:
    """New tunes of these numbers in order, sampled a batch at a time; many of them by `workers`
    processes.

    Raises:
        ControlError: the controls contradict each other or the model does not know them, or copied
            bars are to be counted without an index of the corpus.
    """
    request = request_of(engine, controls)
    job: Job = partial(draft, request=request, sampling=sampling)
    if rules.choose:
        job = partial(chosen, request=request, sampling=sampling, rules=rules)
    size = max(1, BATCH // rules.best_of)
    batches = [numbers[begin : begin + size] for begin in range(0, len(numbers), size)]
    many = len(numbers) * rules.best_of >= MIN_TAKES
    return in_order(engine, job, batches, workers=workers if many else 1)


def chosen(
    engine: Engine,
    numbers: Sequence[int],
    request: Request,
    sampling: SamplingConfig,
    rules: Rules,
) -> list[Take]:
    """The takes of these numbers, each chosen from several attempts."""
    attempts = partial(draft, engine, request=request, sampling=sampling)
    return list(select(attempts, numbers, rules))


def request_of(engine: Engine, controls: Controls) -> Request:
    """The controls as a request to this model.

    Raises:
        ControlError: they contradict each other or the model does not know them.
    """
    return understand(controls, engine.openings, engine.vocabulary, engine.outlines)


def drafts(
    engine: Engine, indices: Iterable[int], request: Request, sampling: SamplingConfig
) -> Iterator[Take]:
    """Any takes of a seed, in the order asked for, as they come: a batch at a time."""
    coming = iter(indices)
    while batch := list(islice(coming, BATCH)):
        yield from draft(engine, batch, request, sampling)


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
    prompts = [prompt_of(engine, header) for header, _ in drawn]
    constraint = hold(constraint_of(engine, request, drawn))
    rows = engine.sample(prompts, constraint, sampling, indices)
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
    music = engine.vocabulary.decode(ids)
    tune = titled(request.fulfil(decode([*header, *music]), header), *named)
    bits_per_note = bits / max(1, tune.n_notes)
    return Take(tune, named[1], bits_per_note, corpus=engine.corpus, critic=engine.critic)


def prompt_of(engine: Engine, header: Sequence[str]) -> list[int]:
    """The ids that a tune with this heading starts from, as the model can hear it."""
    return engine.vocabulary.encode((BOS, *nearest_tokens(header, engine.vocabulary)))


def constraint_of(
    engine: Engine, request: Request, drawn: Sequence[tuple[tuple[str, ...], Outline]]
) -> Constraint:
    """What holds tunes with these headings and outlines to the request, or to the grammar alone."""
    controlled = request.constraint(drawn, hurry_after=HURRY_AFTER)
    if controlled is not None:
        return controlled
    limits = [Limits(form=outline) if outline else None for _, outline in drawn]
    return GrammarConstraint(engine.automaton, len(drawn), hurry_after=HURRY_AFTER, limits=limits)


def titled(tune: Tune, seed: int, index: int) -> Tune:
    """The tune with its number and a title that says how to get it again."""
    number = index % ATTEMPTS + 1
    title = f"{tune.rhythm.capitalize() or 'Tune'} {seed}-{number}"
    return replace(tune, title=title, number=number)
