"""The command that writes new music: generate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from musicgen.cli.command import COMPOSE, command
from musicgen.cli.messages import reported, say
from musicgen.cli.options import Executor, OutputOptions, TakeOptions, executor_of, load_model
from musicgen.cli.output import TuneSink, require_place
from musicgen.cli.progress import available_cores
from musicgen.cli.texts import write_texts
from musicgen.cli.tunebook import stored_seed
from musicgen.composer.controls import Controls
from musicgen.errors import ControlError

if TYPE_CHECKING:
    from musicgen.composer import Take

_CHOOSING = "How to choose"  # a panel of the help


@command(COMPOSE)
def generate(
    *,
    controls: Controls,
    prompt: Annotated[
        str | None,
        typer.Option(help="The beginning of the text; for models of characters or words."),
    ] = None,
    take: TakeOptions,
    max_copied_bars: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Resample tunes that share more than this many bars with a corpus tune.",
            rich_help_panel=_CHOOSING,
        ),
    ] = None,
    best_of: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Keep the best of this many (default: 4 if the model has a critic). 1 is faster.",
            rich_help_panel=_CHOOSING,
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            help="How to rank: likeness (to real tunes, by the model's critic; the default), "
            "likelihood (under the model), structure (form and novelty), fitted (no mistakes).",
            rich_help_panel=_CHOOSING,
        ),
    ] = None,
    output: OutputOptions,
    to: Annotated[
        str | None,
        typer.Option(
            help="Formats of each tune in a folder (default: abc,mid,wav,svg; above 24 tunes abc).",
            rich_help_panel="Output",
        ),
    ] = None,
    executor: Executor = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Resume an interrupted tunebook.", rich_help_panel="Output"),
    ] = False,
) -> None:
    """Compose new tunes. Every control holds; anything you leave out follows the training corpus.

    A folder for more than 24 tunes becomes a tunebook: the tunes, book.abc with all of them, and
    index.csv. The same command with --resume continues an interrupted one.
    """
    require_place(output)
    if controls.like is not None:
        from musicgen.composer.controls import describe, understand_phrase

        say(f"understood: {describe(understand_phrase(controls.like))}")
        controls = controls.spelled_out()
    seed = take.seed
    if resume and seed is None and output.output is not None:
        seed = stored_seed(output.output)
    sampling = take.with_seed(seed)
    from musicgen.composer import Selection, composer_of
    from musicgen.tokens.languages import text_code

    model = load_model(take.checkpoint)
    selection = Selection(max_copied_bars=max_copied_bars, best_of=best_of, judge=judge)
    if text_code(model.tokenizer) is not None:
        chooses = selection.rules(has_critic=False).choose
        if controls != Controls() or chooses or resume or executor:
            raise ControlError(
                "this model writes plain text and takes no controls; begin the text with --prompt"
            )
        write_texts(model, take.number, sampling, output, to=to, prompt=prompt or "")
        return
    if prompt is not None:
        raise ControlError(
            "--prompt: this model writes tunes, not text; use `musicgen continue` for a tune"
        )
    settings = {
        "checkpoint": take.checkpoint,
        "controls": controls,
        "how": sampling,
        "selection": asdict(selection),
    }
    sink = TuneSink(output, take.number, to=to, resume=resume, settings=settings)
    with executor_of(executor) as engine:
        compose = partial(
            composer_of(model).takes,
            take.number,
            controls,
            sampling,
            selection,
            workers=available_cores(),
            executor=engine,
        )

        def missing() -> Iterator[Take]:
            yield from compose(start=sink.start)

        takes = compose()  # what cannot be composed is refused before anything is written
        sink.write(
            reported(
                takes if sink.book is None else missing(), novelty=take.novelty and not sink.book
            )
        )
    say(f"seed {sampling.seed}")
