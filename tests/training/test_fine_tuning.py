"""Fine-tuning: a finished model is trained on with other tunes, from where it was."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path
from random import Random

import pytest

from musicgen import corpus
from musicgen.errors import TrainingError, TrainingInterrupted
from musicgen.models import checkpoint as checkpoints
from musicgen.training import train
from tests.commands import run
from tests.runs import SMALL, VOCAB, losses, make_tokens, signal_at


def test_a_model_is_trained_on_from_where_it_was(tmp_path: Path) -> None:
    tokens = make_tokens()
    config = dataclasses.replace(SMALL, steps=40, val_every=40)
    before = train(config, tokens, tmp_path / "first")
    start = checkpoints.load(tmp_path / "first")
    slow = dataclasses.replace(config, steps=2, val_every=2, learning_rate=1e-9)
    after = train(slow, tokens, tmp_path / "second", start=start)
    assert after.best_bits_per_note == pytest.approx(before.best_bits_per_note, abs=1e-4)
    averaged = dataclasses.replace(slow, ema=0.9)
    mean = train(averaged, tokens, tmp_path / "third", start=start)
    assert mean.best_bits_per_note == pytest.approx(before.best_bits_per_note, abs=1e-4)
    wider = dataclasses.replace(SMALL, model=dataclasses.replace(SMALL.model, d_model=32))
    with pytest.raises(TrainingError, match="is another network"):
        train(wider, tokens, tmp_path / "fourth", start=start)
    foreign = dataclasses.replace(tokens, vocab=(*VOCAB[:-1], "x"))
    with pytest.raises(TrainingError, match="another vocabulary"):
        train(SMALL, foreign, tmp_path / "fifth", start=start)
    assert not (tmp_path / "fifth").exists()


def test_an_older_model_is_trained_on_with_its_own_columns(tmp_path: Path) -> None:
    tokens = make_tokens()
    older = tokens.with_features(["beat"])
    assert older.feature_sizes != tokens.feature_sizes
    before = train(SMALL, older, tmp_path / "first")
    start = checkpoints.load(tmp_path / "first")
    slow = dataclasses.replace(SMALL, learning_rate=1e-9, log_every=3)
    after = train(slow, tokens, tmp_path / "second", start=start)
    assert after.best_bits_per_note == pytest.approx(before.best_bits_per_note, abs=1e-4)
    trained = checkpoints.load(tmp_path / "second")
    assert (trained.feature_sizes, trained.model) == (start.feature_sizes, start.model)
    with pytest.raises(TrainingInterrupted):
        train(slow, tokens, tmp_path / "third", start=start, report=signal_at(6, signal.SIGINT))
    train(slow, tokens, tmp_path / "third", start=start, resume=True)
    assert losses(tmp_path / "third") == losses(tmp_path / "second")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["celtic", "celtic-rnn", "celtic-transformer", "chorale"])
def test_every_shipped_model_is_a_start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    start = checkpoints.load(checkpoints.locate(name))
    (tmp_path / "book.abc").write_text(book(40))
    files = [tmp_path / "book.abc"]
    if start.tokenizer != "melody":
        files = [file.path for file in corpus.find_files(["chorales"])[:30]]
    out = str(tmp_path / "run")
    command = ["--from", name, "--set", "epochs=none", "--set", "steps=2"]
    command += [word for file in files for word in ("--corpus", str(file))]
    code, _, err = run(capsys, "train", *command, "--out", out)
    assert code == 0, err
    trained = checkpoints.load(out)
    assert (trained.feature_sizes, trained.model) == (start.feature_sizes, start.model)
    code, _, err = run(capsys, "generate", "--checkpoint", out, "-o", str(tmp_path / "new.abc"))
    assert code == 0, err


def book(number: int) -> str:
    """Reels of random notes."""
    random = Random(1)
    tunes = []
    for n in range(number):
        bars = ["".join(random.choices("DEFGABcde", k=8)) for _ in range(4)]
        tunes.append(f"X:{n}\nR:reel\nM:C|\nL:1/8\nK:G\n{'|'.join(bars)}|]\n")
    return "\n".join(tunes)


def test_a_model_can_be_trained_on_with_tunes_of_ones_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "book.abc").write_text(book(40))
    tunes, tokens, out = (str(tmp_path / name) for name in ("book.abc", "tokens", "run"))
    assert run(capsys, "prepare", "--corpus", tunes, "--from", "celtic", "--out", tokens)[0] == 0
    short = ["--from", "celtic", "--epochs", "1"]
    code, _, err = run(capsys, "train", "--tokens", tokens, *short, "--out", out)
    assert code == 0, err
    first, second = (checkpoints.load(name) for name in (checkpoints.locate("celtic"), out))
    assert (first.vocab, first.model) == (second.vocab, second.model)
    assert first.novelty is not None
    assert second.novelty is not None
    assert len(second.novelty) == len(first.novelty) + 40
    assert "Trained on from the model celtic" in second.card
    # A few small steps are a small way.
    for name, weights in first.weights.items():
        assert abs(weights - second.weights[name]).max() < 0.02
    for wrong, said in (
        (["--tokens", tokens, "--from", "chorale"], "another vocabulary"),
        (["--tokens", tokens, *short[:2], "--set", "model.d_model=16"], "is another network"),
        (["--tokens", tokens, *short[:2], "--preset", "lstm"], "drop --preset"),
        (["--corpus", tunes, *short[:2], "--tokenizer", "char"], "the model uses melody tokens"),
        (["--corpus", tunes, "--from", "nobody"], "no such model folder"),
    ):
        code, _, err = run(capsys, "train", *wrong, "--out", str(tmp_path / "other"))
        assert code == 1
        assert said in err.splitlines()[-1]
