"""The command that prepares a corpus, as a whole or in shards: prepare."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.command import TRAIN, command
from musicgen.cli.messages import counted, say
from musicgen.cli.progress import available_cores, progress_bar
from musicgen.cli.results import require_free, require_output
from musicgen.cli.train import CORPUS, MinCount, MostTokens, Start, Tokenizer
from musicgen.cli.training_run import tokenizer_of
from musicgen.errors import ConfigError

if TYPE_CHECKING:
    from musicgen.corpus.account import Account

_SHARDS = "In parts"  # a panel of the help


@command(TRAIN)
def prepare(
    *,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            "--corpus",
            help="A named corpus, file, folder or URL (s3://, gs://, https://, zip:// ...); "
            "repeatable.",
            rich_help_panel=CORPUS,
        ),
    ] = None,
    column: options.Column = "",
    tokenizer: Tokenizer = None,
    min_count: MinCount = None,
    most_tokens: MostTokens = None,
    from_: Start = None,
    workers: options.Workers = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="K/N",
            help="Read only the K-th of N parts of the corpus, into a folder of its own in --out; "
            "one that is complete stays.",
            rich_help_panel=_SHARDS,
        ),
    ] = None,
    merge: Annotated[
        Path | None,
        typer.Option(
            "--merge",
            metavar="FOLDER",
            help="Make token files of the shards in this folder; the same as without shards.",
            rich_help_panel=_SHARDS,
        ),
    ] = None,
    executor: options.Executor = None,
    out: Annotated[
        Path,
        typer.Option(
            help="The folder of token files to write; of shards with --shard.",
            rich_help_panel="Output",
        ),
    ],
    force: options.Force = False,
) -> None:
    """Prepare a corpus for training: a folder of token files for `train --tokens`.

    A large one in parts, on any machines: --shard 1/16 to --shard 16/16, then --merge.
    """
    _require_apart(
        merge=merge is not None,
        shard=shard is not None,
        given={
            "--corpus": corpus,
            "--column": column,
            "--tokenizer": tokenizer,
            "--workers": workers,
            "--shard": shard,
            "--executor": executor,
            "--min-count": min_count,
            "--most-tokens": most_tokens,
        },
    )
    start = None if from_ is None else options.load_model(from_)
    from musicgen.corpus import preparation
    from musicgen.corpus.sources import with_column
    from musicgen.corpus.tokenset import require_replaceable
    from musicgen.tokens.vocabulary import Vocabulary

    names = with_column(corpus or (), column)
    language = tokenizer_of(tokenizer, start)
    if shard is not None:
        _prepare_shard(names, shard, out, language, workers, force=force)
        return
    require_free(out, force=force)
    require_output(out.parent if os.path.isdir(out) else out, force=True, is_folder=True)
    require_replaceable(out)
    kept: dict[str, Any] = {
        "vocabulary": None if start is None else Vocabulary(start.vocab),
        "min_count": min_count,
        "most_tokens": most_tokens,
        "tokenizer": language,
    }
    with ExitStack() as stack:
        kept["progress"] = stack.enter_context(progress_bar())
        if merge is not None:
            _report(preparation.merge(merge, out, **kept), out)
            return
        engine = stack.enter_context(options.executor_of(executor))
        account = preparation.prepare_folder(
            names, out, workers=workers or available_cores(), executor=engine, **kept
        )
    _report(account, out)


def _prepare_shard(
    names: list[str],
    shard: str,
    out: Path,
    tokenizer: str | None,
    workers: int | None,
    *,
    force: bool,
) -> None:
    from musicgen.corpus.preparation import prepare_shard

    number, total = _part_of(shard)
    require_output(out, force=True, is_folder=True)
    with progress_bar() as progress:
        done, written = prepare_shard(
            names,
            number,
            total,
            out,
            workers=workers or available_cores(),
            progress=progress,
            tokenizer=tokenizer,
            force=force,
        )
    say(
        f"{done.folder}: {counted(done.n_tunes, 'tune')}, {done.n_rejected} unreadable"
        f"{'' if written else '; complete already, so nothing was read'}"
    )
    say(f"next, when all {total} are there: musicgen prepare --merge {out} --out tokens/")


def _report(account: Account, out: Path) -> None:
    for line in account.summary():
        say(line)
    say(f"next: musicgen train --tokens {out} --out runs/{out.name}")


def _part_of(shard: str) -> tuple[int, int]:
    """K and N of "K/N".

    Raises:
        ConfigError: it is something else.
    """
    match = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", shard)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard {shard}: give K/N with K from 1 to N, such as 3/16")
    return int(match[1]), int(match[2])


def _require_apart(*, merge: bool, shard: bool, given: Mapping[str, object]) -> None:
    """Raise ConfigError for options that do not go together."""
    kept = ("--min-count", "--most-tokens")
    unwanted = [n for n in given if n not in kept] if merge else [*kept, "--executor"]
    for name in unwanted if merge or shard else ():
        if given[name]:
            why = "the shards were made with it already" if merge else "is for --merge, not --shard"
            raise ConfigError(f"{name}: {why}; drop it")
    if not merge and not given["--corpus"]:
        raise ConfigError("--corpus: name what to prepare, or shards with --merge")
