"""Classification by Bayes' rule: the heading under which a model gives the notes most probability.

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

from musicgen.evaluation.classification.head import Answers, probabilities
from musicgen.evaluation.classification.questions import QUESTIONS, meter_class
from musicgen.evaluation.classification.states import padded
from musicgen.evaluation.inspection.tokens import encode_tune
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.cost import nats
from musicgen.music.estimation.key import MODES, key_scores
from musicgen.music.theory import COMMON_TIME, Key, parse_meter, tonic_name
from musicgen.music.tune import Tune
from musicgen.tokens.melody.table import HEADER_KINDS, parse_token
from musicgen.tokens.melody.transcription import Transcription

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
    costs: Mapping[str, Mapping[str, float]],
    prior: Mapping[str, Mapping[str, float]],
    power: Mapping[str, float],
) -> Answers:
    """Bayes' rule, from nats and priors."""
    answers: Answers = {}
    for question in QUESTIONS:
        if question.name in costs:
            scores = [
                math.log(prior[question.name][name])
                - power[question.name] * costs[question.name][name]
                for name in question.classes
            ]
            answers[question.name] = probabilities(question, np.array(scores))
    return answers


def evidence(transcription: Transcription, checkpoint: Checkpoint) -> dict[str, dict[str, float]]:
    """Nats that the notes cost under each answer, the heading itself not counted."""
    candidates = list(_candidates(transcription))
    costs = _nats_of_music(checkpoint, [tune for _, _, tune in candidates])
    by_question: dict[str, dict[str, float]] = {}
    for (question, name, _), cost in zip(candidates, costs, strict=True):
        by_question.setdefault(question, {})[name] = cost
    return by_question


def _candidates(transcription: Transcription) -> Iterator[tuple[str, str, Tune]]:
    """(question, answer, the notes written down under it)."""
    usual = transcription.notated()
    classes = {question.name: question.classes for question in QUESTIONS}
    for name in classes["rhythm"]:
        yield "rhythm", name, replace(usual, rhythm=name)
    scores = key_scores(transcription.line)
    for name in classes["mode"]:
        key = Key(tonic_name(name, int(scores[MODES.index(name)].argmax())), name)
        yield "mode", name, transcription.notated(meter=usual.meter, key=key)
    for name in classes["meter"]:
        meter = parse_meter(name)
        assert meter is not None
        if name == "4/4":  # as most of the corpus prints it
            meter = COMMON_TIME
        yield "meter", name, transcription.notated(meter=meter, key=usual.key)


@torch.inference_mode()
def _nats_of_music(checkpoint: Checkpoint, tunes: Sequence[Tune]) -> list[float]:
    ids, features = padded([encode_tune(tune, checkpoint) for tune in tunes])
    logits, _ = checkpoint.network(ids[:, :-1], features[:, :-1])
    cost = nats(logits, ids[:, 1:])  # (B, T - 1), 0 at padding
    return cost[:, _HEADER:].double().sum(dim=1).tolist()


def priors(checkpoint: Checkpoint, transcription: Transcription) -> dict[str, dict[str, float]]:
    """Share of each answer among the training tunes that have one, from the model's openings; for
    the type of tune, among those in the estimated meter. An answer that never occurred counts as
    half a tune."""
    counts = {q.name: dict.fromkeys(q.classes, 0.5) for q in QUESTIONS if q.name in ASKED}
    meter = meter_class(transcription.notated().meter)
    for ids, n in checkpoint.openings:
        tokens = [parse_token(checkpoint.vocab[i]) for i in ids]
        heading = {token.kind: token.value for token in tokens}
        if "meter" in heading:
            heading["meter"] = meter_class(heading["meter"])
        for name in ASKED:
            value = heading.get(name, "")
            if value in counts[name] and (name != "rhythm" or heading.get("meter") == meter):
                counts[name][value] += n
    return {
        name: {value: n / sum(row.values()) for value, n in row.items()}
        for name, row in counts.items()
    }
