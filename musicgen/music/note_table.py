"""The notes of a tune as numpy structured arrays, a row for each: `notes` and `note_array`.

    table = notes(tune)
    table["pitch"].mean(), table[table["voice"] == 0]["onset"]

`note_array` has the fields of partitura's note arrays, so its functions take it. Both are methods
of a tune, too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from math import lcm

import numpy as np
from numpy.typing import NDArray

from musicgen.music.playback import PlayedBar, Timeline, once, timeline
from musicgen.music.tune import Tune, require_tune

NOTES = np.dtype([("onset", "f8"), ("duration", "f8"), ("pitch", "i4"), ("voice", "i4")])
# The fields of `partitura.score.Score.note_array()`, in its order and types.
NOTE_ARRAY = np.dtype([
    ("onset_beat", "f4"), ("duration_beat", "f4"),
    ("onset_quarter", "f4"), ("duration_quarter", "f4"),
    ("onset_div", "i8"), ("duration_div", "i8"),
    ("pitch", "i4"), ("voice", "i4"), ("id", "U16"), ("divs_pq", "i4"),
])  # fmt: skip
MOST_DIVS = 10_080  # to a quarter note; onsets that need more are rounded


def notes(tune: Tune, *, repeats: bool = True) -> NDArray[np.void]:
    """(N,) notes as they sound, by onset, voice and pitch: `onset` and `duration` in quarters from
    the beginning, `pitch` as a MIDI number, `voice` counted from 0.

    Ties are joined and grace notes, which take no time, are left out. Repeats, endings and jumps
    are played out; without `repeats` every bar comes once, as written. In a voice of percussion the
    pitch is a key of General MIDI.

    Raises:
        InvalidTuneError: there is too much to play.
    """
    played = _timeline(tune, repeats=repeats)
    rows = [(float(n.onset), float(n.duration), n.midi, n.voice) for n in played.notes]
    return np.array(rows, NOTES)


def note_array(tune: Tune, *, repeats: bool = True) -> NDArray[np.void]:
    """(N,) the notes of `notes` by onset and pitch, with the fields of partitura's note arrays.

    Beats are those of the meter's denominator. Quarters and beats count from the first full bar, so
    that those of a pickup are negative; divs, `divs_pq` to a quarter, count from the beginning.
    `voice` counts from 1.

    Raises:
        InvalidTuneError: there is too much to play.
    """
    played = _timeline(tune, repeats=repeats)
    ordered = sorted(played.notes, key=lambda note: (note.onset, note.midi, note.voice))
    divs = lcm(*(time.denominator for n in ordered for time in (n.onset, n.duration)))
    divs = divs if divs <= MOST_DIVS else MOST_DIVS
    beats = _Beats(played.bars)
    start = _first_full_bar(played.bars)
    rows = [
        (
            *(beats.at(note.onset) - beats.at(start), beats.at(end) - beats.at(note.onset)),
            *(note.onset - start, note.duration),
            *(round(note.onset * divs), round(note.duration * divs)),
            *(note.midi, note.voice + 1, f"n{number}", divs),
        )
        for number, note in enumerate(ordered)
        for end in (note.onset + note.duration,)
    ]
    return np.array(rows, NOTE_ARRAY)


def _timeline(tune: Tune, *, repeats: bool) -> Timeline:
    tune = require_tune(tune)
    return timeline(tune if repeats else once(tune))


class _Beats:
    """Beats from the beginning, of the denominator of the meter in force, for times in quarters."""

    def __init__(self, bars: Sequence[PlayedBar]) -> None:
        self.onsets = [bar.onset for bar in bars] or [Fraction(0)]
        self.a_quarter = [Fraction(bar.meter.unit, 4) for bar in bars] or [Fraction(1)]
        lengths = (bar.duration * bar.meter.unit / 4 for bar in bars)
        self.passed = [Fraction(0), *accumulate(lengths)]

    def at(self, time: Fraction) -> Fraction:
        bar = bisect_right(self.onsets, time) - 1
        return self.passed[bar] + (time - self.onsets[bar]) * self.a_quarter[bar]


def _first_full_bar(bars: Sequence[PlayedBar]) -> Fraction:
    """The onset of the first bar that is not a pickup."""
    full = bars[0].meter.bar_duration if len(bars) > 1 else None
    return bars[1].onset if full is not None and bars[0].duration < full else Fraction(0)
