"""The command that plays: play."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from musicgen.cli import options
from musicgen.cli.command import LOOK, command
from musicgen.cli.messages import say
from musicgen.cli.options import ReadingOptions
from musicgen.cli.output import read_tune


@command(LOOK)
def play(
    file: Annotated[Path, typer.Argument(help="The music to play: ABC, MIDI.")],
    *,
    tune: options.Tune = 1,
    instrument: Annotated[
        str, typer.Option(help="Such as fiddle, 'tin whistle', 73; several with commas.")
    ] = "",
    tempo: Annotated[str, typer.Option(help="Such as 70%, or 110 beats a minute.")] = "",
    transpose: Annotated[str, typer.Option(help="A key such as G, or semitones such as +2.")] = "",
    backing: Annotated[
        bool, typer.Option("--backing/--no-backing", help="Accompany the chord symbols.")
    ] = True,
    drone: Annotated[bool, typer.Option("--drone", help="Tonic and fifth throughout.")] = False,
    count_in: Annotated[int, typer.Option(min=0, help="Bars of clicks before the music.")] = 0,
    loops: Annotated[int, typer.Option(min=1, help="Times the tune is played.")] = 1,
    exact: Annotated[
        bool, typer.Option("--exact", help="As written: no accents, swing, ornaments, chords.")
    ] = False,
    soundfont: Annotated[str, typer.Option(help="Your own .sf2 file.")] = "",
    reading: ReadingOptions,
) -> None:
    """Play a tune as a folk musician would, where this machine has an audio device."""
    from musicgen.formats.audio import player
    from musicgen.music.performance import EXACT, FOLK

    chosen = read_tune(file, tune, options.given(reading))
    style = asdict(EXACT if exact else FOLK) | {
        "instrument": instrument,
        "tempo": tempo,
        "transpose": transpose,
        "drone": drone,
        "count_in": count_in,
        "loops": loops,
    }
    style["backing"] = style["backing"] and backing
    performance, wav = player.prepare(chosen, soundfont=soundfont, **style)
    for warning in performance.warnings:
        say(f"{file}: warning: {warning}")
    say(f"playing '{chosen.title}', {performance.duration_s:.0f} s")
    player.play(wav, duration_s=performance.duration_s)
