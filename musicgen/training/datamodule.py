"""TuneDataModule: a corpus or token files as batches for a Lightning trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from musicgen.corpus.cache import CachedCorpus, prepared
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingError
from musicgen.models.batches import Batch, BatchPlan, ContiguousPlan, Plan
from musicgen.models.loaders import EpochLoader, ShareSampler, TrainBatches, WholeTunes
from musicgen.music.similarity import NoveltyIndex
from musicgen.training.config import DataConfig


class TuneDataModule(pl.LightningDataModule):
    """Batches of tunes for `NextTokenModule`.

        TuneDataModule("celtic")                       # a corpus that is bundled
        TuneDataModule(["my_tunes/", "more.abc"])      # folders and files of music
        TuneDataModule("tokens")                       # what `musicgen prepare --out tokens` wrote

    `tokenizer` is a key of `tokens.languages.LANGUAGES`, or the one that fits the tunes; tokens
    with fewer than `min_count` occurrences, and all but the `most_tokens` most frequent ones, are
    read as unknown. `prepare_data` parses a corpus once into the `cache` folder (default:
    `corpus.cache`), with `workers` processes. Each epoch shows every training token once, in an
    order that depends on `seed` and the epoch alone; a step has at most `batch_tokens` places,
    padding included, times the trainer's accumulation, on all devices together. Tunes longer than
    `max_len` tokens are cut in training. Validation, test and prediction (of the test tunes) see
    whole tunes.

    With `carry` each row of a batch goes on where it ended in the batch before, `max_len` tokens a
    step, and a recurrent `NextTokenModule` carries its state along; it is zero where a tune or an
    epoch begins. Each part of an accumulated step and each device has rows of its own. Without
    `features` the network reads tokens alone.

    After `setup` there are `tokens`, `novelty` (the index of the tunes), `about` and `summary`.
    """

    def __init__(
        self,
        sources: str | Path | Sequence[str | Path] = "celtic",
        *,
        tokenizer: str | None = None,
        min_count: int | None = None,
        most_tokens: int | None = None,
        batch_tokens: int = 512,
        max_len: int = 512,
        carry: bool = False,
        features: bool = True,
        eval_batch_tokens: int = 16384,
        seed: int = 0,
        cache: str | Path | None = None,
        workers: int = 1,
    ) -> None:
        super().__init__()
        self.sources = [sources] if isinstance(sources, str | Path) else list(sources)
        self.tokenizer, self.cache, self.workers = tokenizer, cache, workers
        self.min_count, self.most_tokens = min_count, most_tokens
        self.batches = DataConfig(
            batch_tokens=batch_tokens,
            max_len=max_len,
            carry=carry,
            features=features,
            eval_batch_tokens=eval_batch_tokens,
        )
        self.seed = seed
        self._loader: EpochLoader | None = None
        self._position: dict[str, int] = {}
        self.novelty: NoveltyIndex | None = None
        self.about = ""
        self.summary: tuple[str, ...] = ()

    @classmethod
    def from_tokens(
        cls, tokens: TokenSet, config: DataConfig | None = None, *, seed: int = 0
    ) -> TuneDataModule:
        """Tokens that are in memory or mapped already."""
        data = cls(seed=seed)
        data.batches = config or data.batches
        data.tokens = tokens if data.batches.features else tokens.with_features(())
        return data

    def prepare_data(self) -> None:
        """Parse the corpus into the cache, unless it is there or these are token files."""
        if not hasattr(self, "tokens"):
            self._open()

    def setup(self, stage: str | None = None) -> None:
        """Open the token files.

        Raises:
            TrainingError: there is no tune to validate with, or not a carried row for each device.
        """
        if not hasattr(self, "tokens"):
            self._open()
        parts = self.trainer.accumulate_grad_batches if self.trainer else 1
        if stage in ("fit", None):
            require_validation(self.tokens)
            plan = ContiguousPlan if self.batches.carry else BatchPlan
            self.plan: Plan = plan(
                self.tokens.splits["train"],
                batch_tokens=self.batches.batch_tokens,
                max_len=self.batches.max_len,
                seed=self.seed,
                parts=parts,
            )
            _, n_devices = self._shard()
            if isinstance(self.plan, ContiguousPlan) and self.plan.rows < parts * n_devices:
                raise TrainingError(
                    f"data.carry: {self.plan.rows} rows for {parts} parts of a step on {n_devices} "
                    f"devices; give data.batch_tokens={self.batches.max_len * n_devices}, or more"
                )

    def _open(self) -> None:
        folder = Path(self.sources[0])
        if len(self.sources) == 1 and (folder / "meta.json").is_file():
            corpus = CachedCorpus.of_tokens(folder)
        else:
            corpus = prepared(
                self.sources,
                tokenizer=self.tokenizer,
                cache=self.cache,
                workers=self.workers,
                min_count=self.min_count,
                most_tokens=self.most_tokens,
            )
        self.tokens, self.novelty = corpus.tokens, corpus.novelty
        if not self.batches.features:
            self.tokens = self.tokens.with_features(())
        self.about, self.summary = corpus.about, corpus.summary

    def train_dataloader(self) -> DataLoader[Batch]:
        """One epoch of training batches; its state says where a resumed run goes on."""
        self._loader = EpochLoader(TrainBatches(self.plan, *self._shard()))
        self._loader.load_state_dict(self._position)
        return self._loader

    def val_dataloader(self) -> DataLoader[Batch]:
        """Whole tunes of the validation split."""
        return self._whole("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Whole tunes of the test split."""
        return self._whole("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Whole tunes of the test split."""
        return self._whole("test")

    def _whole(self, split: str) -> DataLoader[Batch]:
        tunes = WholeTunes(self.tokens.splits[split], self.batches.eval_batch_tokens)
        return DataLoader(tunes, batch_size=None, sampler=ShareSampler(tunes, *self._shard()))

    def _shard(self) -> tuple[int, int]:
        """The number of this device, and of all."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def state_dict(self) -> dict[str, Any]:
        """What a run must find again, and the place in the epoch."""
        position = {} if self._loader is None else self._loader.state_dict()
        return {"fingerprint": self.tokens.fingerprint, "seed": self.seed, "position": position}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on at that place.

        Raises:
            TrainingError: these are not the tokens, or not the order of the run.
        """
        self._position = state_dict["position"]
        if self._loader is not None:  # Lightning has asked for its length
            self._loader.load_state_dict(self._position)
        if (state_dict["fingerprint"], state_dict["seed"]) != (self.tokens.fingerprint, self.seed):
            raise TrainingError("the run was trained on another corpus or seed; start a new run")


def require_validation(tokens: Any) -> None:
    """Check that there is a tune to validate with.

    Raises:
        TrainingError: there is none.
    """
    if not len(tokens.splits["val"]):
        raise TrainingError(
            "there is no tune to validate with; give at least three tunes that differ "
            "(near-identical ones count as one)"
        )
