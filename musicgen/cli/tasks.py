"""Train and evaluate heads: the labels of tunes and texts, the chords over melodies."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from musicgen.cli import options
from musicgen.cli.messages import counted, say
from musicgen.cli.output import print_table, write_json
from musicgen.cli.progress import available_cores, progress_bar, reporting
from musicgen.errors import CheckpointError, ConfigError, CorpusError
from musicgen.system.files import write_bytes

if TYPE_CHECKING:
    from musicgen.corpus.labelled import LabelledCorpus
    from musicgen.music.metrics.distances import ConfidenceInterval
    from musicgen.tokens.vocabulary import Vocabulary
    from musicgen.training import TrainConfig
    from musicgen.training.run import Logger
    from musicgen.training.tasks import Task

LEFT_OUT = "left_out.txt"


class TaskName(StrEnum):
    """What a model learns to predict."""

    next = "next"
    classify = "classify"
    harmonize = "harmonize"


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What is learned, and from which labels."""

    panel: ClassVar[str] = "What to learn"
    task: Annotated[
        TaskName,
        typer.Option(
            help="The next token (to compose), the label of a tune or text, or the chords over a "
            "melody."
        ),
    ] = TaskName.next
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|LETTER|folder",
            help="With --task classify: a table of files, ids, titles or texts and labels; a "
            "heading field such as R; or folder, for the names of subfolders.",
        ),
    ] = None


def origin_of(
    given: TaskOptions, before: Mapping[str, Any], sources: Mapping[str, Any], column: str
) -> dict[str, Any] | None:
    """Where the examples of a head are from, as JSON values; None for a model of next tokens.

    Args:
        given: the options.
        before: the origin of a run that is resumed, or empty.
        sources: what a run of next tokens would be trained on: corpus, tokens, from, tokenizer ...
        column: the column of a table that holds the music or the texts.

    Raises:
        ConfigError: options that contradict each other.
    """
    task = before.get("task", TaskName.next) if before else given.task
    if task == TaskName.next:
        if given.task != TaskName.next:
            raise ConfigError(f"--task {given.task}: the run learns the next token; drop --task")
        if given.labels is not None:
            raise ConfigError("--labels: is for --task classify; add that, or drop --labels")
        return None
    for name, value in sources.items():
        if value is not None and name not in ("corpus", "tokenizer"):
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(
                f"{option} and --task {task}: a head has no use for it; drop {option}"
            )
    labels = given.labels
    if labels is not None and Path(labels.partition("#")[0]).exists():
        labels = str(Path(labels).resolve())
    if before:
        if labels not in (None, before["labels"]):
            raise ConfigError("--resume: an unfinished run keeps its own labels; drop --labels")
        return dict(before)
    if task == TaskName.harmonize:
        for option, value in (("--labels", labels), ("--tokenizer", sources["tokenizer"])):
            if value is not None:
                raise ConfigError(f"{option}: a harmonizer learns chords; drop {option}")
        if not sources["corpus"]:
            raise ConfigError("--task harmonize: name tunes with chord symbols with --corpus")
    elif labels is None:
        raise ConfigError(
            "--task classify: where are the labels? add --labels labels.csv, R or folder"
        )
    head = {"corpus": sources["corpus"], "tokenizer": sources["tokenizer"], "column": column}
    return {"task": str(task), "labels": labels, **head}


def configured(
    task: str,
    preset: str | None,
    overrides: Sequence[str],
    seed: int | None,
    budget: Mapping[str, float],
) -> TrainConfig:
    """The configuration of the training of a head.

    Raises:
        ConfigError: an unknown preset or setting, or one that the task does not take.
    """
    from musicgen.training import presets
    from musicgen.training.config import with_settings
    from musicgen.training.tasks import CLASSIFY, HARMONIZE

    config = CLASSIFY if task == TaskName.classify else HARMONIZE
    if preset is not None:
        if task == TaskName.harmonize:
            raise ConfigError("--preset: a harmonizer has its own network; drop --preset")
        network = presets.preset(preset).model
        model = replace(
            config.model, kind=network.kind, n_layers=network.n_layers, n_heads=network.n_heads
        )
        config = replace(config, model=model)
    config = with_settings(config, overrides)
    if seed is not None:
        config = replace(config, seed=seed)
    return config.with_budget(**budget) if budget else config


def sets_pace(overrides: Sequence[str]) -> bool:
    """Whether a setting says when a run ends, or what its batches are."""
    from musicgen.training.config import sets_budget

    return sets_budget(overrides) or any(name.startswith("data.") for name in overrides)


