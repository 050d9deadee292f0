"""The configuration of a training run: data, network, optimizer, budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from musicgen.config import override, require
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import ConfigError
from musicgen.models import KINDS, ModelConfig
from musicgen.tokens.lookback.features import beside_inputs

if TYPE_CHECKING:
    from musicgen.models.checkpoint import Checkpoint

BUDGETS = ("minutes", "cpu_minutes", "epochs", "steps")
# What a network is at its ends: tokens and the columns of features.
_ENDS = ("vocab_size", "feature_sizes", "token_columns", "trust_columns", "heard_columns")
MOST_SEED = 2**63 - 1  # what torch's generators take


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """`batch_tokens` places in a batch, padding included; training tunes longer than `max_len`
    tokens are cut into pieces (features still speak of the whole tune).

    A step of the optimizer takes `accumulate` times `batch_tokens` places, in so many parts one
    after the other: what it learns is what it would learn of one large batch, in about the memory
    of a part (tunes are dealt out one by one, so the first part may hold one more).

    With `carry` a step takes the next `max_len` tokens of each of `batch_tokens / max_len` rows of
    contiguous text, and a recurrent network goes on there in the state that it was left in
    (`training.carry`). Without `features` the network reads tokens alone: no positions in the bar,
    no earlier matches.
    """

    batch_tokens: int = 2048
    accumulate: int = 1
    max_len: int = 512
    carry: bool = False
    features: bool = True
    eval_batch_tokens: int = 16384

    def __post_init__(self) -> None:
        counts = ("batch_tokens", "accumulate", "max_len", "eval_batch_tokens")
        require(self, counts, lambda value: value >= 1, "is not at least 1", where="data.")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run. Exactly one of `minutes`, `cpu_minutes` (of this process), `epochs` and `steps` ends
    it; the learning rate rises over the first `warmup` share of that budget and falls to 0 at its
    end, or with the schedule "constant" stays.

    `ema` is the decay of a running average of the weights, which is then what is scored and kept
    (0 is off). "muon" is for hidden matrices, and for GPUs: a CPU takes half a second and more to
    make them orthogonal; all else has AdamW then, whose second decay rate is `beta2`. The
    `weight_decay` is decoupled; None is 0.05, but 0 for "adagrad" and "sgd". `val_every` counts
    steps, 0 is once an epoch; after `patience` scores without a new best the run ends early (0
    never). After each `sample_every` steps (0 never) a sample is written, with `sample_midi` as
    MIDI, too, where it is a tune. `devices` are those of each of `num_nodes` machines, on each of
    which the run is started; None is as many as torchrun or srun started it for, else one.
    `trainer` holds other arguments of Lightning's Trainer by name.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    seed: int = 0
    minutes: float | None = None
    cpu_minutes: float | None = None
    epochs: int | None = None
    steps: int | None = None
    optimizer: Literal["adamw", "muon", "adagrad", "sgd"] = "adamw"
    learning_rate: float = 3e-3
    warmup: float = 0.05
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float | None = None
    beta2: float = 0.98
    clip: float = 1.0
    ema: float = 0.0
    val_every: int = 0
    patience: int = 5
    log_every: int = 100
    save_minutes: float = 1.0
    sample_every: int = 0
    sample_midi: bool = False
    precision: Literal["auto", "32", "bf16"] = "auto"
    accelerator: str = "auto"
    devices: int | None = None
    num_nodes: int | None = None
    strategy: str = "auto"
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(
            self,
            (*BUDGETS, "learning_rate", "clip", "log_every", "devices", "num_nodes"),
            lambda value: value is None or value > 0,
            "is not positive",
        )
        require(self, ("warmup", "beta2", "ema"), lambda x: 0 <= x < 1, "is not in [0, 1)")
        not_negative = (
            *("seed", "weight_decay", "val_every", "patience", "save_minutes"),
            "sample_every",
        )
        require(self, not_negative, lambda value: value is None or value >= 0, "is negative")
        if self.data.carry:
            require_recurrent(self.model.kind)
        if self.seed > MOST_SEED:
            raise ConfigError(f"seed: {self.seed} is more than {MOST_SEED}")

    @property
    def n_budgets(self) -> int:
        """How many of the budgets are set."""
        return sum(getattr(self, name) is not None for name in BUDGETS)

    def with_budget(self, **budget: float | None) -> TrainConfig:
        """The same run with another budget: one of `minutes`, `cpu_minutes`, `epochs`, `steps`.

        Raises:
            ConfigError: none or several are given.
        """
        changed: dict[str, Any] = {**dict.fromkeys(BUDGETS), **budget}
        config = dataclasses.replace(self, **changed)
        if config.n_budgets != 1:
            raise ConfigError(f"{', '.join(BUDGETS)}: give exactly one of them")
        return config

    def fitted(self, tokens: TokenSet, start: Checkpoint | None = None) -> TrainConfig:
        """The same run with the network's ends sized for these tokens, or as those of the model
        that it starts from, which uses its own columns of features."""
        if start is not None:
            ends = {name: getattr(start.model, name) for name in _ENDS}
            return dataclasses.replace(self, model=dataclasses.replace(self.model, **ends))
        names = list(tokens.feature_sizes)
        predictions = [i for i, name in enumerate(names) if name.endswith("_next")]
        no_inputs = beside_inputs()
        width = self.model.d_embedding
        if self.model.embedding == "one-hot" and KINDS[self.model.kind].recurrent:
            width = max(self.model.width_in, len(tokens.vocab))
        model = dataclasses.replace(
            self.model,
            d_embedding=width,
            vocab_size=len(tokens.vocab),
            feature_sizes=tuple(tokens.feature_sizes.values()),
            token_columns=tuple(predictions),
            trust_columns=tuple(i for i, name in enumerate(names) if name.endswith("_length")),
            heard_columns=tuple(i for i, name in enumerate(names) if name not in no_inputs),
        )
        return dataclasses.replace(self, model=model)


def with_settings(config: TrainConfig, assignments: Sequence[str]) -> TrainConfig:
    """A copy with settings changed, as by `config.override`; a budget among them replaces that of
    the configuration.

    Raises:
        ConfigError: no such setting, or a value that is not of its type.
    """
    none: dict[str, Any] = dict.fromkeys(BUDGETS)
    if sets_budget(assignments):
        config = dataclasses.replace(config, **none)
    for assignment in assignments:
        config = override(config, assignment)
    return config


def sets_budget(assignments: Iterable[str]) -> bool:
    """Whether a setting says when a run ends."""
    return any(each.partition("=")[0].strip() in BUDGETS for each in assignments)


def require_recurrent(kind: str) -> None:
    """Check that the state of a network of this kind can be carried.

    Raises:
        ConfigError: it has none, or one that grows.
    """
    if not KINDS[kind].recurrent:
        kinds = " or ".join(name for name, row in KINDS.items() if row.recurrent)
        raise ConfigError(
            f"data.carry: the {kind} has no state of fixed size to carry on; use {kinds}, or "
            "data.carry=false"
        )
