"""The command that writes new music: generate."""

from __future__ import annotations

from typing import Annotated

import typer

from musicgen.cli import options
from musicgen.cli.options import app
from musicgen.cli.output import TuneSink, said, say
from musicgen.cli.progress import available_cores


@app.command()
def generate(
    *,
    checkpoint: options.Checkpoint = "celtic",
    key: Annotated[str | None, typer.Option(help="Such as D, Ador, 'E minor'.")] = None,
    meter: Annotated[str | None, typer.Option(help="Such as 6/8, C|.")] = None,
    rhythm: Annotated[str | None, typer.Option(help="Such as jig, reel, 'slip jig'.")] = None,
    number: options.Number = 1,
    seed: options.Seed = None,
    temperature: options.Temperature = 1.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    max_copied_bars: options.MaxCopiedBars = None,
    best_of: options.BestOf = 1,
    judge: options.Judge = "likelihood",
    novelty: options.Novelty = True,
    output: options.Output = None,
    force: options.Force = False,
) -> None:
    """Compose new tunes. What is not asked for is chosen as the model's corpus has it."""
    sink = TuneSink(output, number, force=force)
    from musicgen import load
    from musicgen.composer import Selection
    from musicgen.controls import Controls

    sampling = options.sampling_config(seed, temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    controls = Controls(key=key, meter=meter, rhythm=rhythm)
    selection = Selection(max_copied_bars=max_copied_bars, best_of=best_of, judge=judge)
    workers = available_cores()
    takes = load(checkpoint).takes(number, controls, sampling, selection, workers=workers)
    sink.take(said(takes, novelty=novelty))
    say(f"seed {sampling.seed}")