def load_task(origin: dict[str, Any]) -> Task:
    """The examples of a head, read from where its origin says; lines about them are printed."""
    from musicgen.training.tasks import ClassifyTask, HarmonizeTask

    if origin["task"] == TaskName.classify:
        labelled = _labelled(origin)
        for line in labelled.summary():
            say(line)
        return ClassifyTask(labelled, origin)
    from musicgen.corpus.harmony import read_chords

    say(f"reading {', '.join(origin['corpus'])}")
    with progress_bar() as progress:
        corpus = read_chords(origin["corpus"], workers=available_cores(), progress=progress)
    for line in corpus.summary():
        say(line)
    return HarmonizeTask(corpus, origin)


def _labelled(origin: Mapping[str, Any], vocabulary: Vocabulary | None = None) -> LabelledCorpus:
    """The corpus of a classifier; its tokens are words for texts of a table, else those that fit
    the music."""
    from musicgen.corpus.choice import asked_for, choose
    from musicgen.corpus.labelled import read_labelled
    from musicgen.corpus.labels import labels_from
    from musicgen.corpus.sources import Listing

    labels = labels_from(origin["labels"], column=origin["column"])
    names = origin["corpus"] or ["celtic"]
    if labels.corpus is not None:
        table = Path(labels.corpus.rpartition("#")[0])
        for name in origin["corpus"] or ():
            if not Path(name.partition("#")[0]).exists() or not table.samefile(
                name.partition("#")[0]
            ):
                raise ConfigError(f"--labels {table}: holds its own texts; drop --corpus {name}")
        names = [labels.corpus]
    tokenizer = origin["tokenizer"]
    if tokenizer is None:
        tokenizer = "word" if labels.has_texts else choose(Listing(names)).name
    asked_for(tokenizer)  # is it known?
    say(f"reading {', '.join(names)}; {tokenizer} tokens; labels from {origin['labels']}")
    with progress_bar() as progress:
        return read_labelled(
            names,
            labels,
            tokenizer=tokenizer,
            vocabulary=vocabulary,
            workers=available_cores(),
            progress=progress,
        )


def write_left_out(task: Task, out: Path) -> None:
    """Write which tunes, texts and rows were not learned from into the run folder."""
    from musicgen.training.tasks import ClassifyTask

    if isinstance(task, ClassifyTask) and task.corpus.omitted:
        write_bytes(out / LEFT_OUT, ("\n".join(task.corpus.omitted) + "\n").encode())
        say(f"left out: all {len(task.corpus.omitted)} are in {out / LEFT_OUT}")


def head_folder(checkpoint: str | None) -> Path | None:
    """The folder of a trained head; None for a model of next tokens."""
    from musicgen.models.sealed_folder import kind_of

    if checkpoint is None:
        return None
    folder = options.model_folder(checkpoint)
    return folder if kind_of(folder) in ("musicgen-classifier", "musicgen-harmonizer") else None


def evaluate_head(
    folder: Path,
    split: str,
    as_json: Path | None,
    *,
    corpus: Sequence[str] | None = None,
    labels: str | None = None,
) -> None:
    """Print how often a trained head is right on a split, beside what it has to beat.

    Raises:
        CheckpointError: the model does not say where its examples were from.
        CorpusError: its corpus is no longer there.
    """
    from musicgen.models.sealed_folder import kind_of

    is_classifier = kind_of(folder) == "musicgen-classifier"
    if labels is not None and not is_classifier:
        raise ConfigError("--labels: is for a classifier; drop it")
    measure = _evaluate_classifier if is_classifier else _evaluate_harmonizer
    given = {"corpus": list(corpus) if corpus else None, "labels": labels}
    facts = measure(folder, split, {k: v for k, v in given.items() if v is not None})
    if as_json is not None:
        write_json(facts, as_json)


