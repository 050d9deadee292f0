"""The options that several commands share, each declared once, in the groups that they take."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from musicgen.cli.command import app

if TYPE_CHECKING:
    from concurrent.futures import Executor as AnyExecutor

    from musicgen.composer.sampling import SamplingConfig
    from musicgen.models.checkpoint import Checkpoint

Model = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        "-c",
        help="A folder written by `train`, the name of a shipped model, or user/name on the "
        "Hugging Face Hub.",
    ),
]
Tune = Annotated[
    int, typer.Option("--tune", min=1, help="Number of the tune in the file, counted from 1.")
]
Number = Annotated[int, typer.Option("--number", "-n", min=1, help="Number of tunes.")]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="The same seed gives the same tunes (default: random)."),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Overwrite existing files.", rich_help_panel="Output"),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the report as JSON.", rich_help_panel="Output")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Reading processes (default: one for each core)."),
]
Column = Annotated[
    str,
    typer.Option(
        "--column",
        metavar="NAME",
        help="The column with the ABC in tables (.json, .csv, .parquet); else it is found.",
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="ENGINE",
        help="Who does the work: processes:8, dask://host:8786, mpi, or package.module:function, "
        "which returns an executor (default: processes on all cores).",
    ),
]
Sources = Annotated[
    list[str], typer.Argument(help="Named corpora (celtic ...), files, folders and URLs.")
]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where composed tunes go."""

    panel: ClassVar[str] = "Output"
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A file (.abc, .mid, .svg, .pdf, .wav ...), or a folder for a page that shows and "
            "plays the tunes (default: ABC to the screen).",
        ),
    ] = None
    force: Force = False


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How the next token is chosen."""

    panel: ClassVar[str] = "How to sample"
    temperature: Annotated[
        float | None,
        typer.Option(
            help="Below 1 is safer, above 1 more daring; 0 takes the most likely token.",
            show_default="0.95",
        ),
    ] = None
    top_k: Annotated[
        int, typer.Option(help="Sample from the k most likely tokens; 0 is all of them.")
    ] = 0
    top_p: Annotated[
        float,
        typer.Option(
            help="Sample from the most likely tokens that together have this probability."
        ),
    ] = 1.0
    min_p: Annotated[
        float,
        typer.Option(help="Drop tokens less likely than this fraction of the most likely one."),
    ] = 0.0

    def with_seed(self, seed: int | None) -> SamplingConfig:
        """The configuration of the sampler; without a seed one is drawn."""
        from musicgen.composer.sampling import TEMPERATURE, SamplingConfig

        return SamplingConfig(
            seed=secrets.randbelow(2**31) if seed is None else seed,
            temperature=TEMPERATURE if self.temperature is None else self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
        )


@dataclass(frozen=True, kw_only=True)
class TakeOptions(SamplingOptions):
    """Which model composes, how many takes, and how it samples them."""

    checkpoint: Model = "celtic"
    number: Number = 1
    seed: Seed = None
    novelty: Annotated[
        bool,
        typer.Option(
            "--novelty/--no-novelty",
            help="Report how close each comes to the corpus.",
            rich_help_panel="Output",
        ),
    ] = True

    @cached_property
    def sampling(self) -> SamplingConfig:
        """The configuration of the sampler, with the seed that was given or drawn."""
        return self.with_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How a MIDI file is read; those `given` are keyword arguments of `formats.read`."""

    panel: ClassVar[str] = "Reading MIDI"
    voices: Annotated[
        str | None, typer.Option(help="melody (one line, the default) or all parts.")
    ] = None
    track: Annotated[
        str | None, typer.Option(help="The track, by number or a part of its name.")
    ] = None
    channel: Annotated[int | None, typer.Option(help="The channel, 1 to 16.")] = None
    key: Annotated[str | None, typer.Option(help="The key, instead of the file's own.")] = None
    meter: Annotated[str | None, typer.Option(help="The meter, instead of the file's own.")] = None
    pickup: Annotated[
        str | None, typer.Option(help="The pickup in quarter notes, such as 1/2 or 0.")
    ] = None


@contextmanager
def executor_of(text: str | None) -> Iterator[AnyExecutor | None]:
    """The executor that an option names; None without it."""
    if text is None:
        yield None
        return
    from musicgen.system.executors import open_executor

    with open_executor(text) as executor:
        yield executor


def model_folder(name: str) -> Path:
    """The folder of a model: given, of a shipped one by its name, or of one of the Hub."""
    from musicgen.cli.messages import say
    from musicgen.models import hub

    return hub.find(name, report=say)


def load_model(name: str) -> Checkpoint:
    """The model in a folder, a shipped one by its name, or one of the Hub."""
    from musicgen.models import checkpoint

    return checkpoint.load(model_folder(name))


def given(options: Any) -> dict[str, Any]:
    """The options of a group that were given, by name."""
    return {name: value for name, value in asdict(options).items() if value is not None}


def _version(wanted: bool) -> None:
    if wanted:
        from musicgen import __version__

        typer.echo(f"musicgen {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    max_size: Annotated[
        int, typer.Option(min=1, help="Largest file to read, in MiB; for any command.")
    ] = 64,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error; for any command.")
    ] = False,
) -> None:
    from musicgen.system.files import limit_inputs

    limit_inputs(max_size * 2**20)


def common_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with the options that are for any command before the command's name, wherever
    they were written."""
    common: list[str] = []
    others: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            others += [argument, *remaining]
        elif argument == "--debug" or argument.startswith("--max-size="):
            common.append(argument)
        elif argument == "--max-size":
            common += [argument, *islice(remaining, 1)]
        else:
            others.append(argument)
    return [*common, *others]
