"""Which distance from a clean place a note's end may have and still be meant clean.

    python scripts/fitting/note_ends.py [--tunes 100] [--seed 1]

For `NEAR` of `musicgen.formats.midi.cleaning`. For each distance two figures from the training
split of the bundled tunes: how many written rests are no longer (they would be lost if notes ended
beside the usual places), and how many lengths are right when tunes are written as MIDI, the ends
of a tenth of the notes are moved by up to 20 of 480 ticks, and the file is read again. The value
in use is the greatest below the shortest rest.
"""

from __future__ import annotations

import io
import random
import sys
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import mido

from musicgen import corpus
from musicgen.formats import midi
from musicgen.formats.midi import cleaning
from musicgen.music.playback import played_notes
from musicgen.music.tune import Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.checks.performed import held_out

DISTANCES = tuple(Fraction(1, parts) for parts in (96, 48, 32, 24, 16, 12, 8, 6, 4))
MOVED, MOST_TICKS = 0.1, 20  # share of the notes, ticks of 480


def rests() -> Counter[Fraction]:
    """Lengths of the silences between notes of a voice, in quarters."""
    counts: Counter[Fraction] = Counter()
    for entry, tune in corpus.load(["celtic"]).tunes():
        if entry.split == "train":
            for before, after in pairwise(n for n in played_notes(tune) if n.voice == 0):
                counts[after.onset - before.onset - before.duration] += 1
    return counts


def moved(tune: Tune, rng: random.Random) -> bytes:
    """The tune as MIDI, with some of its ends early or late."""
    file = mido.MidiFile(file=io.BytesIO(midi.render([tune], ticks_per_quarter=480)))
    for track in file.tracks:
        events, now = [], 0
        for message in track:
            now += message.time
            is_end = message.type == "note_off"
            by = rng.randint(-MOST_TICKS, MOST_TICKS) if is_end and rng.random() < MOVED else 0
            events.append((now + by, message.type == "end_of_track", not is_end, message))
        now = 0
        track.clear()
        for tick, *_, message in sorted(events, key=lambda event: event[:3]):
            track.append(message.copy(time=max(tick - now, 0)))
            now = max(tick, now)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def main(*, tunes: int = 100, seed: int = 1) -> None:
    """Print a row for each distance."""
    silences, rng = rests(), random.Random(seed)
    cases = [(tune, moved(tune, rng)) for tune in held_out(tunes, seed, "train")]
    for distance in DISTANCES:
        cleaning.NEAR = float(distance)
        n = right = 0
        for tune, data in cases:
            (again,) = midi.parse(data, key=tune.key, meter="4/4", pickup="0").tunes
            read = {(note.onset, note.midi): note.duration for note in played_notes(again)}
            for note in played_notes(tune):
                n += 1
                right += read.get((note.onset, note.midi)) == note.duration
        lost = sum(count for length, count in silences.items() if 0 < length <= distance)
        print(
            f"{distance} of a quarter: {lost} rests no longer; {100 * right / n:.2f} % of lengths"
        )


if __name__ == "__main__":
    command_line.run(main)
