"""The command that plays: play."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from musicgen.cli import options
from musicgen.cli.messages import say, warn_of
from musicgen.cli.options import app
from musicgen.errors import ControlError


@app.command()
def play(
    file: Annotated[Path, typer.Argument(help="What to play: ABC, MIDI.")],
    *,
    tune: Annotated[
        int, typer.Option("--tune", min=1, help="Which tune of the file, counted from 1.")
    ] = 1,
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
    loops: Annotated[int, typer.Option(min=1, help="How many times.")] = 1,
    exact: Annotated[
        bool, typer.Option("--exact", help="As written: no accents, swing, ornaments, chords.")
    ] = False,
    soundfont: Annotated[str, typer.Option(help="Another .sf2 file.")] = "",
    voices: options.Voices = None,
    track: options.Track = None,
    channel: options.Channel = None,
    key: options.ReadKey = None,
    meter: options.ReadMeter = None,
    pickup: options.Pickup = None,
) -> None:
    """Play a tune as a folk musician would, where this machine has an audio device."""
    from musicgen.formats import read
    from musicgen.formats.audio import player
    from musicgen.music.performance import EXACT, FOLK

    asked = options.reading(
        voices=voices, track=track, channel=channel, key=key, meter=meter, pickup=pickup
    )
    tunes = read(file, **asked)
    if tune > len(tunes):
        raise ControlError(f"{file}: has no tune {tune}; it holds {len(tunes)}")
    if len(tunes) > 1:
        say(f"{file}: tune {tune} of {len(tunes)}; --tune chooses another")
    chosen = tunes[tune - 1]
    warn_of(chosen, file)
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
