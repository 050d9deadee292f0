"""Parts that several scripts share: time of a block, events of a MIDI file."""

from __future__ import annotations

import io
import os
import time
from collections import Counter

import mido


class Timer:
    """A context that measures its block: `cpu_s` of this process and of the children that ended in
    it, `wall_s` by the clock."""

    cpu_s = wall_s = 0.0

    def __enter__(self) -> Timer:
        self.cpu_s, self.wall_s = -_cpu_s(), -time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_s += _cpu_s()
        self.wall_s += time.perf_counter()


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def event_counts(data: bytes) -> Counter[tuple[object, ...]]:
    """Every event of a MIDI file with its track and tick; a note, as (track, onset, duration,
    channel, pitch, velocity) with times in ticks, counts as one."""
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
