"""Networks that predict the next token, of several kinds behind one interface.

    forward(tokens (B, T), features (B, T, F) | None, state) -> (logits (B, T, V), state)

`state` carries what was read so far (None at the start): one token at a time gives the same
logits as all at once, and no logit depends on a later token. A network keeps its `ModelConfig` as
`config`. Code outside this package does not depend on the kind: a kind is a row of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from musicgen.errors import ConfigError
from musicgen.models.config import KINDS, Kind, ModelConfig
from musicgen.models.inference import lstm, rnn, transformer
from musicgen.models.shapes import weight_shapes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    Network = TypeVar("Network", bound=nn.Module)

__all__ = [
    "KINDS",
    "Kind",
    "ModelConfig",
    "build_model",
    "weight_shapes",
    "weights_of",
    "with_weights",
]


def _network(module: str, name: str) -> Callable[[ModelConfig], nn.Module]:
    """Build a network of the package `networks`, whose module imports torch, when called."""

    def build(config: ModelConfig) -> nn.Module:
        return getattr(import_module(f"{__name__}.networks.{module}"), name)(config)

    return build


KINDS.update(
    lstm=Kind(
        title="An LSTM",
        network=_network("lstm", "LSTM"),
        stepper=lstm.LSTMStepper,
        layer_shapes=lstm.layer_shapes,
        recurrent=True,
    ),
    rnn=Kind(
        title="A recurrent network",
        network=_network("rnn", "RNN"),
        stepper=rnn.RNNStepper,
        layer_shapes=rnn.layer_shapes,
        recurrent=True,
    ),
    transformer=Kind(
        title="A transformer",
        network=_network("transformer", "Transformer"),
        stepper=transformer.TransformerStepper,
        layer_shapes=transformer.layer_shapes,
        head_multiple=2,  # rotary positions turn pairs of channels
    ),
)


def build_model(config: ModelConfig) -> nn.Module:
    """A new network with random weights (from torch's global generator).

    Raises:
        ConfigError: `vocab_size` has not been filled in.
    """
    if config.vocab_size < 1:
        raise ConfigError("model.vocab_size: is 0; it comes from the vocabulary")
    return KINDS[config.kind].network(config)


def weights_of(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Parameters by name; a tensor with two names (tied embeddings) under the first only."""
    return {
        name: parameter.detach().cpu().float().numpy().copy()
        for name, parameter in network.named_parameters()
    }


def with_weights(
    build: Callable[[], Network], weights: Mapping[str, NDArray[np.float32]]
) -> Network:
    """A new network in evaluation mode with the weights of `weights_of`. The random numbers that
    building draws are not the caller's, nor is a mode of torch that it may be in."""
    import torch

    with torch.inference_mode(False), torch.no_grad():
        with torch.random.fork_rng(devices=[]):
            network = build()
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.tensor(weights[name]))
        return network.eval()
