"""One composer, one automaton and one tracer in many threads: the results of one thread."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier, Event
from typing import TypeVar

import numpy as np
import pytest
import torch

from musicgen.composer import FIRST, Composer
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.inference import threads as setting
from musicgen.tokens.melody.automaton import Automaton, GrammarConstraint, Tracer
from musicgen.tokens.melody.grammar import Limits, PartPlan
from musicgen.tokens.vocabulary import BOS
from tests.grammars import JIG, VOCABULARY

THREADS = 8
OUTLINES = (
    None,
    Limits(form=(PartPlan(bars=8), PartPlan(bars=8))),
    Limits(form=(PartPlan(bars=4),)),
)
Result = TypeVar("Result")


@pytest.fixture(autouse=True)
def fast_switches() -> Iterator[None]:
    """Threads are switched as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int], Result], n: int = THREADS) -> list[Result]:
    """The results of threads that begin together."""
    barrier = Barrier(n)

    def begin(thread: int) -> Result:
        barrier.wait()
        return work(thread)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(begin, range(n)))


def walk(automaton: Automaton, seed: int) -> list[tuple[int, ...]]:
    """A random walk: each token with the mask before it and the features after it."""
    random = np.random.default_rng(seed)
    constraint = GrammarConstraint(
        automaton, 1, hurry_after=30, limits=[OUTLINES[seed % len(OUTLINES)]]
    )
    steps: list[tuple[int, ...]] = []
    for text in (BOS, *JIG, *[""] * 60):
        choices = np.flatnonzero(constraint.mask()[0])
        token = VOCABULARY.ids[text] if text else int(random.choice(choices))
        constraint.advance(np.array([token]))
        steps.append((token, len(choices), int(choices.sum()), *constraint.features()[0].tolist()))
    return steps


@pytest.mark.parametrize("attempt", range(3))
def test_an_automaton_that_threads_fill_is_that_of_one_thread(attempt: int) -> None:
    seeds = [range(thread, 48, THREADS) for thread in range(THREADS)]
    alone, shared = Automaton(VOCABULARY), Automaton(VOCABULARY)
    expected = [[walk(alone, seed) for seed in mine] for mine in seeds]
    for _ in ("cold", "warm"):
        assert at_once(lambda thread: [walk(shared, seed) for seed in seeds[thread]]) == expected
    assert len(set(shared.states)) == len(shared.states) == len(shared.numbers)
    assert shared.numbers.keys() == alone.numbers.keys()


def test_an_automaton_is_pickled_while_it_is_filled() -> None:
    shared = Automaton(VOCABULARY)
    expected = walk(Automaton(VOCABULARY), 7)

    def work(thread: int) -> bool:
        if thread:
            return bool([walk(shared, seed) for seed in range(thread, 24, THREADS)])
        copies = [pickle.loads(pickle.dumps(shared)) for _ in range(10)]
        return all(walk(copy, 7) == expected for copy in copies)

    assert all(at_once(work))


def test_a_tracer_in_threads_gives_what_it_gives_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tracer, "MAX_STEPS", 50)  # it forgets in the middle
    tunes = [
        [
            BOS,
            *JIG,
            *(word for text in ("1", degree, "5") for word in (text, "*2", "z", "*3/2")),
            "|",
        ]
        for degree in ("1", "2", "3", "4", "5", "6", "7", "b7")
    ]
    expected = [Tracer().trace(tune)[0].tolist() for tune in tunes]
    shared = Tracer()

    def work(thread: int) -> bool:
        return all(shared.trace(tunes[thread])[0].tolist() == expected[thread] for _ in range(50))

    assert all(at_once(work))


def test_a_composer_in_threads_composes_what_it_composes_in_one(untrained: Checkpoint) -> None:
    def tunes(composer: Composer, thread: int) -> list[object]:
        return [
            composer.generate(seed=seed, selection=FIRST, rhythm="jig" if seed % 2 else None)
            for seed in range(thread, 16, THREADS)
        ]

    alone = Composer(untrained)
    expected = [tunes(alone, thread) for thread in range(THREADS)]
    shared = Composer(untrained)
    for _ in ("cold", "warm"):
        assert at_once(lambda thread: tunes(shared, thread)) == expected


def blas_threads() -> int:
    info = setting.controller().info()
    return max(library["num_threads"] for library in info if library["user_api"] == "blas")


@pytest.fixture
def two_threads() -> Iterator[None]:
    """The process has two threads for products, whatever the suite has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    limiter = setting.limit_blas(2)
    if blas_threads() != 2:
        pytest.skip("this numpy has one thread")
    yield
    setting.restore_blas(limiter)
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("hold", "current"),
    [
        (setting.single_threaded, blas_threads),
        (setting.torch_single_threaded, torch.get_num_threads),
    ],
    ids=["numpy", "torch"],
)
def test_the_number_of_threads_is_as_before_when_all_are_done(
    two_threads: None,
    hold: Callable[[], AbstractContextManager[None]],
    current: Callable[[], int],
) -> None:
    inside = Barrier(THREADS + 1)
    entered, left = [Event() for _ in range(THREADS)], [Event() for _ in range(THREADS)]

    def work(thread: int) -> int:
        """Enter after the thread before, and leave after it."""
        if thread:
            entered[thread - 1].wait()
        with hold(), hold():
            entered[thread].set()
            inside.wait()
            counted = current()
            if thread:
                left[thread - 1].wait()
        left[thread].set()
        return counted

    with ThreadPoolExecutor(THREADS) as pool:
        counts = pool.map(work, range(THREADS))
        inside.wait()
        assert list(counts) == [1] * THREADS
    assert current() == 2
    with pytest.raises(RuntimeError), hold():
        raise RuntimeError
    assert current() == 2
