"""Training data of a harmonizer: chords written over a melody, or read from its parts.

    corpus = read_chords(["chorales"])         # corpus.splits: split -> ExampleSet
    chords_of(chorale)                         # slots of the highest voice, each with its chord

A chord's score is the time its notes sound minus the time that other notes do; notes at the slot's
beginning count double, and so does a bass that is its root (a simple form of the template matching
of Pardo and Birmingham, "Algorithms for chordal analysis", Computer Music Journal 26(2), 2002).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate

import numpy as np

from musicgen.corpus.loading import load
from musicgen.corpus.reading import Omitted, Progress
from musicgen.corpus.tokenset import SPLITS
from musicgen.errors import CorpusError, printable
from musicgen.music.theory import Key
from musicgen.music.tune import Chord, Note, Tune, Voice
from musicgen.tokens.harmony.chords import (
    KINDS,
    N_CHORDS,
    NOT_KNOWN,
    chord_name,
    notes_of,
    root_of,
)
from musicgen.tokens.harmony.features import (
    MAX_PIECES,
    MAX_SLOTS,
    HarmonyExample,
    harmony_example,
)
from musicgen.tokens.harmony.slots import Slot, slots_of

FEWEST_VOICES = 3
MOST_LISTED = 20  # unreadable tunes in a summary
# How much better than a plain triad a kind of chord has to fit, in quarters of time.
_RARER = {"": 0.0, "m": 0.0, "7": 0.35, "dim": 0.25}
_BASS = 1.0
_OUTSIDE = 1.0

# (onset, end, MIDI pitch) in quarters of the music as written
Sounding = tuple[Fraction, Fraction, int]


def chords_of(tune: Tune) -> list[Slot]:
    """The slots of the first voice with the chords that all voices make there; [] for fewer than
    three voices. Where nothing sounds the chord before holds."""
    if len(tune.voices) < FEWEST_VOICES:
        return []
    sounding = sorted(note for voice in tune.voices for note in _notes(voice))
    onsets = [onset for onset, _, _ in sounding]
    longest = max((end - onset for onset, end, _ in sounding), default=Fraction(0))
    bars = [Fraction(0), *accumulate(bar.duration for bar in tune.bars)]
    slots: list[Slot] = []
    written = ""
    for slot in slots_of(tune):
        start = bars[slot.bar] + slot.place
        end = start + slot.duration
        near = sounding[bisect_right(onsets, start - longest) : bisect_right(onsets, end)]
        notes = [n for n in near if n[0] < end and n[1] > start]
        written = _best(notes, start, end, slot.key) if notes else written
        slots.append(replace(slot, written=written))
    return slots


def _notes(voice: Voice) -> list[Sounding]:
    notes, position = [], Fraction(0)
    for event in voice.events:
        end = position + event.duration
        if isinstance(event, Chord | Note):
            struck = event.notes if isinstance(event, Chord) else (event,)
            notes += [(position, end, note.midi) for note in struck]
        position = end
    return notes


def _best(notes: Sequence[Sounding], start: Fraction, end: Fraction, key: Key) -> str:
    times = np.zeros(12)
    for onset, stop, midi in notes:
        time = float(min(stop, end) - max(onset, start))
        times[(midi - key.tonic_pitch_class) % 12] += time * (2 if onset <= start else 1)
    first = [midi for onset, _, midi in notes if onset <= start] or [n[2] for n in notes]
    bass = (min(first) - key.tonic_pitch_class) % 12
    scale = times.sum() / max(1, len(KINDS))

    def fit(chord: int) -> float:
        inside = sum(times[note] for note in notes_of(chord))
        rarer = _RARER[KINDS[(chord - 1) % len(KINDS)]] * scale
        on_root = _BASS * scale if root_of(chord) == bass else 0.0
        return float(inside - _OUTSIDE * (times.sum() - inside) + on_root - rarer)

    return chord_name(max(range(1, N_CHORDS), key=fit), key)


def labelled_slots(tune: Tune) -> list[Slot]:
    """The slots of a tune with its chord symbols, or else with the chords that its voices make."""
    slots = slots_of(tune)
    return slots if any(slot.written for slot in slots) else chords_of(tune)


@dataclass(frozen=True, slots=True, eq=False)
class ExampleSet:
    """The examples of one split, each with the family of its tune."""

    examples: tuple[HarmonyExample, ...]
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ChordCorpus:
    """Melodies with chords, split by family; `without` is how many tunes have no chord."""

    splits: dict[str, ExampleSet]
    without: int
    rejected: tuple[Omitted, ...]

    def summary(self) -> list[str]:
        """Lines for a person."""
        lines = [f"left out: {printable(o.id)}: {o.reason}" for o in self.rejected[:MOST_LISTED]]
        if (more := len(self.rejected) - MOST_LISTED) > 0:
            lines.append(f"left out: {more} more that cannot be read")
        sizes = ", ".join(f"{len(split.examples)} {name}" for name, split in self.splits.items())
        return [*lines, f"tunes with chords: {sizes}; {self.without} without any are left out"]


def read_chords(
    sources: Sequence[str], *, workers: int = 1, progress: Progress | None = None
) -> ChordCorpus:
    """A corpus with chord symbols, or with three or more voices that make chords.

    Raises:
        CorpusError: nothing can be read, or too few tunes have chords.
    """
    examples: list[HarmonyExample] = []

    def keep(example: HarmonyExample) -> bool:
        examples.append(example)
        return _has_chords(example)

    corpus = load(
        sources, extract=_example, keep=keep, all_voices=True, workers=workers, progress=progress
    )
    pairs: dict[str, list[tuple[HarmonyExample, str]]] = {split: [] for split in SPLITS}
    for entry, example in zip(corpus.entries, examples, strict=True):
        if _has_chords(example):
            pairs[entry.split].append((example, entry.family))
    if not pairs["train"] or not pairs["val"]:
        n = sum(map(len, pairs.values()))
        raise CorpusError(
            f"{n} of {len(examples)} tunes have chord symbols, or voices that make chords; give "
            "three or more that differ, some to train on and some to validate with"
        )
    return ChordCorpus(
        {
            split: ExampleSet(tuple(e for e, _ in of_split), tuple(name for _, name in of_split))
            for split, of_split in pairs.items()
        },
        len(examples) - sum(map(len, pairs.values())),
        corpus.rejected,
    )


def _has_chords(example: HarmonyExample) -> bool:
    return bool((example.chords != NOT_KNOWN).any())


def _example(tune: Tune) -> HarmonyExample:
    """The example of a tune; a long piece counts as far as it could be harmonized."""
    slots = labelled_slots(tune)[:MAX_SLOTS]
    n_pieces = np.cumsum([len(slot.pieces) for slot in slots])
    return harmony_example(slots[: int(np.searchsorted(n_pieces, MAX_PIECES, side="right"))])
