"""The command that prepares a corpus: prepare."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from musicgen.cli import options
from musicgen.cli.command import TRAIN, command
from musicgen.cli.messages import say
from musicgen.cli.progress import available_cores, progress_bar
from musicgen.cli.results import require_free, require_output
from musicgen.cli.train import CORPUS, MinCount, MostTokens, Start, Tokenizer, tokenizer_of


@command(TRAIN)
def prepare(
    *,
    corpus: Annotated[
        list[str],
        typer.Option(
            "--corpus",
            help="A named corpus, file or folder; repeatable.",
            rich_help_panel=CORPUS,
        ),
    ],
    column: options.Column = "",
    tokenizer: Tokenizer = None,
    min_count: MinCount = None,
    most_tokens: MostTokens = None,
    from_: Start = None,
    workers: options.Workers = None,
    out: Annotated[
        Path, typer.Option(help="The folder of token files to write.", rich_help_panel="Output")
    ],
    force: options.Force = False,
) -> None:
    """Prepare a corpus for training: a folder of token files for `train --tokens`."""
    from musicgen.corpus.sources import with_column
    from musicgen.corpus.tokenset import require_replaceable

    require_free(out, force=force)
    require_output(out.parent if os.path.isdir(out) else out, force=True, is_folder=True)
    require_replaceable(out)
    start = None if from_ is None else options.load_model(from_)
    from musicgen.corpus.preparation import prepare as run
    from musicgen.tokens.vocabulary import Vocabulary

    with progress_bar() as progress:
        prepared = run(
            with_column(corpus, column),
            folder=out,
            workers=workers or available_cores(),
            progress=progress,
            tokenizer=tokenizer_of(tokenizer, start),
            vocabulary=None if start is None else Vocabulary(start.vocab),
            min_count=min_count,
            most_tokens=most_tokens,
        )
    for line in prepared.summary():
        say(line)
    say(f"next: musicgen train --tokens {out} --out runs/{out.name}")
