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
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from musicgen.composer.sampling.choosing import Floats, Ints, choose, filters_of
from musicgen.composer.sampling.config import TEMPERATURE, SamplingConfig
from musicgen.composer.sampling.reading import Chance, Reader
from musicgen.corpus.tokenset import EOS_ID, PAD_ID
from musicgen.errors import ConfigError
from musicgen.models.inference import ArrayStepper, Stepper
from musicgen.models.inference.threads import single_threaded
from musicgen.tokens.constraint import Constraint

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from musicgen.models import ModelConfig

__all__ = [
    "TEMPERATURE",
    "Sampled",
    "SamplingConfig",
    "sample",
    "stepper_of",
    "stream",
]

_CROWDED = 0.8  # rows are left out once no more than this share of the batch goes on


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
    the CPU and its kind has a step in numpy, else in torch on its device. Worth keeping: making
    one costs as much as some hundred steps."""
    if hasattr(network, "begin"):
        return cast("Stepper", network)
    module = cast("nn.Module", network)
    from musicgen.models import KINDS, weights_of
    from musicgen.models.inference.torch_stepper import TorchStepper

    model = cast("ModelConfig", module.config)
    if KINDS[model.kind].stepper is None or next(module.parameters()).device.type != "cpu":
        return TorchStepper(module)
    return ArrayStepper(model, weights_of(module))


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
    given = np.array([len(prompt) for prompt in prompts])
    table = np.full((batch, given.max() + 1), PAD_ID, dtype=np.int64)
    for row, prompt in enumerate(prompts):
        table[row, : len(prompt)] = prompt
    numbers = list(range(batch) if indices is None else indices)
    reader = Reader(stepper, constraint, numbers)
    chance = Chance(config.seed, numbers)
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
