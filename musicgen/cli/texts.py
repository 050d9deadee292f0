"""The output of a model of text: to the screen, a text file, or as tunes where it is ABC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from musicgen.cli.messages import reported, say
from musicgen.cli.output import TuneSink, write_text
from musicgen.cli.results import require_free
from musicgen.errors import InvalidTuneError
from musicgen.system.files import make_folder
from musicgen.system.temporary import only_writer

if TYPE_CHECKING:
    from musicgen.cli.options import OutputOptions
    from musicgen.composer import Take
    from musicgen.composer.sampling import SamplingConfig
    from musicgen.composer.texts import Written
    from musicgen.models.checkpoint import Checkpoint
    from musicgen.music.similarity import NoveltyIndex


def write_texts(
    model: Checkpoint,
    number: int,
    sampling: SamplingConfig,
    options: OutputOptions,
    *,
    to: str | None,
    prompt: str,
) -> None:
    """Write new texts: to the screen, to a .txt file, or each to a .txt file of a folder. A folder
    also gets the tunes among them, and a file of music nothing else.

    Raises:
        ControlError: the model does not know a character of the prompt.
        InvalidTuneError: a file of music is asked for and no text is a tune.
    """
    from musicgen.composer import TextComposer

    output = options.output
    text_file = output if output is not None and output.suffix.lower() == ".txt" else None
    sink = None
    if text_file is not None:
        require_free(text_file, force=options.force)
    elif output is not None:
        sink = TuneSink(options, number, to=to)
    composer = TextComposer(model)
    read = composer.read_prompt(prompt)
    if read.unknown:
        say(f"unknown to the model, and read as unknown: {', '.join(read.unknown)}")
    if read.heading:
        say("the model learned tunes without X: and T:; those lines are kept, not read")
    texts = []
    for text in composer.texts(number, sampling, prompt=prompt):
        texts.append(text)
        if output is None:
            print(text.text, end="\n\n", flush=True)
    takes = [_take(text, sampling.seed, model.novelty) for text in texts if text.tune is not None]
    if text_file is not None:
        write_text(text_file, "\n\n".join(text.text for text in texts) + "\n")
    elif output is not None and sink is not None:
        if sink.to_folder:
            _write_each(texts, output, sampling.seed, force=options.force)
        elif not takes:
            raise InvalidTuneError(f"{output}: no text of {number} is a tune; write a .txt file")
        if takes:
            sink.write(reported(takes, novelty=True))
    bits = sum(text.bits_per_character for text in texts) / max(1, len(texts))
    abc = ""
    if takes or any("K:" in text.text for text in texts):
        abc = f"; {len(takes)} of {len(texts)} are ABC tunes that read without a warning"
    say(f"{bits:.3f} bits per character{abc}")
    say(f"seed {sampling.seed}")


def _take(text: Written, seed: int, corpus: NoveltyIndex | None) -> Take:
    from musicgen.composer import Take

    tune = text.tune
    assert tune is not None
    name = _name(text, seed)
    titled = tune if tune.title else replace(tune, title=name)
    bits = text.bits_per_character * len(text.text) / tune.n_notes
    return Take(titled, text.index, bits, corpus=corpus, name=name)


def _name(text: Written, seed: int) -> str:
    return f"text-{seed}-{text.index + 1}"


def _write_each(texts: Sequence[Written], folder: Path, seed: int, *, force: bool) -> None:
    make_folder(folder)
    files = [folder / f"{_name(text, seed)}.txt" for text in texts]
    with only_writer(folder):
        for file in files:
            require_free(file, force=force)
        for file, text in zip(files, texts, strict=True):
            write_text(file, text.text + "\n")