def _with_origin(
    before: Mapping[str, Any], given: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """Where the examples of a model are from, with what was asked for instead.

    Raises:
        CheckpointError: the model does not say it.
    """
    origin = {**before, **given}
    if not before and "corpus" not in given:
        raise CheckpointError(
            f"{folder}: does not say what it was trained on; name it with --corpus"
        )
    return origin


def _evaluate_classifier(folder: Path, split: str, given: Mapping[str, Any]) -> dict[str, Any]:
    from musicgen.evaluation.classification.trained import accuracy_of
    from musicgen.models import classifier
    from musicgen.tokens.vocabulary import Vocabulary

    model = classifier.load(folder)
    origin = _with_origin(model.origin, given, folder)
    corpus = _labelled({**origin, "tokenizer": model.tokenizer}, Vocabulary(model.vocab))
    found = accuracy_of(model, corpus, split)
    rows = [
        ("network", found.network),
        ("n-grams", found.ngrams),
        (f"always '{max(model.counts, key=lambda name: model.counts[name])}'", found.majority),
        ("network ahead of n-grams", found.ahead),
    ]
    _print_shares(
        rows, f"{model.question}: right on {counted(found.n, 'sequence')} of the {split} split"
    )
    _print_confusion(found.classes, found.table.astype(int).tolist())
    if found.network.low <= found.majority.value:
        say("note: no better, within its interval, than always the commonest label")
    if found.unknown:
        say(f"note: {counted(found.unknown, 'sequence')} with labels that the model does not know")
    facts = {name: asdict(value) for name, value in zip(_NAMES, (v for _, v in rows), strict=True)}
    return {
        "question": model.question, "split": split, "n": found.n, "bits_per_label": found.bits,
        **facts, "classes": found.classes, "confusion": found.table.astype(int).tolist(),
    }  # fmt: skip


_NAMES = ("network", "ngrams", "majority", "ahead_of_ngrams")


def _evaluate_harmonizer(folder: Path, split: str, given: Mapping[str, Any]) -> dict[str, Any]:
    from musicgen.composer.harmony.decoding import DecodingConfig, harmonies
    from musicgen.corpus.harmony import read_chords
    from musicgen.evaluation.harmony import fit_baselines, measure
    from musicgen.models.harmony.model import load

    model = load(folder)
    origin = _with_origin(model.origin, given, folder)
    say(f"reading {', '.join(origin['corpus'])}")
    splits = read_chords(origin["corpus"], workers=available_cores()).splits
    if not splits[split].examples:
        raise CorpusError(f"the {split} split has no tune with chords")
    predictors = fit_baselines(splits["train"], splits["val"])
    predictors["network"] = lambda each: harmonies(model.network, each, DecodingConfig()).chords
    scores = {name: measure(predict, splits[split]) for name, predict in predictors.items()}
    first = scores["network"]
    what = f"{counted(first.n_slots, 'place')} in {counted(first.n_tunes, 'tune')}, {split} split"
    _print_shares([(name, score.root) for name, score in scores.items()], f"roots right at {what}")
    _print_shares([(name, score.chord) for name, score in scores.items()], "roots and kinds right")
    facts = {
        name: {"root": asdict(score.root), "chord": asdict(score.chord)}
        for name, score in scores.items()
    }
    return {"split": split, "tunes": first.n_tunes, "places": first.n_slots, **facts}


def _print_shares(rows: Sequence[tuple[str, ConfidenceInterval]], title: str) -> None:
    cells = [(name, f"{v.value:.1%}", f"{v.low:.1%} to {v.high:.1%}") for name, v in rows]
    print_table(("", "right", "95 % of resamples"), cells, title=title, numbers=True)


def _print_confusion(classes: Sequence[str], table: Sequence[Sequence[int]]) -> None:
    cells = [
        (name, *map(str, row), f"{row[i] / sum(row):.0%}" if sum(row) else "")
        for i, (name, row) in enumerate(zip(classes, table, strict=True))
    ]
    title = "rows: the labels; columns: the answers"
    print_table(("", *classes, "right"), cells, title=title, numbers=True, width=160)


def train_head(
    config: TrainConfig,
    origin: dict[str, Any],
    out: Path,
    *,
    resume: bool | Literal["auto"],
    logger: Logger,
    suit: bool,
) -> None:
    """Train for the labels or the chords of a corpus, with `suit` in steps and batches that suit
    it."""
    examples = load_task(origin)
    from musicgen import training
    from musicgen.training.cluster import launch
    from musicgen.training.presets import suited_to_examples

    if suit:
        config = suited_to_examples(config, examples.splits["train"].lengths)

    with reporting(sys.stderr) as report:
        summary = training.train(
            config,
            examples,
            out,
            resume=resume,
            report=report,
            notify=say,
            logger=logger,
            origin=origin,
        )
    if launch().is_first:
        write_left_out(examples, out)
    say(f"{summary}; loss curve in {out}")
    say(f"next: musicgen evaluate --checkpoint {out}")
    say(f"next: musicgen {origin['task']} --checkpoint {out} tune.abc")
