"""Samples while training: what is written, that it changes nothing, and the presets that write."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl

import musicgen
from musicgen.corpus.preparation import prepare
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingInterrupted
from musicgen.models import KINDS, checkpoint
from musicgen.training import (
    NextTokenModule,
    SampleWhileTraining,
    TrainConfig,
    TuneDataModule,
    train,
)
from musicgen.training.config import DataConfig
from musicgen.training.presets import PRESETS
from tests.commands import run
from tests.runs import SMALL, losses, make_reels, make_tokens, signal_at


@pytest.fixture(scope="module")
def reels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reels") / "abc"
    make_reels(folder, 16)
    return folder


@pytest.fixture(scope="module")
def characters(reels: Path) -> TokenSet:
    return prepare([reels], tokenizer="char").tokens


def sampled(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "samples").iterdir())}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_samples_change_nothing_and_come_again(
    tmp_path: Path, characters: TokenSet, kind: str
) -> None:
    model = dataclasses.replace(SMALL.model, kind=kind)
    config = dataclasses.replace(SMALL, model=model, sample_every=5)
    lines: list[str] = []
    train(config, characters, tmp_path / "with", notify=lines.append)
    train(dataclasses.replace(config, sample_every=0), characters, tmp_path / "without")
    assert losses(tmp_path / "with", "character") == losses(tmp_path / "without", "character")
    a, b = (checkpoint.load(tmp_path / run / "model").weights for run in ("with", "without"))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    samples = sampled(tmp_path / "with")
    assert list(samples) == [f"step-{step:06d}.txt" for step in (0, 5, 10)]
    assert len(set(samples.values())) == 3
    assert "step 0:" in lines
    assert any(line.startswith("step 10, ") and "bits per token:" in line for line in lines)
    assert set(samples["step-000010.txt"].decode().splitlines()) <= set(lines)
    with pytest.raises(TrainingInterrupted):
        train(config, characters, tmp_path / "parts", report=signal_at(6, signal.SIGTERM))
    (tmp_path / "parts/samples/step-000005.txt").unlink()
    train(config, characters, tmp_path / "parts", resume=True)
    assert sampled(tmp_path / "parts") == {
        name: data for name, data in samples.items() if "5" not in name
    }


@pytest.mark.parametrize("tokenizer", ["melody", "remi"])
def test_a_sample_of_tunes_is_abc_and_midi(tmp_path: Path, reels: Path, tokenizer: str) -> None:
    tokens = prepare([reels], tokenizer=tokenizer).tokens
    config = dataclasses.replace(SMALL, steps=2, sample_every=2, sample_midi=True)
    train(config, tokens, tmp_path / "run")
    for step in (0, 2):
        file = tmp_path / f"run/samples/step-{step:06d}.abc"
        (tune,) = musicgen.read(file)
        assert tune.n_notes
        assert musicgen.read(file.with_suffix(".mid"))


def test_a_tokenizer_without_a_composer_is_told_and_trained(tmp_path: Path) -> None:
    lines: list[str] = []
    config = dataclasses.replace(SMALL, sample_every=10)
    train(config, make_tokens(), tmp_path / "run", notify=lines.append)
    assert sum("no sample (" in line for line in lines) == 2
    assert not (tmp_path / "run/samples").exists()


@pytest.mark.filterwarnings("ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
def test_a_stock_trainer_samples_into_tensorboard(tmp_path: Path, characters: TokenSet) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = pl.loggers.TensorBoardLogger(tmp_path, name="", version="")
    samples = SampleWhileTraining(2, tmp_path / "samples", notify=lambda line: None)
    trainer = pl.Trainer(max_steps=2, logger=logger, callbacks=[samples], enable_progress_bar=False,
                         enable_checkpointing=False, enable_model_summary=False)  # fmt: skip
    data = TuneDataModule.from_tokens(characters, DataConfig(carry=True, max_len=25))
    trainer.fit(NextTokenModule("rnn", d_model=16), data)
    assert list(sampled(tmp_path)) == ["step-000000.txt", "step-000002.txt"]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [e.step for e in events.Tensors("sample/text_summary")] == [0, 2]


TINY = ("--set", "minutes=null", "--set", "steps=4", "--set", "sample_every=2")


@pytest.mark.parametrize(
    ("preset", "more"), [("lecture", ()), ("lab", ("--set", "model.d_model=32"))]
)
def test_a_preset_of_characters_needs_no_other_option(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    reels: Path,
    preset: str,
    more: tuple[str, ...],
) -> None:
    words = ("train", "--preset", preset, "--corpus", str(reels), *TINY, *more)
    code, _, err = run(capsys, *words, "--out", str(tmp_path / "run"))
    assert code == 0, err
    model = checkpoint.load(tmp_path / "run/model")
    assert (model.tokenizer, model.feature_sizes) == ("char", {})
    assert list(sampled(tmp_path / "run")) == [f"step-00000{step}.txt" for step in (0, 2, 4)]
    assert model.model.width_in == {"lecture": 100, "lab": 256}[preset]
    code, out, err = run(capsys, "generate", "--checkpoint", str(tmp_path / "run"), "--seed", "1")
    assert code == 0, err
    assert out.strip()


def test_one_hot_characters_may_be_more_than_units(characters: TokenSet) -> None:
    model = dataclasses.replace(PRESETS["lecture"].model, d_model=8)
    config = dataclasses.replace(PRESETS["lecture"], model=model).fitted(characters)
    assert config.model.width_in == len(characters.vocab) > 8


def test_the_presets_are_the_networks_of_the_talk_and_of_the_lab() -> None:
    def shape(config: TrainConfig) -> tuple[Any, ...]:
        model, data = config.model, config.data
        return (
            *(model.kind, model.d_embedding, model.d_model, model.n_layers, data.max_len),
            *(data.carry, config.optimizer, config.learning_rate, config.weight_decay),
        )

    assert shape(PRESETS["lecture"]) == ("rnn", 0, 100, 1, 25, True, "adagrad", 0.1, 0.0)
    assert shape(PRESETS["lab"]) == ("lstm", 256, 1024, 1, 100, True, "adamw", 5e-3, 0.0)
    assert PRESETS["lab"].data.batch_tokens == 8 * PRESETS["lab"].data.max_len
