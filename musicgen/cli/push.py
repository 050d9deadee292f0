"""The command that uploads a model to the Hugging Face Hub: push."""

from __future__ import annotations

from typing import Annotated

import typer

from musicgen.cli import options
from musicgen.cli.command import TRAIN, command
from musicgen.cli.messages import say


@command(TRAIN)
def push(
    model: Annotated[str, typer.Argument(help="A folder written by `train`, or a shipped model.")],
    name: Annotated[str, typer.Argument(help="The repository: user/name. It is made if needed.")],
    *,
    private: Annotated[
        bool, typer.Option("--private", help="Nobody else sees a new repository.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="The branch (default: main); it is made if needed.")
    ] = None,
) -> None:
    """Upload a model to the Hugging Face Hub, for everybody's `--checkpoint user/name`.

    The account is that of `hf auth login`, or of the environment variable HF_TOKEN.
    """
    from musicgen.models import hub

    checkpoint = options.load_model(model)
    address = hub.upload(checkpoint, name, revision=revision, private=private or None)
    say(f"{address}: edit the licence and the text of its card there")
    found = name if revision is None else f"{name}@{revision}"
    say(f"next: musicgen generate --checkpoint {found}")
