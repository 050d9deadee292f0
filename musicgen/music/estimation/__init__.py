"""Key, mode, meter and pickup of music that does not say: likeliest under counted folk tunes.

estimate_key(Heard.of_voice(voice))      # Key("A", "dorian")
estimate_meter(heard)                    # MeterEstimate(Meter((6,), 8), pickup=1/2)
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
