"""Estimates of key, mode, meter and pickup: the most likely ones under counts of folk tunes.

line = NoteLine.of_voice(voice)
estimate_key(line)                       # Key("A", "dorian")
estimate_meter(line)                    # MeterEstimate(Meter((6,), 8), pickup=1/2)
"""

from musicgen.music.estimation.key import estimate_key
from musicgen.music.estimation.meter import FEWEST_NOTES, METERS, MeterEstimate, estimate_meter
from musicgen.music.estimation.note_line import GRID, NoteLine
from musicgen.music.estimation.rhythm import (
    PREVIOUS,
    place_probability,
    previous_class,
    rhythm_probability,
    style_probabilities,
    style_weights,
)

__all__ = [
    "FEWEST_NOTES",
    "GRID",
    "METERS",
    "PREVIOUS",
    "MeterEstimate",
    "NoteLine",
    "estimate_key",
    "estimate_meter",
    "place_probability",
    "previous_class",
    "rhythm_probability",
    "style_probabilities",
    "style_weights",
]
