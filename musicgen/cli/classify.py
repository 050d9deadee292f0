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
from musicgen.cli.results import require_screen
from musicgen.errors import ConfigError, MusicgenError, locate, printable

if TYPE_CHECKING:
    from musicgen.evaluation.classification import Classifier, Way
    from musicgen.evaluation.classification.trained import TrainedClassifier
    from musicgen.music.tune import Tune

Answers = Mapping[str, Mapping[str, float]]  # question -> class -> probability


class By(StrEnum):
    """The two methods."""

    HEAD = "head"
    LIKELIHOOD = "likelihood"


_SHOWN = 3  # answers to a question
_BEGINNING = 60  # characters of a text
_LEAST = 0.005  # probability that is still shown, after the first


@command(LOOK)
def classify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Tunes: ABC, MIDI and so on, or folders; texts for a model of texts."),
    ] = None,
    *,
    text: Annotated[
        str | None, typer.Option(help="A text, instead of files, for a model of texts.")
    ] = None,
    by: Annotated[
        By, typer.Option(help="A head on the network's states, or Bayes' rule on its likelihood.")
    ] = By.HEAD,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            "-c",
            help="A run of `train --task classify`; or the model that a head was fitted on.",
        ),
    ] = None,
    head: Annotated[
        Path | None,
        typer.Option(help="A fitted classifier (default: the shipped one)."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Estimate type, mode, meter and collection of a tune from its notes alone.

    With a run of `train --task classify`: its labels, for tunes or for texts.
    """
    from musicgen.evaluation.classification import Classifier, load

    require_screen()
    folder = None if checkpoint is None else options.model_folder(checkpoint)
    classifier = load(folder, head, by="head" if by is By.HEAD else "likelihood")
    if not isinstance(classifier, Classifier) and classifier.reads_text:
        _classify_texts(classifier, files or [], text, as_json=as_json)
        return
    if text is not None:
        raise ConfigError("--text: this model reads music; name tunes")
    if not files:
        raise ConfigError("name tunes: files or folders")
    sources = find_sources(files)
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
    way = f", by {by.value}" if isinstance(classifier, Classifier) else ""
    say(
        f"{counted(n_tunes, 'tune')} in {counted(len(sources), 'file')}{way}; "
        f"{len(failures)} left out"
    )
    _exit(failures)


def _exit(failures: list[str]) -> None:
    for failure in failures:
        say(f"left out: {failure}")
    raise typer.Exit(1 if failures else 0)


def _classify_texts(
    classifier: TrainedClassifier, files: list[Path], text: str | None, *, as_json: bool
) -> None:
    """The answers for a text, or for the documents of files; see `corpus.texts`."""
    from musicgen.corpus import find_files, texts

    if (text is None) == (not files):
        raise ConfigError("this model reads texts: name files, or give one with --text")
    failures: list[str] = []
    places: list[tuple[str, str]] = [] if text is None else [("text", text)]
    for file in find_files(list(map(str, files)), texts=True):
        try:
            documents = texts.documents(texts.decoded(file.content(), file.place))
            places += [(f"{file.path}:{line}", document) for line, document in documents]
        except MusicgenError as error:
            failures.append(str(error))
    report: list[dict[str, Any]] = []
    for place, document in places:
        answers = classifier.classify(document)
        report.append({"file": place, "text": document, "answers": answers})
        if not as_json:
            begin = " ".join(document.split())[:_BEGINNING]
            print(
                "\n".join([printable(f"{place}: {begin}"), *_answer_lines(answers, {})]), flush=True
            )
    if as_json:
        write_json(report)
    say(f"{counted(len(places), 'text')}; {len(failures)} left out")
    _exit(failures)


def _answered(
    classifier: Classifier | TrainedClassifier, path: Path, by: By, failures: list[str]
) -> Iterator[tuple[Tune, Answers]]:
    """The tunes of a file with the answers; tunes without any are added to `failures`."""
    from musicgen.evaluation.classification import Classifier

    result = scan_file(path, {}, failures)
    failures += [locate(r.reason, path=path, line=r.line) for r in result.rejected]
    for tune in result.tunes:
        try:
            if isinstance(classifier, Classifier):
                way: Way = "head" if by is By.HEAD else "likelihood"
                yield tune, classifier.classify(tune, by=way)
            else:
                yield tune, classifier.classify(tune)
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
    yield from _answer_lines(answers, _stated(tune))


def _answer_lines(answers: Answers, stated: Mapping[str, str]) -> Iterator[str]:
    for question, of_class in answers.items():
        best = sorted(of_class.items(), key=lambda item: -item[1])
        shown = [
            f"{name} {p:.0%}" for i, (name, p) in enumerate(best[:_SHOWN]) if not i or p > _LEAST
        ]
        aside = f"   (heading: {stated[question]})" if question in stated else ""
        yield f"  {question:<11} {', '.join(shown)}{aside}"
