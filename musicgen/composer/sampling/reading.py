"""What sampling carries from token to token: network, matches, mask, random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicgen.composer.sampling.choosing import Bools, Floats, Ints
from musicgen.corpus.tokenset import BOS_ID, PAD_ID, UNK_ID
from musicgen.errors import ConfigError
from musicgen.models.inference import Stepper
from musicgen.tokens.constraint import Constraint
from musicgen.tokens.lookback.features import LookbackTracker, do_echo

_DRAWN = 256  # random numbers drawn at once


class Reader:
    """Tells every token to the constraint, the match tracker and the network."""

    def __init__(
        self, stepper: Stepper, constraint: Constraint | None, indices: Sequence[int]
    ) -> None:
        self.constraint = constraint
        self.n_features = stepper.n_features
        self.tracker: LookbackTracker | None = None  # made when the first features come
        self.network = stepper.begin(indices)
        self.can_leave_out = constraint is None or hasattr(constraint, "keep")

    def read(self, ids: Ints) -> tuple[Floats, Bools]:
        """One token a row: logits of the next (B, V), and which may be (B, V)."""
        features: Ints = np.zeros((len(ids), 0), np.int64)
        if self.constraint is not None:
            self.constraint.advance(ids)
            if self.n_features:
                features = self.constraint.features()
        if self.n_features:
            features = np.hstack([features, self._guesses(ids, features)])
        if features.shape[1] != self.n_features:
            raise ConfigError(
                f"the model was trained with {self.n_features} feature columns, "
                f"here are {features.shape[1]}; use its own tokenizer"
            )
        logits = self.network.read(ids, features)
        if self.constraint is None:
            allowed = np.ones(logits.shape, np.bool_)
        else:
            allowed = self.constraint.mask()
        allowed[:, [PAD_ID, BOS_ID, UNK_ID]] = False  # never part of a tune
        return logits, allowed

    def _guesses(self, ids: Ints, given: Ints) -> Ints:
        if self.tracker is None:
            echo = do_echo(self.n_features, given.shape[1])
            self.tracker = LookbackTracker(len(ids), echo=echo)
        return self.tracker.advance(ids, given)

    def keep(self, rows: Ints) -> None:
        """Go on with these rows only."""
        self.network.keep(rows)
        if self.tracker is not None:
            self.tracker.keep(rows)
        if self.constraint is not None:
            self.constraint.keep(rows)  # type: ignore[attr-defined]


class Chance:
    """Uniform numbers in [0, 1), one a step for each row, whatever the other rows do."""

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        self._draws = [
            np.random.Generator(np.random.Philox(key=[seed, index])) for index in indices
        ]
        self._drawn = np.zeros((_DRAWN, len(self._draws)))
        self._time = 0

    def draw(self) -> Floats:
        """The next number of each row, (B,)."""
        at = self._time % _DRAWN
        if at == 0:
            for row, draw in enumerate(self._draws):
                self._drawn[:, row] = draw.random(_DRAWN)
        self._time += 1
        numbers: Floats = self._drawn[at]
        return numbers

    def keep(self, rows: Ints) -> None:
        """Go on with these rows only."""
        self._draws = [self._draws[row] for row in rows]
        self._drawn = self._drawn[:, rows]
