"""Fit the judge on the training families of a corpus and report how it ranks held-out tunes.

    python scripts/fitting/judge.py --corpus celtic --out musicgen/music/metrics/judge.json
    python scripts/fitting/judge.py --score musicgen/music/metrics/judge.json --split test

Every training tune is spoilt once in each way of `SPOILERS`; a logistic
regression learns to tell the real tunes from the spoilt ones. The tables of style are counted on
one half of the families and the regression fitted on the other, so that the tunes it learns from
are as strange to the tables as a new tune will be; then the tables are counted on all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Annotated

import numpy as np

from musicgen import corpus as corpora
from musicgen.errors import InvalidTuneError
from musicgen.music.metrics.baselines import shuffled, with_bars, with_note
from musicgen.music.metrics.judge import Judge, Weights, described, from_json, to_json
from musicgen.music.metrics.note_arrays import NoteArrays
from musicgen.music.metrics.structure import longest_loop
from musicgen.music.metrics.style import StyleCounts
from musicgen.music.theory import Key, spell
from musicgen.music.tune import Bar, Timed, Tune, Voice, highest
from musicgen.system.files import write_bytes
from musicgen.tokens.melody.encoding import melody

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

N_FITTED = 1500  # real tunes that the regression sees


def shuffled_in_bars(tune: Tune, rng: np.random.Generator) -> Tune:
    """The pitches of every bar in random order."""
    parts = (replace(tune, voices=(Voice(bars=(bar,)),)) for bar in tune.bars)
    return with_bars(tune, [shuffled(part, rng).bars[0] for part in parts])


def shuffled_bars(tune: Tune, rng: np.random.Generator) -> Tune:
    """The whole bars in random order; pickups, short bars, repeats and endings stay in place."""
    places = _full_bars(tune)
    bars = list(tune.bars)
    for place, source in zip(places, rng.permutation(places).tolist(), strict=True):
        bars[place] = replace(bars[place], events=tune.bars[source].events)
    return with_bars(tune, bars)


def transposed_segments(tune: Tune, rng: np.random.Generator) -> Tune:
    """A quarter of the tune, in runs of two bars, moved by 1 to 6 semitones up or down."""
    n_runs = max(1, len(tune.bars) // 8)
    bars = list(tune.bars)
    for start in rng.choice(max(1, len(bars) - 1), n_runs, replace=False).tolist():
        semitones = int(rng.integers(1, 7)) * int(rng.choice([-1, 1]))
        for place in range(start, min(start + 2, len(bars))):
            bars[place] = _moved(bars[place], repeat(semitones).__next__, tune.key)
    return with_bars(tune, bars)


def changed_pitches(tune: Tune, rng: np.random.Generator, share: float = 0.25) -> Tune:
    """A share of the notes moved at random by up to 7 semitones."""

    def semitones() -> int | None:
        if rng.random() >= share:
            return None
        return int(rng.integers(1, 8)) * int(rng.choice([-1, 1]))

    return with_bars(tune, [_moved(bar, semitones, tune.key) for bar in tune.bars])


def looped_bars(tune: Tune, rng: np.random.Generator) -> Tune:
    """One to four bars played over and over for the half of the tune or more."""
    places = _full_bars(tune)
    period = int(rng.integers(1, 5))
    bars = list(tune.bars)
    start = int(rng.integers(0, max(1, len(places) // 2)))
    run = places[start : start + max(len(places) // 2, 3 * period)]
    for number, place in enumerate(run):
        bars[place] = replace(bars[place], events=tune.bars[run[number % period]].events)
    return with_bars(tune, bars)


def _full_bars(tune: Tune) -> list[int]:
    full = tune.meter.bar_duration
    return [number for number, bar in enumerate(tune.bars) if bar.duration == full]


def _moved(bar: Bar, semitones: Callable[[], int | None], key: Key) -> Bar:
    """A bar with each of its notes moved; None keeps the spelling of the note."""
    events: list[Timed] = []
    for event in bar.timed:
        note = highest(event)
        if note is not None and (moved := semitones()) is not None:
            note = replace(note, pitch=spell(note.midi + moved, key))
        events.append(with_note(event, note))
    return replace(bar, events=tuple(events))


# Ways to spoil a tune; the judge learns to tell the results from real tunes.
SPOILERS: dict[str, Callable[[Tune, np.random.Generator], Tune]] = {
    "notes shuffled in bars": shuffled_in_bars,
    "bars shuffled": shuffled_bars,
    "segments transposed": transposed_segments,
    "pitches changed": changed_pitches,
    "bars looped": looped_bars,
}


def melodies(names: Sequence[str]) -> dict[str, list[tuple[str, Tune]]]:
    """Each split's melodies with their families."""
    tunes: list[Tune] = []
    corpus = corpora.load(names, extract=_same, keep=tunes.append)
    found: dict[str, list[tuple[str, Tune]]] = {split: [] for split in corpora.SPLITS}
    for entry, tune in zip(corpus.entries, tunes, strict=True):
        try:
            found[entry.split].append((entry.family, melody(tune).tune))
        except InvalidTuneError:
            continue
    return found


