"""The command that evaluates: models, folders and files of tunes, against real ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options, tasks
from musicgen.cli.command import LOOK, command
from musicgen.cli.messages import say
from musicgen.cli.options import ReadingOptions, SamplingOptions
from musicgen.cli.output import print_table, write_json, write_text
from musicgen.cli.progress import available_cores, progress_bar
from musicgen.cli.results import all_of, require_output, require_screen
from musicgen.errors import ConfigError, UnsupportedFormatError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from musicgen.cli.progress import Report
    from musicgen.composer.sampling import SamplingConfig
    from musicgen.evaluation.report import Assessment, Benchmark, RankStep
    from musicgen.evaluation.sets import Reference, TuneSet

DEFAULT_TUNES = 500
_N_GIVEN = 24  # tunes whose heading is asked for, and whose beginning is continued
TABLE_WIDTH = 160  # columns in a file or pipe, so that no cell is wrapped


@command(LOOK)
def evaluate(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Files and folders of tunes to judge (default: a model's tunes)."),
    ] = None,
    *,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", "-c", help="The model to judge (default: celtic)."),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            "--number",
            "-n",
            min=20,
            help="Compose this many tunes and judge them (default: the likelihood alone).",
        ),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            "--reference",
            "--corpus",
            help="Real tunes to compare with, for a model its corpus (default: celtic); "
            "repeatable.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Other labels than those that a trained classifier learned from, as in `train`.",
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(help="The families held out: test, val, train; all (likelihood only)."),
    ] = "test",
    apart_from: Annotated[
        list[str] | None,
        typer.Option(
            "--apart-from",
            help="Leave out families that have a tune in this corpus, such as that of the model "
            "(likelihood only); repeatable.",
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Judge every SOURCE, music or model, and compare them."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the model's tunes.")] = 0,
    sampling: SamplingOptions,
    executor: options.Executor = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Write a page (.html) with charts and examples.",
            rich_help_panel="Output",
        ),
    ] = None,
    listen: Annotated[
        Path | None,
        typer.Option(
            "--listen",
            help="Write a page (.html) for blind listening instead: 20 tunes (or -n), half of "
            "them real.",
            rich_help_panel="Output",
        ),
    ] = None,
    as_json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="Write all numbers to a file; - is the screen.",
            rich_help_panel="Output",
        ),
    ] = None,
    force: options.Force = False,
    reading: ReadingOptions,
) -> None:
    """Judge a model or tunes: likeness, structure, novelty, validity, control, likelihood.

    Without SOURCES and -n: how likely a model finds held-out tunes, in bits per note (of text per
    word and character).
    """
    likelihood_alone = not sources and number is None and report is None and listen is None
    _check_split(split, apart_from, likelihood_alone=likelihood_alone)
    if sources and checkpoint is not None:
        raise ConfigError(
            "--checkpoint and SOURCES: give one of them, or --compare both as SOURCES"
        )
    if compare and len(sources or []) < 2:
        raise ConfigError("--compare: name at least two models, files or folders")
    if listen is not None and (report or as_json or compare):
        raise ConfigError("--listen: writes a page alone; drop --report, --json and --compare")
    if executor is not None and (likelihood_alone or listen is not None):
        raise ConfigError("--executor: is for tunes that are composed and judged; give -n")
    for page in (report, listen):
        _check_page(page, force=force)
    _check_numbers(as_json, report or listen, force=force)
    head = tasks.head_folder(checkpoint)
    if labels is not None and head is None:
        raise ConfigError("--labels: is for a classifier; name it with --checkpoint")
    if head is not None:
        if not likelihood_alone or split == "all" or apart_from:
            raise ConfigError(
                "a trained head is evaluated by its answers alone; drop -n, --report, --apart-from "
                "and --split all"
            )
        tasks.evaluate_head(head, split, as_json, corpus=reference, labels=labels)
        return
    names = reference or ["celtic"]
    if likelihood_alone:
        _print_likelihood(checkpoint or "celtic", names, split, apart_from or [], as_json)
        return
    if listen is not None:
        settings = sampling.with_seed(seed)
        _write_listening_page(
            listen, sources or [], checkpoint or "celtic", names, split, number, settings
        )
        return
    groups = [[s] for s in sources or []] if compare else [sources] if sources else []
    evaluation = _Evaluation(names, split, number or DEFAULT_TUNES, sampling.with_seed(seed))
    with options.executor_of(executor) as evaluation.executor:
        evaluation.run(
            groups or [[checkpoint or "celtic"]],
            options.given(reading),
            models=compare or not sources,
        )
    evaluation.show(report, as_json)


def _check_split(split: str, apart_from: list[str] | None, *, likelihood_alone: bool) -> None:
    from musicgen.corpus import EVERY_SPLIT, SPLITS

    if split not in (*SPLITS, EVERY_SPLIT):
        raise ConfigError(f"--split {split}: is none of {', '.join(SPLITS)}, {EVERY_SPLIT}")
    if (split == EVERY_SPLIT or apart_from) and not likelihood_alone:
        option = "--apart-from" if apart_from else f"--split {split}"
        raise ConfigError(f"{option}: is for the likelihood alone; drop SOURCES, -n and --report")


def _check_page(page: Path | None, *, force: bool) -> None:
    if page is not None:
        if page.suffix.lower() != ".html":
            raise UnsupportedFormatError(f"{page}: a report is .html")
        require_output(page, force=force)


def _check_numbers(as_json: Path | None, report: Path | None, *, force: bool) -> None:
    if as_json is not None and str(as_json) != "-":
        require_output(as_json, force=force)
    elif report is None:
        require_screen()


def _print_likelihood(
    name: str, corpus: list[str], split: str, apart_from: list[str], as_json: Path | None
) -> None:
    from musicgen.corpus import EVERY_SPLIT
    from musicgen.corpus.preparation import prepare
    from musicgen.evaluation.likelihood import rates
    from musicgen.tokens.languages import text_code

    model = options.load_model(name)
    is_text = text_code(model.tokenizer) is not None
    prepared = prepare([*apart_from, *corpus], tokenizer=model.tokenizer, every_token=is_text)
    only, n_related = prepared.corpus.apart_from(apart_from) if apart_from else (None, 0)
    likelihood = rates(model, prepared.tokens, split, only=only)
    if as_json is not None:
        facts = {
            "model": name,
            "corpus": corpus,
            "split": split,
            "apart_from": apart_from,
            "n_related": n_related,
            **{f"bits_per_{rate.unit}": rate.bits for rate in likelihood.rates},
            **asdict(likelihood),
        }
        write_json(facts, as_json)
    if as_json is None or str(as_json) != "-":
        which = "" if split == EVERY_SPLIT else f"{split} "
        for rate in likelihood.rates:
            of_all = "" if rate.n_tunes == likelihood.n_tunes else f" of {likelihood.n_tunes}"
            print(
                f"{rate.bits:7.3f} bits per {rate.unit:9} (95 % of resamples: {rate.low:.3f} to "
                f"{rate.high:.3f}) on {rate.n_tunes}{of_all} "
                f"{which}{'texts' if is_text else 'tunes'} with {rate.n:,} {rate.unit}s"
            )
    if apart_from:
        say(
            f"note: {n_related:,} more tunes are left out, of families that have tunes in "
            f"{', '.join(apart_from)}"
        )
    elif not likelihood.own:
        say(
            "note: not the corpus that the model was trained on, so it may know some of its tunes; "
            "--apart-from leaves out the families of another corpus"
        )
    elif split == EVERY_SPLIT:
        say("note: those that the model was trained on are among them")
    if likelihood.n_unknown:
        unknown = f"{likelihood.n_unknown:,} of {likelihood.n_tokens:,}"
        say(
            f"note: {unknown} tokens are unknown to the model"
            + ("; each costs its spelling, too" if is_text else "")
        )
    if not is_text:
        say("-n 500 composes and judges tunes as well")


def _write_listening_page(
    page: Path,
    sources: list[str],
    model: str,
    names: list[str],
    split: str,
    number: int | None,
    sampling: SamplingConfig,
) -> None:
    from musicgen.composer import Composer
    from musicgen.composer.controls import Controls
    from musicgen.evaluation.listening import DEFAULT_TUNES, listening_page
    from musicgen.evaluation.sets import Reference, read_set
    from musicgen.models import checkpoint as checkpoints

    n = number or DEFAULT_TUNES
    with progress_bar() as progress:
        folder = None if sources else _model([model])
        if folder is None:
            new = read_set(sources or [model], progress).tunes
        else:
            composer = Composer(checkpoints.load(folder))
            new = tuple(take.tune for take in composer.takes(n // 2, Controls(), sampling))
        real = Reference.load(names, split=split, report=progress).held_out.tunes
        progress("drawing and playing", 0, 1)
        content = listening_page(real, new, n=n, seed=sampling.seed)
    write_text(page, content)


class _Evaluation:
    """The sets of tunes that one call of the command judges, with their reference."""

    def __init__(self, names: list[str], split: str, n: int, sampling: SamplingConfig) -> None:
        self.names, self.split, self.n, self.sampling = names, split, n, sampling
        self.sets: list[TuneSet] = []
        self.assessments: list[Assessment] = []
        self.executor: Executor | None = None

    def run(
        self, groups: Sequence[Sequence[str]], reading: Mapping[str, Any], *, models: bool
    ) -> None:
        """Judge each group of names: a model where `models` and there is one, else music."""
        from musicgen.composer import Composer
        from musicgen.evaluation.report import Benchmark, ranking
        from musicgen.evaluation.sets import Reference, read_set
        from musicgen.models import checkpoint as checkpoints

        began = time.monotonic()
        with progress_bar() as progress:
            folders = [_model(group) if models else None for group in groups]
            for model in filter(None, folders):  # refused before minutes of work
                Composer(checkpoints.load(model))
            music = [
                None if folder else read_set(group, progress, reading)
                for folder, group in zip(folders, groups, strict=True)
            ]
            reference = Reference.load(self.names, split=self.split, report=progress)
            sizes = [self.n if tunes is None else len(tunes) for tunes in music]
            self.benchmark = Benchmark.of(reference, max(sizes), report=progress)
            for group, folder, tunes in zip(groups, folders, music, strict=True):
                if tunes is not None:
                    self.sets.append(tunes)
                    self.assessments.append(self.benchmark.assess(tunes, report=progress))
                else:
                    assert folder is not None
                    self._judge_model(group[0], folder, reference, progress)
            self.features = {each.name: each.features() for each in self.sets}
            several = len(self.assessments) > 1
            self.steps = ranking(self.benchmark, self.features, self.assessments) if several else ()
        self.seconds = time.monotonic() - began

    def _judge_model(self, name: str, folder: Path, reference: Reference, report: Report) -> None:
        from musicgen.composer import Composer
        from musicgen.composer.controls import Controls
        from musicgen.corpus.preparation import prepare
        from musicgen.evaluation.control import continuation, control_accuracy
        from musicgen.evaluation.likelihood import bits_per_note
        from musicgen.evaluation.sets import set_of
        from musicgen.models import checkpoint as checkpoints

        model = checkpoints.load(folder)
        composer = Composer(model)
        composed = []
        takes = composer.takes(
            self.n,
            Controls(),
            self.sampling,
            workers=available_cores(),
            executor=self.executor,
        )
        for take in takes:
            composed.append(take.tune)
            report(f"composing with {name}", len(composed), self.n)
        tunes = set_of(name, composed, report)
        held_out = reference.held_out.tunes  # in the order of its books, so taken from all over it
        given = held_out[:: max(1, len(held_out) // _N_GIVEN)][:_N_GIVEN]
        likelihood = None
        if reference.split == self.split:
            tokens = prepare(self.names, progress=report).tokens
            if tokens.vocab == model.vocab:
                report("likelihood", 0, 1)
                likelihood = bits_per_note(model, tokens, self.split)
        if likelihood is None:
            say(f"note: {name} was not trained on {', '.join(self.names)}: no likelihood")
        self.sets.append(tunes)
        self.assessments.append(
            self.benchmark.assess(
                tunes,
                report=report,
                control=control_accuracy(composer, given, self.sampling, report=report),
                continuation=continuation(composer, given, self.sampling, report=report),
                likelihood=likelihood,
            )
        )

    def show(self, page: Path | None, as_json: Path | None) -> None:
        """Print the tables, write the page and the numbers."""
        from musicgen import __version__
        from musicgen.evaluation.page import render_page
        from musicgen.evaluation.report import as_data

        keys = ("seed", "temperature", "top_k", "top_p", "min_p")
        about = {"musicgen": __version__, **{key: getattr(self.sampling, key) for key in keys}}
        judged = self.benchmark, self.assessments, self.steps
        for assessment in self.assessments:
            for kind in ("unreadable", "invalid", "set_aside"):
                for fault in getattr(assessment.validity, kind):
                    say(f"{fault.name}: {kind.replace('_', ' ')}: {fault.what}")
        if as_json is None or str(as_json) != "-":
            _print_tables(*judged)
        with all_of() as attempt:
            if as_json is not None:
                attempt(lambda: write_json(as_data(*judged, about), as_json))
            if page is not None:
                pairs = [(each, self.features[each.name]) for each in self.sets]
                content = render_page(self.benchmark, pairs, self.assessments, self.steps, about)
                attempt(lambda: write_text(page, content))
        say(f"{self.seconds:.0f} s")


def _model(group: Sequence[str]) -> Path | None:
    """The folder of the model that a name stands for; None for music.

    Raises:
        CheckpointError: it is neither a model nor a file or folder.
    """
    from musicgen.models import checkpoint as checkpoints

    if len(group) > 1:
        return None
    folder = options.model_folder(group[0])
    return folder if checkpoints.is_checkpoint(folder) or not folder.exists() else None


def _print_tables(
    benchmark: Benchmark, assessments: Sequence[Assessment], steps: Sequence[RankStep]
) -> None:
    from musicgen.evaluation import tables

    for title, names, rows in [
        ("times the distance of other real tunes", *tables.family_rows(benchmark, assessments)),
        ("novelty", *tables.novelty_rows(benchmark, assessments)),
        *tables.detail_tables(benchmark, assessments),
    ]:
        print_table(names, rows, title=title, width=TABLE_WIDTH, numbers=True)
    for step in steps:
        how = "is nearer to real tunes than" if step.sure else "cannot be told from"
        print(f"{step.better} {how} {step.worse}: {tables.spread(step.difference)}")
    for assessment in assessments:
        print(tables.headline(benchmark, assessment))
