"""Fit the head of `musicgen classify` on the training families; the validation families choose.

    python scripts/fitting/classifier.py --out checkpoints/classifiers/celtic

The states of the network are worked out once (two CPU-minutes) and the head is fitted on them (two
more); the epoch is the one with the highest likelihood of the right answers on the validation
families. The test families are left alone (`scripts/benchmarks/classify.py` measures on them).
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from musicgen.config import override
from musicgen.evaluation.classification.head import ClassifierHead, Floats, save
from musicgen.evaluation.classification.questions import QUESTIONS
from musicgen.evaluation.classification.states import fingerprint_of, states_of
from musicgen.models import checkpoint as checkpoints

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.fitting.classifier_data import Examples, likeliest, read_examples, score
from scripts.fitting.classifier_training import FittingConfig, fit

CARD = """# A head that says what kind of tune it is

{parameters:,} parameters on the states of the model `{checkpoint}`, which is left as it is, for
`musicgen classify`: type of tune, mode, meter and collection, from the notes alone.

Fitted with `scripts/fitting/classifier.py` on {train:,} tunes of the training families of
`{corpus}` (public-domain music); {val} tunes of the validation families chose epoch {epoch} of
{epochs}. Right there:

{table}

`scripts/benchmarks/classify.py` measures on the test families. The weights are under the licence of
musicgen (MIT).
"""


def report_of(
    head: ClassifierHead, states: list[Floats], examples: Examples
) -> tuple[dict[str, float], float]:
    """Share of right answers to each question, and nats of the right answers, all together."""
    answers = [head.answer(each) for each in states]
    scores, nats = {}, 0.0
    for column, question in enumerate(QUESTIONS):
        scores[question.name] = score(likeliest(answers, question), examples, column).right.value
        costs = [
            -np.log(max(answer[question.name][question.classes[target]], 1e-12))
            for answer, target in zip(answers, examples.targets[:, column], strict=True)
            if target >= 0
        ]
        nats += float(np.mean(costs))
    return scores, nats


def main(
    *,
    checkpoint: str = "celtic",
    corpus: Sequence[str] = ("celtic",),
    out: Path,
    set_: Annotated[Sequence[str], "such as n_features=64 epochs=10"] = (),
    states: Annotated[Path | None, "a file of your own to keep the states in"] = None,
) -> None:
    """Fit, choose, save."""
    torch.set_num_threads(1)
    config = FittingConfig()
    for assignment in set_:
        config = override(config, assignment)
    model = checkpoints.load(checkpoints.locate(checkpoint))
    examples = read_examples(corpus)
    train, val = examples["train"], examples["val"]
    if states is not None and states.exists():
        train_states, val_states = pickle.loads(states.read_bytes())
    else:
        train_states, val_states = (states_of(model, each.by_ear) for each in (train, val))
        if states is not None:
            states.write_bytes(pickle.dumps((train_states, val_states)))
    print(f"{len(train)} tunes heard, {time.process_time():.0f} CPU-s", flush=True)
    blank = ClassifierHead(
        weights={}, checkpoint=checkpoint, fingerprint=fingerprint_of(model), scores={}
    )
    best: tuple[float, int, ClassifierHead] | None = None

    def choose(epoch: int, weights: dict[str, Floats]) -> None:
        nonlocal best
        head = replace(blank, weights=weights)
        scores, nats = report_of(head, val_states, val)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        print(
            f"epoch {epoch}: {nats:.3f} nats; {shown}; {time.process_time():.0f} CPU-s", flush=True
        )
        if best is None or nats < best[0]:
            best = (nats, epoch, replace(head, scores=scores))

    fit(train_states, train.targets, config, report=choose)
    assert best is not None
    _, epoch, head = best
    rows = "\n".join(f"| {name} | {value:.1%} |" for name, value in head.scores.items())
    card = CARD.format(
        parameters=sum(array.size for array in head.weights.values()),
        checkpoint=head.checkpoint,
        corpus=" ".join(corpus),
        train=len(train),
        val=len(val),
        epoch=epoch,
        epochs=config.epochs,
        table=f"| question | right |\n|---|---|\n{rows}",
    )
    save(out, replace(head, card=card))
    print(f"wrote {out}: epoch {epoch}")


if __name__ == "__main__":
    command_line.run(main)
