"""Sine tones for machines without FluidSynth, synthesized by pretty_midi.

Every instrument sounds alike: one sine wave a note, which decays to 1/e in a second. Percussion
(the count-in) is played as tones two octaves above the number of its key, since pretty_midi leaves
drums out. There is no reverberation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from musicgen.formats.audio.sound import BLOCK_FRAMES, SAMPLE_RATE, Samples
from musicgen.music.performance import Performance, SoundingNote

_PERCUSSION_SEMITONES = 24
_NOTE_AMPLITUDE = 0.2  # of one note at full velocity


def synthesize(performance: Performance, n_frames: int) -> Iterator[Samples]:
    """Stereo blocks of at most `BLOCK_FRAMES`, `n_frames` in all, each voice at its place."""
    from pretty_midi import Instrument, Note

    starting: defaultdict[tuple[int, int], list[SoundingNote]] = defaultdict(list)
    for note in performance.notes:
        starting[int(note.onset_s * SAMPLE_RATE) // BLOCK_FRAMES, note.part].append(note)
    sound = np.zeros((BLOCK_FRAMES, 2))  # the block and what sounds beyond it
    for block, first in enumerate(range(0, n_frames, BLOCK_FRAMES)):
        for part, player in enumerate(performance.parts):
            instrument = Instrument(program=0)
            shift = _PERCUSSION_SEMITONES * player.percussion
            begin_s = first / SAMPLE_RATE
            instrument.notes = [
                Note(n.velocity, n.midi + shift, n.onset_s - begin_s, n.end_s - begin_s)
                for n in starting[block, part]
            ]
            tone = instrument.synthesize(SAMPLE_RATE) * player.level * _NOTE_AMPLITUDE / 127
            angle = (player.pan + 1) * np.pi / 4
            sound = np.pad(sound, ((0, max(0, len(tone) - len(sound))), (0, 0)))
            sound[: len(tone)] += tone[:, None] * (np.cos(angle), np.sin(angle))
        yield sound[: min(BLOCK_FRAMES, n_frames - first)].astype(np.float32)
        sound = np.pad(sound[BLOCK_FRAMES:], ((0, BLOCK_FRAMES), (0, 0)))
