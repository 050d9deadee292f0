"""A stock Lightning Trainer drives the module and the data module, with the callbacks, loggers and
flags that its users are used to."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning import callbacks as lightning_callbacks
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.tuner import Tuner

from musicgen.composer import Composer
from musicgen.errors import ConfigError, TrainingError
from musicgen.models.scoring import score_tunes
from musicgen.training import NextTokenModule, TuneDataModule
from musicgen.training.config import DataConfig
from tests import ROOT
from tests.runs import make_reels, make_tokens, train_for_comparison

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:(Checkpoint|Experiment logs) directory .* is not empty"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`"),
    pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch"),
]
SMALL: dict[str, Any] = {"d_model": 16, "learning_rate": 0.02}


def make_data(batch_tokens: int = 128, seed: int = 0) -> TuneDataModule:
    config = DataConfig(batch_tokens=batch_tokens, max_len=32, eval_batch_tokens=64)
    return TuneDataModule.from_tokens(make_tokens(), config, seed=seed)


def make_model(**options: Any) -> NextTokenModule:
    pl.seed_everything(1, verbose=False)
    return NextTokenModule(**{**SMALL, **options})


def trainer_in(folder: Path, **options: Any) -> pl.Trainer:
    """A trainer with as few settings of ours as can be."""
    return pl.Trainer(
        **{
            "max_epochs": 2,
            "logger": CSVLogger(folder, name="log", version=""),
            "log_every_n_steps": 2,
            "default_root_dir": folder,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "accelerator": "cpu",
            **options,
        }
    )


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log/metrics.csv").open() as file:
        return list(csv.DictReader(file))


def weights(model: NextTokenModule) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.network.parameters()]


def test_losses_scores_rates_and_speed_are_logged(tmp_path: Path) -> None:
    trainer_in(tmp_path).fit(make_model(), make_data())
    logged = rows(tmp_path)
    trained = [row for row in logged if row["train_loss"]]
    for row in trained:
        bits = float(row["train_loss"]) / math.log(2)
        assert float(row["train_bits_per_token"]) == pytest.approx(bits, rel=1e-5)
        assert float(row["tokens_per_s"]) > 0
    scored = [float(row["val_bits_per_note"]) for row in logged if row["val_bits_per_note"]]
    assert len(scored) == 2
    assert scored[1] < scored[0]


def test_the_logged_score_is_that_of_the_tunes(tmp_path: Path) -> None:
    model, data = make_model(), make_data()
    trainer = trainer_in(tmp_path)
    trainer.fit(model, data)
    trainer.validate(model, data, verbose=False)
    split = data.tokens.splits["val"]
    bits = score_tunes(model.network, split)
    found = trainer.callback_metrics
    assert float(found["val_bits_per_note"]) == pytest.approx(bits.sum() / split.notes.sum())
    n_tokens = len(split.ids) - len(split)
    assert float(found["val_bits_per_token"]) == pytest.approx(bits.sum() / n_tokens)
    assert float(found["val_loss"]) == pytest.approx(bits.sum() * math.log(2) / n_tokens)


def test_model_checkpoint_keeps_the_best(tmp_path: Path) -> None:
    best = ModelCheckpoint(
        tmp_path, monitor="val_bits_per_note", filename="{val_bits_per_note:.6f}"
    )
    model, data = make_model(), make_data()
    trainer = trainer_in(tmp_path, callbacks=[best], max_epochs=3)
    trainer.fit(model, data)
    assert best.best_model_score is not None
    again = NextTokenModule.load_from_checkpoint(best.best_model_path)
    trainer_in(tmp_path, logger=False).validate(again, data, verbose=False)
    assert f"{float(best.best_model_score):.6f}" in best.best_model_path
    found = trainer.test(model, data, ckpt_path="best", verbose=False)
    assert set(found[0]) == {"test_loss", "test_bits_per_token", "test_bits_per_note"}


def test_early_stopping_stops(tmp_path: Path) -> None:
    trainer = trainer_in(
        tmp_path, callbacks=[EarlyStopping("val_bits_per_note", patience=2)], max_epochs=50
    )
    trainer.fit(make_model(learning_rate=1e-12), make_data())
    assert trainer.current_epoch < 10


def test_the_learning_rate_rises_and_falls(tmp_path: Path) -> None:
    monitor = LearningRateMonitor("step")
    trainer = trainer_in(tmp_path, callbacks=[monitor], max_epochs=4, log_every_n_steps=1)
    trainer.fit(make_model(warmup=0.2), make_data())
    column = next(name for name in rows(tmp_path)[0] if name.startswith("lr-AdamW"))
    rates = [float(row[column]) for row in rows(tmp_path) if row[column]]
    highest = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.02, rel=0.05)
    assert highest == pytest.approx(0.2 * len(rates), abs=1)
    assert rates[: highest + 1] == sorted(rates[: highest + 1])
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
    assert rates[-1] < 0.001
    logged = [float(row["learning_rate"]) for row in rows(tmp_path) if row["learning_rate"]]
    assert logged == pytest.approx(rates)


def test_a_limit_of_time_is_a_schedule_too(tmp_path: Path) -> None:
    monitor = LearningRateMonitor("step")
    trainer = trainer_in(
        tmp_path, callbacks=[monitor], max_epochs=-1, max_time={"seconds": 2}, log_every_n_steps=1
    )
    trainer.fit(make_model(), make_data())
    column = next(name for name in rows(tmp_path)[0] if name.startswith("lr-AdamW"))
    rates = [float(row[column]) for row in rows(tmp_path) if row[column]]
    assert max(rates) > 0.018
    assert rates[-1] < 0.001


def test_a_progress_bar_shows_the_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = lightning_callbacks.RichProgressBar()
    trainer_in(tmp_path, callbacks=[bar], enable_progress_bar=True).fit(make_model(), make_data())
    assert "val_bits_per" in capsys.readouterr().out


def test_tensorboard_reads_what_its_logger_wrote(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    trainer_in(tmp_path, logger=TensorBoardLogger(tmp_path, "tb", "")).fit(
        make_model(), make_data()
    )
    program = (
        "import sys\n"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "log = EventAccumulator(sys.argv[1]); log.Reload()\n"
        "print(len(log.Scalars('val_bits_per_note')), len(log.Scalars('train_loss')))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "tb")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    n_val, n_train = map(int, done.stdout.split())
    assert n_val == 2
    assert n_train >= 4


def test_fast_dev_run_takes_one_batch_of_everything(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path, fast_dev_run=True)
    trainer.fit(make_model(), make_data())
    assert trainer.global_step == 1


def test_a_few_batches_can_be_learned_by_heart(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path, overfit_batches=2, max_epochs=40, log_every_n_steps=1)
    with pytest.warns(UserWarning, match="overfit"):
        trainer.fit(make_model(dropout=0.0), make_data())
    losses = [float(row["train_loss"]) for row in rows(tmp_path) if row["train_loss"]]
    assert len(losses) == 80
    assert losses[-1] < losses[0] / 3


@pytest.mark.parametrize(("limit", "steps"), [(3, 6), (0.5, 8)])
def test_limits_of_batches_hold(tmp_path: Path, limit: float, steps: int) -> None:
    data = make_data()
    trainer = trainer_in(
        tmp_path, limit_train_batches=limit, limit_val_batches=1, limit_test_batches=1
    )
    trainer.fit(make_model(), data)
    if isinstance(limit, float):
        steps = 2 * int(limit * data.plan.steps_per_epoch)
    assert trainer.global_step == steps
    assert trainer.num_val_batches == [1]
    trainer.test(trainer.lightning_module, data, verbose=False)
    assert trainer.num_test_batches == [1]


def train_steps(folder: Path, batch_tokens: int, **options: Any) -> list[float]:
    """The losses of 20 steps in float64 without dropout."""
    model = make_model(dropout=0.0, embedding_dropout=0.0, network="transformer", n_heads=2)
    trainer = trainer_in(
        folder, max_steps=20, max_epochs=-1, precision="64-true", log_every_n_steps=1, **options
    )
    trainer.fit(model, make_data(batch_tokens))
    return [float(row["train_loss"]) for row in rows(folder) if row["train_loss"]]


def test_accumulated_batches_learn_as_one_large_batch(tmp_path: Path) -> None:
    whole = train_steps(tmp_path / "whole", 256)
    parts = train_steps(tmp_path / "parts", 128, accumulate_grad_batches=2)
    assert len(whole) == len(parts) == 20
    assert parts == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
@pytest.mark.parametrize("network", ["lstm", "transformer"])
def test_precision_is_the_trainers(tmp_path: Path, precision: Any, network: str) -> None:
    model = make_model(network=network, n_heads=2)
    trainer_in(tmp_path, precision=precision).fit(model, make_data())
    scored = [float(row["val_loss"]) for row in rows(tmp_path) if row["val_loss"]]
    assert scored[-1] < scored[0]


def test_the_profiler_times_the_hooks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = trainer_in(tmp_path, profiler="simple")
    trainer.fit(make_model(), make_data())
    assert "run_training_batch" in trainer.profiler.summary()  # type: ignore[attr-defined]


def test_gradients_are_clipped_by_the_trainer(tmp_path: Path) -> None:
    class Norms(pl.Callback):
        found: list[float] = []

        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            total = sum(p.grad.square().sum() for p in pl_module.network.parameters())
            self.found.append(float(total.sqrt()))

    class Clipped(Norms):
        found: list[float] = []

        def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            grads = [p.grad for p in pl_module.network.parameters() if p.grad is not None]
            if grads:
                self.found.append(float(sum(g.square().sum() for g in grads).sqrt()))

        def on_before_optimizer_step(self, *arguments: Any) -> None:
            """Before clipping nothing is noted."""

    trainer_in(tmp_path, callbacks=[Norms(), Clipped()], gradient_clip_val=0.1).fit(
        make_model(), make_data()
    )
    assert max(Norms.found) > 0.11
    assert max(Clipped.found) < 0.101


@pytest.mark.parametrize(
    "callback",
    [
        lightning_callbacks.StochasticWeightAveraging(1e-3, swa_epoch_start=0.5),
        lightning_callbacks.EMAWeightAveraging(),
        lightning_callbacks.GradientAccumulationScheduler({1: 2}),
        lightning_callbacks.ModelSummary(max_depth=2),
        lightning_callbacks.Timer({"hours": 1}),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_other_callbacks_of_lightning_work(tmp_path: Path, callback: pl.Callback) -> None:
    trainer_in(tmp_path, callbacks=[callback], max_epochs=4).fit(make_model(), make_data())
    scored = [float(row["val_loss"]) for row in rows(tmp_path) if row["val_loss"]]
    assert scored[-1] < scored[0]


def test_the_tuner_finds_a_learning_rate(tmp_path: Path) -> None:
    model, data = make_model(), make_data()
    found = Tuner(trainer_in(tmp_path)).lr_find(model, data, num_training=30)
    assert found is not None
    suggestion = found.suggestion()
    assert suggestion is not None
    assert model.hparams["learning_rate"] == suggestion
    trainer_in(tmp_path, max_steps=1).fit(model, data)
    assert model.optimizers().param_groups[0]["initial_lr"] == suggestion  # type: ignore[union-attr]


@pytest.mark.filterwarnings("ignore")
def test_lightning_cli_knows_every_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jsonargparse", reason="jsonargparse is not installed")
    from pytorch_lightning.cli import LightningCLI

    def fit(*options: str) -> LightningCLI:
        arguments = ["fit", *options]
        return LightningCLI(NextTokenModule, TuneDataModule, args=arguments,
                            seed_everything_default=False)  # fmt: skip

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        fit("--print_config")
    assert stop.value.code == 0
    settings = capsys.readouterr().out
    assert "  network: lstm\n  d_model: null\n" in settings
    assert "  sources: celtic\n" in settings
    make_tokens().save(tmp_path / "tokens")
    done = fit(
        "--trainer.max_steps=2", "--trainer.enable_progress_bar=false", "--data.sources=tokens",
        "--model.network=rnn", "--model.d_model=16", "--trainer.logger=false",
    )  # fmt: skip
    assert done.trainer.global_step == 2
    assert done.model.network.config.kind == "rnn"


def test_a_loaded_checkpoint_gives_the_same_logits(tmp_path: Path) -> None:
    model, data = make_model(ema=0.5, activation="relu", network="rnn"), make_data()
    trainer = trainer_in(tmp_path)
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = NextTokenModule.load_from_checkpoint(tmp_path / "a.ckpt")
    assert dict(again.hparams) == dict(model.hparams)
    json.dumps(dict(again.hparams))  # plain values
    batch = next(iter(data.val_dataloader()))
    for mine, other in ((model.network, again.network), (model.scored, again.scored)):
        expected, _ = mine.eval()(batch.tokens, batch.features)
        assert torch.equal(other.eval()(batch.tokens, batch.features)[0], expected)


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 16, 17])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_fit_goes_on_from_a_checkpoint_to_the_last_bit(
    tmp_path: Path, steps: int, optimizer: str
) -> None:
    """In the middle of an epoch (of 8 steps), at its end and at its beginning."""
    whole, data = make_model(optimizer=optimizer, ema=0.9), make_data()
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=steps, save_top_k=-1, filename="{step}")
    trainer_in(tmp_path / "whole", max_epochs=3, callbacks=[saver]).fit(whole, data)
    assert data.plan.steps_per_epoch == 8
    resumed = make_model(optimizer=optimizer, ema=0.9, seed=0)
    torch.manual_seed(5)
    trainer = trainer_in(tmp_path / "resumed", max_epochs=3)
    trainer.fit(resumed, make_data(), ckpt_path=tmp_path / f"step={steps}.ckpt")
    assert trainer.global_step == 24
    for mine, other in zip(weights(whole), weights(resumed), strict=True):
        assert torch.equal(mine, other)
    assert whole.average is not None
    assert resumed.average is not None
    for mine, other in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        assert torch.equal(mine, other)
    names = ("step", "train_loss", "val_bits_per_note", "learning_rate")
    expected = [[row[name] for name in names] for row in rows(tmp_path / "whole")]
    found = [[row[name] for name in names] for row in rows(tmp_path / "resumed")]
    assert found == expected[-len(found) :]
    assert len(found) >= len(expected) * (24 - steps) // 24 - 1


def test_another_corpus_is_not_gone_on_with(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path, max_steps=2)
    trainer.fit(make_model(), make_data())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    other = TuneDataModule.from_tokens(make_tokens(seed=3))
    with pytest.raises(TrainingError, match="was trained on another corpus"):
        trainer_in(tmp_path, max_steps=4).fit(make_model(), other, ckpt_path=tmp_path / "a.ckpt")


def test_prediction_gives_the_bits_of_each_test_tune(tmp_path: Path) -> None:
    model, data = make_model(), make_data()
    trainer = trainer_in(tmp_path, logger=False)
    trainer.fit(model, data)
    bits = torch.cat(trainer.predict(model, data))  # type: ignore[arg-type]
    expected = score_tunes(model.network, data.tokens.splits["test"])
    assert sorted(bits.tolist()) == pytest.approx(sorted(expected), rel=1e-5)


def test_everything_is_repeatable_with_a_seed(tmp_path: Path) -> None:
    models = []
    for name in ("a", "b"):
        model = make_model(dropout=0.5)
        trainer_in(tmp_path / name, deterministic=True).fit(model, make_data())
        models.append(model)
    for mine, other in zip(*map(weights, models), strict=True):
        assert torch.equal(mine, other)


def test_loaders_can_be_given_by_themselves(tmp_path: Path) -> None:
    data = make_data()
    data.setup("fit")
    model = make_model()
    model.fit_to(data.tokens)
    trainer_in(tmp_path).fit(model, data.train_dataloader(), data.val_dataloader())
    assert [row for row in rows(tmp_path) if row["val_bits_per_note"]]
    with pytest.raises(ConfigError, match="give it, or a TuneDataModule to the trainer"):
        trainer_in(tmp_path).fit(make_model(), data.train_dataloader())


def test_a_model_of_other_tokens_is_refused(tmp_path: Path) -> None:
    model = make_model(vocab_size=7)
    with pytest.raises(TrainingError, match="the model knows 7 tokens and the data has 12"):
        trainer_in(tmp_path).fit(model, make_data())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "lsmt"}, "did you mean 'lstm'"),
        ({"d_model": 0}, "d_model"),
        ({"learning_rate": -1.0}, "learning_rate: -1.0 is not positive"),
        ({"optimizer": "adam"}, "did you mean 'adamw'"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NextTokenModule(**options)


def test_two_devices_learn_as_one(tmp_path: Path) -> None:
    """Two processes (gloo) share each batch: in float64 without dropout the losses of 50 steps
    differ by at most 1e-5 of themselves."""
    program = tmp_path / "two.py"  # Lightning starts the second process from a file
    program.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.runs import train_for_comparison\n"
        "train_for_comparison(Path(sys.argv[1]), int(sys.argv[2]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    train_for_comparison(tmp_path / "1", 1)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), str(tmp_path / "2"), "2"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    losses = [
        [float(row[n]) for row in rows(tmp_path / devices) for n in ("train_loss", "val_loss")
         if row[n]]
        for devices in ("1", "2")
    ]  # fmt: skip
    assert len(losses[0]) > 50
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_a_folder_of_tunes_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_reels(tmp_path / "tunes", 12)
    options: dict[str, Any] = {"cache": tmp_path / "cache", "batch_tokens": 256}
    first = TuneDataModule(tmp_path / "tunes", **options)
    first.prepare_data()
    monkeypatch.setattr("musicgen.corpus.preparation.prepare", None)
    second = TuneDataModule(str(tmp_path / "tunes"), **options)
    second.prepare_data()
    second.setup()
    assert second.tokens.fingerprint == first.tokens.fingerprint
    monkeypatch.undo()
    make_reels(tmp_path / "tunes", 13)
    third = TuneDataModule(tmp_path / "tunes", **options)
    third.prepare_data()
    assert third.tokens.fingerprint != first.tokens.fingerprint
    assert "tunes" in third.about


def test_a_composer_writes_with_what_was_trained(tmp_path: Path) -> None:
    make_reels(tmp_path / "tunes", 12)
    data = TuneDataModule(tmp_path / "tunes", cache=tmp_path / "cache")
    model = make_model()
    trainer_in(tmp_path, max_epochs=1).fit(model, data)
    composer = Composer.from_trained(model, data)
    tune = composer.generate(seed=1)
    assert tune == composer.generate(seed=1)
    composer.save_pretrained(tmp_path / "model")
    assert Composer.from_pretrained(tmp_path / "model").generate(seed=1) == tune
