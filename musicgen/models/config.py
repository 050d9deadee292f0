"""The configuration of a network, whatever its kind, and the table of kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from musicgen.config import require, unknown
from musicgen.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from musicgen.models.inference.interface import Network, Weights

MAX_PARAMETERS = 4_000_000_000  # bounds for configurations from strangers
MAX_LAYERS = 512
MAX_GAIN = 100

Shapes = dict[str, tuple[int, ...]]  # of parameters, by name


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of network: a row of `KINDS`.

    `title` names it in a model card. `network` builds the torch module, which has the interface
    that `musicgen.models` describes. `stepper` does one step of it in numpy; without one a model
    composes through torch. `layer_shapes` gives the shapes of the parameters between embedding
    and readout without torch; without it the shapes are those of the network itself, built on the
    meta device. `recurrent` says that the state has a fixed size, as (n_layers, B, C) each, so that
    training can carry it on from window to window. `d_model` must be a multiple of `head_multiple`
    times `n_heads` (0: any width).
    """

    title: str
    network: Callable[[ModelConfig], nn.Module]
    stepper: Callable[[ModelConfig, Weights], Network] | None = None
    layer_shapes: Callable[[ModelConfig], Shapes] | None = None
    recurrent: bool = False
    head_multiple: int = 0


# Filled by `musicgen.models`; another network needs one more row: KINDS["mamba"] = Kind(...).
KINDS: dict[str, Kind] = {}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that `build_model` needs; training takes the first five fields after `kind` from
    the token files.

    Every rate is the fraction of units dropped in training. A kind ignores the fields that it has
    no use for, as the comments say.
    """

    kind: str = "lstm"  # a key of KINDS
    vocab_size: int = 0
    feature_sizes: tuple[int, ...] = ()  # number of values of each feature column
    token_columns: tuple[int, ...] = ()  # lookback columns: their values are token ids
    trust_columns: tuple[int, ...] = ()  # the confidence of each lookback column
    heard_columns: tuple[int, ...] | None = None  # the input columns of the network; None: all
    d_model: int = 384
    d_embedding: int = 0  # width of the input where the network is recurrent; 0: d_model
    n_layers: int = 1
    n_heads: int = 4  # transformer only
    dropout: float = 0.3  # between layers and before the output
    embedding_dropout: float = 0.1
    weight_dropout: float = 0.0  # recurrent weights of the lstm only
    # "one-hot": every token has a channel of its own, and nothing is learned of it
    embedding: Literal["learned", "one-hot"] = "learned"
    tie_embeddings: bool = True  # the output shares the table of the input
    copy_head: bool = True  # a learned logit bias for the tokens of the lookback columns
    activation: Literal["tanh", "relu"] = "tanh"  # rnn only
    # rnn only: how the hidden weights start, and a factor on them; "auto" is the identity for
    # ReLU and orthogonal for tanh.
    hidden_init: Literal["auto", "identity", "orthogonal", "normal"] = "auto"
    hidden_gain: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(unknown("model.kind", self.kind, KINDS, kind=f"value '{self.kind}'"))
        counts = ("d_model", "n_layers", "n_heads")
        require(self, counts, lambda value: value >= 1, "is not at least 1", where="model.")
        if self.n_layers > MAX_LAYERS:
            raise ConfigError(f"model.n_layers: {self.n_layers} is more than {MAX_LAYERS}")
        self._require_input_width()
        rates = ("dropout", "embedding_dropout", "weight_dropout")
        require(self, rates, lambda value: 0 <= value < 1, "is not in [0, 1)", where="model.")
        if not 0 < self.hidden_gain <= MAX_GAIN:
            raise ConfigError(f"model.hidden_gain: {self.hidden_gain} is not in (0, {MAX_GAIN}]")
        if self.vocab_size < 0 or any(size < 1 for size in self.feature_sizes):
            raise ConfigError("model.vocab_size, model.feature_sizes: sizes must be positive")
        for name in ("token_columns", "trust_columns", "heard_columns"):
            columns = getattr(self, name) or ()
            if any(not 0 <= column < len(self.feature_sizes) for column in columns):
                raise ConfigError(f"model.{name}: names a column that does not exist")
        if set(self.trust_columns) & set(self.token_columns):
            raise ConfigError("model.trust_columns: names a column of ids")
        if any(self.feature_sizes[column] != self.vocab_size for column in self.token_columns):
            raise ConfigError("model.token_columns: a column of ids must have vocab_size values")
        multiple = KINDS[self.kind].head_multiple
        if multiple and self.d_model % (multiple * self.n_heads):
            raise ConfigError(
                f"model.d_model: {self.d_model} is not a multiple of {multiple * self.n_heads} "
                f"({multiple} * n_heads)"
            )
        if self.n_parameters_bound > MAX_PARAMETERS:
            raise ConfigError("model: is larger than 4 billion parameters; make it smaller")

    def _require_input_width(self) -> None:
        if not 0 <= self.d_embedding <= MAX_PARAMETERS:
            raise ConfigError(f"model.d_embedding: {self.d_embedding} is out of range")
        if self.width_in != self.d_model and not KINDS[self.kind].recurrent:
            raise ConfigError(f"model.d_embedding: the {self.kind} takes its d_model only; use 0")
        if self.width_in != self.d_model and self.tie_embeddings:
            raise ConfigError("model.d_embedding: needs model.tie_embeddings=false")
        if self.embedding == "one-hot" and (self.width_in < self.vocab_size or self.tie_embeddings):
            raise ConfigError(
                f"model.embedding: one-hot needs model.d_model of {self.vocab_size} or more "
                "and model.tie_embeddings=false"
            )

    @property
    def width_in(self) -> int:
        """Channels of the embedding, which are those of the input of the first layer."""
        return self.d_embedding or self.d_model

    @property
    def plain_columns(self) -> tuple[int, ...]:
        """Input columns whose values are embedded in a table of their own."""
        return tuple(i for i in self._input_columns if i not in self.token_columns)

    @property
    def token_inputs(self) -> tuple[int, ...]:
        """Lookback columns that are input columns too; they are embedded as tokens."""
        return tuple(i for i in self.token_columns if i in self._input_columns)

    @property
    def _input_columns(self) -> tuple[int, ...]:
        every = tuple(range(len(self.feature_sizes)))
        return every if self.heard_columns is None else self.heard_columns

    @property
    def copy_columns(self) -> tuple[int, ...]:
        """Lookback columns whose tokens get a logit bias from the copy head."""
        return self.token_columns if self.copy_head else ()

    @property
    def n_parameters_bound(self) -> int:
        """At least as many parameters as any network of this shape has."""
        width = max(self.d_model, self.width_in)
        tables = width * (2 * self.vocab_size + sum(self.feature_sizes) + 4)
        tables += self.width_in * (4 * self.d_model + self.width_in * len(self.token_inputs))
        return tables + self.n_layers * 13 * (self.d_model + 64) ** 2
