"""One sequence, token by token, for live use: read a token that somebody plays, or draw the next.

    from musicgen.composer import Live

    engine = musicgen.load().engine
    live = Live(engine.stepper, GrammarConstraint(engine.automaton, 1), SamplingConfig(seed=7))
    header, _ = engine.openings[0]
    for token in engine.vocabulary.encode([BOS, *header]):
        live.read(token)
    live.probabilities()                      # (V,) of the next token
    token = live.draw()                       # draws it, reads it and returns it

After a prompt it draws the tokens that `stream` yields for the same prompt, row and seed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from musicgen.composer.sampling.config import SamplingConfig
from musicgen.composer.sampling.filters import (
    Bools,
    Floats,
    draw_tokens,
    filters_of,
    probabilities,
)
from musicgen.composer.sampling.loop import RandomDraws, TokenReader, stepper_of
from musicgen.errors import ConfigError
from musicgen.models.inference import Stepper
from musicgen.models.inference.threads import single_threaded
from musicgen.tokens.constraint import Constraint

if TYPE_CHECKING:
    from torch import nn


class Live:
    """Row `index` of a seed, stepped from outside. The constraint must be new, and of one row.

    `n_steps` counts the tokens read; `seconds` is the time spent on reading and drawing them.
    """

    def __init__(
        self,
        network: Stepper | nn.Module,
        constraint: Constraint | None,
        config: SamplingConfig,
        *,
        index: int = 0,
    ) -> None:
        self._reader = TokenReader(stepper_of(network), constraint, [index])
        self._draws = RandomDraws(config.seed, [index])
        self._filters = filters_of(config)
        self._next: tuple[Floats, Bools] | None = None  # logits and mask of the next token
        self.n_steps, self.seconds = 0, 0.0

    @property
    def milliseconds(self) -> float:
        """Mean time a token."""
        return 1000 * self.seconds / max(1, self.n_steps)

    def read(self, token: int) -> None:
        """Continue with this token id, whether the constraint allows it or not."""
        begin = time.perf_counter()
        if self._next is not None:
            self._draws.next()  # the number of the token that was not drawn
        self._advance(token, begin)

    def probabilities(self) -> Floats:
        """Probability of each token to be drawn next, (V,).

        Raises:
            ConfigError: no token has been read yet.
        """
        return probabilities(*self._predicted(), self._filters)[0]

    def draw(self) -> int:
        """Draw the next token, read it and return its id.

        Raises:
            ConfigError: no token has been read yet.
            ControlError: no token is allowed, as after the end.
        """
        begin = time.perf_counter()
        ids, _ = draw_tokens(
            *self._predicted(), self._draws.next(), filters=self._filters, rows=np.ones(1, np.bool_)
        )
        self._advance(int(ids[0]), begin)
        return int(ids[0])

    def _advance(self, token: int, begin: float) -> None:
        with single_threaded():
            self._next = self._reader.read(np.array([token]))
        self.n_steps += 1
        self.seconds += time.perf_counter() - begin

    def _predicted(self) -> tuple[Floats, Bools]:
        if self._next is None:
            raise ConfigError("no token has been read yet; begin with the start token")
        return self._next
