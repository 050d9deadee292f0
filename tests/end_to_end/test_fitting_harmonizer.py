"""Fitting a harmonizer: chords of parts, examples, training, baselines and their score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from musicgen.composer.harmony.decoding import DecodingConfig, harmonies
from musicgen.corpus.harmony import ChordCorpus, ExampleSet, chords_of, read_chords
from musicgen.errors import CorpusError
from musicgen.evaluation import harmony as baselines
from musicgen.formats.abc_notation import parse_text
from musicgen.models.harmony.model import load
from musicgen.models.harmony.network import nats_per_slot
from musicgen.music.theory import Key
from musicgen.music.tune import Tune
from musicgen.tokens.harmony import chords
from musicgen.tokens.harmony.features import HarmonyExample, harmony_example
from musicgen.tokens.harmony.slots import slots_of
from musicgen.training import train
from musicgen.training.config import DataConfig
from musicgen.training.tasks import HARMONIZE, HarmonizeTask


def abc(music: str) -> Tune:
    return parse_text(f"X:1\nT:A tune\nM:4/4\nL:1/8\nK:C\n{music}\n").tunes[0]


def example_of(tune: Tune) -> HarmonyExample:
    return harmony_example(slots_of(tune))


def test_parts_make_the_chords_that_a_musician_hears() -> None:
    tune = parse_text(
        "X:1\nM:4/4\nL:1/4\nK:C\nV:1\ncc ff|dd ee|]\nV:2\nGG AA|BB cc|]\n"
        "V:3\nEE cc|GG GG|]\nV:4\nC,C, F,F,|G,F, C,C,|]\n"
    ).tunes[0]
    assert [slot.written for slot in chords_of(tune)] == ["C", "F", "G7", "C"]


def test_two_voices_make_no_chords() -> None:
    tune = parse_text("X:1\nM:4/4\nL:1/4\nK:C\nV:1\ncccc|\nV:2\nEEEE|\n").tunes[0]
    assert chords_of(tune) == []


def test_a_network_learns_what_is_there_to_fit(tmp_path: Path) -> None:
    tunes = [abc(f'"C"C2E2 "{name}"{notes}|"C"c4 z4|') for name, notes in (("F", "F2A2"),
             ("G7", "G2B2"))] * 8  # fmt: skip
    examples = [example_of(tune) for tune in tunes]
    split = ExampleSet(tuple(examples), tuple(map(str, range(len(examples)))))
    task = HarmonizeTask(ChordCorpus({"train": split, "val": split, "test": split}, 0, ()))
    shape = replace(HARMONIZE.model, d_model=16, n_layers=1, n_heads=2, dropout=0.0)
    config = replace(HARMONIZE.with_budget(steps=120), learning_rate=0.01, val_every=40,
                     model=replace(shape, embedding_dropout=0.0),
                     data=DataConfig(batch_tokens=32))  # fmt: skip
    summary = train(config, task, tmp_path / "run")
    assert summary.unit == "chord"
    assert summary.best_bits_per_note < 0.1
    network = load(tmp_path / "run").network
    nats = nats_per_slot(network, examples)
    assert nats / np.log(2) == pytest.approx(summary.best_bits_per_note, rel=1e-3)
    guessed = harmonies(network, examples[1], DecodingConfig()).chords
    assert guessed.tolist() == examples[1].chords.tolist()


def test_training_needs_chords(tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_text("X:1\nT:a\nM:4/4\nL:1/8\nK:C\nCDEF GABc|\n")
    with pytest.raises(CorpusError, match=r"0 of 1 tunes have chord symbols, or voices that make"):
        read_chords([str(tmp_path)])


def test_baselines_find_what_they_counted() -> None:
    examples = [example_of(abc('"C"CEGc "G"GBdg|"F"FAcf "C"CEGc|')) for _ in range(4)]
    wanted = examples[0].chords.tolist()
    assert set(baselines.fit_majority(examples)(examples[0]).tolist()) == {wanted[0]}
    assert baselines.fit_ngram(examples)(examples[0]).tolist() == wanted
    assert baselines.fit_hmm(examples, baselines.HmmConfig())(examples[0]).tolist() == wanted


def test_scores_count_roots_and_chords_apart() -> None:
    tune = example_of(abc('"C"CEGc "G7"GBdg|'))
    found = baselines.measure(lambda _: np.array([1, chords.chord_id("G", Key("C"))]),
                    ExampleSet((tune,), ("one",)))  # fmt: skip
    assert (found.root.value, found.chord.value, found.n_slots) == (1.0, 0.5, 2)
