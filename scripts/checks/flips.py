"""Single bits flipped in a model folder, and files cut short: is every one noticed?

    python scripts/checks/flips.py --flips 1000 --model checkpoints/celtic

Half of the places are drawn over all bytes of the folder, half over its files, so that the small
ones, manifest.json among them, get their share; the card, which may be edited, is left alone. After
each flip the model is loaded, which must be refused, and the bit is put back.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from musicgen.errors import CheckpointError
from musicgen.models import checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line


def noticed(folder: Path, path: Path, data: bytes) -> bool:
    """Whether loading refuses the folder while a file has this content; it is put back."""
    original = path.read_bytes()
    path.write_bytes(data)
    try:
        checkpoint.load(folder)
    except CheckpointError as error:
        return len(str(error).splitlines()) == 1 and str(folder) in str(error)
    else:
        return False
    finally:
        path.write_bytes(original)


def flipped(data: bytes, rng: random.Random) -> bytes:
    """The data with one bit changed."""
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    """The data without its end, and not without its last line end alone."""
    return data[: rng.randrange(len(data) - 1)]


def check(
    folder: Path, number: int, rng: random.Random, spoil: Callable[[bytes, random.Random], bytes]
) -> tuple[int, Counter[str]]:
    """How many of so many damages were noticed, and how many there were by file."""
    sealed = (path for path in sorted(folder.iterdir()) if path.name != checkpoint.CARD)
    files = [path for path in sealed if path.stat().st_size > 1]
    sizes = [path.stat().st_size for path in files]
    found, places = 0, Counter[str]()
    for n in range(number):
        path = rng.choices(files, sizes if n % 2 else None)[0]
        places[path.name] += 1
        if noticed(folder, path, spoil(path.read_bytes(), rng)):
            found += 1
        else:
            print(f"not noticed: number {n}, {path.name}")
    return found, places


def main(
    *,
    model: Path = Path("checkpoints/celtic-transformer"),
    flips: int = 1_000,
    cuts: int = 100,
    seed: int = 0,
) -> bool:
    """Check from the command line."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp, "model")
        shutil.copytree(model, folder)
        checkpoint.load(folder)
        wrong = 0
        for what, number, spoil in (
            ("flipped bits", flips, flipped),
            ("files cut short", cuts, cut),
        ):
            found, places = check(folder, number, rng, spoil)
            wrong += number - found
            where = ", ".join(f"{name} {n}" for name, n in places.most_common())
            print(f"{found} of {number} {what} noticed ({where})")
        checkpoint.load(folder)
    return wrong > 0


if __name__ == "__main__":
    command_line.run(main)
