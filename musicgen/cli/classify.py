"""The command that says what kind of tune it is: classify."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli.messages import counted, say
from musicgen.cli.options import Json, app
from musicgen.errors import MusicgenError, locate

if TYPE_CHECKING:
    from musicgen.evaluation.classification import Classifier
    from musicgen.music.tune import Tune


class By(StrEnum):
    """The two ways."""

    HEAD = "head"
    LIKELIHOOD = "likelihood"


_SHOWN = 3  # answers to a question
_LEAST = 0.005  # probability that is still shown, after the first


@app.command()
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
    as_json: Json = False,
) -> None:
    """Type of tune, mode, meter and collection, heard from the notes alone: how likely is each?"""
    from musicgen.cli.batch import find_sources
    from musicgen.evaluation.classification import Classifier

    sources = find_sources(files)
    classifier = Classifier.load(checkpoint, head)
    failures: list[str] = []
    report: list[dict[str, Any]] = []
    n_tunes = 0
    for source in sources:
        for tune, answers in _answered(classifier, source.path, by, failures):
            n_tunes += 1
            if as_json:
                report.append(_facts(source.path, tune, answers))
            else:
                print("\n".join(_lines(source.path, tune, answers)), flush=True)
    if as_json:
        print(json.dumps(report, indent=1, ensure_ascii=False))
    heard, read = counted(n_tunes, "tune"), counted(len(sources), "file")
    say(f"{heard} in {read}, by {by.value}; {len(failures)} left out")
    for failure in failures:
        say(f"left out: {failure}")
    raise typer.Exit(1 if failures else 0)


def _answered(
    classifier: Classifier, path: Path, by: By, failures: list[str]
) -> Iterator[tuple[Tune, Mapping[str, Mapping[str, float]]]]:
    """The tunes of a file with the answers; what cannot be answered goes to `failures`."""
    from musicgen.formats import scan

    try:
        reading = scan(path)
    except MusicgenError as error:
        failures.append(str(error))
        return
    failures += [locate(r.reason, path=path, line=r.line) for r in reading.rejected]
    if not reading.tunes and not reading.rejected:
        failures.append(locate("holds no tune", path=path))
    for tune in reading.tunes:
        try:
            yield tune, classifier.classify(tune, by="head" if by is By.HEAD else "likelihood")
        except MusicgenError as error:
            line = tune.source.line if tune.source else 0
            failures.append(locate(f"{tune.title}: {error}", path=path, line=line))


def _said(tune: Tune) -> dict[str, str]:
    """What the heading says itself."""
    from musicgen.evaluation.classification.questions import QUESTIONS

    said = {question.name: question.truth(tune, "") or "" for question in QUESTIONS}
    return {name: value for name, value in said.items() if value}


def _lines(path: Path, tune: Tune, answers: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    line = tune.source.line if tune.source else 0
    yield locate(f"X:{tune.number} {tune.title}".strip(), path=path, line=line)
    said = _said(tune)
    for question, of_class in answers.items():
        best = sorted(of_class.items(), key=lambda item: -item[1])
        shown = [
            f"{name} {p:.0%}" for i, (name, p) in enumerate(best[:_SHOWN]) if not i or p > _LEAST
        ]
        heading = f"   (heading: {said[question]})" if question in said else ""
        yield f"  {question:<11} {', '.join(shown)}{heading}"


def _facts(path: Path, tune: Tune, answers: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    line = tune.source.line if tune.source else 0
    name = {"file": str(path), "line": line, "number": tune.number, "title": tune.title}
    return {**name, "heading": _said(tune), "answers": answers}
