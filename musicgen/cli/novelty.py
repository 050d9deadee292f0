"""The command that compares tunes with a corpus: novelty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.batch import scan_file
from musicgen.cli.command import LOOK, command
from musicgen.cli.messages import counted, say
from musicgen.cli.options import ReadingOptions
from musicgen.cli.output import write_json
from musicgen.cli.progress import available_cores, progress_bar
from musicgen.cli.results import require_screen
from musicgen.errors import MusicgenError, locate

if TYPE_CHECKING:
    from musicgen.music.similarity import Neighbour, Novelty, NoveltyIndex
    from musicgen.music.tune import Tune


@command(LOOK)
def novelty(
    files: Annotated[list[Path], typer.Argument(help="The tunes in question: ABC or MIDI.")],
    *,
    checkpoint: options.Model = "celtic",
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            "--corpus",
            help="Compare with this instead of the model's corpus: a named corpus, files, a folder "
            "of music or of token files; repeatable.",
        ),
    ] = None,
    neighbours: Annotated[
        int, typer.Option("--neighbours", "-n", min=1, max=4, help="How many tunes to list.")
    ] = 3,
    workers: options.Workers = None,
    as_json: options.Json = False,
    reading: ReadingOptions,
) -> None:
    """How close tunes come to a corpus: nearest tunes, shared bars, and a verdict."""
    from musicgen.models.checkpoint import novelty_index

    require_screen()
    if corpus:
        index = _read_corpus(corpus, workers)
    else:
        index = novelty_index(options.model_folder(checkpoint))
    verdicts: Counter[str] = Counter()
    report: list[dict[str, Any]] = []
    unreadable = 0
    for path in files:
        failures: list[str] = []
        result = scan_file(path, options.given(reading), failures)
        for rejected in result.rejected:
            say(f"{path}:{rejected.line}: left out: {rejected.reason}")
        if result.rejected and not result.tunes:
            failures.append(f"{path}: holds no tune that can be read")
        try:
            for tune in result.tunes:
                assessment = index.assess(tune, neighbours)
                verdicts[assessment.verdict] += 1
                if as_json:
                    report.append(describe(path, tune) | asdict(assessment))
                else:
                    print("\n".join(_lines(path, tune, assessment)), flush=True)
        except MusicgenError as error:
            failures.append(str(error))
        for failure in failures:
            say(f"error: {failure}")
        unreadable += len(failures)
    if as_json:
        write_json(report)
    else:
        counts = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.most_common())
        say(f"{counted(verdicts.total(), 'tune')} against {len(index):,}: {counts or 'none'}")
    raise typer.Exit(1 if unreadable else 0)


def _read_corpus(names: Sequence[str], workers: int | None) -> NoveltyIndex:
    """The index beside token files, or a new one."""
    from musicgen.corpus.preparation import index_corpus
    from musicgen.music.similarity import FILE_NAME, NoveltyIndex

    prepared = Path(names[0], FILE_NAME)
    if len(names) == 1 and prepared.is_file():
        return NoveltyIndex.load(prepared)
    with progress_bar() as progress:
        return index_corpus(names, workers=workers or available_cores(), progress=progress)


def _lines(path: Path, tune: Tune, novelty: Novelty) -> Iterator[str]:
    """The lines about a tune: the verdict, then each neighbour."""
    yield f"{heading(path, tune)}: {novelty.verdict}"
    for neighbour in novelty.neighbours:
        yield f"  {neighbour.similarity:.2f}  {_shared(neighbour)}  {locate(str(neighbour))}"


def heading(path: Path, tune: Tune) -> str:
    """Where a tune is, with its number and title."""
    line = tune.source.line if tune.source else 0
    return locate(f"X:{tune.number} {tune.title}".strip(), path=path, line=line)


def describe(path: Path, tune: Tune) -> dict[str, Any]:
    """The same for a report in JSON."""
    line = tune.source.line if tune.source else 0
    return {"file": str(path), "line": line, "number": tune.number, "title": tune.title}


def _shared(neighbour: Neighbour) -> str:
    run = neighbour.run
    if not run.length:
        return f"{'no bar':<26}"
    bars = "bar " if run.length == 1 else "bars"
    place = f"({run.first_bar}-{run.last_bar} = {run.other_first_bar}-{run.other_last_bar})"
    return f"{run.length:>3} {bars} {place:<17}"
