"""A picture of which notes each chord attended to.

Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate",
2015, drew the first of its kind, between words of two languages.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen.composer.harmony import Harmonized
from musicgen.models.harmony.network import Harmonizer, collate
from musicgen.models.inference.threads import torch_single_threaded
from musicgen.music.theory import ACCIDENTAL_TEXT, spell
from musicgen.system.charts import chart
from musicgen.tokens.harmony.chords import chord_id
from musicgen.tokens.harmony.features import harmony_example
from musicgen.tokens.harmony.slots import Slot, SlotNote

_MOST = 16  # slots that are drawn


def attention(network: Harmonizer, found: Harmonized) -> NDArray[np.float64]:
    """Attention weights (L, H, S, N) of each slot to each piece of the melody in every layer and
    head, while the decoder reads the chords that were found."""
    batch = collate([harmony_example(found.slots)])
    ids = [chord_id(name, slot.key) for name, slot in zip(found.chords, found.slots, strict=True)]
    before = torch.tensor([[0, *ids[:-1]]])
    layers: list[torch.Tensor] = []
    with torch.inference_mode(), torch_single_threaded():
        encoded = network.encode(batch.melody, batch.slot_of, batch.slots, batch.present)
        network.decode(encoded, batch.slot_of, batch.slots, batch.present, before, attention=layers)
    return torch.stack(layers)[:, 0].double().numpy()


def draw(network: Harmonizer, found: Harmonized, path: str | Path) -> None:
    """A panel for each head of the last layer: rows are the chords of the first 16 places, columns
    the notes, lines the places; dark is much attention."""
    weights = attention(network, found)[-1][:, :_MOST]
    slots = found.slots[:_MOST]
    names = [_name(piece, slot) for slot in slots for piece in slot.pieces]
    edges = np.cumsum([0, *(len(slot.pieces) for slot in slots)]) - 0.5
    n_heads = len(weights)
    width, height = max(6.0, 0.15 * len(names)), max(2.5, 0.21 * len(slots))
    with chart(path, width=2 * width, height=height * -(-n_heads // 2) + 0.8) as figure:
        panels = figure.subplots(-(-n_heads // 2), 2, squeeze=False).ravel()
        for head, axes in enumerate(panels):
            if head >= n_heads:
                axes.set_axis_off()
                continue
            axes.imshow(weights[head, :, : len(names)], cmap="Blues", aspect="auto", vmin=0)
            axes.set_xticks(range(len(names)), names, fontsize=7)
            axes.set_yticks(range(len(slots)), found.chords[: len(slots)], fontsize=8)
            for edge in edges:
                axes.axvline(edge, color="#ccc", linewidth=0.4)
            axes.set_title(f"head {head + 1} of the last layer", fontsize=9)
            axes.set_xlabel("notes of the melody; lines: places for chords", fontsize=8)
            axes.set_ylabel("chords found", fontsize=8)


def _name(piece: SlotNote, slot: Slot) -> str:
    if piece.midi is None:
        return "z"
    pitch = spell(piece.midi, slot.key)
    return f"{pitch.step}{ACCIDENTAL_TEXT[pitch.alter]}"
