"""Fitting a harmonizer: chords of parts, examples, training, baselines and their score."""

from __future__ import annotations

import numpy as np
import pytest

from musicgen.composer.harmony.decoding import DecodingConfig, harmonies
from musicgen.corpus.harmony import ExampleSet, chords_of
from musicgen.errors import CorpusError
from musicgen.evaluation import harmony as baselines
from musicgen.formats.abc_notation import parse_text
from musicgen.models.harmony.network import HarmonizerConfig, nats_per_slot
from musicgen.music.theory import Key
from musicgen.music.tune import Tune
from musicgen.tokens.harmony import chords
from musicgen.tokens.harmony.features import HarmonyExample, harmony_example
from musicgen.tokens.harmony.slots import slots_of
from scripts.fitting.harmonizer_training import HarmonizerFitConfig, fit


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


def test_a_network_learns_what_is_there_to_fit() -> None:
    tunes = [abc(f'"C"C2E2 "{name}"{notes}|"C"c4 z4|') for name, notes in (("F", "F2A2"),
             ("G7", "G2B2"))] * 8  # fmt: skip
    examples = [example_of(tune) for tune in tunes]
    shape = HarmonizerConfig(d_model=16, n_layers=1, n_heads=2, dropout=0, history_dropout=0)
    config = HarmonizerFitConfig(model=shape, epochs=40, batch_slots=32, learning_rate=0.01)
    epochs: list[float] = []
    network, nats = fit(examples, examples, config, report=lambda _, n: epochs.append(n))
    assert nats == min(epochs) < 0.1 < epochs[0]
    assert nats_per_slot(network, examples) == pytest.approx(nats, rel=1e-4)
    guessed = harmonies(network, examples[1], DecodingConfig()).chords
    assert guessed.tolist() == examples[1].chords.tolist()


def test_fitting_needs_chords() -> None:
    with pytest.raises(CorpusError, match="no chords to learn from; give tunes with chord symbols"):
        fit([example_of(abc("CDEF GABc|"))], [], HarmonizerFitConfig())


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
