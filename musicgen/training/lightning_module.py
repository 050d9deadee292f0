"""NextTokenModule: any network as a LightningModule for a stock `Trainer`."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from musicgen.config import from_dict, to_dict
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import ConfigError, TrainingError
from musicgen.models import ModelConfig, build_model
from musicgen.models.batches import Batch
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.cost import nats
from musicgen.models.description import describe_model
from musicgen.models.flops import peak_flops, training_flops
from musicgen.models.optimizers import build_optimizer
from musicgen.training.carry import CarriedState
from musicgen.training.config import TrainConfig, require_recurrent
from musicgen.training.presets import PRESETS
from musicgen.training.process_state import denormals_flushed
from musicgen.training.schedule import fraction_done, rate_factor, smoothed

if TYPE_CHECKING:
    from musicgen.training.datamodule import TuneDataModule

_TRAINING = (
    *("optimizer", "learning_rate", "warmup", "schedule", "weight_decay", "beta2", "ema"),
    "seed",
)


class NextTokenModule(pl.LightningModule):
    """Learns to predict each next token.

        model = NextTokenModule(network="lstm", d_model=384)
        pl.Trainer(max_epochs=5).fit(model, TuneDataModule("celtic"))

    `network` is a key of `models.KINDS`; what is None comes from the preset of that network. The
    other arguments are fields of `ModelConfig` and `TrainConfig`. The last five are sizes of the
    tokens: the data module of a trainer fills them in, and then `network` (the attribute) exists.

    Logged are train_loss (nats per token), train_bits_per_token, smooth_bits_per_token (a running
    average), learning_rate, tokens_per_s and, where the chip is known, mfu; of a validation or test
    val_loss, val_bits_per_token and val_bits_per_note (per character for text). The learning rate
    rises over the first `warmup` share of the run and falls to 0 at its end, whether that is given
    in steps, epochs or time, or stays (`schedule`).

    Each step draws its dropout from the trainer's generator seeded by `seed` and the step, so that
    a resumed run repeats it.

    Raises:
        ConfigError: an unknown network or setting, or a value out of range.
    """

    def __init__(
        self,
        network: str = "lstm",
        *,
        d_model: int | None = None,
        d_embedding: int | None = None,
        n_layers: int | None = None,
        n_heads: int | None = None,
        dropout: float | None = None,
        embedding_dropout: float | None = None,
        weight_dropout: float | None = None,
        embedding: Literal["learned", "one-hot"] | None = None,
        tie_embeddings: bool | None = None,
        copy_head: bool | None = None,
        activation: Literal["tanh", "relu"] | None = None,
        hidden_init: Literal["auto", "identity", "orthogonal", "normal"] | None = None,
        hidden_gain: float | None = None,
        optimizer: Literal["adamw", "muon", "adagrad", "sgd"] | None = None,
        learning_rate: float | None = None,
        warmup: float | None = None,
        schedule: Literal["cosine", "constant"] | None = None,
        weight_decay: float | None = None,
        beta2: float | None = None,
        ema: float | None = None,
        seed: int | None = None,
        unit: str = "note",
        vocab_size: int | None = None,
        feature_sizes: Sequence[int] | None = None,
        token_columns: Sequence[int] | None = None,
        trust_columns: Sequence[int] | None = None,
        heard_columns: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        options = {  # without what LightningCLI adds
            name: value
            for name, value in self.hparams.items()
            if value is not None and not name.startswith("_")
        }
        kind, self.unit = options.pop("network"), options.pop("unit")
        config = to_dict(PRESETS.get(kind) or TrainConfig(model=ModelConfig(kind=kind)))
        for name, value in options.items():
            (config if name in _TRAINING else config["model"])[name] = value
        self._configure(from_dict(TrainConfig, config))
        # What the schedule goes by; None: the trainer's own limits.
        self.budget: Callable[[int], float] | None = None
        # Of the steps since the last were logged: nats per token, and targets on this device.
        self._losses: list[Tensor] = []  # each (2,)
        self._places, self._since = 0, time.perf_counter()
        self._rate: float | None = None  # the learning rate of the last step
        self._smooth: float | None = None  # see `train_metrics`
        self.carried: CarriedState | None = None  # where the data module carries states on
        self._metrics: tuple[int, dict[str, float]] = (-1, {})  # of the step
        self._score = torch.zeros(3, dtype=torch.float64)  # bits, units, tokens

    @classmethod
    def from_config(
        cls, config: TrainConfig, tokens: TokenSet | None = None, *, start: Checkpoint | None = None
    ) -> NextTokenModule:
        """A module with these settings, sized for `tokens`; `start` is a model of the same shape
        to begin with, instead of random weights, whose columns of features the tokens must have
        (`TokenSet.with_features`)."""
        settings = {name: getattr(config, name) for name in _TRAINING}
        model = to_dict(config.model)
        module = cls(model.pop("kind"), **settings, **model)
        if tokens is not None:
            module.fit_to(tokens, start)
        if start is not None:
            module.network.load_state_dict(start.network.state_dict())
            module._start_average()
        module.config = config if tokens is None else config.fitted(tokens, start)
        return module

    def _configure(self, config: TrainConfig) -> None:
        """Adopt the settings; build the network if the sizes of the tokens are known."""
        self.config, self.n_outcomes = config, config.model.vocab_size  # of a prediction
        model = to_dict(config.model)
        training = {name: getattr(config, name) for name in _TRAINING}
        self.save_hyperparameters(
            {"network": model.pop("kind"), "unit": self.unit, **model, **training}
        )
        if config.model.vocab_size:
            self.network = self.build(config.model)
            self._start_average()

    def build(self, model: ModelConfig) -> nn.Module:
        """A new network."""
        return build_model(model)

    def _start_average(self) -> None:
        self.average: nn.Module | None = None
        if self.config.ema > 0:
            self.average = copy.deepcopy(self.network).requires_grad_(False).eval()

    def fit_to(self, tokens: TokenSet, start: Checkpoint | None = None) -> None:
        """Size the network for these tokens, or as a model to start from, and build it, with
        weights from torch's generator."""
        self.unit = tokens.unit
        self._configure(self.config.fitted(tokens, start))

    def setup(self, stage: str | None = None) -> None:
        """Build the network for the trainer's data, unless it has been.

        Raises:
            ConfigError: there is no data module to size it for, or a state is to be carried that
                the network does not have.
            TrainingError: it was built for another vocabulary.
        """
        trainer: Any = self._trainer
        data = getattr(trainer, "datamodule", None)
        tokens = getattr(data, "tokens", None)
        n_tokens = self.config.model.vocab_size
        if n_tokens and tokens is not None and len(tokens.vocab) != n_tokens:
            raise TrainingError(
                f"the model knows {n_tokens} tokens and the data has {len(tokens.vocab)}; prepare "
                "the data in the model's vocabulary"
            )
        if not n_tokens:
            if tokens is None:
                raise ConfigError("vocab_size: is 0; give it, or a TuneDataModule to the trainer")
            self.fit_to(tokens)
        if stage == "fit" and tokens is not None and trainer.datamodule.batches.carry:
            require_recurrent(self.config.model.kind)
            self.carried = self.carried or CarriedState()

    @property
    def scored(self) -> nn.Module:
        """The network to score and keep: the running average where there is one."""
        return self.network if self.average is None else self.average

    def to_checkpoint(self, data: TuneDataModule, *, about: str = "") -> Checkpoint:
        """The network with everything that is needed to compose with it, in memory. `about` is
        Markdown for its card, such as sources and licences."""
        metrics = self.trainer.callback_metrics if self._trainer else {}
        score = metrics.get(f"val_bits_per_{self.unit}")
        return describe_model(
            self.scored,
            data.tokens,
            score=None if score is None else float(score),
            step=self.global_step,
            training=to_dict(self.config),
            about=about or data.about,
            novelty=data.novelty,
        )

    # Training

    def configure_optimizers(self) -> Any:
        """The optimizer of the network (not of its average) and its schedule, step by step."""
        # Lightning's learning-rate finder changes hparams.
        optimizer = build_optimizer(
            self.config.optimizer,
            self.network,
            learning_rate=self.hparams["learning_rate"],
            weight_decay=self.config.weight_decay,
            beta2=self.config.beta2,
        )
        schedule = LambdaLR(optimizer, lambda step: rate_factor(self.config, self._fraction(step)))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _fraction(self, step: int) -> float:
        done = fraction_done(self.trainer, step) if self.budget is None else self.budget(step)
        done = self.config.warmup if done is None else done
        if self.trainer.world_size > 1:  # clocks differ, weights must not
            mine = torch.tensor(done, device=self.device, dtype=torch.float64)
            done = float(self.trainer.strategy.reduce(mine, reduce_op="mean"))
        return min(1.0, done)

    def on_train_batch_start(self, _batch: Batch, batch_idx: int) -> None:
        """Seed this step, or this part of it."""
        part = batch_idx % self.trainer.accumulate_grad_batches
        if part == 0:
            self._rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            if self._metrics[0] == self.global_step:  # they have been logged
                self._losses, self._places, self._since = [], 0, time.perf_counter()
        share, _ = self._shard(part)
        place = [self.config.seed, self.global_step, share]
        number = int(np.random.SeedSequence(place).generate_state(1)[0])
        # torch.manual_seed would note a stack trace for every kind of device that is not there.
        torch.default_generator.manual_seed(number)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(number)

    def _shard(self, part: int) -> tuple[int, int]:
        """The number of a part of a step on this device among those on all devices, and theirs."""
        world = self.trainer.world_size
        return part * world + self.global_rank, self.trainer.accumulate_grad_batches * world

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Nats per token, so scaled that the mean over parts and devices is that of the step."""
        parts = self.trainer.accumulate_grad_batches
        if self.carried is None:
            logits, _ = self.network(*batch.inputs)
        else:
            shard = self._shard(batch_idx % parts)
            logits = self.carried.logits(self.network, batch, shard, begin=batch_idx < parts)
        loss = nats(logits, batch.targets).sum() / batch.n_targets
        part = torch.stack((loss.detach() / parts, batch.n_targets))
        if batch_idx % parts == 0:
            self._losses.append(part)
        else:
            self._losses[-1] = self._losses[-1] + part
        self._places += batch.inputs[0].shape[:2].numel() * self.trainer.world_size
        return loss

    def backward(self, loss: Tensor, *arguments: Any, **options: Any) -> None:
        """The gradients. Saturated gates have many so tiny that a CPU is slow at them; there
        they count as 0."""
        with denormals_flushed():
            super().backward(loss, *arguments, **options)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """After each step of the optimizer the running average follows the network, faster at
        first."""
        super().lr_scheduler_step(scheduler, metric)
        if self.average is not None:
            decay = min(self.config.ema, (1 + self.global_step) / (10 + self.global_step))
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            with torch.no_grad():
                for mean, value in pairs:
                    mean.lerp_(value, 1 - decay)

    def on_train_batch_end(self, _outputs: Any, _batch: Batch, batch_idx: int) -> None:
        """Log, where it is time to."""
        if self.is_log_step(batch_idx):
            self.log_dict(self.train_metrics())

    def is_log_step(self, batch_idx: int) -> bool:
        """Whether a batch ends a step that is to be logged."""
        if (batch_idx + 1) % self.trainer.accumulate_grad_batches:
            return False
        trainer: Any = self.trainer
        due = self.global_step % max(1, trainer.log_every_n_steps) == 0
        return due or trainer.should_stop

    def train_metrics(self) -> dict[str, float]:
        """What is logged of the steps since they were logged before; losses are means over them
        and over all devices, which all must ask. See `smoothed`.

        Raises:
            TrainingError: a loss is not a finite number.
        """
        if self._metrics[0] != self.global_step:
            self._metrics = (self.global_step, self._measure())
        return self._metrics[1]

    def _measure(self) -> dict[str, float]:
        if not self._losses:
            return {}
        steps = self.trainer.strategy.reduce(torch.stack(self._losses), reduce_op="mean")
        losses = steps[:, 0].tolist()
        targets = (steps[:, 1] * self.trainer.world_size).tolist()
        for step, loss in enumerate(losses, self.global_step - len(losses) + 1):
            if not math.isfinite(loss):
                raise self._diverged(f"the loss at step {step} is {loss}")
        nats_per_token = math.fsum(losses) / len(losses)
        self._smooth = smoothed(self._smooth, losses, targets, self.n_outcomes)
        rate = self._places / max(1e-9, time.perf_counter() - self._since)
        metrics = {
            "train_loss": nats_per_token,
            "train_bits_per_token": nats_per_token / math.log(2),
            "smooth_bits_per_token": self._smooth,
            "tokens_per_s": rate,
        }
        if self._rate is not None:
            metrics["learning_rate"] = self._rate
        if peak := peak_flops(self.device):
            length = self._places // max(1, len(losses))
            flops = training_flops(self.config.model, min(length, self.config.data.max_len))
            metrics["mfu"] = rate * flops / (peak * self.trainer.world_size)
        return metrics

    def losses_are_finite(self) -> bool:
        """Whether the losses that have not been logged yet are numbers."""
        return all(math.isfinite(loss) for loss, _ in self._losses)

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what}; the best model so far is kept; "
            f"try again with a learning_rate below {self.config.learning_rate:g}"
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses that have not been logged yet, and the carried states."""
        trainer: Any = self.trainer
        logged = self._metrics[0] == self.global_step
        logged |= self.global_step % max(1, trainer.log_every_n_steps) == 0
        steps = [] if logged else self._losses  # means over all devices are kept
        losses = trainer.strategy.reduce(torch.stack(steps)).tolist() if steps else []
        checkpoint["musicgen"] = {
            "losses": losses,
            "learning_rate": self._rate,
            "smooth": self._smooth,
            "carried": self.carried.whole() if self.carried is not None else (),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The inverse of `on_save_checkpoint`."""
        state = checkpoint["musicgen"]
        self._losses = [torch.tensor(loss) for loss in state["losses"]]
        self._rate, self._smooth = state["learning_rate"], state["smooth"]
        if self.carried is not None:
            shards = [self._shard(i) for i in range(self.trainer.accumulate_grad_batches)]
            self.carried.restore(state["carried"], shards)

    # Validation and test

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add up bits, units and tokens of whole tunes."""
        self._add_score(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add up bits, units and tokens of whole tunes."""
        self._add_score(batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Bits of each tune: (B,)."""
        logits, _ = self.scored(*batch.inputs)
        return nats(logits, batch.targets).sum(dim=1) / math.log(2)

    def _add_score(self, batch: Batch) -> None:
        bits = self.predict_step(batch, 0).cpu().double().sum()
        tokens = (batch.targets != 0).sum().cpu()
        self._score += torch.stack([bits, batch.notes.sum().cpu().double(), tokens.double()])

    def on_validation_epoch_start(self) -> None:
        """Stop the clock of the training rate."""
        self._since -= time.perf_counter()

    def on_validation_epoch_end(self) -> None:
        """Log the score over all tunes."""
        self._since += time.perf_counter()
        self._log_score("val")

    def on_test_epoch_end(self) -> None:
        """Log the score over all tunes."""
        self._log_score("test")

    def _log_score(self, stage: str) -> None:
        total = self._score
        if self.trainer.world_size > 1:
            total = self.trainer.strategy.reduce(total.to(self.device), reduce_op="sum")
        bits, units, tokens = total.tolist()
        self._score.zero_()
        if not math.isfinite(bits):
            raise self._diverged(f"the score at step {self.global_step} is {bits}")
        scores = {
            f"{stage}_loss": bits * math.log(2) / max(1, tokens),
            f"{stage}_bits_per_token": bits / max(1, tokens),
            f"{stage}_bits_per_{self.unit}": bits / max(1, units),
        }
        self.log_dict(scores, sync_dist=True, prog_bar=True)
