"""What kind of tune it is: what is heard, the two ways of answering, the shipped head."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from musicgen.cli import app
from musicgen.errors import CheckpointError, InvalidTuneError
from musicgen.evaluation.classification import QUESTIONS, Classifier, head, likelihood
from musicgen.evaluation.classification.questions import N_ANSWERS, meter_class
from musicgen.evaluation.classification.states import fingerprint_of, states_of
from musicgen.evaluation.inspection.surprise import measure
from musicgen.evaluation.inspection.tokens import encode_tune
from musicgen.formats import read, write
from musicgen.formats.abc_notation import parse_text
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.playback import unfold
from musicgen.music.theory import parse_meter
from musicgen.music.transposition import transpose
from musicgen.music.tune import Tune
from musicgen.tokens.melody.transcription import transcribe

# Traditional; in none of the three collections under these notes.
KESH = (
    "X:1\nT:The Kesh\nR:jig\nM:6/8\nL:1/8\nK:G\n"
    "|:G3 GAB|A3 ABd|edd gdd|edB dBA|GAB GAB|ABA ABd|edd gdB|AGF G3:|\n"
    "|:B2B d2d|ege dBG|B2B dBG|ABA AGA|B2B d2d|ege dBd|gfg aga|bgf g3:|\n"
)


def kesh(heading: str = "") -> Tune:
    return parse_text(heading or KESH).tunes[0]


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return Classifier.load()


# --- transcription ------------------------------------------------------------------------------


def test_nothing_of_the_heading_is_heard() -> None:
    """Another type, meter and bars, mode and spelling of the same notes are heard as the same."""
    notes = KESH.partition("K:G\n")[2].replace("|:", "|").replace(":|", "|")
    disguised = "X:1\nT:?\nR:reel\nM:2/4\nL:1/8\nK:Ador\n" + notes.replace("|", " ").strip() + "|\n"
    assert transcribe(kesh(disguised)).notated() == transcribe(kesh()).notated()
    assert transcribe(kesh()).notated().rhythm == ""


def test_a_tune_is_heard_alike_from_midi_and_from_abc(tmp_path: Path) -> None:
    played = unfold(kesh())
    write(played, tmp_path / "kesh.mid")
    assert transcribe(read(tmp_path / "kesh.mid")[0]).sounds == transcribe(played).sounds


def test_ties_are_joined_and_silence_before_the_music_is_passed_over() -> None:
    tune = parse_text("X:1\nM:4/4\nL:1/8\nK:C\nz4 c4-|c4 d4|\n").tunes[0]
    sounds = transcribe(tune).sounds
    assert [pitches for _, _, pitches in sounds] == [(72,), (74,)]
    assert sounds[0][0] == 0
    assert sounds[0][1] == sounds[1][0] == 2 * (sounds[1][1] - sounds[1][0])


def test_rests_alone_are_no_tune() -> None:
    with pytest.raises(InvalidTuneError, match="no notes"):
        transcribe(parse_text("X:1\nM:4/4\nL:1/8\nK:C\nz8|\n").tunes[0])


@pytest.mark.parametrize(
    ("meter", "expected"),
    [("C", "4/4"), ("C|", "4/4"), ("2/2", "4/4"), ("6/8", "6/8"), ("2/4", "2/4"), ("5/4", "5/4")],
)
def test_printers_ways_of_writing_a_meter_are_one(meter: str, expected: str) -> None:
    found = parse_meter(meter)
    assert found is not None
    assert meter_class(found) == expected


def test_targets_are_the_books_answers() -> None:
    targets = [question.target(kesh(), "oneills1850") for question in QUESTIONS]
    assert [q.classes[t] for q, t in zip(QUESTIONS, targets, strict=True)] == [
        "jig", "major", "6/8", "oneills1850",
    ]  # fmt: skip
    unknown = replace(kesh(), rhythm="polka")
    assert QUESTIONS[0].target(unknown, "") == -1


# --- states and head ------------------------------------------------------------------------


def test_states_are_what_the_readout_reads(untrained: Checkpoint) -> None:
    tune = transcribe(kesh()).notated()
    (states,) = states_of(untrained, [tune])
    ids, features = encode_tune(tune, untrained).batch
    readout = untrained.network.readout
    with torch.inference_mode():
        logits, _ = untrained.network(ids, features)
        again = readout(torch.from_numpy(states)[None], features[:, 7:])  # type: ignore[operator]
    assert torch.allclose(again, logits[:, 7:], atol=1e-5)


def test_a_batch_gives_what_each_tune_gives_alone(untrained: Checkpoint) -> None:
    tunes = [transcribe(kesh()).notated(), transcribe(kesh(KESH.split("|:B2B")[0])).notated()]
    together = states_of(untrained, tunes)
    for tune, states in zip(tunes, together, strict=True):
        assert np.allclose(states, states_of(untrained, [tune])[0], atol=1e-5)


def _random_head(width: int = 6, n_features: int = 4) -> head.ClassifierHead:
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in head.shapes(width, n_features).items()
    }
    weights["scale"] = np.abs(weights["scale"]) + 0.5
    return head.ClassifierHead(
        weights=weights, checkpoint="celtic", fingerprint="f", scores={"mode": 0.5}
    )


def test_answers_are_probabilities_and_independent_of_scale() -> None:
    answers = _random_head().answer(np.random.default_rng(1).normal(size=(9, 6)).astype(np.float32))
    assert {q.name: tuple(answers[q.name]) for q in QUESTIONS} == {
        q.name: q.classes for q in QUESTIONS
    }
    assert all(sum(of_class.values()) == pytest.approx(1) for of_class in answers.values())


def test_a_head_comes_back_as_it_was_and_a_changed_one_does_not(tmp_path: Path) -> None:
    made = _random_head()
    head.save(tmp_path / "h", made)
    back = head.load(tmp_path / "h")
    assert back.scores == made.scores
    assert all(np.array_equal(back.weights[name], made.weights[name]) for name in made.weights)
    config = tmp_path / "h" / "config.json"
    config.write_text(config.read_text().replace("0.5", "0.9"))
    with pytest.raises(CheckpointError) as caught:
        head.load(tmp_path / "h")
    assert str(caught.value) == f"{config}: was changed or damaged; get the model again"


def test_a_head_does_not_answer_for_another_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        Classifier.load("celtic-transformer").classify(kesh())
    assert str(caught.value) == (
        "no head was fitted on this model; use --by likelihood, or fit one with "
        "scripts/fitting/classifier.py and name it with --head"
    )


# --- likelihood -----------------------------------------------------------------------------


def test_bayes_weighs_priors_and_likelihoods() -> None:
    classes = QUESTIONS[1].classes
    found = {"mode": dict.fromkeys(classes, 10.0) | {"minor": 8.0}}
    before = {"mode": dict.fromkeys(classes, 0.2) | {"major": 0.4}}
    answers = likelihood.weigh(found, before, {"mode": 1.0})["mode"]
    total = np.exp(-10) * (0.2 + 0.2 + 0.4) + np.exp(-8) * 0.2
    assert answers["minor"] == pytest.approx(0.2 * np.exp(-8) / total)
    assert answers["major"] == pytest.approx(0.4 * np.exp(-10) / total)


def test_priors_count_the_training_tunes(untrained: Checkpoint) -> None:
    before = likelihood.priors(untrained, transcribe(kesh()))
    # of the tunes in 6/8, as the Kesh is, all 8 are jigs; each of the 7 types counts half a tune
    assert before["rhythm"]["jig"] == pytest.approx(8.5 / (8 + 7 * 0.5))
    assert before["meter"]["4/4"] > before["meter"]["9/8"]
    assert sum(before["mode"].values()) == pytest.approx(1)


def test_evidence_of_a_type_is_the_cost_of_the_music_under_its_heading(
    untrained: Checkpoint,
) -> None:
    heard = transcribe(kesh())
    found = likelihood.evidence(heard, untrained)
    assert set(found) == set(likelihood.ASKED)
    jig = measure(replace(heard.notated(), rhythm="jig"), untrained)
    assert found["rhythm"]["jig"] == pytest.approx(sum(jig.bits) * np.log(2), rel=1e-5)


# --- known tunes ----------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["head", "likelihood"])
def test_the_shipped_classifier_knows_a_jig(shipped: Classifier, by: str) -> None:
    answers = shipped.classify(kesh(), by=by)  # type: ignore[arg-type]
    best = {name: max(of_class, key=of_class.__getitem__) for name, of_class in answers.items()}
    assert (best["rhythm"], best["mode"], best["meter"]) == ("jig", "major", "6/8")


def test_transposing_a_tune_hardly_changes_the_answers(shipped: Classifier) -> None:
    moved = transpose(kesh(), "A")
    first, second = shipped.classify(kesh()), shipped.classify(moved)
    assert first["rhythm"]["jig"] == pytest.approx(second["rhythm"]["jig"], abs=0.1)


def test_the_head_belongs_to_the_shipped_model(shipped: Classifier) -> None:
    assert shipped.head is not None
    assert fingerprint_of(shipped.checkpoint) == shipped.head.fingerprint
    assert (head.SHIPPED / "weights.safetensors").stat().st_size < 3_000_000
    assert sum(len(q.classes) for q in QUESTIONS) == N_ANSWERS


# --- the command ----------------------------------------------------------------------------


def test_the_command_answers_for_folders_and_lists_bad_files(tmp_path: Path) -> None:
    (tmp_path / "good.abc").write_text(KESH)
    (tmp_path / "bad.abc").write_text("no music at all")
    (tmp_path / "two.abc").write_text("X:1\nT:Two voices\nK:C\nV:1\nCDEF|\nV:2\nCDEF|\n")
    done = CliRunner().invoke(app, ["classify", str(tmp_path), "--json"])
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert [Path(tune["file"]).name for tune in report] == ["good.abc"]
    assert report[0]["heading"] == {"rhythm": "jig", "mode": "major", "meter": "6/8"}
    assert set(report[0]["answers"]) == {question.name for question in QUESTIONS}
    left_out = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert len(left_out) == 2
    assert left_out[1].endswith("two.abc:1: Two voices: more than one voice")


def test_the_command_shows_answers_beside_the_heading(tmp_path: Path) -> None:
    (tmp_path / "kesh.abc").write_text(KESH)
    done = CliRunner().invoke(app, ["classify", str(tmp_path / "kesh.abc")])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == f"{tmp_path}/kesh.abc:1: X:1 The Kesh"
    assert lines[1].startswith("  rhythm      jig ")
    assert lines[1].endswith("(heading: jig)")
