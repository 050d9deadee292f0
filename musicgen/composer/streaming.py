"""Streaming: a tune note by note, for live use, or several tunes bar by bar.

    stream = composer.stream(Controls(key="D", rhythm="jig"), SamplingConfig(seed=7))
    for step in stream:
        if step.event is not None: ...          # a note or rest, as soon as its length is settled
    stream.tune                                 # the whole tune, once it has ended

    for news in composer.watch(8, Controls(key="D"), SamplingConfig(seed=7)):
        news.tune                               # of a Draft as far as it is, of a Take the whole

They are the same tunes that `generate` and `takes` give for that seed with the selection `FIRST`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from musicgen.composer.controls import Controls, Request
from musicgen.composer.engine import BATCH, ENDLESS, Engine, Take
from musicgen.composer.generation import (
    constraint_of,
    finished,
    request_of,
    titled,
)
from musicgen.composer.sampling import SamplingConfig, stream
from musicgen.corpus.tokenset import EOS_ID
from musicgen.errors import ControlError
from musicgen.music.tune import Timed, Tune
from musicgen.tokens.melody.encoding import decode
from musicgen.tokens.melody.table import parse_token
from musicgen.tokens.vocabulary import EOS


@dataclass(frozen=True, slots=True)
class Step:
    """One token. `event` is the note or rest that is complete with it: one whose tie, or lack of
    it, this token decides, so a note comes with the token after its own. `bits` is what the token
    cost the model."""

    token: str
    event: Timed | None
    bits: float


class Stream:
    """An iterator over the `Step`s of take `index` of a seed; `step()` is the same by hand.

    Attributes:
        header: the tune without music: key, meter, unit, rhythm, tempo.
        milliseconds: time spent on each step so far, the last at the end.

    Raises:
        ControlError: the controls contradict each other or the model does not know them.
    """

    def __init__(
        self, engine: Engine, controls: Controls, sampling: SamplingConfig, index: int = 0
    ) -> None:
        self._request = request_of(engine, controls)
        drawn = self._request.draw(sampling.seed, index)
        self._heading, _ = drawn
        self._vocabulary = engine.vocabulary
        self._named = sampling.seed, index
        prompt = engine.prompt(self._heading)
        self._coming = stream(
            engine.stepper,
            [prompt],
            constraint_of(engine, self._request, [drawn]),
            replace(sampling, max_tokens=ENDLESS),
            indices=[index],
        )
        for _ in prompt[1:]:
            next(self._coming)
        self._tokens: list[str] = []
        self._n_given = 0
        self._ended = False
        self.milliseconds: list[float] = []
        self.header = self._tune_of(())

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        step = self.step()
        if step is None:
            raise StopIteration
        return step

    def step(self) -> Step | None:
        """The next token, and the event that is complete with it; None after the end."""
        if self._ended:
            return None
        began = time.perf_counter()
        ids, bits = next(self._coming)
        token = self._vocabulary.tokens[int(ids[0])]
        self._tokens.append(token)
        self._ended = token == EOS
        event = self._completed(token)
        self.milliseconds.append(1000 * (time.perf_counter() - began))
        return Step(token, event, float(bits[0]))

    @property
    def tune(self) -> Tune:
        """The finished tune.

        Raises:
            ControlError: it has not ended yet.
        """
        if not self._ended:
            raise ControlError("the tune has not ended yet; take its steps to the end first")
        return titled(self._tune_of(self._tokens), *self._named)

    def _completed(self, token: str) -> Timed | None:
        """The next event that is complete, if there is one more than before: a note or rest may
        still be tied until the token after it."""
        events = [event for bar in self._tune_of(self._tokens).bars for event in bar.timed]
        n_complete = len(events) - (parse_token(token).kind in ("pitch", "rest"))
        if n_complete <= self._n_given:
            return None
        self._n_given += 1
        return events[self._n_given - 1]

    def _tune_of(self, tokens: Sequence[str]) -> Tune:
        return self._request.fulfil(decode([*self._heading, *tokens]), self._heading)


@dataclass(frozen=True)
class Draft:
    """Take `index` of a seed as far as it has been sampled: a bar more than the draft before."""

    index: int
    request: Request
    header: tuple[str, ...]
    music: tuple[str, ...]

    @cached_property
    def tune(self) -> Tune:
        """The bars so far, under their heading."""
        return self.request.fulfil(decode([*self.header, *self.music]), self.header)


def watch(
    engine: Engine, n: int, controls: Controls, sampling: SamplingConfig
) -> Iterator[Draft | Take]:
    """`n` new tunes sampled side by side: a draft after each bar of each, and each take when it
    ends, so not in order. Take k is that of `generation.takes`.

    Raises:
        ControlError: the controls contradict each other or the model does not know them.
    """
    request = request_of(engine, controls)
    for begin in range(0, n, BATCH):
        yield from _watch(engine, range(begin, min(begin + BATCH, n)), request, sampling)


def _watch(
    engine: Engine, indices: Sequence[int], request: Request, sampling: SamplingConfig
) -> Iterator[Draft | Take]:
    drawn = [request.draw(sampling.seed, index) for index in indices]
    headers = [header for header, _ in drawn]
    prompts = [engine.prompt(header) for header in headers]
    rows: list[list[int]] = [[] for _ in indices]  # ids after bos
    totals = np.zeros(len(rows))
    steps = stream(
        engine.stepper,
        prompts,
        constraint_of(engine, request, drawn),
        replace(sampling, max_tokens=ENDLESS),
        indices=indices,
    )
    for ids, bits in steps:
        totals += bits
        for k, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
            if row and row[-1] == EOS_ID:
                continue
            row.append(int(ids[k]))
            given = len(prompt) - 1
            if len(row) <= given:
                continue
            if row[-1] == EOS_ID:
                named = (sampling.seed, indices[k])
                yield finished(engine, request, headers[k], row[given:], float(totals[k]), named)
            elif parse_token(engine.vocabulary.tokens[row[-1]]).kind == "close":
                music = tuple(engine.vocabulary.decode(row[given:]))
                yield Draft(indices[k], request, headers[k], music)
