"""How often `musicgen classify` is right on held-out families, beside what it has to beat.

    python scripts/benchmarks/classify.py --picture confusion.png       # the test families, once
    python scripts/benchmarks/classify.py --fit-power                   # for `likelihood.POWER`

All read the same: the notes alone, written down by `tokens.melody.transcription`. The baselines
are fitted on the training families and their settings chosen on the validation families: the
commonest answer; naive Bayes and logistic regression on runs of 1 to 4 tokens; for mode and meter
also `estimation`, which is part of what is heard. Intervals are 95 % of 1,000 resamples of
families. About ten minutes on one core.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen.evaluation.classification import QUESTIONS, Classifier
from musicgen.evaluation.classification.baselines import (
    fit_majority,
    fit_naive_bayes,
    fit_regression,
)
from musicgen.evaluation.classification.likelihood import ASKED, POWER, evidence, priors, weigh
from musicgen.evaluation.classification.states import states_of
from musicgen.system.charts import chart

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.fitting.classifier_data import (
    ClassifierScore,
    Examples,
    estimated,
    likeliest,
    read_examples,
    score,
)

POWERS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
Evidence = list[Mapping[str, Mapping[str, float]]]


def thinned(examples: Examples) -> Examples:
    """Every third tune, enough to fit one number to."""
    return Examples(
        examples.transcriptions[::3],
        examples.by_ear[::3],
        examples.families[::3],
        examples.targets[::3],
    )


def evidence_of(classifier: Classifier, examples: Examples) -> Evidence:
    """Nats under every candidate, for every tune."""
    return [evidence(each, classifier.checkpoint) for each in examples.transcriptions]


def fit_power(classifier: Classifier, found: Evidence, examples: Examples) -> None:
    """Print the power under which the right answers are likeliest, question by question."""
    before = [priors(classifier.checkpoint, each) for each in examples.transcriptions]
    for column, question in enumerate(QUESTIONS):
        if question.name not in ASKED:
            continue
        for power in POWERS:
            powers = dict.fromkeys(ASKED, power)
            answers = [weigh(each, b, powers) for each, b in zip(found, before, strict=True)]
            costs = [
                -math.log(max(a[question.name][question.classes[target]], 1e-12))
                for a, target in zip(answers, examples.targets[:, column], strict=True)
                if target >= 0
            ]
            right = score(likeliest(answers, question), examples, column).right.value
            print(f"{question.name} power {power}: {np.mean(costs):.3f} nats, {right:.3f} right")


def baselines(
    train: Examples, val: Examples, held_out: Examples
) -> dict[str, dict[str, ClassifierScore]]:
    """Every baseline's score at every question."""
    texts, val_texts, asked = train.texts(), val.texts(), held_out.texts()
    scores: dict[str, dict[str, ClassifierScore]] = {}
    for column, question in enumerate(QUESTIONS):
        known, val_known = (np.flatnonzero(e.targets[:, column] >= 0) for e in (train, val))
        own = [texts[i] for i in known], train.targets[known, column]
        choose = [val_texts[i] for i in val_known], val.targets[val_known, column]
        guesses = {
            "majority": fit_majority(own[1]),
            "n-gram naive Bayes": fit_naive_bayes(*own, choose),
            "n-gram regression": fit_regression(*own, choose),
        }
        for name, guess in guesses.items():
            found = score(guess(asked).tolist(), held_out, column)
            scores.setdefault(name, {})[question.name] = found
        by_rule = estimated(held_out, question)
        if by_rule is not None:
            found = score(by_rule, held_out, column)
            scores.setdefault("estimation", {})[question.name] = found
    return scores


def networks(
    classifier: Classifier, held_out: Examples, found: Evidence
) -> dict[str, dict[str, ClassifierScore]]:
    """The scores of both ways."""
    assert classifier.head is not None
    by_head = [classifier.head.answer(s) for s in states_of(classifier.checkpoint, held_out.by_ear)]
    before = [priors(classifier.checkpoint, each) for each in held_out.transcriptions]
    by_bayes = [weigh(each, b, POWER) for each, b in zip(found, before, strict=True)]
    return {
        "head": {
            q.name: score(likeliest(by_head, q), held_out, i) for i, q in enumerate(QUESTIONS)
        },
        "likelihood": {
            q.name: score(likeliest(by_bayes, q), held_out, i)
            for i, q in enumerate(QUESTIONS)
            if q.name in ASKED
        },
    }


def show(scores: Mapping[str, Mapping[str, ClassifierScore]]) -> None:
    """A table, a row for each way."""
    print(f"{'':20}" + "".join(f"{q.name:>26}" for q in QUESTIONS))
    for name, of_question in scores.items():
        cells = (of_question.get(q.name) for q in QUESTIONS)
        print(f"{name:20}" + "".join(f"{_cell(cell):>26}" for cell in cells))


def _cell(found: ClassifierScore | None) -> str:
    if found is None:
        return ""
    return f"{found.right.value:.1%} ({found.right.low:.1%}-{found.right.high:.1%})"


def draw(tables: Mapping[str, Mapping[str, NDArray[np.float64]]], path: str | Path) -> None:
    """Confusion matrices: a row of panels for each way, a panel for each question; each row of a
    matrix is the tunes of one true class, dark where most of them are."""
    width = 4.2 * len(QUESTIONS)
    with chart(path, width=width, height=4.0 * len(tables)) as figure:
        panels = figure.subplots(len(tables), len(QUESTIONS), squeeze=False)
        for row, (way, of_question) in zip(panels, tables.items(), strict=True):
            for axes, question in zip(row, QUESTIONS, strict=True):
                if question.name not in of_question:
                    axes.set_axis_off()
                    continue
                table = of_question[question.name]
                shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
                axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
                for (i, j), n in np.ndenumerate(table):
                    if n:
                        color = "white" if shares[i, j] > 0.5 else "black"
                        axes.text(j, i, f"{n:.0f}", ha="center", va="center", color=color, size=8)
                ticks = range(len(question.classes))
                axes.set_xticks(ticks, question.classes, rotation=45, ha="right", fontsize=8)
                axes.set_yticks(ticks, question.classes, fontsize=8)
                right = np.trace(table) / max(1, table.sum())
                axes.set_title(f"{question.name}, by {way}: {right:.1%} right", fontsize=9)
                axes.set_xlabel("answer", fontsize=8)
                axes.set_ylabel("book", fontsize=8)


def main(
    *,
    head: Annotated[Path | None, "what scripts/fitting/classifier.py wrote"] = None,
    split: Annotated[str, ("val", "test")] = "test",
    picture: Annotated[Path | None, "confusion matrices as .png, .svg or .pdf"] = None,
    fit_power_: Annotated[bool, "on a third of the validation families"] = False,
) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    examples = read_examples()
    classifier = Classifier.load(head=head)
    held_out = thinned(examples["val"]) if fit_power_ else examples[split]
    found = evidence_of(classifier, held_out)
    print(f"likelihoods of {len(held_out)} tunes: {time.process_time():.0f} CPU-s", flush=True)
    if fit_power_:
        fit_power(classifier, found, held_out)
        return
    scores = networks(classifier, held_out, found)
    show(scores)
    if picture is not None:
        draw({way: {q: s.table for q, s in of.items()} for way, of in scores.items()}, picture)
    scores |= baselines(examples["train"], examples["val"], held_out)
    show(scores)
    n = ", ".join(f"{q.name} {scores['head'][q.name].n}" for q in QUESTIONS)
    print(f"split {split}: {n} tunes; {time.process_time():.0f} CPU-s")


if __name__ == "__main__":
    command_line.run(main)
