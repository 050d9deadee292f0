"""The `musicgen` command: parse arguments, call one function, print what it returns.

Music goes to standard output or to the files of -o, everything else to standard error. Exit code
0: done, 1: bad input (one line says what), 2: wrong usage, 130: interrupted, 143: terminated.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.errors import MusicgenError, printable

if TYPE_CHECKING:
    from musicgen.composer import Take
    from musicgen.tune import Tune

app = typer.Typer(
    help="Write new tunes with trained models, finish unfinished ones, and train on your own corpus.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", "-c", help="A folder that `train` wrote, or a shipped model.")
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="The same seed gives the same tunes [default: random].")
]
CountOption = Annotated[int, typer.Option("--number", "-n", min=1, help="How many tunes.")]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="A file (.abc, .mid) or a folder, which gets ABC and MIDI [default: ABC to the screen].",
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]
TemperatureOption = Annotated[
    float, typer.Option(help="Below 1 plays safe, above 1 takes risks; 0 is the likeliest tune.")
]
TopKOption = Annotated[int, typer.Option(help="Choose among the k likeliest tokens; 0 is off.")]
TopPOption = Annotated[float, typer.Option(help="Choose among those that make up this probability.")]
MinPOption = Annotated[float, typer.Option(help="Leave out what is this much rarer than the best.")]
CorpusOption = Annotated[
    list[str], typer.Option("--corpus", help="A named corpus, a file or a folder; may be repeated.")
]


def main() -> None:
    """Run the command; every error that is the input's fault becomes one line."""
    try:
        app()
    except MusicgenError as error:
        _say(f"error: {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _say("interrupted")
        raise SystemExit(130) from None


def _version(asked: bool) -> None:
    if asked:
        from musicgen import __version__

        typer.echo(f"musicgen {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def generate(
    *,
    checkpoint: CheckpointOption = "celtic",
    key: Annotated[str | None, typer.Option(help="Such as D, Ador, 'E minor'.")] = None,
    meter: Annotated[str | None, typer.Option(help="Such as 6/8, C|.")] = None,
    rhythm: Annotated[str | None, typer.Option(help="Such as jig, reel, hornpipe.")] = None,
    number: CountOption = 1,
    seed: SeedOption = None,
    temperature: TemperatureOption = 1.0,
    top_k: TopKOption = 0,
    top_p: TopPOption = 1.0,
    min_p: MinPOption = 0.0,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Compose new tunes. What is not asked for is chosen as the model's corpus does."""
    from musicgen import load
    from musicgen.controls import Controls
    from musicgen.sampling import SamplingConfig

    seed = secrets.randbelow(2**31) if seed is None else seed
    sampling = SamplingConfig(
        seed=seed, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p
    )
    sink = _Sink(output, number, force=force)
    takes = load(checkpoint).takes(
        number, Controls(key=key, meter=meter, rhythm=rhythm), sampling
    )
    sink.take(takes)
    _say(f"seed {seed}")


@app.command(name="continue")
def continue_(
    file: Annotated[Path, typer.Argument(help="An unfinished melody, ABC or MIDI.")],
    *,
    checkpoint: CheckpointOption = "celtic",
    tune: Annotated[
        int, typer.Option("--tune", min=1, help="Which tune of the file, counted from 1.")
    ] = 1,
    number: CountOption = 1,
    seed: SeedOption = None,
    temperature: TemperatureOption = 1.0,
    top_k: TopKOption = 0,
    top_p: TopPOption = 1.0,
    min_p: MinPOption = 0.0,
    output: OutputOption = None,
    force: ForceOption = False,
) -> None:
    """Finish an unfinished melody; every note of it stays exactly as it was."""
    from musicgen import load, read
    from musicgen.errors import ControlError
    from musicgen.sampling import SamplingConfig

    seed = secrets.randbelow(2**31) if seed is None else seed
    sampling = SamplingConfig(
        seed=seed, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p
    )
    sink = _Sink(output, number, force=force)
    tunes = read(file)
    if tune > len(tunes):
        raise ControlError(f"{file}: holds {len(tunes)} tunes; --tune {tune} is not one of them")
    if len(tunes) > 1:
        _say(f"{file}: continuing tune {tune} of {len(tunes)}; choose another with --tune")
    given = tunes[tune - 1]
    for warning in given.warnings:
        _say(f"{file}:{warning.line}: {warning.what}" if warning.line else f"{file}: {warning.what}")
    sink.take(load(checkpoint).continuations(given, number, sampling))
    _say(f"seed {seed}")


class _Sink:
    """Where tunes go: the screen, one file, or a folder with ABC and MIDI of each."""

    def __init__(self, output: Path | None, number: int, *, force: bool) -> None:
        self.output = output
        self.force = force
        self.to_folder = output is not None and (output.is_dir() or not output.suffix)
        if output is None or self.to_folder:
            return
        from musicgen.errors import InvalidTuneError
        from musicgen.formats import FORMATS, UnsupportedFormatError

        suffix = output.suffix.lower()
        if suffix not in FORMATS:
            raise UnsupportedFormatError(
                f"{output}: cannot write '{suffix}'; use {', '.join(FORMATS)} or a folder"
            )
        if number > 1 and FORMATS[suffix] == "midi":
            raise InvalidTuneError(f"{output}: a MIDI file holds one tune; give a folder with -o")
        self._check_free(output)

    def _check_free(self, path: Path) -> None:
        if path.exists() and not self.force:
            raise MusicgenError(f"{path}: exists; add --force to replace it")

    def take(self, takes: Iterable[Take]) -> None:
        """Write takes as they come."""
        from musicgen.formats import write

        if self.output is None:
            for take in takes:
                typer.echo(_abc(take.tune))
        elif self.to_folder:
            self.output.mkdir(parents=True, exist_ok=True)
            for take in takes:
                self._write_pair(take.tune, self.output)
        else:
            tunes = [take.tune for take in takes]
            write(tunes, self.output)
            _say(f"wrote {self.output}")

    def _write_pair(self, tune: Tune, folder: Path) -> None:
        from musicgen.files import slug
        from musicgen.formats import write

        for suffix in (".abc", ".mid"):
            path = folder / (slug(tune.title) + suffix)
            self._check_free(path)
            write(tune, path)
        _say(f"wrote {folder / slug(tune.title)}.abc and .mid")


def _abc(tune: Tune) -> str:
    from musicgen.formats.abc_notation import to_abc

    return to_abc(tune)


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)
