"""A decoder-only transformer: pre-norm, RMSNorm, rotary positions, SwiGLU, key-value cache.

Letters: B batch, T time now, S time in the cache, C channels, H heads, D channels of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicgen.models.config import ModelConfig
from musicgen.models.inference.transformer import ROTARY_BASE, inner_width
from musicgen.models.networks.embedding import Embedding, Readout

_CACHE_STEP = 256  # times by which a full cache grows

# How many of the S times are filled (), then keys and values (B, H, S, D) of each layer in turn.
State = tuple[Tensor, ...]


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each added to the residual stream x (B, T, C)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.d_model
        inner = inner_width(width)
        self.n_heads, self.dropout = config.n_heads, config.dropout
        self.norm_attention = nn.RMSNorm(width)
        self.norm_feed = nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        for layer in (self.qkv, self.merge, self.up, self.down):
            nn.init.normal_(layer.weight, std=width**-0.5)
        for layer in (self.merge, self.down):  # else the stream grows with depth
            layer.weight.data.mul_((2 * config.n_layers) ** -0.5)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the residual stream, each (B, H, T, D), not yet rotated."""
        batch, time, _ = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(batch, time, 3, self.n_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return q, k, v

    def weights(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], *, positions_only: bool = False
    ) -> Tensor:
        """How much each time attends to each earlier one and itself: (B, H, T, T), rows sum to 1.

        With `positions_only` every query and key is the mean of its head's, so that nothing but
        the distance of two times can tell them apart.
        """
        q, k, _ = self.project(x)
        if positions_only:
            q, k = (each.mean(dim=2, keepdim=True).expand_as(each) for each in (q, k))
        q, k = rotate(q, *rotation), rotate(k, *rotation)
        scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        return scores.masked_fill(later, -torch.inf).softmax(dim=3)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: State | None, filled: int
    ) -> tuple[Tensor, State]:
        """`cache`, keys and values (B, H, S, D), is written in place from time `filled` on;
        without one the new keys and values are returned in its form."""
        batch, time, width = x.shape
        q, k, v = self.project(x)
        q, k = rotate(q, *rotation), rotate(k, *rotation)
        mask = None
        if cache is None:
            cache = (k.detach(), v.detach())
        else:
            end = filled + time
            cache[0][:, :, filled:end], cache[1][:, :, filled:end] = k, v
            k, v = cache[0][:, :, :end], cache[1][:, :, :end]
            if time > 1:  # new time t sees the cache and new times up to t
                mask = torch.ones(time, end, dtype=torch.bool, device=x.device).tril(filled)
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=mask is None and time > 1,
            dropout_p=self.dropout if self.training else 0.0,
        )
        y = self.merge(y.transpose(1, 2).reshape(batch, time, width))
        return self.feed(x + F.dropout(y, self.dropout, self.training)), cache

    def feed(self, x: Tensor) -> Tensor:
        """The gated feed-forward layer, added to the residual stream (B, T, C)."""
        gate, value = self.up(self.norm_feed(x)).chunk(2, dim=-1)
        y = self.down(F.silu(gate) * value)
        return x + F.dropout(y, self.dropout, self.training)


class Transformer(nn.Module):
    """State: the cache of keys and values with its fill. A state is used up by the call that it
    is given to, which writes into it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = nn.RMSNorm(config.d_model)
        self.readout = Readout(config, self.embedding)

    def forward(
        self, tokens: Tensor, features: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """See `musicgen.models`."""
        x = self.embedding(tokens, features)  # (B, T, C)
        time = x.shape[1]
        filled = 0 if state is None else int(state[0])
        rotation = rotation_at(filled, time, x.shape[2] // self.config.n_heads, x)
        caches: State = ()
        for index, block in enumerate(self.blocks):
            cache = None
            if state is not None:
                keys_values = state[2 * index + 1 : 2 * index + 3]
                cache = tuple(enlarged(each, filled, time) for each in keys_values)
            x, cache = block(x, rotation, cache, filled)
            caches += cache
        return self.readout(self.norm(x), features), (torch.tensor(filled + time), *caches)

    def attention(
        self, tokens: Tensor, features: Tensor | None = None, *, positions_only: bool = False
    ) -> list[Tensor]:
        """The attention weights (B, H, T, T) of each layer; see `Block.weights`."""
        x = self.embedding(tokens, features)
        rotation = rotation_at(0, x.shape[1], x.shape[2] // self.config.n_heads, x)
        layers = []
        for block in self.blocks:
            assert isinstance(block, Block)
            layers.append(block.weights(x, rotation, positions_only=positions_only))
            x, _ = block(x, rotation, None, 0)
        return layers


def rotation_at(start: int, time: int, d_head: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, D / 2) of the rotary angles of times start .. start + time - 1.

    Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
    """
    steps = torch.arange(0, d_head, 2, device=like.device, dtype=torch.float32) / d_head
    times = torch.arange(start, start + time, device=like.device, dtype=torch.float32)
    angles = times[:, None] * ROTARY_BASE**-steps
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the two halves of each head's channels (B, H, T, D) against each other."""
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1).to(x.dtype)


def enlarged(cache: Tensor, filled: int, time: int) -> Tensor:
    """The cache (B, H, S, D) itself, or a larger copy when `time` more steps do not fit."""
    if filled + time <= cache.shape[2]:
        return cache
    size = -(-(filled + time) // _CACHE_STEP) * _CACHE_STEP
    return F.pad(cache, (0, 0, 0, size - cache.shape[2]))
