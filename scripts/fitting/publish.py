"""Score a finished model on its test families and write it, with its card, as a shipped model.

    musicgen evaluate --checkpoint runs/mine -n 500 --json evaluation.json
    python scripts/fitting/publish.py runs/mine checkpoints/celtic --corpus celtic \\
        --evaluation evaluation.json
    python scripts/fitting/publish.py checkpoints/celtic checkpoints/celtic --index-only

The last line only makes the index of the corpus anew, in a model that is published already.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from musicgen.corpus.preparation import prepare
from musicgen.evaluation import bits_per_note
from musicgen.models import checkpoint
from musicgen.models.card import without_front_matter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

CARD = """
## Where it comes from

Trained on O'Neill's Music of Ireland (1903), Ryan's Mammoth Collection (1883) and Aird's
Selection of Airs (1778-1801): public-domain music, transcribed by volunteers and distributed with
music21. Nothing else was used. The weights are under the licence of musicgen (MIT).

Tunes are split by family (near-identical melodies stay together, whatever their key or title), so
no test tune has a variant in the training set.

| test families | |
|---|---|
| bits per note | {bits:.3f} (95 % of resamples: {low:.3f} to {high:.3f}) |
| tunes, notes | {tunes:,}, {notes:,} |

Bits per note count everything that has to be known to write a tune down: rhythm, meter, unit, key
and all music to its end, divided by its notes.
{finish}{evaluation}
## How to make it again

`scripts/fitting/reference.sh` (this one: {date}, {machine}, CPU, {steps:,} steps).

## What it cannot do

It writes single lines in the style of these books, without ornaments, chords or words. It may
come close to a tune it was trained on: `musicgen novelty` says how close, by the index of all these
books in novelty.npz. A key or meter that the books hardly use comes out worse.
"""

FINISH = """
How often it expects each token was calibrated on the validation tunes
(scripts/fitting/calibration.py). critic.json tells its tunes from the training tunes
(scripts/fitting/critic.py); unless told otherwise musicgen draws four attempts at each tune and
keeps the one that the critic finds most like a real one.
"""

EVALUATION = """
## How good its tunes are

{n:,} tunes of seed {seed} at the default settings against {held_out:,} held-out tunes of the test
families, by `musicgen evaluate -n {n}`. Distances are in times the floor, what as many other real
tunes show; the Markov chain (order 3) and shuffled notes are what is known to be worse.

| | {names} |
|---|{rules}|
{rows}

{sentences}

It gives itself away most by: {giveaways}.
"""


def evaluation_text(report: dict[str, Any]) -> str:
    """The figures of `musicgen evaluate --json`, shortfalls included, as a part of the card."""
    model, reference = report["sets"][0], report["reference"]
    sets = [("these tunes", model["ratios"], model["classifier"]["auc"]["value"])]
    sets += [(c["name"], c["ratios"], c["auc"]) for c in report["ceilings"]]
    rows = [
        f"| {f} | {' | '.join(f'{r[f]:.2f}' for _, r, _ in sets)} |"
        for f in ("pitch", "rhythm", "structure", "all")
    ]
    rows.append(f"| two-sample AUC | {' | '.join(f'{a:.2f}' for _, _, a in sets)} |")
    near = [row for row in model["likeness"] if row["distance"]["value"] <= 2 * row["floor"]]
    told, floor = model["classifier"]["auc"], reference["classifier"]["auc"]
    ours, theirs = model["nearness"], reference["nearness"]
    sentences = (
        f"Valid: {model['validity']['valid']['value']:.1%}. Within twice the floor: {len(near)} of "
        f"{len(model['likeness'])} measures. A classifier tells the tunes from real ones with AUC "
        f"{told['value']:.2f} ({told['low']:.2f} to {told['high']:.2f}); real from real: "
        f"{floor['value']:.2f}. Longest run of bars shared with a training tune: "
        f"{ours['copied_bars']['value']:.1f} on average, {ours['longest']:.0f} at most "
        f"(held-out real tunes: {theirs['copied_bars']['value']:.1f}, {theirs['longest']:.0f}); "
        f"called copies: {ours['copies']['value']:.1%} ({theirs['copies']['value']:.1%})."
    )
    telling = [
        f"{g['name']} ({g['new']:.3g}, real {g['real']:.3g})"
        for g in model["classifier"]["giveaways"][:4]
    ]
    return EVALUATION.format(
        n=model["validity"]["n_found"],
        seed=report["about"]["seed"],
        held_out=reference["held_out_tunes"],
        names=" | ".join(name for name, _, _ in sets),
        rules="|".join("---" for _ in sets),
        rows="\n".join(rows),
        sentences=sentences,
        giveaways="; ".join(telling),
    )


def main(
    run: Path,
    out: Path,
    *,
    corpus: Sequence[str] = ("celtic",),
    evaluation: Annotated[Path | None, "what `musicgen evaluate --json` wrote"] = None,
    index_only: bool = False,
) -> None:
    """Write the model folder; the weights stay as they are."""
    evaluated = ""
    if evaluation is not None:
        evaluated = evaluation_text(json.loads(evaluation.read_text("utf-8")))
    prepared = prepare(corpus)
    model = replace(checkpoint.load(checkpoint.locate(run)), novelty=prepared.novelty)
    if index_only:
        checkpoint.save(out, model, overwrite=True)
        print(f"{out}: an index of {len(prepared.novelty)} tunes")
        return
    score = bits_per_note(model, prepared.tokens)
    text = CARD.format(
        finish="" if model.critic is None else FINISH,
        evaluation=evaluated,
        bits=score.bits_per_note,
        low=score.low,
        high=score.high,
        tunes=score.n_tunes,
        notes=score.n_notes,
        date=time.strftime("%Y-%m-%d"),
        machine=platform.machine(),
        steps=int(model.metrics["steps"]),
    )
    metrics = model.metrics | {"test_bits_per_note": score.bits_per_note}
    card = f"{without_front_matter(model.card).rstrip()}\n{text}"
    published = replace(model, metrics=metrics, card=card)
    card = checkpoint.complete_card(published, licence="mit")
    checkpoint.save(out, replace(published, card=card), overwrite=True)
    print(f"{out}: {score.bits_per_note:.3f} bits per note on the test families")


if __name__ == "__main__":
    command_line.run(main)
