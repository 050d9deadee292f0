"""Tasks other than the next token: the label of a sequence, and the chords over a melody.

    train(CLASSIFY, ClassifyTask(read_labelled(["celtic"], labels_from("R"), ...)), Path("run"))

A task has examples with targets, a network for them, and the folder that the trained model becomes.
Everything else of a run (budget, schedule, history, resumable states) is that of `NextTokenModule`.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from musicgen.corpus.harmony import ChordCorpus
from musicgen.corpus.labelled import LabelledCorpus, LabelledSplit
from musicgen.errors import ConfigError
from musicgen.models import KINDS, ModelConfig
from musicgen.models import classifier as classifiers
from musicgen.models.batches import Batch
from musicgen.models.classifier import ClassifierModel, SequenceClassifier, collate_labelled
from musicgen.models.examples import ExamplePlan, Examples, WholeExamples
from musicgen.models.harmony import model as harmonizers
from musicgen.models.harmony.model import HarmonyModel
from musicgen.models.harmony.network import Harmonizer, HarmonizerConfig, HarmonyBatch, collate
from musicgen.models.loaders import ShareSampler
from musicgen.tokens.harmony.chords import N_CHORDS, NOT_KNOWN
from musicgen.tokens.harmony.features import HarmonyExample
from musicgen.tokens.languages import LANGUAGES
from musicgen.training.config import DataConfig, TrainConfig
from musicgen.training.datamodule import TuneDataModule, require_validation
from musicgen.training.lightning_module import NextTokenModule

CLASSIFY = TrainConfig(
    epochs=12,
    data=DataConfig(batch_tokens=4096),
    model=ModelConfig(
        kind="lstm", d_model=128, n_layers=1, dropout=0.3, tie_embeddings=False, copy_head=False
    ),
    learning_rate=3e-3,
)
HARMONIZE = TrainConfig(
    epochs=14,
    data=DataConfig(batch_tokens=256, eval_batch_tokens=4096),
    # the dropout of embeddings is that of whole chords: see `HarmonizerConfig.history_dropout`
    model=ModelConfig(
        kind="transformer", d_model=64, n_layers=2, n_heads=4, dropout=0.2, embedding_dropout=0.3
    ),
    learning_rate=3e-3,
)


class Task(ABC):
    """`unit` is what scores are quoted per; there are `n_outcomes` for each; `splits` hold the
    examples; `fingerprint` identifies them; `origin`, JSON values, says where they were from."""

    unit: str
    n_outcomes: int
    fingerprint: str
    splits: Mapping[str, Examples]

    @abstractmethod
    def fitted(self, config: TrainConfig) -> TrainConfig:
        """The same run with the network's ends sized for the examples."""

    @abstractmethod
    def network(self, config: ModelConfig) -> nn.Module:
        """A new network, with weights from torch's generator."""

    @abstractmethod
    def files_of(self, network: nn.Module, **facts: Any) -> dict[str, bytes]:
        """The folder of the trained model: its files by name. `facts` are `metrics`, `training`
        (the settings) and `about`, Markdown for the card."""

    def describe(
        self, network: nn.Module, *, score: float, step: int, **facts: Any
    ) -> dict[str, bytes]:
        """The same with the score on the validation split, in bits per unit, after `step` steps."""
        parameters = sum(p.numel() for p in network.parameters())
        metrics = {
            "steps": float(step),
            "parameters": float(parameters),
            f"val_bits_per_{self.unit}": score,
        }
        return self.files_of(network, metrics=metrics, **facts)


class _LabelledExamples(Examples):
    def __init__(self, split: LabelledSplit) -> None:
        self.split = split
        self.lengths = np.array([len(s.ids) for s in split.sequences], np.int64)
        self.n_targets = np.ones(len(split), np.int64)

    def collate(self, rows: NDArray[np.int64], *, n_targets: float = 1.0) -> Batch:
        sequences = [self.split.sequences[i] for i in rows]
        return collate_labelled(sequences, self.split.labels[rows], n_targets=n_targets)


@dataclass(frozen=True, eq=False)
class ClassifyTask(Task):
    """Many to one: the label of a whole tune or text."""

    corpus: LabelledCorpus
    origin: dict[str, Any] = field(default_factory=dict)
    unit = "label"

    @cached_property
    def n_outcomes(self) -> int:  # type: ignore[override]
        """Classes."""
        return len(self.corpus.classes)

    @cached_property
    def splits(self) -> dict[str, Examples]:  # type: ignore[override]
        """Sequences with labels."""
        return {name: _LabelledExamples(split) for name, split in self.corpus.splits.items()}

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]
        """That of the corpus."""
        return self.corpus.fingerprint

    def fitted(self, config: TrainConfig) -> TrainConfig:
        """The vocabulary and the features of the language."""
        sizes = tuple(LANGUAGES[self.corpus.tokenizer].feature_sizes.values())
        vocab_size = len(self.corpus.vocabulary)
        model = replace(config.model, vocab_size=vocab_size, feature_sizes=sizes)
        return replace(config, model=model)

    def network(self, config: ModelConfig) -> nn.Module:
        """Any network without its readout."""
        return SequenceClassifier(config, self.n_outcomes)

    def files_of(self, network: nn.Module, **facts: Any) -> dict[str, bytes]:
        """See `models.classifier`."""
        corpus, config = self.corpus, cast(ModelConfig, network.config)
        rows = "\n".join(f"| {name} | {n:,} |" for name, n in corpus.counts.items())
        card = (
            f"# {KINDS[config.kind].title} that tells the {corpus.question} of a tune or text\n\n"
            f"{corpus.tokenizer} tokens; {config.n_layers} layer(s) of {config.d_model} channels.\n"
            f"\n| {corpus.question} | to train on |\n|---|---|\n{rows}\n\n{_scores(facts)}"
        )
        model = ClassifierModel(
            network=cast(SequenceClassifier, network),
            vocab=corpus.vocabulary.tokens,
            tokenizer=corpus.tokenizer,
            question=corpus.question,
            counts=corpus.counts,
            origin=self.origin,
            training=facts["training"],
            metrics=facts["metrics"],
            card=card,
        )
        return classifiers.files_of(model)


