"""Networks that guess the next token, three kinds behind one interface.

    forward(tokens (B, T), features (B, T, F) | None, state) -> (logits (B, T, V), state)

`state` carries what was read so far (None at the start): one token at a time gives the same
logits as all at once, and no logit depends on a later token. Nobody outside asks which kind of
network it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicgen.errors import ConfigError
from musicgen.models.config import ModelConfig
from musicgen.models.shapes import weight_shapes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

__all__ = ["KINDS", "ModelConfig", "build_model", "weight_shapes", "weights_of"]

KINDS = ("lstm", "rnn", "transformer")


def build_model(config: ModelConfig) -> nn.Module:
    """A new network with random weights (from torch's global generator).

    Raises:
        ConfigError: `vocab_size` has not been filled in.
    """
    if config.vocab_size < 1:
        raise ConfigError("model.vocab_size: is 0; it comes from the vocabulary")
    from musicgen.models.networks.lstm import LSTM
    from musicgen.models.networks.rnn import RNN
    from musicgen.models.networks.transformer import Transformer

    kinds: dict[str, type[RNN] | type[LSTM] | type[Transformer]] = {
        "rnn": RNN,
        "lstm": LSTM,
        "transformer": Transformer,
    }
    return kinds[config.kind](config)


def weights_of(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Parameters by name; a tensor with two names (tied embeddings) under the first only."""
    return {
        name: parameter.detach().cpu().float().numpy().copy()
        for name, parameter in network.named_parameters()
    }
