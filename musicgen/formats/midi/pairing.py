"""Which event ends which note.

A note-off ends the note of its pitch and channel that has sounded longest. Where that leaves
note-offs or notes over, a note that is struck again has ended there, or each would last until the
end of the next; and a note-off just before a note-on of the same tick is that one's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

Strike = tuple[int, int, int]  # tick, channel << 7 | pitch, velocity (0 for a note-off)
Row = tuple[int, int, int, int, int]  # onset and end in ticks, pitch, velocity, channel


def pair(strikes: Sequence[Strike]) -> Sequence[Sequence[int]]:
    """Notes, each a `Row`, the first struck first."""
    held: dict[int, list[int]] = {}
    notes = []
    for tick, voice, velocity in strikes:
        if velocity:
            if voice in held:
                return _pair_any(strikes)
            held[voice] = note = [tick, tick, voice & 0x7F, velocity, voice >> 7]
            notes.append(note)
        elif voice in held:
            held.pop(voice)[1] = tick
        else:
            return _pair_any(strikes)
    return _pair_any(strikes) if held else notes


def _pair_any(strikes: Sequence[Strike]) -> list[Row]:
    """Where notes of one pitch overlap, or some are lost."""
    events: dict[int, list[int]] = {}
    for number, (_, voice, _) in enumerate(strikes):
        events.setdefault(voice, []).append(number)
    pairs: list[tuple[int, int]] = []
    for numbers in events.values():
        found = _first_out(numbers, strikes)
        pairs += found if 2 * len(found) == len(numbers) else _restruck(numbers, strikes)
    rows = []
    for on, off in sorted(pairs):
        tick, voice, velocity = strikes[on]
        rows.append((tick, strikes[off][0], voice & 0x7F, velocity, voice >> 7))
    return rows


def _first_out(numbers: Sequence[int], strikes: Sequence[Strike]) -> list[tuple[int, int]]:
    held: deque[int] = deque()
    pairs = []
    for number in numbers:
        if strikes[number][2]:
            held.append(number)
        elif held:
            pairs.append((held.popleft(), number))
    return pairs


def _restruck(numbers: Sequence[int], strikes: Sequence[Strike]) -> list[tuple[int, int]]:
    held = stray = -1
    pairs = []
    for number in numbers:
        tick, _, velocity = strikes[number]
        if not velocity:
            if held < 0:
                stray = number
            else:
                pairs.append((held, number))
            held = -1
        elif stray >= 0 and strikes[stray][0] == tick:
            pairs.append((number, stray))
            stray = -1
        else:
            if held >= 0:
                pairs.append((held, number))
            held = number
    return pairs
