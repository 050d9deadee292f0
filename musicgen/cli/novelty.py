"""The command that compares with what is there: novelty."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.messages import say
from musicgen.cli.options import app
from musicgen.errors import CheckpointError, MusicgenError

if TYPE_CHECKING:
    from musicgen.music.similarity import Neighbour, Novelty, NoveltyIndex
    from musicgen.music.tune import Tune


@app.command()
def novelty(
    files: Annotated[list[Path], typer.Argument(help="The tunes in question: ABC or MIDI.")],
    *,
    checkpoint: options.Checkpoint = "celtic",
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
    voices: options.Voices = None,
    track: options.Track = None,
    channel: options.Channel = None,
    key: options.ReadKey = None,
    meter: options.ReadMeter = None,
    pickup: options.Pickup = None,
) -> None:
    """How close tunes come to a corpus: nearest tunes, bars shared, and a verdict."""
    index = _read_corpus(corpus, workers) if corpus else _index_of(checkpoint)
    asked = options.reading(
        voices=voices, track=track, channel=channel, key=key, meter=meter, pickup=pickup
    )
    verdicts: Counter[str] = Counter()
    report: list[dict[str, Any]] = []
    unreadable = 0
    for path in files:
        try:
            for tune in _tunes(path, asked):
                found = index.assess(tune, neighbours)
                verdicts[found.verdict] += 1
                if as_json:
                    report.append(_facts(path, tune, found))
                else:
                    print("\n".join(_lines(path, tune, found)), flush=True)
        except MusicgenError as error:
            say(f"error: {error}")
            unreadable += 1
    if as_json:
        print(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        counts = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.most_common())
        tunes = "1 tune" if verdicts.total() == 1 else f"{verdicts.total()} tunes"
        say(f"{tunes} against {len(index):,}: {counts or 'none'}")
    raise typer.Exit(1 if unreadable else 0)


def _index_of(checkpoint: str) -> NoveltyIndex:
    """The index that comes with a model."""
    from musicgen.models import checkpoint as checkpoints
    from musicgen.music.similarity import FILE_NAME, NoveltyIndex

    folder = checkpoints.locate(checkpoint)
    if not (folder / FILE_NAME).exists():
        raise CheckpointError(f"{folder}: has no index of its corpus; name one with --corpus")
    return NoveltyIndex.load(folder / FILE_NAME)


def _read_corpus(names: Sequence[str], workers: int | None) -> NoveltyIndex:
    """The index beside token files, or one made now."""
    from musicgen.cli.progress import available_cores, progress_bar
    from musicgen.corpus.preparation import index_corpus
    from musicgen.music.similarity import FILE_NAME, NoveltyIndex

    prepared = Path(names[0], FILE_NAME)
    if len(names) == 1 and prepared.is_file():
        return NoveltyIndex.load(prepared)
    with progress_bar() as progress:
        return index_corpus(names, workers=workers or available_cores(), progress=progress)


def _tunes(path: Path, asked: Mapping[str, Any]) -> Iterator[Tune]:
    """The tunes of a file; what cannot be read is said."""
    from musicgen import formats

    reading = formats.scan(path, **formats.options_for(path, asked))
    for rejected in reading.rejected:
        say(f"{path}:{rejected.line}: left out: {rejected.reason}")
    if not reading.tunes:
        raise MusicgenError(f"{path}: holds no tune that can be read")
    yield from reading.tunes


def _lines(path: Path, tune: Tune, found: Novelty) -> Iterator[str]:
    """What a person is told of a tune."""
    from musicgen.errors import locate

    name = f"X:{tune.number} {tune.title}".strip()
    line = tune.source.line if tune.source else 0
    yield locate(f"{name}: {found.verdict}", path=path, line=line)
    for neighbour in found.neighbours:
        yield f"  {neighbour.similarity:.2f}  {_shared(neighbour)}  {locate(str(neighbour))}"


def _shared(neighbour: Neighbour) -> str:
    run = neighbour.run
    if not run.length:
        return f"{'no bar':<26}"
    bars = "bar " if run.length == 1 else "bars"
    where = f"({run.first_bar}-{run.last_bar} = {run.other_first_bar}-{run.other_last_bar})"
    return f"{run.length:>3} {bars} {where:<17}"


def _facts(path: Path, tune: Tune, found: Novelty) -> dict[str, Any]:
    line = tune.source.line if tune.source else 0
    name = {"file": str(path), "line": line, "number": tune.number, "title": tune.title}
    return {**name, **asdict(found)}
