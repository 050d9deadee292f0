"""Ideas about folders: single bits flipped and files cut short in each kind of folder, and files of
JSON that are deep, absurd or of another kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from scripts.checks import flips
from scripts.checks.ideas import Idea, command, not_one_line, script

ODD = {
    "deep": "[" * 100_000,
    "nested": "[" * 60 + "]" * 60,
    "a number of 400 digits": "1" + "0" * 400,
    "1e400": "1e400",
    "not a number": "NaN",
    "a list": "[]",
    "twice": '{"a": 1, "a": 2}',
    "empty": "",
    "no UTF-8": "\xff\xfe",
}


def odd_tunebook(text: str, folder: Path) -> str:
    """A tunebook whose settings are replaced by a text is refused in one line."""
    book = folder / "book"
    flips.generate(book, "--force")
    (book / "book.json").write_bytes(text.encode("latin-1"))
    options = ["-n", 25, "--bars", 2, "--seed", 1, "--checkpoint", "celtic-rnn"]
    return not_one_line(command("generate", *options, "--resume", "-o", f"{book}/"))


def odd_tokens(text: str, folder: Path) -> str:
    """Token files whose meta.json is replaced by a text are refused in one line."""
    flips.make_tokens(folder / "tokens")
    (folder / "tokens/meta.json").write_bytes(text.encode("latin-1"))
    return not_one_line(command("train", "--tokens", folder / "tokens", "--out", folder / "run"))


def odd_openings(text: str, folder: Path) -> str:
    """A model whose openings are replaced by a text, with its hash made to fit, is refused."""
    import hashlib
    import shutil

    model = folder / "model"
    shutil.copytree(flips.SHIPPED, model)
    data = text.encode("latin-1")
    (model / "openings.json").write_bytes(data)
    manifest = json.loads((model / "manifest.json").read_bytes())
    manifest["sha256"]["openings.json"] = hashlib.sha256(data).hexdigest()
    (model / "manifest.json").write_text(json.dumps(manifest))
    return not_one_line(command("generate", "--checkpoint", model))


IDEAS: Mapping[str, Idea] = {
    **{
        f"bits flipped and files cut short: {kind}": script(
            "flips.py", "--kind", kind, "--flips", 240, "--cuts", 60
        )
        for kind in flips.KINDS
    },
    **{f"book.json, {name}": partial(odd_tunebook, text) for name, text in ODD.items()},
    **{f"meta.json, {name}": partial(odd_tokens, text) for name, text in ODD.items()},
    **{f"openings.json, {name}": partial(odd_openings, text) for name, text in ODD.items()},
}
