"""Heads trained by the user: labels of tunes and texts, chords over melodies, and what refuses."""

from __future__ import annotations

import csv
import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import musicgen
from musicgen.cli import app
from musicgen.corpus.labelled import read_labelled
from musicgen.corpus.labels import labels_from
from musicgen.errors import CheckpointError, ConfigError, CorpusError, TrainingInterrupted
from musicgen.formats.abc_notation import parse_text
from musicgen.models import classifier
from musicgen.models.sealed_folder import kind_of
from musicgen.training import train
from musicgen.training.tasks import CLASSIFY, ClassifyTask
from tests.runs import losses, signal_at

TINY = ["--set", "model.d_model=16", "--set", "steps=40",
        "--set", "val_every=10", "--set", "patience=0", "--set", "learning_rate=0.02",
        "--set", "data.batch_tokens=600"]  # fmt: skip
GOOD, BAD = ("lovely", "bright", "charming"), ("awful", "dull", "harsh")
THINGS = ("the reel", "her waltz", "this tune", "an old air", "the jig", "his polka", "that song")


def reviews(path: Path) -> Path:
    """Texts with their sentiment, as a table."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("text", "sentiment"))
        for i, thing in enumerate(THINGS):
            for j, (good, bad) in enumerate(zip(GOOD, BAD, strict=True)):
                table.writerow((f"{thing}, number {i}{j}, was {good}", "positive"))
                table.writerow((f"{bad}: nobody liked {thing} of {j}{i}", "negative"))
    return path


def scales(folder: Path, n: int = 16) -> Path:
    """Tunes that rise, and tunes that fall, each in a folder of its own; none is like another."""
    for kind in ("up", "down"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(n):
            random = np.random.default_rng([number, kind == "up"])
            notes = sorted(random.choice(list("CDEFGABcdefgab"), (4, 8)).tolist(), key=str)
            bars = ["".join(sorted(bar, key="CDEFGABcdefgab".index, reverse=kind == "down"))
                    for bar in notes]  # fmt: skip
            heading = f"X:1\nT:{kind} {number}\nR:{kind}dance\nM:4/4\nL:1/8\nK:C\n"
            (folder / kind / f"{number}.abc").write_text(f"{heading}{'|'.join(bars)}|]\n")
    return folder


def run(*words: object) -> tuple[int, str]:
    """Exit code and everything printed."""
    done = CliRunner().invoke(app, list(map(str, words)))
    return done.exit_code, f"{done.output}{done.exception or ''}"


@pytest.fixture(scope="module")
def sentiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of texts, trained by the command."""
    folder = tmp_path_factory.mktemp("sentiment")
    code, output = run("train", "--task", "classify", "--labels", reviews(folder / "r.csv"),
                       "--tokenizer", "char", "--out", folder / "run", *TINY)  # fmt: skip
    assert code == 0, output
    return folder / "run"


def test_texts_with_a_label_are_learned_and_classified(sentiment: Path) -> None:
    history = (sentiment / "history.csv").read_text().splitlines()[0]
    assert "train_bits_per_label" in history
    assert "val_bits_per_label" in history
    answers = musicgen.classify("that song, number 9, was charming", checkpoint=sentiment)
    assert answers["sentiment"]["positive"] > 0.5
    code, output = run("classify", "-c", sentiment, "--text", "harsh: nobody liked that song")
    assert (code, "sentiment   negative" in output) == (0, True), output


def test_accuracy_stands_beside_the_commonest_label_and_n_grams(sentiment: Path) -> None:
    code, output = run("evaluate", "-c", sentiment, "--json", "-", "--split", "val")
    assert code == 0, output
    facts = json.loads(output[output.index("{") :])
    assert facts["network"]["low"] <= facts["network"]["value"] <= facts["network"]["high"]
    assert sum(map(sum, facts["confusion"])) == facts["n"]
    assert {"ngrams", "majority"} < facts.keys()
    assert "always '" in output


def test_a_classifier_comes_back_as_it_was_and_a_changed_one_does_not(sentiment: Path) -> None:
    folder = sentiment / "model"
    model = classifier.load(folder)
    assert (
        classifier.files_of(model)["weights.safetensors"]
        == (folder / "weights.safetensors").read_bytes()
    )
    assert kind_of(folder) == "musicgen-classifier"
    with pytest.raises(CheckpointError, match="musicgen classify takes it"):
        musicgen.load(folder)


