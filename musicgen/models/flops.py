"""Arithmetic of a training step, and what a chip could do: for the model FLOPs utilization (MFU).

PaLM (Chowdhery et al., 2022, appendix B): 6 operations per parameter and token, forward and
backward, and 12 per layer, channel and place for the products of attention; causal attention
needs half of these.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from musicgen.models.config import ModelConfig
from musicgen.models.shapes import weight_shapes

if TYPE_CHECKING:
    import torch

# Dense bfloat16 operations per second, from the makers' data sheets; the first name that fits.
_PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "A10G": 70e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
    "V100": 125e12,
    "T4": 65e12,
}


def training_flops(config: ModelConfig, length: int) -> float:
    """Floating-point operations per token of forward and backward, in sequences of `length`."""
    tables = ("embedding.token.weight", "embedding.table.weight")
    shapes = weight_shapes(config)
    weights = sum(
        math.prod(shape) for name, shape in shapes.items() if len(shape) == 2 and name not in tables
    )
    if config.tie_embeddings:
        weights += config.vocab_size * config.d_model  # the output multiplies by the table
    attention = 6 * config.n_layers * config.d_model * length if config.kind == "transformer" else 0
    return 6.0 * weights + attention


def peak_flops(device: torch.device) -> float | None:
    """Operations per second that the chip's maker states in bfloat16; None: unknown, or a CPU."""
    if device.type != "cuda":
        return None
    import torch

    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in _PEAKS.items() if part in name), None)
