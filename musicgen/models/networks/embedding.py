"""Embedding and readout of every network: ids and features to vectors, vectors to logits.

Letters: B batch, T time, F feature columns, G lookback columns, E and C channels (`width_in`,
`d_model`), V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicgen.models.config import ModelConfig


class Embedding(nn.Module):
    """tokens (B, T) and features (B, T, F) -> (B, T, E): the sum of one vector for each.

    All small feature tables lie in one, so that a step costs one look-up whatever F is. Columns
    that hold token ids use the token table, through a linear map of their own.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config, width = config, config.width_in
        self.token = nn.Embedding(config.vocab_size, width)
        if config.embedding == "one-hot":
            nn.init.eye_(self.token.weight)
            self.token.weight.requires_grad_(False)
        else:
            nn.init.normal_(self.token.weight, std=width**-0.5)
        self.plain = list(config.plain_columns)
        sizes = [config.feature_sizes[i] for i in self.plain]
        if self.plain:
            self.table = nn.Embedding(sum(sizes), width)
            nn.init.normal_(self.table.weight, std=width**-0.5)
        self.register_buffer("starts", torch.tensor([0, *sizes]).cumsum(0)[:-1], persistent=False)
        if config.token_inputs:
            self.map = nn.Linear(width * len(config.token_inputs), width)

    starts: Tensor

    def forward(self, tokens: Tensor, features: Tensor | None) -> Tensor:
        """The sum of embeddings, with dropout in training."""
        config = self.config
        x: Tensor = self.token(tokens)  # (B, T, E)
        if config.feature_sizes:
            if features is None:
                raise ValueError("this network needs features beside its tokens")
            if self.plain:
                rows = features[:, :, self.plain] + self.starts  # (B, T, F_plain)
                x = x + self.table(rows).sum(dim=2)
            if config.token_inputs:
                copied = self.token(features[:, :, list(config.token_inputs)])
                x = x + self.map(copied.flatten(2))
        return drop_channels(x, config.embedding_dropout, self.training)


class Readout(nn.Module):
    """Vectors (B, T, C) -> logits (B, T, V), with a logit bias for the tokens of lookback columns.

    The bias is a linear function of the vector, plus a learned number for each value of the
    confidence columns. Vinyals, Fortunato and Jaitly, "Pointer networks", 2015, learn where to
    copy from; here the lookback features say it.
    """

    def __init__(self, config: ModelConfig, embedding: Embedding) -> None:
        super().__init__()
        self.columns = list(config.copy_columns)
        self.confidence_columns = list(config.trust_columns) if self.columns else []
        self.output = nn.Linear(config.d_model, config.vocab_size)
        nn.init.normal_(self.output.weight, std=config.d_model**-0.5)
        nn.init.zeros_(self.output.bias)
        if config.tie_embeddings:
            self.output.weight = embedding.token.weight
        if self.columns:
            self.push = nn.Linear(config.d_model, len(self.columns))
        if self.confidence_columns:
            sizes = [config.feature_sizes[i] for i in self.confidence_columns]
            self.trust = nn.Embedding(sum(sizes), len(self.columns))
            nn.init.zeros_(self.trust.weight)
            first_rows = torch.tensor([0, *sizes]).cumsum(0)[:-1]
            self.register_buffer("starts", first_rows, persistent=False)

    starts: Tensor

    def forward(self, x: Tensor, features: Tensor | None) -> Tensor:
        """Logits of the next token."""
        logits: Tensor = self.output(x)
        if self.columns and features is not None:
            copied = features[:, :, self.columns]  # (B, T, G)
            bias = self.push(x)
            if self.confidence_columns:
                rows = features[:, :, self.confidence_columns] + self.starts
                bias = bias + self.trust(rows).sum(dim=2)
            bias = bias.masked_fill(copied == 0, 0.0).to(logits.dtype)  # 0: nothing to copy
            logits = logits.scatter_add(2, copied, bias)
        return logits


def drop_channels(x: Tensor, rate: float, training: bool) -> Tensor:
    """Dropout of (B, T, C) with one mask for all times of a row.

    Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural
    networks", 2016.
    """
    if not training or rate == 0:
        return x
    return x * F.dropout(torch.ones_like(x[:, :1]), rate)  # a mask (B, 1, C)
