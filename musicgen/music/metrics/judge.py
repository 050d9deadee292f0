"""A judge of tunes for best-of-n: rejects for rhythm, mode and loops, scores structure and melody.

    verdict = judge(tune)
    verdict.score, verdict.rejected      # 0.93, ()

The criteria are those of the AI Music Generation Challenge (Sturm and Maruri-Aguilar, "The Ai Music
Generation Challenge 2020: double jigs in the style of O'Neill's 1001", 2021), whose judges rejected
for plagiarism, rhythm and mode, and graded structure and melody. Plagiarism needs an index of
melodies and is `musicgen.music.similarity`'s. The parameters in judge.json were fitted by
scripts/fitting/judge.py on the training families of the default corpus: what tells a real tune from
the same tune spoilt.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from musicgen.errors import InvalidTuneError
from musicgen.music.metrics.note_arrays import Floats, Played, played
from musicgen.music.metrics.structure import longest_loop
from musicgen.music.metrics.style import ASPECTS, StyleCounts
from musicgen.music.metrics.table import MEASURES
from musicgen.music.tune import Tune
from musicgen.music.validation import validate

VERSION = 1
# What each score looks at.
STRUCTURE = (
    "measure rhythms",
    "repeated measures",
    "repeated phrases",
    "loop",
    "likeness 1 apart",
    "likeness 2 apart",
    "likeness 4 apart",
    "likeness 8 apart",
    "likeness 16 apart",
    "contrast",
    "ends on the tonic",
    "cadences",
    "compressibility",
    "groove consistency",
)
MELODY = (
    "range",
    "pitch entropy",
    "pitch-class entropy",
    "accidentals",
    "interval size",
    "leaps",
    "repeated notes",
    "turns",
    "off the beat",
    "length entropy",
)
_OF_STYLE = {"structure": ("places", "bar lines"), "melody": ("degrees", "steps", "rhythms")}
PARTS = {"structure": STRUCTURE, "melody": MELODY}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's opinion. Scores are probabilities, 0 to 1, that the tune is a real one and not one
    that was spoilt: by its structure, by its melody, by both together. `rejected` are the reasons
    to leave it out whatever its score."""

    score: float
    structure: float
    melody: float
    rejected: tuple[str, ...] = ()

    @property
    def ranked(self) -> float:
        """The score, less 1 for a rejected tune, which so comes after all others."""
        return self.score - 1 if self.rejected else self.score


@dataclass(frozen=True, eq=False)
class Weights:
    """A logistic regression on standardised values and their squares."""

    centre: Floats
    scale: Floats
    linear: Floats
    square: Floats
    bias: float

    def probability(self, values: Floats) -> float:
        """That of a real tune; a value that does not apply (NaN) says nothing."""
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
        """Judge a tune; one that cannot be heard is rejected.

        The whole verdict costs about 5 ms.
        """
        if validate(tune):
            return Verdict(0, 0, 0, ("its bars do not add up",))
        try:
            heard = played(tune)
        except InvalidTuneError as error:
            return Verdict(0, 0, 0, (str(error),))
        values = described(heard, self.style)
        scores = {name: self.parts[name].probability(values[name]) for name in self.parts}
        return Verdict(
            scores["all"],
            scores["structure"],
            scores["melody"],
            tuple(self._rejections(heard, values["style"])),
        )

    def _rejections(self, heard: Played, surprises: Floats) -> list[str]:
        found = dict(zip(ASPECTS, surprises.tolist(), strict=True))
        reasons = []
        if found["rhythms"] > self.limits["rhythms"]:
            reasons.append(f"its rhythm is not that of a {heard.rhythm or 'tune'} in {heard.meter}")
        if float((~heard.scale[heard.degrees]).mean()) > self.limits["accidentals"]:
            reasons.append(f"it is not in {heard.key}")
        loop = longest_loop(heard)
        if loop > self.limits["loop"]:
            reasons.append(f"it goes round in a loop for {loop} bars")
        return reasons


def described(heard: Played, style: StyleCounts) -> dict[str, Floats]:
    """What the judge looks at, for each score, and the surprises alone as "style"."""
    surprises = style.scores(heard)
    of_style = dict(zip(ASPECTS, surprises.tolist(), strict=True))
    found = {}
    for part, names in PARTS.items():
        values = [measure.of(heard) for measure in _measures(names)]
        found[part] = np.array([*values, *(of_style[name] for name in _OF_STYLE[part])])
    return {**found, "all": np.concatenate(list(found.values())), "style": surprises}


def _measures(names: Sequence[str]) -> list[Any]:
    return [measure for measure in MEASURES if measure.name in names]


def to_json(judge: Judge) -> str:
    """The judge as text, a table a line."""
    data = {
        "version": VERSION,
        "limits": judge.limits,
        "parts": {name: _listed(weights) for name, weights in judge.parts.items()},
        "style": judge.style.tables,
    }
    return json.dumps(data, separators=(",", ":"), sort_keys=True) + "\n"


def _listed(weights: Weights) -> dict[str, Any]:
    arrays = {name: getattr(weights, name) for name in ("centre", "scale", "linear", "square")}
    return {
        **{name: [round(v, 5) for v in values.tolist()] for name, values in arrays.items()},
        "bias": round(weights.bias, 5),
    }


def from_json(text: str) -> Judge:
    """The judge that `to_json` wrote."""
    data = json.loads(text)
    parts = {name: _weights(given) for name, given in data["parts"].items()}
    return Judge(StyleCounts(data["style"]), parts, data["limits"])


def _weights(given: dict[str, Any]) -> Weights:
    centre, scale, linear, square = (
        np.array(given[name], np.float64) for name in ("centre", "scale", "linear", "square")
    )
    return Weights(centre, scale, linear, square, float(given["bias"]))


@cache
def load_judge() -> Judge:
    """The judge that comes with the package."""
    return from_json(files(__package__).joinpath("judge.json").read_text("utf-8"))
