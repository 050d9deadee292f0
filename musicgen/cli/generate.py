"""The command that writes new music: generate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.messages import said, say
from musicgen.cli.options import app
from musicgen.cli.output import TuneSink
from musicgen.cli.progress import available_cores
from musicgen.cli.texts import write_texts
from musicgen.errors import ControlError

if TYPE_CHECKING:
    from musicgen.music.tune import Tune

_Text = str | None


@app.command()
def generate(
    *,
    like: Annotated[_Text, typer.Option(help="In words, such as 'slow waltz in E minor'.")] = None,
    key: Annotated[_Text, typer.Option(help="Such as D, Ador, 'E minor', 'Bb mixolydian'.")] = None,
    meter: Annotated[_Text, typer.Option(help="Such as 6/8, C|.")] = None,
    rhythm: Annotated[_Text, typer.Option(help="Such as jig, reel, 'slip jig'.")] = None,
    form: Annotated[
        _Text, typer.Option(help="AABB, ABAC ...: twice in a row repeats, returning copies.")
    ] = None,
    bars: Annotated[int | None, typer.Option(help="Full bars, each written part once.")] = None,
    part_bars: Annotated[_Text, typer.Option(help="Full bars of each part: 8, or 8,12.")] = None,
    pickup: Annotated[_Text, typer.Option(help="Length of the pickup: 1/8, or 0.")] = None,
    range_: Annotated[
        _Text, typer.Option("--range", help="Lowest and highest written pitch, D4-B5.")
    ] = None,
    instrument: Annotated[
        _Text, typer.Option(help="Keep to its range: 'D whistle', fiddle, flute, banjo ...")
    ] = None,
    scale: Annotated[
        _Text, typer.Option(help="diatonic, pentatonic ..., or notes: 'D E F# A B'.")
    ] = None,
    unit: Annotated[_Text, typer.Option(help="Unit note length of the ABC: 1/8.")] = None,
    tempo: Annotated[
        _Text, typer.Option(help="Beats of the meter a minute, 110, or 3/8=110.")
    ] = None,
    end_on_tonic: Annotated[bool, typer.Option("--end-on-tonic", help="End on the tonic.")] = False,
    max_interval: Annotated[
        int | None, typer.Option(help="Widest interval in semitones, through repeats too.")
    ] = None,
    motif: Annotated[
        Path | None, typer.Option(help="A file whose bars open the tune and come back.")
    ] = None,
    motif_bars: Annotated[str, typer.Option(help="Which bars of it.")] = "1-2",
    max_repeats: Annotated[
        int, typer.Option(min=0, help="How often in a row the same bar may come; 0: any.")
    ] = 0,
    prompt: Annotated[
        _Text, typer.Option(help="What the text of a character model begins with.")
    ] = None,
    checkpoint: options.Checkpoint = "celtic",
    number: options.Number = 1,
    seed: options.Seed = None,
    temperature: options.Temperature = None,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    max_copied_bars: options.MaxCopiedBars = None,
    best_of: options.BestOf = None,
    judge: options.Judge = None,
    novelty: options.Novelty = True,
    output: options.Output = None,
    to: Annotated[
        _Text,
        typer.Option(
            help="What a folder gets for each tune: abc,mid,wav,svg (default; above 24 tunes abc)."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a tunebook that was interrupted.")
    ] = False,
    force: options.Force = False,
) -> None:
    """Compose new tunes. What is asked for always holds; all else is as the model's corpus has it.

    A folder for more than 24 tunes becomes a tunebook: the tunes, book.abc with all of them, and
    index.csv. The same command with --resume goes on where it was stopped.
    """
    from musicgen.composer.controls import Controls

    controls = Controls(
        key=key,
        meter=meter,
        rhythm=rhythm,
        form=form,
        bars=bars,
        part_bars=part_bars,
        pickup=pickup,
        range=range_,
        instrument=instrument,
        scale=scale,
        unit=unit,
        tempo=tempo,
        end_on_tonic=end_on_tonic,
        max_interval=max_interval,
        motif=None if motif is None else _first_tune(motif),
        motif_bars=motif_bars,
        max_repeats=max_repeats,
        like=like,
    )
    if like is not None:
        say(f"understood: {_understood(like)}")
        controls = controls.spelled_out()
    if resume and seed is None:
        seed = _seed_of(output)
    sampling = options.sampling_config(seed, temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    from musicgen.composer import Selection, composer_of
    from musicgen.models import checkpoint as checkpoints
    from musicgen.tokens import char

    model = checkpoints.load(checkpoints.locate(checkpoint))
    selection = Selection(max_copied_bars=max_copied_bars, best_of=best_of, judge=judge)
    if model.tokenizer == char.NAME:
        if controls != Controls() or selection.rules(has_critic=False).choose or resume:
            raise ControlError(
                "this model writes plain text and takes no controls; begin the text with --prompt"
            )
        write_texts(model, number, sampling, output, prompt=prompt or "", to=to, force=force)
        return
    if prompt is not None:
        raise ControlError(
            "--prompt: this model writes tunes, not text; `musicgen continue` goes on from a tune"
        )
    settings: dict[str, Any] = {
        "checkpoint": checkpoint,
        "controls": controls,
        "how": sampling,
        "selection": {"max_copied_bars": max_copied_bars, "best_of": best_of, "judge": judge},
    }
    sink = TuneSink(output, number, force=force, to=to, resume=resume, settings=settings)
    takes = composer_of(model).takes(
        number, controls, sampling, selection, start=sink.start, workers=available_cores()
    )
    sink.take(said(takes, novelty=novelty and sink.book is None))
    say(f"seed {sampling.seed}")


def _understood(like: str) -> str:
    from musicgen.composer.controls import said, understand_phrase

    return said(understand_phrase(like))


def _first_tune(path: Path) -> Tune:
    from musicgen.formats import read

    tunes = read(path)
    if not tunes:
        raise ControlError(f"{path}: holds no tune")
    return tunes[0]


def _seed_of(output: Path | None) -> int | None:
    from musicgen.cli.tunebook import stored_seed

    return None if output is None else stored_seed(output)
