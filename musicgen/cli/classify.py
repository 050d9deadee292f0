"""The command that estimates what kind of tune it is: classify."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.batch import find_sources, scan_file
from musicgen.cli.command import LOOK, command
from musicgen.cli.messages import counted, say
from musicgen.cli.novelty import describe, heading
from musicgen.cli.output import write_json
from musicgen.errors import MusicgenError, locate

if TYPE_CHECKING:
    from musicgen.evaluation.classification import Classifier
    from musicgen.music.tune import Tune

Answers = Mapping[str, Mapping[str, float]]  # question -> class -> probability


class By(StrEnum):
    """The two methods."""

    HEAD = "head"
    LIKELIHOOD = "likelihood"


_SHOWN = 3  # answers to a question
_LEAST = 0.005  # probability that is still shown, after the first


@command(LOOK)
def classify(
    files: Annotated[list[Path], typer.Argument(help="Tunes: ABC, MIDI and so on, or folders.")],
    *,
    by: Annotated[
        By, typer.Option(help="A head on the network's states, or Bayes' rule on its likelihood.")
    ] = By.HEAD,
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", "-c", help="A run folder or a shipped model (celtic)."),
    ] = None,
    head: Annotated[
        Path | None,
        typer.Option(help="A fitted classifier (default: the shipped one)."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Estimate type, mode, meter and collection of a tune from its notes alone."""
    from musicgen.evaluation.classification import Classifier

    sources = find_sources(files)
    folder = None if checkpoint is None else options.model_folder(checkpoint)
    classifier = Classifier.load(folder, head)
    failures: list[str] = []
    report: list[dict[str, Any]] = []
    n_tunes = 0
    for source in sources:
        for tune, answers in _answered(classifier, source.path, by, failures):
            n_tunes += 1
            if as_json:
                stated = {"heading": _stated(tune), "answers": answers}
                report.append(describe(source.path, tune) | stated)
            else:
                print("\n".join(_lines(source.path, tune, answers)), flush=True)
    if as_json:
        write_json(report)
    say(
        f"{counted(n_tunes, 'tune')} in {counted(len(sources), 'file')}, by {by.value}; "
        f"{len(failures)} left out"
    )
    for failure in failures:
        say(f"left out: {failure}")
    raise typer.Exit(1 if failures else 0)


def _answered(
    classifier: Classifier, path: Path, by: By, failures: list[str]
) -> Iterator[tuple[Tune, Answers]]:
    """The tunes of a file with the answers; tunes without any are added to `failures`."""
    result = scan_file(path, {}, failures)
    failures += [locate(r.reason, path=path, line=r.line) for r in result.rejected]
    for tune in result.tunes:
        try:
            yield tune, classifier.classify(tune, by="head" if by is By.HEAD else "likelihood")
        except MusicgenError as error:
            line = tune.source.line if tune.source else 0
            failures.append(locate(f"{tune.title}: {error}", path=path, line=line))


def _stated(tune: Tune) -> dict[str, str]:
    """The answers that the heading of the tune states."""
    from musicgen.evaluation.classification.questions import QUESTIONS

    stated = {question.name: question.truth(tune, "") or "" for question in QUESTIONS}
    return {name: value for name, value in stated.items() if value}


def _lines(path: Path, tune: Tune, answers: Answers) -> Iterator[str]:
    yield heading(path, tune)
    stated = _stated(tune)
    for question, of_class in answers.items():
        best = sorted(of_class.items(), key=lambda item: -item[1])
        shown = [
            f"{name} {p:.0%}" for i, (name, p) in enumerate(best[:_SHOWN]) if not i or p > _LEAST
        ]
        aside = f"   (heading: {stated[question]})" if question in stated else ""
        yield f"  {question:<11} {', '.join(shown)}{aside}"
