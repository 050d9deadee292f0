"""One sequence live: hear a token, or choose the next, as fast as somebody plays.

    live = Live(stepper, GrammarConstraint(automaton, 1), SamplingConfig(seed=7))
    for token in prompt:                      # which starts with bos
        live.hear(token)
    live.chances()                            # (V,) of what comes next
    live.choose()                             # draws it, hears it, gives it back

What it chooses after a prompt is what `stream` gives for that prompt, row and seed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from musicgen.composer.sampling import stepper_of
from musicgen.composer.sampling.choosing import Bools, Floats, chances, choose, filters_of
from musicgen.composer.sampling.config import SamplingConfig
from musicgen.composer.sampling.reading import Chance, Reader
from musicgen.errors import ConfigError
from musicgen.models.inference import Stepper
from musicgen.models.inference.threads import single_threaded
from musicgen.tokens.constraint import Constraint

if TYPE_CHECKING:
    from torch import nn

_ONE = np.ones(1, np.bool_)


class Live:
    """Row `index` of a seed, stepped from outside. The constraint must be new, and of one row.

    `n_steps` counts the tokens heard, `seconds` is how long hearing and choosing them took.
    """

    def __init__(
        self,
        network: Stepper | nn.Module,
        constraint: Constraint | None,
        config: SamplingConfig,
        *,
        index: int = 0,
    ) -> None:
        self._reader = Reader(stepper_of(network), constraint, [index])
        self._chance = Chance(config.seed, [index])
        self._filters = filters_of(config)
        self._next: tuple[Floats, Bools] | None = None
        self.n_steps, self.seconds = 0, 0.0

    @property
    def milliseconds(self) -> float:
        """How long a token took on average."""
        return 1000 * self.seconds / max(1, self.n_steps)

    def hear(self, token: int) -> None:
        """Go on from this token, whether the constraint allows it or not."""
        begin = time.perf_counter()
        if self._next is not None:
            self._chance.draw()  # that of the token which was not drawn
        self._hear(token)
        self.seconds += time.perf_counter() - begin

    def chances(self) -> Floats:
        """Probability of each token to be chosen next, (V,).

        Raises:
            ConfigError: nothing has been heard yet.
        """
        of_row: Floats = chances(*self._heard(), self._filters)[0]
        return of_row

    def choose(self) -> int:
        """Draw the next token, hear it and give it back.

        Raises:
            ConfigError: nothing has been heard yet.
            ControlError: nothing may come next, as after the end.
        """
        begin = time.perf_counter()
        logits, allowed = self._heard()
        ids, _ = choose(logits, allowed, self._chance.draw(), filters=self._filters, rows=_ONE)
        self._hear(int(ids[0]))
        self.seconds += time.perf_counter() - begin
        return int(ids[0])

    def _hear(self, token: int) -> None:
        with single_threaded():
            self._next = self._reader.read(np.array([token]))
        self.n_steps += 1

    def _heard(self) -> tuple[Floats, Bools]:
        if self._next is None:
            raise ConfigError("nothing has been heard yet; begin with the start token")
        return self._next
