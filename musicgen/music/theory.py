"""Pitch spelling, keys and modes, meters, intervals, types of tune: the theory behind the rest.

Durations are `Fraction`s of a quarter note; a pitch is spelled (step, alter, octave) and numbered
as in MIDI (60 = middle C = C4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate

STEPS = "CDEFGAB"
STEP_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
FIFTHS_ORDER = "FCGDAEB"  # the order in which sharps appear in a key signature

# Signature of each mode, in fifths relative to the major key on the same tonic.
MODE_FIFTHS = {
    "lydian": 1,
    "major": 0,
    "mixolydian": -1,
    "dorian": -2,
    "minor": -3,
    "phrygian": -4,
    "locrian": -5,
}
MODE_ALIASES = {"ionian": "major", "aeolian": "minor"}
# The usual name of each tonic, from C up by semitones.
MAJOR_TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MINOR_TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
MINOR_MODES = ("minor", "dorian", "phrygian", "locrian")
ACCIDENTALS = {"": 0, "#": 1, "##": 2, "b": -1, "bb": -2}
ACCIDENTAL_TEXT = {alter: text for text, alter in ACCIDENTALS.items()}
_KEY = re.compile(r"\s*([A-Ga-g])(##|bb|#|b|♯|♭)?\s*([A-Za-z]*)\s*")


@dataclass(frozen=True, slots=True, order=True)
class Pitch:
    """A spelled pitch: step "A".."G", alter in semitones (-2..2), octave (4 holds middle C)."""

    step: str
    alter: int
    octave: int

    @property
    def midi(self) -> int:
        """MIDI note number; 60 is C4. May lie outside 0-127 for absurd octaves."""
        return 12 * (self.octave + 1) + STEP_SEMITONES[self.step] + self.alter

    @property
    def diatonic(self) -> int:
        """Staff position: octave * 7 + index of the step in C D E F G A B."""
        return self.octave * 7 + STEPS.index(self.step)

    @property
    def name(self) -> str:
        """Scientific name, such as "F#4"."""
        return f"{self.step}{ACCIDENTAL_TEXT[self.alter]}{self.octave}"

    @staticmethod
    def from_diatonic(diatonic: int, alter: int) -> Pitch:
        """The pitch on a staff position (see `diatonic`) with an alteration in semitones."""
        octave, index = divmod(diatonic, 7)
        return Pitch(STEPS[index], alter, octave)


@dataclass(frozen=True)
class Key:
    """A tonic ("C", "F#", "Bb"; "" for none) and a mode.

    `accidentals` are explicit additions to the signature, as (step, alter), such as the c sharp
    and f sharp of the Highland bagpipe. Mode is a key of `MODE_FIFTHS`, or "none".
    """

    tonic: str = "C"
    mode: str = "major"
    accidentals: tuple[tuple[str, int], ...] = ()

    @cached_property
    def fifths(self) -> int:
        """Sharps (positive) or flats (negative) of the signature, before `accidentals`."""
        if not self.tonic or self.mode == "none":
            return 0
        alter = ACCIDENTALS[self.tonic[1:]]
        return FIFTHS_ORDER.index(self.tonic[0]) - 1 + 7 * alter + MODE_FIFTHS[self.mode]

    @cached_property
    def signature(self) -> dict[str, int]:
        """Alteration of each of the seven steps in this key."""
        alters = {s: (self.fifths + 6 - FIFTHS_ORDER.index(s)) // 7 for s in STEPS}
        return alters | dict(self.accidentals)

    @property
    def tonic_pitch_class(self) -> int:
        """0 (C) to 11 (B); 0 for a key without a tonic."""
        if not self.tonic:
            return 0
        return (STEP_SEMITONES[self.tonic[0]] + ACCIDENTALS[self.tonic[1:]]) % 12

    @property
    def tonic_diatonic(self) -> int:
        """Staff position of the tonic in octave 4 (C4 to B4); of C4 without a tonic."""
        return 4 * 7 + STEPS.index(self.tonic[0] if self.tonic else "C")

    def __str__(self) -> str:
        return f"{self.tonic} {self.mode}" if self.tonic else "none"

    @staticmethod
    def of_signature(fifths: int, mode: str = "major") -> Key:
        """The key of a mode with a signature of so many sharps (negative: flats)."""
        alter, index = divmod(fifths - MODE_FIFTHS[mode] + 1, 7)
        return Key(FIFTHS_ORDER[index] + ACCIDENTAL_TEXT[alter], mode)


C_MAJOR = Key()
# The scale of the Highland bagpipe (ABC's K:Hp and K:HP), and the MIDI pitches of its chanter.
BAGPIPE = Key("", "none", (("F", 1), ("C", 1), ("G", 0)))
CHANTER = frozenset((67, 69, 71, 73, 74, 76, 78, 79, 81))


def tonic_name(mode: str, pitch_class: int) -> str:
    """The usual spelling of a tonic (0 for C, to 11) in a mode."""
    return (MINOR_TONICS if mode in MINOR_MODES else MAJOR_TONICS)[pitch_class]


def parse_key(text: str) -> Key | None:
    """Read "D", "Dm", "D minor", "Ador", "F# mixolydian", "Bb"; None when it is not a key.

    A mode counts by its first three letters in any case, and "m" alone is minor, as in the ABC
    standard 2.1, section 3.1.14.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    letter, accidental, word = match.groups(default="")
    mode = parse_mode(word)
    if mode is None:
        return None
    return Key(letter.upper() + {"♯": "#", "♭": "b"}.get(accidental, accidental), mode)


