"""The batched next-token loop: temperature, top-k, top-p, min-p, a mask, a carried state.

    for ids, bits in stream(stepper, prompts, constraint, config): ...   # (B,) ids a step
    sample(stepper, prompts, constraint, config)                         # whole tunes

Row k of seed s is the same to the last bit whatever else is in the batch: its random numbers
depend on (s, k, step) only, and a stepper's logits of a row on that row only. Rows that are done
leave the batch, so a long tune does not make the others wait. Letters: B rows, V vocabulary, F
features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from musicgen.errors import ConfigError
from musicgen.matching import MatchTracker
from musicgen.sampling.choosing import Bools, Floats, Ints, choose, filters_of
from musicgen.sampling.config import SamplingConfig
from musicgen.stepping import ArrayStepper, Stepper
from musicgen.tokenset import BOS_ID, EOS_ID, PAD_ID, UNK_ID

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from musicgen.models import ModelConfig

__all__ = ["Constraint", "Sampled", "SamplingConfig", "sample", "stepper_of", "stream"]

_CROWDED = 0.8  # rows are left out once no more than this share of the batch goes on
_DRAWN = 256  # random numbers drawn at once


class Constraint(Protocol):
    """What may come next in each of B sequences, and what the network should know about them.

    It is told every token, prompts included. One that has a method `keep(rows)` is told which
    rows go on, by their places in the batch, and the others leave it; one without is told
    `PAD_ID` for rows that are done.
    """

    def advance(self, ids: Ints) -> None:
        """Read one token a row: (B,)."""

    def mask(self) -> Bools:
        """(B, V): True where a token may come next; at least one in every row not done."""

    def features(self) -> Ints:
        """(B, F): the feature columns before the match columns, after the last `advance`."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One finished row. `bits` is what the added tokens cost under the network itself (before
    temperature, filters and mask); `finished` says whether it ended by itself, with eos."""

    ids: list[int]
    n_prompt: int
    bits: float
    finished: bool


def stepper_of(network: Stepper | nn.Module) -> Stepper:
    """A torch network as a stepper: in numpy from its weights as they are now where it lies on
    the CPU, else on its device. Worth keeping: making one costs as much as some hundred steps."""
    if hasattr(network, "begin"):
        return cast("Stepper", network)
    module = cast("nn.Module", network)
    from musicgen.models import weights_of
    from musicgen.sampling.lanes import TorchStepper

    if next(module.parameters()).device.type != "cpu":
        return TorchStepper(module)
    return ArrayStepper(cast("ModelConfig", module.config), weights_of(module))


def sample(
    network: Stepper | nn.Module,
    prompts: Sequence[Sequence[int]],
    constraint: Constraint | None,
    config: SamplingConfig,
    *,
    indices: Sequence[int] | None = None,
) -> list[Sampled]:
    """Complete every prompt; see `stream`."""
    steps, totals = [], np.zeros(len(prompts))
    for ids, bits in stream(network, prompts, constraint, config, indices=indices):
        steps.append(ids)
        totals += bits
    columns = np.stack(steps, axis=1) if steps else np.zeros((len(prompts), 0), np.int64)
    rows = [
        [int(prompt[0]), *(token for token in column if token != PAD_ID)]
        for prompt, column in zip(prompts, columns.tolist(), strict=True)
    ]
    return [
        Sampled(row, len(prompt), float(total), len(row) > len(prompt) and row[-1] == EOS_ID)
        for row, prompt, total in zip(rows, prompts, totals, strict=True)
    ]


def stream(
    network: Stepper | nn.Module,
    prompts: Sequence[Sequence[int]],
    constraint: Constraint | None,
    config: SamplingConfig,
    *,
    indices: Sequence[int] | None = None,
) -> Iterator[tuple[Ints, Floats]]:
    """The second and every later token of each row, one step at a time: ids (B,), bits (B,).

    Prompts (which start with bos) may differ in length: their tokens are given back as they are,
    at 0 bits. A row that is done yields `PAD_ID`. `indices` are the numbers of the rows among all
    rows of this seed (0, 1, ... by default). The constraint must be new; prompt tokens are told
    to it too.

    Raises:
        ConfigError: an empty prompt, or other feature columns than the network was trained on.
        ControlError: the mask leaves nothing to choose from.
    """
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise ConfigError("prompts: each needs at least the start token")
    batch = len(prompts)
    given = np.array([len(prompt) for prompt in prompts])
    table = np.full((batch, given.max() + 1), PAD_ID, dtype=np.int64)
    for row, prompt in enumerate(prompts):
        table[row, : len(prompt)] = prompt
    numbers = list(range(batch) if indices is None else indices)
    reader = _Reader(stepper_of(network), constraint, numbers)
    chance = _Chance(config.seed, numbers)
    filters = filters_of(config)
    rows = np.arange(batch)  # those still in the batch, of all
    alive = np.ones(batch, dtype=np.bool_)
    ids = table[:, 0]
    for time in range(1, given.max() + config.max_tokens):
        logits, allowed = reader.read(ids)
        own = alive & (time >= given[rows])  # past their prompt
        ids, bits = choose(logits, allowed, chance.draw(), filters=filters, rows=own)
        if not own.all():
            prompted = table[rows, min(time, table.shape[1] - 1)]
            ids = np.where(own, ids, np.where(alive, prompted, PAD_ID))
        yield _spread(ids, rows, batch), _spread(bits, rows, batch)
        alive = alive & ~(own & (ids == EOS_ID)) & (time + 1 < given[rows] + config.max_tokens)
        n_alive = np.count_nonzero(alive)
        if not n_alive:
            return
        if n_alive <= _CROWDED * len(rows) and reader.can_leave_out:
            kept = np.flatnonzero(alive)
            rows, ids, alive = rows[kept], ids[kept], alive[kept]
            reader.keep(kept)
            chance.keep(kept)


def _spread(values: NDArray[Any], rows: Ints, batch: int) -> NDArray[Any]:
    """Values of some rows among all; 0, which is `PAD_ID`, for the others."""
    if len(rows) == batch:
        return values
    spread = np.zeros(batch, values.dtype)
    spread[rows] = values
    return spread


class _Reader:
    """Tells every token to the constraint, the match tracker and the network."""

    def __init__(
        self, stepper: Stepper, constraint: Constraint | None, indices: Sequence[int]
    ) -> None:
        self.constraint = constraint
        self.n_features = stepper.n_features
        self.tracker = MatchTracker(len(indices)) if self.n_features else None
        self.network = stepper.begin(indices)
        self.can_leave_out = constraint is None or hasattr(constraint, "keep")

    def read(self, ids: Ints) -> tuple[Floats, Bools]:
        """One token a row: logits of the next (B, V), and which may be (B, V)."""
        columns = []
        if self.constraint is not None:
            self.constraint.advance(ids)
            if self.n_features:
                columns.append(self.constraint.features())
        if self.tracker is not None:
            columns.append(self.tracker.advance(ids))
        features = np.hstack(columns) if columns else np.zeros((len(ids), 0), np.int64)
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

    def keep(self, rows: Ints) -> None:
        """Go on with these rows only."""
        self.network.keep(rows)
        if self.tracker is not None:
            self.tracker.keep(rows)
        if self.constraint is not None:
            self.constraint.keep(rows)  # type: ignore[attr-defined]


class _Chance:
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
