"""Answers by Bayes' rule: under which heading is a tune likeliest to the model that writes tunes?

    p(answer | notes)  is proportional to  p(answer) * p(notes | heading with that answer) ** power

The notes are written down under each candidate (see `transcription`): another type of tune is
another word in the heading, another meter moves the bar lines, another key names the degrees anew.
Priors are how often the training tunes have each answer. A model of sequences is far too sure of
whole tunes, for its errors add up; `POWER` corrects that and was fitted to the validation families.
The collection is in no heading, so nothing can be said of it this way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from musicgen.evaluation.classification.head import Answers
from musicgen.evaluation.classification.questions import QUESTIONS, meter_class
from musicgen.evaluation.classification.states import padded
from musicgen.evaluation.classification.transcription import Transcription
from musicgen.evaluation.inspection.tokens import encode_tune
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.cost import nats
from musicgen.music.estimation.key import MODES, key_scores
from musicgen.music.theory import Key, Meter, parse_meter, tonic_name
from musicgen.music.tune import Tune
from musicgen.tokens.melody.table import HEADER_KINDS, parse_token

ASKED = ("rhythm", "mode", "meter")
# Weights of the nats of a whole tune, from scripts/benchmarks/classify.py --fit-power.
POWER: Mapping[str, float] = {"rhythm": 0.1, "mode": 0.05, "meter": 0.1}
_HEADER = len(HEADER_KINDS)


def answer(transcription: Transcription, checkpoint: Checkpoint) -> Answers:
    """Probability of every answer to the questions in `ASKED`.

    Raises:
        CheckpointError: the model does not read melody tokens.
        ControlError: the notes cannot be written as a melody.
    """
    return weigh(evidence(transcription, checkpoint), priors(checkpoint, transcription), POWER)


def weigh(
    found: Mapping[str, Mapping[str, float]],
    before: Mapping[str, Mapping[str, float]],
    power: Mapping[str, float],
) -> Answers:
    """Bayes' rule, from nats and priors."""
    answers: Answers = {}
    for question in QUESTIONS:
        if question.name in found:
            scores = np.array(
                [
                    math.log(before[question.name][name])
                    - power[question.name] * found[question.name][name]
                    for name in question.classes
                ]
            )
            odds = np.exp(scores - scores.max())
            shares = (odds / odds.sum()).tolist()
            answers[question.name] = dict(zip(question.classes, shares, strict=True))
    return answers


def evidence(transcription: Transcription, checkpoint: Checkpoint) -> dict[str, dict[str, float]]:
    """Nats that the notes cost under each answer, the heading itself not counted."""
    candidates = list(_candidates(transcription))
    costs = _nats_of_music(checkpoint, [tune for _, _, tune in candidates])
    found: dict[str, dict[str, float]] = {}
    for (question, name, _), cost in zip(candidates, costs, strict=True):
        found.setdefault(question, {})[name] = cost
    return found


def _candidates(transcription: Transcription) -> Iterator[tuple[str, str, Tune]]:
    """(question, answer, the notes written down under it)."""
    usual = transcription.notated()
    classes = {question.name: question.classes for question in QUESTIONS}
    for name in classes["rhythm"]:
        yield "rhythm", name, replace(usual, rhythm=name)
    scores = key_scores(transcription.line)
    for name in classes["mode"]:
        tonic = int(scores[MODES.index(name)].argmax())
        key = Key(tonic_name(name, tonic), name)
        yield "mode", name, transcription.notated(meter=usual.meter, key=key)
    for name in classes["meter"]:
        meter = parse_meter(name)
        assert meter is not None
        yield "meter", name, transcription.notated(meter=_as_printed(meter), key=usual.key)


def _as_printed(meter: Meter) -> Meter:
    """A meter as most of the corpus prints it."""
    return Meter(meter.beats, meter.unit, "C" if meter_class(meter) == "4/4" else "")


@torch.inference_mode()
def _nats_of_music(checkpoint: Checkpoint, tunes: Sequence[Tune]) -> list[float]:
    heard = [encode_tune(tune, checkpoint) for tune in tunes]
    ids, features = padded(heard)
    logits, _ = checkpoint.network(ids[:, :-1], features[:, :-1])
    cost = nats(logits, ids[:, 1:])  # (B, T - 1), 0 at padding
    return cost[:, _HEADER:].double().sum(dim=1).tolist()


def priors(checkpoint: Checkpoint, transcription: Transcription) -> dict[str, dict[str, float]]:
    """Share of each answer among the training tunes that have one, from the model's openings; for
    the type of tune, among those in the meter that is heard. What never occurred counts as half a
    tune."""
    counts = {q.name: dict.fromkeys(q.classes, 0.5) for q in QUESTIONS if q.name in ASKED}
    heard = meter_class(transcription.notated().meter)
    for ids, n in checkpoint.openings:
        heading = {}
        for i in ids:
            token = parse_token(checkpoint.vocab[i])
            heading[token.kind] = token.value
        told = {
            "rhythm": heading.get("rhythm", ""),
            "mode": heading.get("mode", ""),
            "meter": meter_class(heading["meter"]) if "meter" in heading else "",
        }
        for name, value in told.items():
            if value in counts[name] and (name != "rhythm" or told["meter"] == heard):
                counts[name][value] += n
    return {
        name: {value: n / sum(of.values()) for value, n in of.items()}
        for name, of in counts.items()
    }
