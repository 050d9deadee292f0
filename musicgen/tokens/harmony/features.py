"""The features of a tune for a harmonizer: integers for every piece of melody and every slot.

Pitches are semitones above the tonic of the key in force, so a tune is the same in every key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from musicgen.tokens.harmony.chords import chord_id
from musicgen.tokens.harmony.slots import Slot

Ints = NDArray[np.int64]

MODES = ("major", "minor", "dorian", "mixolydian", "lydian", "phrygian", "locrian", "none")
# Columns of `HarmonyExample.melody` and `HarmonyExample.slots`, with how many values each can take.
MELODY_SIZES = {"degree": 13, "octave": 5, "place": 9, "length": 9, "held": 2}
SLOT_SIZES = {"mode": len(MODES), "beats": 10, "index": 4, "part_bar": 9, "bars_left": 9, "last": 2}
REST = 12
MAX_SLOTS, MAX_PIECES = 1000, 4000  # attention between all pieces of more takes too much memory


@dataclass(frozen=True, slots=True, eq=False)
class HarmonyExample:
    """`melody` (N, 5) are the pieces in order with the number of their slot in `slot_of` (N,);
    `slots` (S, 6); `chords` (S,) the ids written there, `NOT_KNOWN` where none is; `free` (S,)
    says where a chord can begin."""

    melody: Ints
    slot_of: Ints
    slots: Ints
    chords: Ints
    free: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.slots)


def harmony_example(slots: Sequence[Slot]) -> HarmonyExample:
    """Encode the slots of a tune (`slots_of`)."""
    melody = []
    for slot in slots:
        tonic = slot.key.tonic_pitch_class
        for piece in slot.pieces:
            melody.append(
                (
                    REST if piece.midi is None else (piece.midi - tonic) % 12,
                    0 if piece.midi is None else min(max((piece.midi - tonic) // 12 - 2, 0), 4),
                    _eighth_of(piece.onset, slot.duration),
                    _eighth_of(piece.duration, slot.duration),
                    int(piece.held),
                )
            )
    rows = [
        (
            MODES.index(slot.key.mode) if slot.key.mode in MODES else len(MODES) - 1,
            min(len(slot.meter.beat_durations), 4) + 5 * slot.meter.compound,
            min(slot.index, 3),
            min(slot.part_bar, 8),
            min(slot.bars_left, 8),
            int(number == len(slots)),
        )
        for number, slot in enumerate(slots, start=1)
    ]
    slot_of = [number for number, slot in enumerate(slots) for _ in slot.pieces]
    return HarmonyExample(
        melody=np.array(melody, np.int64).reshape(-1, len(MELODY_SIZES)),
        slot_of=np.array(slot_of, np.int64),
        slots=np.array(rows, np.int64).reshape(-1, len(SLOT_SIZES)),
        chords=np.array([chord_id(slot.written, slot.key) for slot in slots], np.int64),
        free=np.array([slot.event is not None for slot in slots], np.bool_),
    )


def _eighth_of(time: Fraction, whole: Fraction) -> int:
    """The nearest eighth of a slot, 0 to 8."""
    return min(round(8 * time / whole), 8)
