"""Single bits flipped in a folder, and files cut short: is every one noticed, or harmless?

    python scripts/checks/flips.py
    python scripts/checks/flips.py --kind model --flips 1000 --model checkpoints/celtic

The folders are a model, token files, a tunebook and a training run that was interrupted. Half of
the places are drawn over all bytes of the folder, half over its files, so that the small ones,
manifest.json among them, get their share; a model's card, which may be edited, is left alone. After
each change the folder is used (loaded, or resumed) and put back. The change was noticed if that is
refused or warned of in one line that names the folder, and is harmless if the result is the same.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from musicgen.errors import MusicgenError, printable
from musicgen.models import checkpoint
from scripts import command_line
from scripts.checks import fuzz

SHIPPED = checkpoint.shipped_folder() / "celtic-transformer"
# The result of using a folder, as one text; an error of ours means that it was refused.
Use = Callable[[Path], str]


def use_model(folder: Path) -> str:
    """Load a model: the digest of all that is in it."""
    files = checkpoint.files_of(checkpoint.load(folder))
    return _digest(data for name, data in sorted(files.items()) if name != checkpoint.CARD)


def use_tokens(folder: Path) -> str:
    """Load token files and the index beside them: the digest of both."""
    from musicgen.corpus.tokenset import TokenSet
    from musicgen.music.similarity import FILE_NAME, NoveltyIndex

    tokens = TokenSet.load(folder)
    facts = (tokens.vocab, tokens.feature_sizes, tokens.tokenizer, tokens.n_header, tokens.unit)
    parts = [repr(facts).encode(), NoveltyIndex.load(folder / FILE_NAME).to_bytes()]
    for split in tokens.splits.values():
        arrays = (split.ids, split.features, split.offsets, split.notes)
        parts += [repr(split.names).encode(), *(array.tobytes() for array in arrays)]
    return _digest(parts)


def use_tunebook(folder: Path) -> str:
    """Resume a tunebook: the digest of its files, unless there was a warning.

    Raises:
        MusicgenError: it was refused, or a line of warning.
    """
    said = generate(folder, "--resume")
    for line in said.splitlines():
        if "warning" in line:
            raise MusicgenError(line)
    return _digest(path.read_bytes() for path in sorted(folder.iterdir()))


def generate(folder: Path, option: str) -> str:
    """What `musicgen generate` says about a tunebook in a folder.

    Raises:
        MusicgenError: it refused.
    """
    from typer.testing import CliRunner

    from musicgen.cli import app
    from musicgen.cli.output import PAGE_TUNES

    options = [
        "-n",
        str(PAGE_TUNES + 1),
        "--bars",
        "2",
        "--seed",
        "1",
        "--checkpoint",
        "celtic-rnn",
    ]
    done = CliRunner().invoke(app, ["generate", *options, option, "-o", f"{folder}/"])
    if done.exception is not None:
        raise done.exception
    return done.output


def use_run(folder: Path) -> str:
    """Resume a run up to its first step: settings and the digests of state and model. The history
    is in the state; history.csv is written for readers and never read.

    Raises:
        MusicgenError: it was refused, or said that it goes on from an older state.
    """
    from musicgen.training.run_folder import RunFolder
    from tests.runs import make_tokens

    said: list[str] = []
    run = RunFolder(folder, notify=said.append)
    config, origin = run.settings()
    state = run.reopen(config, make_tokens())
    if said:
        raise MusicgenError(said[0])
    facts = repr((config, origin)).encode()
    return _digest([facts, state.read_bytes()]) + use_model(folder / "model")


def make_run(folder: Path) -> None:
    """A run that was interrupted after its first validation."""
    from musicgen.errors import TrainingInterrupted
    from musicgen.training import train
    from tests.runs import SMALL, make_tokens, signal_at

    with suppress(TrainingInterrupted):
        train(SMALL, make_tokens(), folder, report=signal_at(6, signal.SIGTERM))


def make_tokens(folder: Path) -> None:
    """Token files of a small corpus."""
    folder.mkdir()
    for name, data in fuzz.folder_files("tokens").items():
        (folder / name).write_bytes(data)


KINDS: dict[str, tuple[Callable[[Path], object], Use]] = {
    "model": (lambda folder: shutil.copytree(SHIPPED, folder), use_model),
    "tokens": (make_tokens, use_tokens),
    "tunebook": (lambda folder: generate(folder, "--force"), use_tunebook),
    "run": (make_run, use_run),
}


def _digest(parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:  # type: ignore[attr-defined]
        digest.update(part)
    return digest.hexdigest()


def verdict(folder: Path, use: Use, sound: str) -> str:
    """Whether the folder as it is now is "noticed", "harmless" or, at the worst, "missed"."""
    try:
        result = use(folder)
    except MusicgenError as error:
        text = str(error)
        names = text == printable(text) and (str(folder) in text or "was begun with" in text)
        return "noticed" if names else f"missed: {text}"
    return "harmless" if result == sound else "missed"


def flipped(data: bytes, rng: random.Random) -> bytes:
    """The data with one bit changed."""
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    """The data without its end, and not without its last line end alone."""
    return data[: rng.randrange(len(data) - 1)]


def check(
    folder: Path,
    number: int,
    rng: random.Random,
    spoil: Callable[[bytes, random.Random], bytes],
    use: Use = use_model,
) -> tuple[Counter[str], Counter[str]]:
    """How many of so many damages had which verdict, and how many there were by file."""
    with tempfile.TemporaryDirectory() as temp:
        copy = Path(temp, "sound")
        shutil.copytree(folder, copy)
        sound = use(folder)
        restore(folder, copy)  # using it may have written
        files = [
            path for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != checkpoint.CARD and path.stat().st_size > 1
        ]  # fmt: skip
        sizes = [path.stat().st_size for path in files]
        verdicts, places = Counter[str](), Counter[str]()
        for n in range(number):
            path = rng.choices(files, sizes if n % 2 else None)[0]
            name = str(path.relative_to(folder))
            places[name] += 1
            path.write_bytes(spoil(path.read_bytes(), rng))
            found = verdict(folder, use, sound)
            verdicts[found.partition(":")[0]] += 1
            if found.startswith("missed"):
                print(f"{found}: number {n}, {name}")
            restore(folder, copy)
    return verdicts, places


def restore(folder: Path, copy: Path) -> None:
    """Make a folder what its copy is; files that did not change are left alone."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sound = copy / path.relative_to(folder)
        if path.is_file() and not sound.exists():
            path.unlink()
    for sound in copy.rglob("*"):
        path = folder / sound.relative_to(copy)
        if sound.is_file() and (not path.exists() or path.read_bytes() != sound.read_bytes()):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sound, path)


def main(
    *,
    kind: Annotated[Sequence[str], list(KINDS)] = tuple(KINDS),
    model: Annotated[Path | None, "the folder of a model instead of celtic-transformer"] = None,
    flips: int = 240,
    cuts: int = 60,
    seed: int = 0,
) -> bool:
    """Check from the command line."""
    rng = random.Random(seed)
    missed = total = 0
    for name in kind:
        make, use = KINDS[name]
        with tempfile.TemporaryDirectory() as temp:
            folder = Path(temp, name)
            if name == "model" and model is not None:
                shutil.copytree(model, folder)
            else:
                make(folder)
            for what, number, spoil in (
                ("flipped bits", flips, flipped),
                ("files cut short", cuts, cut),
            ):
                verdicts, places = check(folder, number, rng, spoil, use)
                missed, total = missed + verdicts["missed"], total + number
                where = ", ".join(f"{file} {n}" for file, n in places.most_common())
                counts = ", ".join(f"{n} {found}" for found, n in verdicts.most_common())
                print(f"{name}: of {number} {what} {counts} ({where})", flush=True)
    print(f"{total - missed} of {total}")
    return missed > 0


if __name__ == "__main__":
    command_line.run(main)
