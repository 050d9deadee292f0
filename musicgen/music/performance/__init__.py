"""A tune as folk musicians play it: timed notes with accents, swing, chords, drone, count-in.

    perform(tune).notes                          # onsets and durations in seconds, velocities
    perform(tune, Style(tempo="70%", count_in=1))
    perform(tune, EXACT)                         # as written, and nothing else
    cues(tune)                                   # when each written note is heard

Written music goes in, sounding notes come out: repeats are played, ties joined, times in seconds.
"""

from __future__ import annotations

from musicgen.music.performance.sounding import Cue, Performance, Player, SoundingNote
from musicgen.music.performance.stage import Stage
from musicgen.music.performance.style import EXACT, FOLK, Style
from musicgen.music.tune import Tune

__all__ = [
    "EXACT",
    "FOLK",
    "Cue",
    "Performance",
    "Player",
    "SoundingNote",
    "Style",
    "cues",
    "perform",
]


def perform(tune: Tune, style: Style = FOLK) -> Performance:
    """Play a tune in a style.

    Raises:
        InvalidTuneError: no notes, notes that nobody can hear, too many, or too long.
        ConfigError: no such instrument.
    """
    return Stage(tune, style).perform()


def cues(tune: Tune, style: Style = FOLK) -> tuple[Cue, ...]:
    """When each written note is heard while the tune is played once in a style, by onset; in step
    with `perform` where there is no count-in.

    Raises:
        InvalidTuneError: no notes to play, or too many voices.
    """
    return Stage(tune, style).cues()
