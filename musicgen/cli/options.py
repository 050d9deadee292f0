"""The application object and the options that several commands share."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from musicgen.composer.sampling import SamplingConfig

app = typer.Typer(
    help="Write new tunes with trained models, finish unfinished ones, train on your own corpus.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Checkpoint = Annotated[
    str, typer.Option("--checkpoint", "-c", help="A folder that `train` wrote, or a shipped model.")
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="The same seed gives the same tunes (default: random)."),
]
Number = Annotated[int, typer.Option("--number", "-n", min=1, help="How many tunes.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="A file (.abc, .mid, .svg, .pdf, .wav ...), or a folder for a page that shows and "
        "plays the tunes (default: ABC to the screen).",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]
Temperature = Annotated[
    float | None,
    typer.Option(
        help="Below 1 plays safe, above 1 takes risks; 0 is the likeliest tune.",
        show_default="0.95",
    ),
]
TopK = Annotated[int, typer.Option(help="Choose among the k likeliest tokens; 0 is off.")]
TopP = Annotated[float, typer.Option(help="Choose among the likeliest that make up this share.")]
MinP = Annotated[float, typer.Option(help="Drop what is less likely than this share of the best.")]
MaxCopiedBars = Annotated[
    int | None,
    typer.Option(min=0, help="Draw again what shares more bars with a tune of the corpus."),
]
BestOf = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Keep the best of so many; by default of 4 where the model has a critic. 1 is faster.",
    ),
]
Judge = Annotated[
    str | None,
    typer.Option(
        help="What is best: likeness (to real tunes, by the model's critic; the default), "
        "likelihood (the model's own), structure (new and made), fitted (no mistakes)."
    ),
]
Novelty = Annotated[
    bool, typer.Option("--novelty/--no-novelty", help="Say how close each comes to the corpus.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes that read (default: one for each core)."),
]
Sources = Annotated[
    list[str], typer.Argument(help="Named corpora (celtic ...), files and folders.")
]

# How MIDI is to be read; `reading` collects what was given.
Voices = Annotated[
    str | None, typer.Option(help="Reading MIDI: melody (one line, the default) or all parts.")
]
Track = Annotated[
    str | None, typer.Option(help="Reading MIDI: the track, by number or a part of its name.")
]
Channel = Annotated[int | None, typer.Option(help="Reading MIDI: the channel, 1 to 16.")]
ReadKey = Annotated[
    str | None, typer.Option("--key", help="Reading MIDI: the key, instead of what it says.")
]
ReadMeter = Annotated[str | None, typer.Option("--meter", help="Reading MIDI: the meter.")]
Pickup = Annotated[
    str | None, typer.Option(help="Reading MIDI: the pickup in quarter notes, such as 1/2 or 0.")
]


def _version(asked: bool) -> None:
    if asked:
        from musicgen import __version__

        typer.echo(f"musicgen {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    max_size: Annotated[
        int,
        typer.Option(min=1, help="MiB that a file to be read may have; for any command."),
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
    own: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            own += [argument, *waiting]
        elif argument == "--debug" or argument.startswith("--max-size="):
            common.append(argument)
        elif argument == "--max-size":
            common += [argument, *islice(waiting, 1)]
        else:
            own.append(argument)
    return [*common, *own]


def sampling_config(
    seed: int | None,
    temperature: float | None,
    *,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> SamplingConfig:
    """The options as one; a seed that was not given is drawn."""
    from musicgen.composer.sampling import TEMPERATURE, SamplingConfig

    return SamplingConfig(
        seed=secrets.randbelow(2**31) if seed is None else seed,
        temperature=TEMPERATURE if temperature is None else temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
    )


def reading(**asked: str | int | None) -> dict[str, Any]:
    """The reading options that were given."""
    return {name: value for name, value in asked.items() if value is not None}
