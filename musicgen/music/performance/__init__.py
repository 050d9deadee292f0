"""A tune as folk musicians play it: timed notes with accents, swing, chords, drone, count-in.

    perform(tune).notes                          # onsets and durations in seconds, velocities
    perform(tune, Style(tempo="70%", count_in=1))
    perform(tune, EXACT)                         # as written, and nothing else
    note_timings(tune)                           # when each written note sounds

Written music goes in, sounding notes come out: repeats are played, ties joined, times in seconds.
"""

from __future__ import annotations

from musicgen.music.performance.events import NoteTiming, Performance, Player, SoundingNote
from musicgen.music.performance.performer import Performer
from musicgen.music.performance.style import EXACT, FOLK, Style
from musicgen.music.tune import Tune

__all__ = [
    "EXACT",
    "FOLK",
    "NoteTiming",
    "Performance",
    "Player",
    "SoundingNote",
    "Style",
    "note_timings",
    "perform",
]


def perform(tune: Tune, style: Style = FOLK) -> Performance:
    """Play a tune in a style.

    Raises:
        InvalidTuneError: there are no notes, inaudible ones, too many, or it lasts too long.
        ConfigError: there is no such instrument.
    """
    return Performer(tune, style).perform()


def note_timings(tune: Tune, style: Style = FOLK) -> tuple[NoteTiming, ...]:
    """When each written note sounds while the tune is played once in a style, by onset; the times
    are those of `perform` without a count-in.

    Raises:
        InvalidTuneError: there are no notes to play, or too many voices.
    """
    return Performer(tune, style).note_timings()
