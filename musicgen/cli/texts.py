"""What a model of characters writes: to the screen, a text file, or as tunes where it is ABC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from musicgen.cli.messages import said, say
from musicgen.cli.output import TuneSink, require_free
from musicgen.errors import InvalidTuneError

if TYPE_CHECKING:
    from musicgen.composer import Take
    from musicgen.composer.sampling import SamplingConfig
    from musicgen.composer.texts import Written
    from musicgen.models.checkpoint import Checkpoint
    from musicgen.music.similarity import NoveltyIndex


def write_texts(
    model: Checkpoint,
    number: int,
    sampling: SamplingConfig,
    output: Path | None,
    *,
    prompt: str,
    to: str | None,
    force: bool,
) -> None:
    """Write new texts: without `output` to the screen, to a .txt file as they are, to a folder
    each as .txt. A folder also gets the tunes among them, and a file of music nothing else.

    Raises:
        ControlError: a character of the prompt is none that the model knows.
        InvalidTuneError: a file of music is asked for and no text is a tune.
    """
    from musicgen.composer import TextComposer

    as_text = output is not None and output.suffix.lower() == ".txt"
    if output is not None and as_text:
        require_free(output, force=force)
    sink = None
    if output is not None and not as_text:
        sink = TuneSink(output, number, force=force, to=to)
    written = []
    for text in TextComposer(model).texts(number, sampling, prompt=prompt):
        written.append(text)
        if output is None:
            print(text.text, end="\n\n", flush=True)
    takes = [_take(w, sampling.seed, model.novelty) for w in written if w.tune is not None]
    if output is not None and as_text:
        _write(output, "\n\n".join(w.text for w in written))
    elif sink is not None:
        if output is not None and sink.to_folder:
            _write_each(written, output, sampling.seed, force=force)
        elif not takes:
            raise InvalidTuneError(f"{output}: no text of {number} is a tune; write a .txt file")
        if takes:
            sink.take(said(takes, novelty=True))
    bits = sum(w.bits_per_character for w in written) / max(1, len(written))
    abc = ""
    if takes or any("K:" in w.text for w in written):
        abc = f"; {len(takes)} of {len(written)} are ABC tunes that read without a warning"
    say(f"{bits:.3f} bits per character{abc}")
    say(f"seed {sampling.seed}")


def _take(written: Written, seed: int, corpus: NoveltyIndex | None) -> Take:
    from musicgen.composer import Take

    tune = written.tune
    assert tune is not None
    name = _name(written, seed)
    titled = tune if tune.title else replace(tune, title=name)
    bits = written.bits_per_character * len(written.text) / tune.n_notes
    return Take(titled, written.index, bits, corpus=corpus, name=name)


def _name(written: Written, seed: int) -> str:
    return f"text-{seed}-{written.index + 1}"


def _write_each(written: Sequence[Written], folder: Path, seed: int, *, force: bool) -> None:
    from musicgen.system.files import make_folder

    make_folder(folder)
    files = [folder / f"{_name(w, seed)}.txt" for w in written]
    for file in files:
        require_free(file, force=force)
    for file, one in zip(files, written, strict=True):
        _write(file, one.text)


def _write(path: Path, text: str) -> None:
    from musicgen.system.files import write_bytes

    write_bytes(path, (text + "\n").encode("utf-8", "backslashreplace"))
    say(f"wrote {path}")
