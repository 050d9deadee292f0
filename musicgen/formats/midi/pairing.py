"""Pairs of note-on and note-off.

A note-off ends the note of its pitch and channel that has sounded longest. Where that leaves notes
or note-offs without a partner, a note-on also ends the note that sounds, or each note would last
until the end of the next; and a note-off just before a note-on of the same tick belongs to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

NoteEvent = tuple[int, int, int]  # tick, channel << 7 | pitch, velocity (0 for a note-off)
NoteRow = tuple[int, int, int, int, int]  # onset and end in ticks, pitch, velocity, channel


def pair(events: Sequence[NoteEvent]) -> Sequence[Sequence[int]]:
    """Notes, each a `NoteRow`, in order of their note-ons."""
    held: dict[int, list[int]] = {}
    notes = []
    for tick, voice, velocity in events:
        if velocity:
            if voice in held:
                return _pair_any(events)
            held[voice] = note = [tick, tick, voice & 0x7F, velocity, voice >> 7]
            notes.append(note)
        elif voice in held:
            held.pop(voice)[1] = tick
        else:
            return _pair_any(events)
    return _pair_any(events) if held else notes


def _pair_any(events: Sequence[NoteEvent]) -> list[NoteRow]:
    """Pairs where notes of one pitch overlap, or events are missing."""
    numbers_of: dict[int, list[int]] = {}
    for number, (_, voice, _) in enumerate(events):
        numbers_of.setdefault(voice, []).append(number)
    pairs: list[tuple[int, int]] = []
    for numbers in numbers_of.values():
        matched = _matched(numbers, events)
        pairs += matched if 2 * len(matched) == len(numbers) else _restruck(numbers, events)
    rows = []
    for on, off in sorted(pairs):
        tick, voice, velocity = events[on]
        rows.append((tick, events[off][0], voice & 0x7F, velocity, voice >> 7))
    return rows


def _matched(numbers: Sequence[int], events: Sequence[NoteEvent]) -> list[tuple[int, int]]:
    held: deque[int] = deque()
    pairs = []
    for number in numbers:
        if events[number][2]:
            held.append(number)
        elif held:
            pairs.append((held.popleft(), number))
    return pairs


def _restruck(numbers: Sequence[int], events: Sequence[NoteEvent]) -> list[tuple[int, int]]:
    """Pairs of (note-on, next event of the pitch); a note-off may also precede its note-on."""
    held = stray = -1
    pairs = []
    for number in numbers:
        tick, _, velocity = events[number]
        if not velocity:
            if held < 0:
                stray = number
            else:
                pairs.append((held, number))
            held = -1
        elif stray >= 0 and events[stray][0] == tick:
            pairs.append((number, stray))
            stray = -1
        else:
            if held >= 0:
                pairs.append((held, number))
            held = number
    return pairs
