"""The command that opens the web page: studio."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from musicgen.cli import options
from musicgen.cli.command import COMPOSE, command
from musicgen.cli.messages import say
from musicgen.cli.progress import available_cores
from musicgen.cli.rewrite import melodist

MOST_WORKERS = 4


@command(COMPOSE)
def studio(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free port.")] = 8765,
    host: Annotated[
        str,
        typer.Option(help="Another address than this machine's own; the page then asks a token."),
    ] = "127.0.0.1",
    checkpoint: options.Model = "celtic",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Open the studio: a web page on this machine to compose, continue, change and play tunes."""
    import signal

    from musicgen.models.checkpoint import locate
    from musicgen.studio import Settings, StudioServer

    melodist(checkpoint)  # an unusable model is reported before the page is opened
    if not locate(checkpoint).exists():  # it is one of the Hub, and its pages ask for no downloads
        checkpoint = str(options.model_folder(checkpoint))
    workers = max(1, min(MOST_WORKERS, available_cores()))
    server = StudioServer(Settings(host=host, port=port, checkpoint=checkpoint, workers=workers))
    say(f"the studio is at {server.address}")
    if server.token:
        say("others can reach it, so it asks for the token in this address; keep it to yourself")
    say("Ctrl-C stops it")
    if browser:
        webbrowser.open(server.address)
    stopped_by = server.run()
    if stopped_by == signal.SIGINT:
        raise KeyboardInterrupt
    raise typer.Exit(128 + stopped_by if stopped_by else 0)
