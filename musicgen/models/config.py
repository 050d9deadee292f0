"""The shape of a network, whichever kind it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from musicgen.errors import ConfigError

MAX_PARAMETERS = 4_000_000_000  # bounds for configurations from strangers
MAX_LAYERS = 512
MAX_GAIN = 100


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What `build_model` needs to know; training fills in the first three from the token files.

    Every rate is the share of units dropped in training. Fields that a kind has no use for are
    ignored by it, and said so here.
    """

    kind: Literal["rnn", "lstm", "transformer"] = "lstm"
    vocab_size: int = 0
    feature_sizes: tuple[int, ...] = ()  # number of values of each feature column
    token_columns: tuple[int, ...] = ()  # feature columns whose values are token ids: guesses
    trust_columns: tuple[int, ...] = ()  # those that say how far to trust the guesses
    heard_columns: tuple[int, ...] | None = None  # those that enter the network; None: all
    d_model: int = 384
    n_layers: int = 1
    n_heads: int = 4  # transformer only
    dropout: float = 0.3  # between layers and before the output
    embedding_dropout: float = 0.1
    weight_dropout: float = 0.0  # recurrent weights of the lstm only
    # "one-hot": every token has a channel of its own, and nothing is learned of it
    embedding: Literal["learned", "one-hot"] = "learned"
    tie_embeddings: bool = True  # the output shares the table of the input
    copy_head: bool = True  # a learned push towards the guesses
    activation: Literal["tanh", "relu"] = "tanh"  # rnn only
    # rnn only: how the hidden weights start, and a factor on them; "auto" is the identity for
    # ReLU and orthogonal for tanh.
    hidden_init: Literal["auto", "identity", "orthogonal", "normal"] = "auto"
    hidden_gain: float = 1.0

    def __post_init__(self) -> None:
        for name in ("d_model", "n_layers", "n_heads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"model.{name}: {getattr(self, name)} is not at least 1")
        if self.n_layers > MAX_LAYERS:
            raise ConfigError(f"model.n_layers: {self.n_layers} is more than {MAX_LAYERS}")
        for name in ("dropout", "embedding_dropout", "weight_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"model.{name}: {getattr(self, name)} is not in [0, 1)")
        if self.embedding == "one-hot" and (self.d_model < self.vocab_size or self.tie_embeddings):
            raise ConfigError(
                f"model.embedding: one-hot needs model.d_model of {self.vocab_size} or more "
                "and model.tie_embeddings=false"
            )
        if not 0 < self.hidden_gain <= MAX_GAIN:
            raise ConfigError(f"model.hidden_gain: {self.hidden_gain} is not in (0, {MAX_GAIN}]")
        if self.vocab_size < 0 or any(size < 1 for size in self.feature_sizes):
            raise ConfigError("model.vocab_size, model.feature_sizes: sizes must be positive")
        for name in ("token_columns", "trust_columns", "heard_columns"):
            columns = getattr(self, name) or ()
            if any(not 0 <= column < len(self.feature_sizes) for column in columns):
                raise ConfigError(f"model.{name}: names a column that does not exist")
        if self.trust_columns and set(self.trust_columns) & set(self.token_columns):
            raise ConfigError("model.trust_columns: names a column of ids")
        if any(self.feature_sizes[column] != self.vocab_size for column in self.token_columns):
            raise ConfigError("model.token_columns: a column of ids must have vocab_size values")
        pairs = 2 * self.n_heads  # rotary positions turn pairs of channels
        if self.kind == "transformer" and self.d_model % pairs:
            raise ConfigError(
                f"model.d_model: {self.d_model} is not a multiple of {pairs} (2 * n_heads)"
            )
        if self.n_parameters_bound > MAX_PARAMETERS:
            raise ConfigError("model: is larger than 4 billion parameters; make it smaller")

    @property
    def plain_columns(self) -> tuple[int, ...]:
        """Feature columns that enter the network as they are."""
        return tuple(i for i in self._heard if i not in self.token_columns)

    @property
    def spoken_columns(self) -> tuple[int, ...]:
        """Columns of guesses that enter the network as tokens."""
        return tuple(i for i in self.token_columns if i in self._heard)

    @property
    def _heard(self) -> tuple[int, ...]:
        every = tuple(range(len(self.feature_sizes)))
        return every if self.heard_columns is None else self.heard_columns

    @property
    def pushing_columns(self) -> tuple[int, ...]:
        """Columns of guesses that the copy head pushes towards."""
        return self.token_columns if self.copy_head else ()

    @property
    def n_parameters_bound(self) -> int:
        """At least as many parameters as any network of this shape has."""
        tables = self.d_model * (2 * self.vocab_size + sum(self.feature_sizes) + 4)
        return tables + self.n_layers * 13 * (self.d_model + 64) ** 2
