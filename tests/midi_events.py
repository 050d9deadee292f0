"""The events of a MIDI file, as mido reads them."""

from __future__ import annotations

import io
from collections import Counter

import mido


def event_counts(data: bytes) -> Counter[tuple[object, ...]]:
    """Every event with its track and tick; notes with their lengths."""
    counts: Counter[tuple[object, ...]] = Counter()
    for number, track in enumerate(mido.MidiFile(file=io.BytesIO(data)).tracks):
        tick, sounding = 0, {}
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                sounding[message.channel, message.note] = (tick, message.velocity)
            elif message.type in ("note_on", "note_off"):
                onset, velocity = sounding.pop((message.channel, message.note))
                counts[number, onset, tick - onset, message.channel, message.note, velocity] += 1
            elif message.type != "end_of_track":
                counts[number, tick, str(message.copy(time=0))] += 1
        assert not sounding
    return counts
