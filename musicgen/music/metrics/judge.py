"""A judge of tunes for best-of-n: rejects for rhythm, mode and loops, scores structure and melody.

    verdict = judge(tune)
    verdict.score, verdict.rejected      # 0.93, ()

The criteria are those of the AI Music Generation Challenge (Sturm and Maruri-Aguilar, "The Ai Music
Generation Challenge 2020: double jigs in the style of O'Neill's 1001", 2021), whose judges rejected
for plagiarism, rhythm and mode, and graded structure and melody. Plagiarism needs an index of
melodies; see `musicgen.music.similarity`. The parameters in judge.json were fitted by
scripts/fitting/judge.py on the training families of the default corpus: they tell a real tune from
the same tune spoilt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from musicgen.errors import InvalidTuneError
from musicgen.music.metrics.note_arrays import Floats, NoteArrays
from musicgen.music.metrics.structure import longest_loop
from musicgen.music.metrics.style import ASPECTS, StyleCounts
from musicgen.music.metrics.table import MEASURES
from musicgen.music.tune import Tune
from musicgen.music.validation import validate

VERSION = 1
# The measures behind each score; the numbers in judge.json are in this order.
STRUCTURE = (
    *("groove consistency", "measure rhythms", "repeated measures", "repeated phrases", "loop"),
    *("likeness 1 apart", "likeness 2 apart", "likeness 4 apart", "likeness 8 apart"),
    *("likeness 16 apart", "contrast", "ends on the tonic", "cadences", "compressibility"),
)
MELODY = (
    *("range", "pitch entropy", "pitch-class entropy", "accidentals", "interval size", "leaps"),
    *("repeated notes", "turns", "length entropy", "off the beat"),
)
# Measures and aspects of style by part of the score.
PARTS = {
    "structure": (STRUCTURE, ("places", "bar lines")),
    "melody": (MELODY, ("degrees", "steps", "rhythms")),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's result. Scores are probabilities, 0 to 1, that the tune is a real one and not one
    that was spoilt: by its structure, by its melody, by both together. `rejected` holds the reasons
    to leave it out whatever its score."""

    score: float
    structure: float
    melody: float
    rejected: tuple[str, ...] = ()

    @property
    def ranked(self) -> float:
        """The score, less 1 for a rejected tune, so that it comes after all others."""
        return self.score - 1 if self.rejected else self.score


_ARRAYS = ("centre", "scale", "linear", "square")  # the fields of `Weights` before the bias


@dataclass(frozen=True, eq=False)
class Weights:
    """A logistic regression on standardised values and their squares."""

    centre: Floats
    scale: Floats
    linear: Floats
    square: Floats
    bias: float

    def probability(self, values: Floats) -> float:
        """The probability of a real tune; a value that does not apply (NaN) counts as the mean."""
        z = np.clip(np.nan_to_num((values - self.centre) / self.scale), -6, 6)
        odds = float(z @ self.linear + z**2 @ self.square) + self.bias
        return float(1 / (1 + np.exp(-np.clip(odds, -500, 500))))


@dataclass(frozen=True, eq=False)
class Judge:
    """A fitted judge. `limits` are the values that only one real tune in a hundred exceeds."""

    style: StyleCounts
    parts: dict[str, Weights]
    limits: dict[str, float]

    def __call__(self, tune: Tune) -> Verdict:
        """Judge a tune in about 5 ms; one that cannot be played is rejected."""
        if validate(tune):
            return Verdict(0, 0, 0, ("its bars do not add up",))
        try:
            notes = NoteArrays.of(tune)
        except InvalidTuneError as error:
            return Verdict(0, 0, 0, (str(error),))
        values = described(notes, self.style)
        scores = {name: self.parts[name].probability(values[name]) for name in self.parts}
        return Verdict(
            scores["all"],
            scores["structure"],
            scores["melody"],
            tuple(self._rejections(notes, values["style"])),
        )

    def _rejections(self, notes: NoteArrays, surprises: Floats) -> Iterator[str]:
        if surprises[list(ASPECTS).index("rhythms")] > self.limits["rhythms"]:
            yield f"its rhythm is not that of a {notes.rhythm or 'tune'} in {notes.meter}"
        if MEASURES["accidentals"].function(notes) > self.limits["accidentals"]:
            yield f"it is not in {notes.key}"
        loop = longest_loop(notes)
        if loop > self.limits["loop"]:
            yield f"it goes round in a loop for {loop} bars"


def described(notes: NoteArrays, style: StyleCounts) -> dict[str, Floats]:
    """The values behind each score, and the surprises alone as "style"."""
    surprises = style.scores(notes)
    by_aspect = dict(zip(ASPECTS, surprises.tolist(), strict=True))
    values = {
        part: np.array(
            [
                *(MEASURES[name].function(notes) for name in measures),
                *(by_aspect[name] for name in aspects),
            ]
        )
        for part, (measures, aspects) in PARTS.items()
    }
    return {**values, "all": np.concatenate(list(values.values())), "style": surprises}


def to_json(judge: Judge) -> str:
    """The judge as one line of JSON, its parameters to five decimals."""
    data = {
        "version": VERSION,
        "limits": judge.limits,
        "parts": {
            name: {
                **{field: np.round(getattr(weights, field), 5).tolist() for field in _ARRAYS},
                "bias": round(weights.bias, 5),
            }
            for name, weights in judge.parts.items()
        },
        "style": judge.style.tables,
    }
    return json.dumps(data, separators=(",", ":"), sort_keys=True) + "\n"


def from_json(text: str) -> Judge:
    """The inverse of `to_json`."""
    data = json.loads(text)
    parts = {
        name: Weights(bias=values["bias"], **{field: np.array(values[field]) for field in _ARRAYS})
        for name, values in data["parts"].items()
    }
    return Judge(StyleCounts(data["style"]), parts, data["limits"])


@cache
def load_judge() -> Judge:
    """The judge that comes with the package."""
    return from_json(files(__package__).joinpath("judge.json").read_text("utf-8"))