def parse_mode(word: str) -> str | None:
    """Canonical mode of a word such as "min", "Dorian", "" (major) or "m"; None when unknown.

    Capitals do not matter, in "M" neither (ABC 2.1, section 3.1.14): EM is E minor.
    """
    if not word:
        return "major"
    if word in ("m", "M"):
        return "minor"
    stem = word[:3].lower()
    for name in (*MODE_FIFTHS, *MODE_ALIASES):
        if len(word) >= 3 and name.startswith(stem):
            return MODE_ALIASES.get(name, name)
    return None


@dataclass(frozen=True)
class Meter:
    """A time signature: `beats` over `unit` (2+3/8 is (2, 3) over 8).

    `symbol` is "C" or "C|" where it was written so. No beats at all means free meter.
    """

    beats: tuple[int, ...] = (4,)
    unit: int = 4
    symbol: str = ""

    @cached_property
    def bar_duration(self) -> Fraction | None:
        """Length of a full bar in quarter notes; None in free meter."""
        return Fraction(4 * sum(self.beats), self.unit) if self.beats else None

    @property
    def compound(self) -> bool:
        """6/8, 9/8, 12/8 and the like: beats of three. Decides the meaning of "(5" in ABC."""
        return len(self.beats) == 1 and self.beats[0] % 3 == 0 and self.beats[0] > 3

    @cached_property
    def beat_onsets(self) -> tuple[Fraction, ...]:
        """The places of the felt beats in a bar, in quarter notes from its start."""
        return tuple(accumulate(self.beat_durations, initial=Fraction(0)))[:-1]

    @cached_property
    def beat_durations(self) -> tuple[Fraction, ...]:
        """The bar divided into felt beats, in quarter notes (6/8 -> 3/2, 3/2); () when free."""
        if len(self.beats) > 1:
            return tuple(Fraction(4 * b, self.unit) for b in self.beats)
        if self.compound:
            return (Fraction(12, self.unit),) * (self.beats[0] // 3)
        return (Fraction(4, self.unit),) * (self.beats[0] if self.beats else 0)

    def __str__(self) -> str:
        return self.symbol or (
            f"{'+'.join(map(str, self.beats))}/{self.unit}" if self.beats else "none"
        )


FREE_METER = Meter((), 4)
COMMON_TIME = Meter((4,), 4, "C")
CUT_TIME = Meter((2,), 2, "C|")
_METER_WORDS = {"none": FREE_METER, "free": FREE_METER, "c": COMMON_TIME, "c|": CUT_TIME}
_FRACTION = re.compile(r"\d{1,9}(?:/(?!0)\d{1,9}|\.\d{0,9})?", re.ASCII)
_METER = re.compile(r"\(?\s*(\d{1,3}(?:\s*\+\s*\d{1,3})*)\s*\)?\s*/\s*(\d{1,3})")


def parse_fraction(text: str) -> Fraction | None:
    """A number such as "3/8" or "112.5" with a bounded number of digits; None for anything else."""
    return Fraction(text.strip()) if _FRACTION.fullmatch(text.strip()) else None


def parse_meter(text: str) -> Meter | None:
    """Read "6/8", "C", "C|", "2+3/8", "(2+3)/8", "none"; None when it is not a meter."""
    word = text.strip()
    if word.lower() in _METER_WORDS:
        return _METER_WORDS[word.lower()]
    match = _METER.fullmatch(word)
    if match is None:
        return None
    beats = tuple(map(int, match[1].split("+")))
    unit = int(match[2])
    if unit == 0 or unit & (unit - 1) or unit > 64 or not all(beats):
        return None
    return Meter(beats, unit)


def default_unit(meter: Meter) -> Fraction:
    """Unit note length when none is given, in quarters (ABC 2.1, section 3.1.7)."""
    short = bool(meter.beats) and Fraction(sum(meter.beats), meter.unit) < Fraction(3, 4)
    return Fraction(1, 4) if short else Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Interval:
    """A spelled interval: staff steps and semitones, both signed (a fifth up is 4, 7)."""

    steps: int
    semitones: int

    @staticmethod
    def between(low: Key, high: Key) -> Interval:
        """The smallest interval that moves one tonic to the other (-6..6 semitones)."""
        semitones = (high.tonic_pitch_class - low.tonic_pitch_class + 6) % 12 - 6
        steps = high.tonic_diatonic - low.tonic_diatonic
        octaves = round((semitones - steps * 12 / 7) / 12)
        return Interval(steps + 7 * octaves, semitones)


def transpose_pitch(pitch: Pitch, interval: Interval) -> Pitch:
    """Move a pitch, keeping its spelling where at most a double accidental is needed."""
    moved = Pitch.from_diatonic(pitch.diatonic + interval.steps, 0)
    while abs(alter := pitch.midi + interval.semitones - moved.midi) > 2:
        # Respell on the neighbouring step.
        moved = Pitch.from_diatonic(moved.diatonic + (1 if alter > 0 else -1), 0)
    return Pitch(moved.step, alter, moved.octave)


def spell(midi: int, key: Key) -> Pitch:
    """Spell a MIDI number in a key: scale notes as the signature has them, others by fifths.

    Chromatic notes take the spelling nearest to the key on the line of fifths (within one
    accidental), a simple form of Temperley's line-of-fifths rule.
    """
    centre = key.fifths + 2  # the middle of the seven scale notes, with F at -1
    signature = key.signature
    # By membership of the scale, then the distance on the line of fifths, then sharp before flat.
    _, _, _, step, alter = min(
        (signature[step] != alter, abs(index - 1 + 7 * alter - centre), -alter, step, alter)
        for index, step in enumerate(FIFTHS_ORDER)
        for alter in (-2, -1, 0, 1, 2)
        if (STEP_SEMITONES[step] + alter - midi) % 12 == 0
    )
    return Pitch(step, alter, (midi - STEP_SEMITONES[step] - alter) // 12 - 1)


# The meters in which each type of tune is danced; a type that is missing may have any.
_DUPLE = ("C|", "C", "4/4", "2/2", "2/4")
RHYTHM_METERS: dict[str, tuple[str, ...]] = {
    "jig": ("6/8", "9/8", "12/8"),
    "single jig": ("6/8", "12/8"),
    "slip jig": ("9/8",),
    "slide": ("12/8", "6/8"),
    "reel": _DUPLE,
    "hornpipe": (*_DUPLE, "3/2"),
    "clog": _DUPLE,
    "strathspey": _DUPLE,
    "highland fling": _DUPLE,
    "fling": _DUPLE,
    "polka": ("2/4",),
    "march": (*_DUPLE, "6/8"),
    "waltz": ("3/4", "3/8"),
    "mazurka": ("3/4",),
    "gavotte": _DUPLE,
}
# Hornpipes are played with four beats however their books bar them, and other programs (abc2midi)
# refuse one in cut time.
WRITTEN_METERS = {("hornpipe", CUT_TIME): COMMON_TIME}
RHYTHM_ALIASES = {
    "slipjig": "slip jig",
    "hop jig": "slip jig",
    "double jig": "jig",
    "jigs": "jig",
    "reels": "reel",
    "hornpipes": "hornpipe",
    "waltzes": "waltz",
    "polkas": "polka",
    "marches": "march",
    "airs": "air",
    "slides": "slide",
    "singlejig": "single jig",
    "doublejig": "jig",
}


def canonical_rhythm(text: str) -> str:
    """One spelling for each type of tune: "Slipjig" -> "slip jig", "Double Jig" -> "jig"."""
    name = " ".join(text.lower().replace("-", " ").replace("_", " ").split()).rstrip(".")
    return RHYTHM_ALIASES.get(name, name)


def rhythm_meters(rhythm: str) -> tuple[str, ...]:
    """Meters that go with a type of tune, as text; () where any does."""
    return RHYTHM_METERS.get(canonical_rhythm(rhythm), ())


DEFAULT_QPM = 120
# Quarter notes a minute for dancing or a little under, where a tune gives no tempo.
RHYTHM_QPM = {
    "reel": 208,
    "jig": 174,
    "single jig": 180,
    "slip jig": 174,
    "slide": 195,
    "hornpipe": 160,
    "clog": 150,
    "polka": 130,
    "march": 112,
    "strathspey": 120,
    "highland fling": 140,
    "waltz": 144,
    "mazurka": 144,
    "air": 84,
    "slow air": 66,
    "chorale": 80,
}


def default_qpm(rhythm: str) -> int:
    """Quarter notes a minute for a type of tune that gives no tempo."""
    return RHYTHM_QPM.get(canonical_rhythm(rhythm), DEFAULT_QPM)


# Krumhansl and Kessler's probe-tone ratings, from the tonic up by semitones (Krumhansl, Cognitive
# Foundations of Musical Pitch, 1990, table 2.1).
KEY_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


def is_well_spelled(pitch: Pitch, key: Key) -> bool:
    """Whether a pitch is named as one does in a key: as the signature has it, or neither doubly
    altered nor by another name of a note of the scale (e sharp in C major)."""
    if pitch.alter == key.signature[pitch.step]:
        return True
    scale = {(STEP_SEMITONES[step] + alter) % 12 for step, alter in key.signature.items()}
    return abs(pitch.alter) < 2 and pitch.midi % 12 not in scale


def profile_fit(durations: Sequence[float | Fraction], key: Key) -> float:
    """How well the time spent on each pitch class fits a major or minor key: the correlation with
    its profile, -1 to 1. `durations` are twelve numbers, from C up by semitones, in any unit."""
    times = _centred([float(d) for d in durations])
    profile = _centred(KEY_PROFILES[key.mode])
    return sum(times[(key.tonic_pitch_class + i) % 12] * profile[i] for i in range(12))


def _centred(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    spread = sum((v - mean) ** 2 for v in values) ** 0.5 or 1.0
    return [(v - mean) / spread for v in values]
