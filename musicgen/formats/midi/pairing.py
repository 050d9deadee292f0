"""Which event ends which note.

A note-off ends the note of its pitch and channel that has sounded longest. Where that leaves
note-offs or notes over, a note that is struck again has ended there, or each would last until the
end of the next; and a note-off just before a note-on of the same tick is that one's own.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

_Ints = NDArray[np.int64]


def pair(voice: _Ints, is_on: NDArray[np.bool_], ticks: _Ints) -> tuple[_Ints, _Ints]:
    """Numbers of the events that begin and end each note, the first struck first."""
    events: dict[int, list[int]] = {}
    for number, key in enumerate(voice.tolist()):
        events.setdefault(key, []).append(number)
    on, when = is_on.tolist(), ticks.tolist()
    pairs: list[tuple[int, int]] = []
    for numbers in events.values():
        found = _first_out(numbers, on)
        pairs += found if 2 * len(found) == len(numbers) else _restruck(numbers, on, when)
    table = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _first_out(numbers: list[int], on: list[bool]) -> list[tuple[int, int]]:
    held: deque[int] = deque()
    pairs = []
    for number in numbers:
        if on[number]:
            held.append(number)
        elif held:
            pairs.append((held.popleft(), number))
    return pairs


def _restruck(numbers: list[int], on: list[bool], when: list[int]) -> list[tuple[int, int]]:
    held = stray = -1
    pairs = []
    for number in numbers:
        if not on[number]:
            if held < 0:
                stray = number
            else:
                pairs.append((held, number))
            held = -1
        elif stray >= 0 and when[stray] == when[number]:
            pairs.append((number, stray))
            stray = -1
        else:
            if held >= 0:
                pairs.append((held, number))
            held = number
    return pairs
