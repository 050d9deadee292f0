"""Playing style: every option and its meaning, swing of each dance, presets FOLK and EXACT."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from musicgen.errors import ConfigError, printable
from musicgen.music.theory import Meter, canonical_rhythm

# Long to short of a swung pair, where players do not play what is written. Hornpipes are commonly
# described as between 3:2 and 2:1; a slip jig leans on its beats a little.
SWING = {"hornpipe": 1.7, "clog": 1.7, "slip jig": 1.25}
STRAIGHT = 1.0
MAX_SWING = 4.0
MAX_COUNT_IN = 8  # bars
MAX_LOOPS = 100
MIN_BPM, MAX_BPM = 10, 1000
MIN_PERCENT, MAX_PERCENT = 10, 400
_TEMPO = re.compile(r"(\d{1,4}(?:\.\d{1,3})?)\s*(%|)")


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a tune is played. `EXACT` plays what is written and nothing else.

    Attributes:
        instrument: a name or General MIDI number, or several with commas, one for each voice in
            turn; "" takes those of the tune, else by name and range.
        tempo: "70%" of what the tune says, or "110", felt beats a minute (dotted quarters in 6/8,
            halves in C|); "" as the tune says, else what is usual for its rhythm.
        transpose: a key such as "G" or "Em", or semitones such as "+2"; see `transposition`.
        swing: long to short of each even pair of short notes, 1 for none, up to 4; None is what
            `SWING` has for the rhythm. Written dotted pairs and triplets stay as they are.
        accents: louder on the beats of the meter, and where dynamics and accents are written.
        articulation: notes are a little shorter than written, staccato ones half as long.
        ornaments: grace notes, rolls, trills, mordents and turns are played.
        backing: chord symbols are accompanied: bass and chords in the pattern of the meter.
        backing_instrument: for the chords; the bass is a double bass.
        drone: tonic and fifth of the key sound throughout.
        count_in: bars of clicks before the music, less the pickup.
        loops: how many times the whole tune is played.
    """

    instrument: str = ""
    tempo: str = ""
    transpose: str = ""
    swing: float | None = None
    accents: bool = True
    articulation: bool = True
    ornaments: bool = True
    backing: bool = True
    backing_instrument: str = "guitar"
    drone: bool = False
    count_in: int = 0
    loops: int = 1

    def __post_init__(self) -> None:
        _require("count_in", self.count_in, 0, MAX_COUNT_IN)
        _require("loops", self.loops, 1, MAX_LOOPS)
        if self.swing is not None:
            _require("swing", self.swing, STRAIGHT, MAX_SWING)
        if self.tempo:
            _read_tempo(self.tempo)


def _require(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"{name}: {value} is not from {low:g} to {high:g}")


def _read_tempo(text: str) -> tuple[Fraction, bool]:
    """The number, and whether it is a percentage."""
    match = _TEMPO.fullmatch(text.strip())
    if match is not None:
        number, percent = Fraction(match[1]), match[2] == "%"
        low, high = (MIN_PERCENT, MAX_PERCENT) if percent else (MIN_BPM, MAX_BPM)
        if low <= number <= high:
            return number, percent
    raise ConfigError(
        f"tempo: '{printable(text[:20])}' is neither {MIN_PERCENT}% to {MAX_PERCENT}% "
        f"nor {MIN_BPM} to {MAX_BPM} beats a minute"
    )


def tempo_factor(style: Style, qpm: Fraction, meter: Meter) -> Fraction:
    """The tempo of a style as a multiple of `qpm`, quarters a minute at the start."""
    if not style.tempo:
        return Fraction(1)
    number, percent = _read_tempo(style.tempo)
    if percent:
        return number / 100
    beats = meter.beat_durations
    return number * (beats[0] if beats else 1) / qpm


def swing_ratio(style: Style, rhythm: str) -> Fraction:
    """Long to short of a swung pair in this style; 1 where nothing swings."""
    ratio = SWING.get(canonical_rhythm(rhythm), STRAIGHT) if style.swing is None else style.swing
    return Fraction(ratio).limit_denominator(1000)


FOLK = Style()
EXACT = Style(swing=STRAIGHT, accents=False, articulation=False, ornaments=False, backing=False)
