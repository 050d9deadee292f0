"""The table of measures: one number for each tune, with name, group, definition and source.

for measure in MEASURES.values():
    print(measure.name, measure.function(NoteArrays.of(tune)))
register(Measure("blue notes", "pitch", "share of flat fifths", "my thesis", blue_notes))

The report of `musicgen evaluate` walks the table, so a registered measure appears in it. A critic
stores the names of its measures (see `critic`), so another measure does not change its verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from musicgen.errors import ConfigError
from musicgen.music.metrics import pitch, rhythm, structure
from musicgen.music.metrics.note_arrays import TICKS, Floats, NoteArrays

# "form" is given to a baseline: heading, length, repeats.
GROUPS = ("pitch", "rhythm", "structure", "form")

# Enough for any note that is not a grace: MusPy's usual resolution, so that its numbers compare.
GROOVE_TICKS = 24


@dataclass(frozen=True)
class Measure:
    """A number for a tune; `function` returns NaN where the tune has too little music for it.

    `group` is one of `GROUPS`, `source` a paper, a library or "musicgen".
    """

    name: str
    group: str
    definition: str
    source: str
    function: Callable[[NoteArrays], float]


def _groove(tune: NoteArrays) -> float:
    scale = TICKS // GROOVE_TICKS
    measure = max(1, tune.measure_ticks // scale)
    # Counted from the first whole measure, so that a pickup does not shift every pattern.
    onsets = (tune.measures + 1) * measure + np.minimum(tune.positions // scale, measure - 1)
    return rhythm.groove_consistency(onsets, int(onsets[-1]) + 1, measure)


def _silence(tune: NoteArrays) -> float:
    total = int(tune.onsets[-1] + tune.durations[-1] - tune.onsets[0])
    return max(0.0, 1 - int(tune.durations.sum()) / total)


def _measure_rhythms(tune: NoteArrays) -> float:
    rhythms = tune.rhythms
    return len(set(rhythms.values())) / len(rhythms) if rhythms else math.nan


def _lag(lag: int) -> Callable[[NoteArrays], float]:
    return lambda tune: structure.lag_similarity(tune, lag)


_MUSPY, _MGEVAL, _OURS = "MusPy", "mgeval", "musicgen"
_BUILT_IN: tuple[Measure, ...] = (
    Measure(
        "pitches used",
        "pitch",
        "number of different pitches",
        f"{_MUSPY}, {_MGEVAL}",
        lambda t: pitch.n_pitches_used(t.pitches),
    ),
    Measure(
        "pitch classes used",
        "pitch",
        "number of different pitch classes",
        _MUSPY,
        lambda t: pitch.n_pitch_classes_used(t.pitches),
    ),
    Measure(
        "range",
        "pitch",
        "highest less lowest pitch, in semitones",
        f"{_MUSPY}, {_MGEVAL}",
        lambda t: pitch.pitch_range(t.pitches),
    ),
    Measure("tessitura", "pitch", "mean MIDI pitch", _OURS, lambda t: float(t.pitches.mean())),
    Measure(
        "pitch entropy",
        "pitch",
        "bits of the distribution of pitches",
        _MUSPY,
        lambda t: pitch.pitch_entropy(t.pitches),
    ),
    Measure(
        "pitch-class entropy",
        "pitch",
        "bits of the distribution of pitch classes",
        _MUSPY,
        lambda t: pitch.pitch_class_entropy(t.pitches),
    ),
    Measure(
        "scale consistency",
        "pitch",
        "greatest share of notes in one major or minor scale",
        _MUSPY,
        lambda t: pitch.scale_consistency(t.pitches),
    ),
    Measure(
        "accidentals",
        "pitch",
        "share of notes outside the scale of the key",
        _OURS,
        lambda t: float((~t.scale[t.degrees]).mean()),
    ),
    Measure(
        "interval size",
        "pitch",
        "mean size of the intervals, in semitones",
        _MGEVAL,
        lambda t: pitch.mean_interval(t.pitches),
    ),
    Measure(
        "leaps",
        "pitch",
        "share of intervals of a fourth or more",
        _OURS,
        lambda t: pitch.leap_rate(t.pitches),
    ),
    Measure(
        "repeated notes",
        "pitch",
        "share of intervals that are unisons",
        _OURS,
        lambda t: pitch.repeated_note_rate(t.pitches),
    ),
    Measure(
        "turns",
        "pitch",
        "share of places where the melody changes direction",
        _OURS,
        lambda t: pitch.turn_rate(t.pitches),
    ),
    Measure("notes", "form", "number of notes as heard", _MGEVAL, lambda t: len(t.pitches)),
    Measure(
        "notes a measure",
        "rhythm",
        "notes divided by measures",
        _OURS,
        lambda t: len(t.pitches) / t.n_measures if t.n_measures else math.nan,
    ),
    Measure(
        "inter-onset time",
        "rhythm",
        "mean time between onsets, in quarters",
        _MGEVAL,
        lambda t: rhythm.mean_inter_onset(t.onsets, TICKS),
    ),
    Measure(
        "length entropy",
        "rhythm",
        "bits of the distribution of note lengths",
        _OURS,
        lambda t: rhythm.duration_entropy(t.durations),
    ),
    Measure(
        "groove consistency",
        "rhythm",
        "likeness of the onsets of neighbouring measures",
        _MUSPY,
        _groove,
    ),
    Measure(
        "off the beat",
        "rhythm",
        "share of notes that begin between beats",
        _OURS,
        lambda t: rhythm.off_beat_rate(t.positions, t.beat_ticks),
    ),
    Measure(
        "measure rhythms",
        "rhythm",
        "different rhythms of a measure, by measures",
        _OURS,
        _measure_rhythms,
    ),
    Measure("silence", "rhythm", "share of the time in which nothing sounds", _OURS, _silence),
    Measure("measures", "form", "length in measures as heard", _OURS, lambda t: t.n_measures),
    Measure("sections", "form", "number of written parts", _OURS, lambda t: len(t.sections)),
    Measure(
        "repeated measures",
        "structure",
        "share of measures that repeat an earlier one",
        _OURS,
        structure.repeated_measure_rate,
    ),
    Measure(
        "repeated phrases",
        "structure",
        "share of 4-measure runs that occur earlier",
        _OURS,
        structure.repeated_phrase_rate,
    ),
    Measure(
        "loop",
        "structure",
        "longest stay in a loop of 1 to 4 measures, in measures",
        _OURS,
        structure.longest_loop,
    ),
    Measure(
        "likeness 1 apart",
        "structure",
        "mean similarity of measures next to each other",
        "Foote 1999",
        _lag(1),
    ),
    Measure("likeness 2 apart", "structure", "the same of measures 2 apart", "Foote 1999", _lag(2)),
    Measure("likeness 4 apart", "structure", "the same of measures 4 apart", "Foote 1999", _lag(4)),
    Measure("likeness 8 apart", "structure", "the same of measures 8 apart", "Foote 1999", _lag(8)),
    Measure(
        "likeness 16 apart", "structure", "the same of measures 16 apart", "Foote 1999", _lag(16)
    ),
    Measure(
        "contrast",
        "structure",
        "how different the first two different strains are",
        _OURS,
        structure.strain_contrast,
    ),
    Measure(
        "ends on the tonic",
        "structure",
        "1 if the last note is the tonic",
        _OURS,
        structure.ends_on_tonic,
    ),
    Measure(
        "cadences",
        "structure",
        "share of 8-measure strains that end on the tonic",
        _OURS,
        structure.cadence_rate,
    ),
    Measure(
        "compressibility",
        "structure",
        "share of the melody that Lempel-Ziv coding saves",
        "Ziv and Lempel 1977",
        structure.compressibility,
    ),
)


MEASURES: dict[str, Measure] = {measure.name: measure for measure in _BUILT_IN}


def register(measure: Measure) -> None:
    """Add a measure to the table; `del MEASURES[name]` removes it.

    Raises:
        ConfigError: the name is in use, or the group is none of `GROUPS`.
    """
    if measure.name in MEASURES:
        raise ConfigError(f"measure '{measure.name}': is in the table already; use another name")
    if measure.group not in GROUPS:
        raise ConfigError(f"measure '{measure.name}': its group is none of {', '.join(GROUPS)}")
    MEASURES[measure.name] = measure


def measure_all(tunes: Sequence[NoteArrays], names: Sequence[str]) -> Floats:
    """The named measures of every tune: (tunes, names), NaN where one does not apply."""
    functions = [MEASURES[name].function for name in names]
    rows = [[function(tune) for function in functions] for tune in tunes]
    return np.array(rows, np.float64).reshape(len(tunes), len(names))
