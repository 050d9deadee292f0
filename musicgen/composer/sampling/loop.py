"""The batched next-token loop: read a token, mask, filter, draw, with a carried state.

    for ids, bits in stream(stepper, prompts, constraint, config): ...   # (B,) ids a step
    sample(stepper, prompts, constraint, config)                         # complete rows

Row k of seed s is the same to the last bit whatever else is in the batch: its random numbers
depend on (s, k, step) only, and a stepper's logits of a row on that row only. Rows that are done
leave the batch, so a long tune does not make the others wait. Letters: B rows, V vocabulary, F
features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from musicgen.composer.sampling.config import SamplingConfig
from musicgen.composer.sampling.filters import Bools, Floats, Ints, draw_tokens, filters_of
from musicgen.corpus.tokenset import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from musicgen.errors import ConfigError
from musicgen.models.inference import ArrayStepper, Stepper
from musicgen.models.inference.threads import single_threaded
from musicgen.tokens.constraint import Constraint
from musicgen.tokens.lookback.features import Lookback

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from musicgen.models import ModelConfig

_DRAWN = 256  # random numbers drawn at once
_CROWDED = 0.8  # finished rows leave once no more than this share of the batch goes on


@dataclass(frozen=True, slots=True)
class Sampled:
    """One completed row. `bits` is the information of the added tokens under the network itself,
    before temperature, filters and mask; `finished` is True if the row ended with eos."""

    ids: list[int]
    n_prompt: int
    bits: float
    finished: bool


def stepper_of(network: Stepper | nn.Module, lookback: Lookback | None = None) -> Stepper:
    """A torch network as a stepper: a numpy copy of its present weights where it is on the CPU and
    its kind has a numpy step, else the network on its device. Keep it: making one costs as much as
    some hundred steps. `lookback` are the columns that it needs beside those of a constraint."""
    if hasattr(network, "begin"):
        return cast("Stepper", network)
    module = cast("nn.Module", network)
    from musicgen.models import KINDS, weights_of
    from musicgen.models.inference.torch_stepper import TorchStepper

    model = cast("ModelConfig", module.config)
    if KINDS[model.kind].stepper is None or next(module.parameters()).device.type != "cpu":
        return TorchStepper(module, lookback)
    return ArrayStepper(model, weights_of(module), lookback)


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

    Prompts (which start with bos) may differ in length: their tokens are yielded unchanged, at 0
    bits. A finished row yields `PAD_ID`. `indices` are the numbers of the rows among all rows of
    this seed (0, 1, ... by default). The constraint must be new; it reads the prompt tokens, too.

    Until the stream ends numpy calculates with one thread.

    Raises:
        ConfigError: an empty prompt, or other feature columns than the network was trained on.
        ControlError: the mask leaves nothing to choose from.
    """
    with single_threaded():
        yield from _stream(stepper_of(network), prompts, constraint, config, indices)


def _stream(
    stepper: Stepper,
    prompts: Sequence[Sequence[int]],
    constraint: Constraint | None,
    config: SamplingConfig,
    indices: Sequence[int] | None,
) -> Iterator[tuple[Ints, Floats]]:
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise ConfigError("prompts: each needs at least the start token")
    batch = len(prompts)
    lengths = np.array([len(prompt) for prompt in prompts])
    table = np.full((batch, lengths.max() + 1), PAD_ID, dtype=np.int64)
    for row, prompt in enumerate(prompts):
        table[row, : len(prompt)] = prompt
    numbers = list(range(batch) if indices is None else indices)
    reader = TokenReader(stepper, constraint, numbers)
    draws = RandomDraws(config.seed, numbers)
    filters = filters_of(config)
    rows = np.arange(batch)  # of each row that is still in the batch, its place in the first batch
    alive = np.ones(batch, dtype=np.bool_)
    ids = table[:, 0]
    for time in range(1, lengths.max() + config.max_tokens):
        logits, allowed = reader.read(ids)
        drawing = alive & (time >= lengths[rows])  # past the prompt
        ids, bits = draw_tokens(logits, allowed, draws.next(), filters=filters, rows=drawing)
        if not drawing.all():
            prompted = table[rows, min(time, table.shape[1] - 1)]
            ids = np.where(drawing, ids, np.where(alive, prompted, PAD_ID))
        yield _spread(ids, rows, batch), _spread(bits, rows, batch)
        alive &= ~(drawing & (ids == EOS_ID)) & (time + 1 < lengths[rows] + config.max_tokens)
        n_alive = np.count_nonzero(alive)
        if not n_alive:
            return
        if n_alive <= _CROWDED * len(rows) and reader.can_drop_rows:
            kept = np.flatnonzero(alive)
            rows, ids, alive = rows[kept], ids[kept], alive[kept]
            reader.keep(kept)
            draws.keep(kept)


def _spread(values: NDArray[Any], rows: Ints, batch: int) -> NDArray[Any]:
    """Values of some rows at their places among all (B,); 0, which is `PAD_ID`, elsewhere."""
    spread = np.zeros(batch, values.dtype)
    spread[rows] = values
    return spread


class TokenReader:
    """Feeds every token to the constraint, the lookback tracker and the network."""

    def __init__(
        self, stepper: Stepper, constraint: Constraint | None, indices: Sequence[int]
    ) -> None:
        self.constraint = constraint
        self.n_features = stepper.n_features
        lookback = stepper.lookback
        self.tracker = None if lookback is None else lookback.tracker(len(indices))
        self.network = stepper.begin(indices)
        self.can_drop_rows = constraint is None or hasattr(constraint, "keep")

    def read(self, ids: Ints) -> tuple[Floats, Bools]:
        """Read one token a row: logits of the next (B, V), and which are allowed (B, V).

        Raises:
            ConfigError: the network was trained on another number of feature columns.
        """
        features: Ints = np.zeros((len(ids), 0), np.int64)
        if self.constraint is not None:
            self.constraint.advance(ids)
            if self.n_features:
                features = self.constraint.features()
        if self.tracker is not None:
            features = np.hstack([features, self.tracker.advance(ids, features)])
        if features.shape[1] != self.n_features:
            raise ConfigError(
                f"the model was trained with {self.n_features} feature columns, "
                f"here are {features.shape[1]}; use its own tokenizer"
            )
        logits = self.network.read(ids, features)
        allowed = np.ones(logits.shape, np.bool_)
        if self.constraint is not None:
            allowed = self.constraint.mask()
        allowed[:, [PAD_ID, BOS_ID, UNK_ID]] = False  # never part of a tune
        return logits, allowed

    def keep(self, rows: Ints) -> None:
        """Drop all rows but these."""
        for part in (self.network, self.tracker, self.constraint):
            if part is not None:
                part.keep(rows)  # type: ignore[union-attr]


class RandomDraws:
    """Uniform numbers in [0, 1), one a step for each row, independent of the other rows."""

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        self._generators = [
            np.random.Generator(np.random.Philox(key=[seed, index])) for index in indices
        ]
        self._numbers = np.zeros((_DRAWN, len(self._generators)))
        self._time = 0

    def next(self) -> Floats:
        """The next number of each row, (B,)."""
        step = self._time % _DRAWN
        if step == 0:
            for row, generator in enumerate(self._generators):
                self._numbers[:, row] = generator.random(_DRAWN)
        self._time += 1
        return self._numbers[step]

    def keep(self, rows: Ints) -> None:
        """Drop all rows but these."""
        self._generators = [self._generators[row] for row in rows]
        self._numbers = self._numbers[:, rows]
