"""Networks that guess the next token, three kinds behind one interface.

    forward(tokens (B, T), features (B, T, F) | None, state) -> (logits (B, T, V), state)

`state` carries what was read so far (None at the start): one token at a time gives the same
logits as all at once, and no logit depends on a later token. Nobody outside asks which kind of
network it has.
"""

from __future__ import annotations

from torch import nn

from musicgen.errors import ConfigError
from musicgen.models.config import ModelConfig
from musicgen.models.lstm import LSTM
from musicgen.models.rnn import RNN
from musicgen.models.transformer import Transformer

__all__ = ["KINDS", "ModelConfig", "build_model"]

KINDS: dict[str, type[RNN] | type[LSTM] | type[Transformer]] = {
    "rnn": RNN,
    "lstm": LSTM,
    "transformer": Transformer,
}


def build_model(config: ModelConfig) -> nn.Module:
    """A new network with random weights (from torch's global generator).

    Raises:
        ConfigError: `vocab_size` has not been filled in.
    """
    if config.vocab_size < 1:
        raise ConfigError("model.vocab_size: is 0; it comes from the vocabulary")
    return KINDS[config.kind](config)