class _HarmonyExamples(Examples):
    def __init__(self, examples: Sequence[HarmonyExample]) -> None:
        self.examples = examples
        self.lengths = np.array([len(each) for each in examples], np.int64)
        known = [(each.chords != NOT_KNOWN).sum() for each in examples]
        self.n_targets = np.array(known, np.int64)

    def collate(self, rows: NDArray[np.int64], *, n_targets: float = 1.0) -> HarmonyBatch:
        return collate([self.examples[i] for i in rows], n_targets=n_targets)


@dataclass(frozen=True, eq=False)
class HarmonizeTask(Task):
    """Many to many: the chords over a melody."""

    corpus: ChordCorpus
    origin: dict[str, Any] = field(default_factory=dict)
    unit, n_outcomes = "chord", N_CHORDS

    @cached_property
    def splits(self) -> dict[str, Examples]:  # type: ignore[override]
        """Melodies with chords."""
        splits = self.corpus.splits.items()
        return {name: _HarmonyExamples(split.examples) for name, split in splits}

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]
        """First 16 hexadecimal digits of the SHA-256 of all examples."""
        digest = hashlib.sha256()
        for name, split in self.corpus.splits.items():
            digest.update(name.encode())
            for example in split.examples:
                for array in (example.melody, example.slots, example.chords):
                    digest.update(array.tobytes())
        return digest.hexdigest()[:16]

    def fitted(self, config: TrainConfig) -> TrainConfig:
        """The chords; what the network does not have is refused.

        Raises:
            ConfigError: another kind of network.
        """
        if config.model.kind != HARMONIZE.model.kind:
            raise ConfigError(
                f"model.kind: a harmonizer is a {HARMONIZE.model.kind}, not {config.model.kind}"
            )
        return replace(config, model=replace(config.model, vocab_size=N_CHORDS))

    def network(self, config: ModelConfig) -> nn.Module:
        """The encoder-decoder."""
        return Harmonizer(
            HarmonizerConfig(
                d_model=config.d_model,
                n_layers=config.n_layers,
                n_heads=config.n_heads,
                dropout=config.dropout,
                history_dropout=config.embedding_dropout,
            )
        )

    def files_of(self, network: nn.Module, **facts: Any) -> dict[str, bytes]:
        """See `models.harmony.model`."""
        n = {name: len(split.examples) for name, split in self.corpus.splits.items()}
        card = (
            "# Chords for melodies\n\nAn encoder-decoder with attention for `musicgen harmonize`, "
            f"trained on {n['train']} tunes with chords; {n['val']} chose the best step.\n\n"
            f"{_scores(facts)}"
        )
        trained = HarmonyModel(
            network=cast(Harmonizer, network),
            metrics=facts["metrics"],
            origin=self.origin,
            card=card,
        )
        return harmonizers.files_of(trained)


def _scores(facts: Mapping[str, Any]) -> str:
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in facts["metrics"].items())
    about = f"\n\n{facts['about'].strip()}" if facts["about"].strip() else ""
    return f"| measure | |\n|---|---|\n{rows}{about}\n"


class TaskModule(NextTokenModule):
    """The same training for the targets of a task; scores are bits per `unit`."""

    task: Task

    @classmethod
    def of(cls, config: TrainConfig, task: Task) -> TaskModule:
        """A module with these settings and a new network."""
        module = cls.from_config(replace(config, model=replace(config.model, vocab_size=0)))
        assert isinstance(module, TaskModule)
        module.task, module.unit = task, task.unit
        module._configure(task.fitted(config))
        module.n_outcomes = task.n_outcomes
        return module

    def setup(self, stage: str | None = None) -> None:
        """Nothing: the network was built for the task."""

    def build(self, model: ModelConfig) -> nn.Module:
        """A new network for the task."""
        return self.task.network(model)

    def log_dict(self, dictionary: Any, **options: Any) -> None:  # type: ignore[override]
        """Log losses as those of the unit: there is one target for each."""
        renamed = {
            name.replace("_per_token", f"_per_{self.unit}"): value
            for name, value in dictionary.items()
            if name != "mfu"  # operations are known of next-token networks alone
        }
        super().log_dict(renamed, **options)


class TaskDataModule(TuneDataModule):
    """Batches of whole examples of a task; order and shares are those of `TuneDataModule`."""

    tokens: Any  # the task

    @classmethod
    def of(cls, task: Task, config: TrainConfig) -> TaskDataModule:
        """The examples of a task, in batches as the settings say."""
        data = cls.from_tokens(cast(Any, task), config.data, seed=config.seed)
        assert isinstance(data, TaskDataModule)
        return data

    def setup(self, stage: str | None = None) -> None:
        """Plan the batches."""
        require_validation(self.tokens)
        self.plan = ExamplePlan(
            self.tokens.splits["train"],
            batch_tokens=self.batches.batch_tokens,
            seed=self.seed,
            parts=self.trainer.accumulate_grad_batches if self.trainer else 1,
        )

    def _whole(self, split: str) -> DataLoader[Any]:
        examples = WholeExamples(self.tokens.splits[split], self.batches.eval_batch_tokens)
        sampler = ShareSampler(cast(Any, examples), *self._shard())
        return DataLoader(examples, batch_size=None, sampler=sampler)
