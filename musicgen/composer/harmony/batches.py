"""Lessons side by side for a network, and what their chords cost it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from musicgen.composer.harmony.chords import BEGIN, NOT_KNOWN
from musicgen.composer.harmony.features import Lesson
from musicgen.composer.harmony.network import Harmonizer


class LessonBatch(NamedTuple):
    """Lessons side by side, padded on the right: melody (B, N, 5), slot_of (B, N), slots (B, S, 6),
    present (B, N) False at padding, before (B, S), chords (B, S) `NOT_KNOWN` where there is
    nothing to learn."""

    melody: Tensor
    slot_of: Tensor
    slots: Tensor
    present: Tensor
    before: Tensor
    chords: Tensor

    @property
    def given(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The arguments of the network."""
        return self.melody, self.slot_of, self.slots, self.present, self.before


def collate(lessons: Sequence[Lesson]) -> LessonBatch:
    """Put lessons side by side."""
    n_pieces = max(len(lesson.melody) for lesson in lessons)
    n_slots = max(len(lesson) for lesson in lessons)
    first = lessons[0]
    rows = len(lessons)
    melody = np.zeros((rows, n_pieces, first.melody.shape[1]), np.int64)
    slot_of = np.zeros((rows, n_pieces), np.int64)
    slots = np.zeros((rows, n_slots, first.slots.shape[1]), np.int64)
    present = np.zeros((rows, n_pieces), np.bool_)
    before = np.full((rows, n_slots), BEGIN, np.int64)
    chords = np.full((rows, n_slots), NOT_KNOWN, np.int64)
    for row, lesson in enumerate(lessons):
        n, s = len(lesson.melody), len(lesson)
        melody[row, :n], slot_of[row, :n] = lesson.melody, lesson.slot_of
        present[row, :n] = True
        slots[row, :s], chords[row, :s] = lesson.slots, lesson.chords
        before[row, 1:s] = np.maximum(lesson.chords[: s - 1], BEGIN)
    arrays = (melody, slot_of, slots, present, before, chords)
    return LessonBatch(*(torch.from_numpy(array) for array in arrays))


@torch.inference_mode()
def nats_per_slot(network: Harmonizer, lessons: Sequence[Lesson]) -> float:
    """Mean cost of a written chord, given those before it."""
    training = network.training
    network.eval()
    cost, n = 0.0, 0
    ordered = sorted(lessons, key=len)
    for start in range(0, len(ordered), 16):
        batch = collate(ordered[start : start + 16])
        logits = network(*batch.given)
        flat = batch.chords.flatten()
        cost += float(
            F.cross_entropy(logits.flatten(0, 1), flat, ignore_index=NOT_KNOWN, reduction="sum")
        )
        n += int((flat != NOT_KNOWN).sum())
    network.train(training)
    return cost / max(1, n)