def _same(tune: Tune) -> Tune:
    return tune


def fit(train: list[tuple[str, Tune]], rng: np.random.Generator) -> Judge:
    """A judge of the style of these tunes."""
    from sklearn.linear_model import LogisticRegression

    families = sorted({family for family, _ in train})
    half = set(rng.permutation(families)[: len(families) // 2].tolist())
    tables = StyleCounts.count([NoteArrays.of(tune) for family, tune in train if family in half])
    fitted = [tune for family, tune in train if family not in half][:N_FITTED]
    rows = [(1, described(NoteArrays.of(tune), tables)) for tune in fitted]
    for spoil in SPOILERS.values():
        rows += [(0, described(NoteArrays.of(spoil(tune, rng)), tables)) for tune in fitted]
    labels = np.array([label for label, _ in rows])
    balance = {0: 1.0, 1: float(len(SPOILERS))}
    parts = {}
    for name in ("structure", "melody", "all"):
        values = np.array([row[name] for _, row in rows])
        real = values[labels == 1]
        centre, scale = np.nanmean(real, axis=0), np.nanstd(real, axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        z = np.clip(np.nan_to_num((values - centre) / scale), -6, 6)
        model = LogisticRegression(C=0.3, max_iter=3000, class_weight=balance)
        model.fit(np.hstack([z, z**2]), labels)
        linear, square = np.split(model.coef_[0], 2)
        parts[name] = Weights(centre, scale, linear, square, float(model.intercept_[0]))
    surprises = np.array([row["style"] for label, row in rows if label])
    strange = [float((~p.scale[p.degrees]).mean()) for p in map(NoteArrays.of, fitted)]
    limits = {
        "rhythms": float(np.nanquantile(surprises[:, 4], 0.99)),
        "accidentals": float(np.quantile(strange, 0.99)),
        "loop": float(np.quantile([longest_loop(NoteArrays.of(tune)) for tune in fitted], 0.99)),
    }
    return Judge(StyleCounts.count([NoteArrays.of(tune) for _, tune in train]), parts, limits)


def score(judge: Judge, tunes: list[Tune], rng: np.random.Generator) -> dict[str, float]:
    """For each way of spoiling, the probability that a real tune ranks above a spoilt one."""
    from sklearn.metrics import roc_auc_score

    real = [
        judge.parts["all"].probability(described(NoteArrays.of(t), judge.style)["all"])
        for t in tunes
    ]
    spoilt = {
        name: [
            judge.parts["all"].probability(
                described(NoteArrays.of(spoil(t, rng)), judge.style)["all"]
            )
            for t in tunes
        ]
        for name, spoil in SPOILERS.items()
    }
    spoilt["all of them"] = [value for values in spoilt.values() for value in values]
    return {
        name: float(roc_auc_score([1] * len(real) + [0] * len(values), [*real, *values]))
        for name, values in spoilt.items()
    }


def main(
    *,
    corpus: Sequence[str] = ("celtic",),
    out: Annotated[Path | None, "fit, and write the judge here"] = None,
    score_: Annotated[Path | None, "a judge to score instead of a new one"] = None,
    split: Annotated[str, corpora.SPLITS] = "val",
) -> None:
    """Fit or score, and print the AUCs."""
    splits = melodies(corpus)
    rng = np.random.default_rng(0)
    if score_ is not None:
        judge = from_json(score_.read_text("utf-8"))
    else:
        judge = fit(splits["train"], rng)
    if out is not None:
        write_bytes(out, to_json(judge).encode())
        print(f"wrote {out}")
    held_out = [tune for _, tune in splits[split]]
    print(f"{len(held_out)} {split} tunes against each spoilt once:")
    for name, auc in score(judge, held_out, rng).items():
        print(f"  {name:24s} AUC {auc:.3f}")


if __name__ == "__main__":
    command_line.run(main)