def test_the_heading_tells_nothing(tmp_path: Path) -> None:
    """A label from the heading is learned from the notes: another heading gives the same ids."""
    corpus = read_labelled([str(scales(tmp_path))], labels_from("R"), tokenizer="melody")
    assert corpus.question == "rhythm"
    assert corpus.classes == ("downdance", "updance")
    text = (tmp_path / "up" / "0.abc").read_text()
    for fields in ("R:updance", "R:reel\nC:Somebody"):
        tune = parse_text(text.replace("R:updance", fields)).tunes[0]
        assert musicgen.dumps(tune, "abc").count("R:")
    with pytest.raises(ConfigError, match="a text holds its R: line"):
        read_labelled([str(tmp_path)], labels_from("R"), tokenizer="char")


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    corpus = read_labelled([str(scales(tmp_path / "t"))], labels_from("folder"), tokenizer="melody")
    task = ClassifyTask(corpus, {"task": "classify"})
    config = replace(CLASSIFY.with_budget(steps=6), val_every=2, log_every=1, save_minutes=0.0)
    config = replace(config, model=replace(config.model, d_model=8))
    train(config, task, tmp_path / "whole")
    with pytest.raises(TrainingInterrupted):
        train(config, task, tmp_path / "cut", report=signal_at(3, signal.SIGTERM))
    train(config, task, tmp_path / "cut", resume=True)
    assert losses(tmp_path / "cut", unit="label") == losses(tmp_path / "whole", unit="label")
    name = "model/weights.safetensors"
    assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_is_not_learned_from_is_counted_and_listed(tmp_path: Path) -> None:
    folder = scales(tmp_path / "tunes", n=6)
    rows = ["file,label"]
    rows += [f"{kind}/{i}.abc,{kind}" for kind in ("up", "down") for i in range(1, 6)]
    rows += ["down 0,down", "nowhere.abc,up", "up/0.abc,"]
    (tmp_path / "l.csv").write_text("\n".join(rows) + "\n")
    corpus = read_labelled([str(folder)], labels_from(str(tmp_path / "l.csv")), tokenizer="melody")
    assert sum(map(len, corpus.splits.values())) == 11  # a file by its name, one by its title
    kinds = sorted(line.partition(":")[0] for line in corpus.omitted)
    assert kinds == ["no label", "no tune or text"]
    summary = "\n".join(corpus.summary())
    assert "left out: no label: " in summary
    assert "row 13: nowhere.abc" in summary
    assert "left out in all: 1 no label, 1 no tune or text" in summary


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,label\n0.abc,up\n1.abc,up\n2.abc,up\n3.abc,up\n", "the only label is 'up'"),
        ("file,label\n0.abc,a\n1.abc,b\n", "no label is left that 3 or more tunes"),
        ("file,label\nup 0,up\nup 0,down\n", "is 'down' here and 'up' in row 2; keep one of them"),
        ("text,label\na, b,up\n", "has more cells than the first row; quote the texts"),
        ("file\nup 0\n", "needs a column of files, titles or texts, and one of labels"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(
    tmp_path: Path, table: str, message: str
) -> None:
    (tmp_path / "l.csv").write_text(table)
    with pytest.raises(CorpusError, match=message):
        read_labelled([str(scales(tmp_path / "t", n=4) / "up")],
                      labels_from(str(tmp_path / "l.csv")), tokenizer="melody")  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--labels", "R"], "--labels: is for --task classify"),
        (["--task", "classify"], "where are the labels? add --labels labels.csv, R or folder"),
        (["--task", "classify", "--labels", "nolabels.csv"], "no such file"),
        (["--task", "classify", "--labels", "R", "--from", "celtic"], "--from and --task classify"),
        (["--task", "classify", "--labels", "R", "--tokens", "t"], "--tokens and --task classify"),
        (["--task", "harmonize", "--labels", "R"], "--labels: a harmonizer learns chords"),
        (["--task", "harmonize"], "name tunes with chord symbols with --corpus"),
        (["--task", "harmonize", "--corpus", "x", "--preset", "rnn"], "has its own network"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    tmp_path: Path, words: list[str], message: str
) -> None:
    code, output = run("train", *words, "--out", tmp_path / "run")
    assert code == 1
    assert message in output
    assert not (tmp_path / "run").exists()


def test_chords_are_learned_and_found(tmp_path: Path) -> None:
    chords = {"C": "CEGc", "F": "FAcf", "G": "GBdg"}
    for number in range(12):
        random = np.random.default_rng(number)
        names = random.choice(list(chords), 8)
        bars = "|".join(
            f'"{name}"{"".join(random.permutation(list(chords[name])))}' for name in names
        )
        text = f"X:1\nT:Tune {number}\nM:2/4\nL:1/8\nK:C\n{bars}|]\n"
        (tmp_path / f"{number}.abc").write_text(text)
    settings = [word for word in TINY if "600" not in word][:-1]
    code, output = run("train", "--task", "harmonize", "--corpus", tmp_path, "--out",
                       tmp_path / "run", *settings)  # fmt: skip
    assert code == 0, output
    tune = parse_text("X:1\nT:t\nM:2/4\nL:1/8\nK:C\nCEGc|GBdg|FAcf|CEGc|]\n").tunes[0]
    found = musicgen.harmonize(tune, checkpoint=tmp_path / "run")
    assert '"' in musicgen.dumps(found, "abc")
    code, output = run("evaluate", "-c", tmp_path / "run", "--split", "val")
    assert code == 0, output
    assert "roots right at" in output
    assert "hidden Markov model" in output
