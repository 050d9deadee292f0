"""A tunebook in a folder: tunes as they come, book.abc, index.csv; stopped and gone on with."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicgen.cli.messages import say
from musicgen.cli.progress import progress_bar
from musicgen.errors import MusicgenError

if TYPE_CHECKING:
    from musicgen.composer import Take

BOOK, INDEX, SETTINGS = "book.abc", "index.csv", "book.json"
COLUMNS = (
    *("number", "title", "file", "key", "meter", "rhythm", "form", "bars", "bits_per_note"),
    *("novelty", "similarity", "copied_bars"),
)
_LINES = 10  # said of a whole book, where there is no bar


class Tunebook:
    """The tunebook in a folder; `done` tunes of it are there.

    A tune's file is written before its row in the index, and a row counts once its line is whole;
    so a book that was stopped anywhere can be gone on with.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self.folder = folder
        self.done = done

    @staticmethod
    def open(
        folder: Path, settings: Mapping[str, object], *, resume: bool, force: bool
    ) -> Tunebook:
        """Begin a book, or go on with the one in the folder.

        Raises:
            MusicgenError: there is a book already and neither is asked for, there is none to go
                on with, or it was made with other settings.
        """
        from musicgen.system.files import make_folder, write_bytes

        wanted = _plain(settings)
        there = (folder / SETTINGS).exists()
        if resume:
            if not there:
                raise MusicgenError(
                    f"{folder}: holds no tunebook to go on with; leave --resume out"
                )
            _require_same(folder, _read_settings(folder), wanted)
            return Tunebook(folder, _recover(folder))
        if there and not force:
            raise MusicgenError(
                f"{folder}: holds a tunebook already; add --resume to go on with it, or --force to "
                "begin it anew"
            )
        make_folder(folder)
        write_bytes(folder / INDEX, _row(COLUMNS).encode())
        write_bytes(folder / BOOK, b"")
        write_bytes(folder / SETTINGS, f"{json.dumps(wanted, indent=1)}\n".encode())
        return Tunebook(folder, 0)

    def fill(self, takes: Iterable[Take], total: int, formats: Sequence[str]) -> None:
        """Write takes as they come, up to number `total`."""
        begun = self.done
        with progress_bar() as report:
            for take in takes:
                self._add(take, formats)
                self.done += 1
                report("tunes", self.done, total)
                every = max(1, total // _LINES)
                if not sys.stderr.isatty() and (self.done % every == 0 or self.done == total):
                    say(f"{self.done} of {total} tunes")
        say(f"wrote {self.done - begun} tunes, {self.folder / BOOK} and {self.folder / INDEX}")

    def _add(self, take: Take, formats: Sequence[str]) -> None:
        from musicgen import formats as writers
        from musicgen.composer.controls import form_of
        from musicgen.formats.abc_notation import to_abc
        from musicgen.system.files import slug

        tune = take.tune
        name = slug(tune.title)
        for suffix in formats:
            writers.write(tune, self.folder / (name + suffix))
        form, bars = form_of(tune)
        novelty: Any = getattr(take, "novelty", None)
        found = ("", "", "")
        if novelty is not None:
            found = (novelty.verdict, f"{novelty.similarity:.3f}", novelty.copied_bars)
        row = (
            *(take.index + 1, tune.title, f"{name}.abc", tune.key, tune.meter, tune.rhythm),
            *(form, bars, f"{take.bits_per_note:.4f}", *found),
        )
        with (self.folder / BOOK).open("a", encoding="utf-8") as book:
            book.write(to_abc(tune) + "\n")
        with (self.folder / INDEX).open("a", encoding="utf-8", newline="") as index:
            index.write(_row(row))


def stored_seed(folder: Path) -> int | None:
    """The seed of the book in a folder, None where there is none."""
    if not (folder / SETTINGS).is_file():
        return None
    how = _read_settings(folder).get("how")
    seed = how.get("seed") if isinstance(how, dict) else None
    return seed if isinstance(seed, int) else None


def _row(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _recover(folder: Path) -> int:
    """How many tunes are there whole; book and index are cut back to them."""
    from musicgen.system.files import read_bytes, write_bytes

    lines = read_bytes(folder / INDEX).decode("utf-8", "replace").splitlines(keepends=True)
    kept, books = [_row(COLUMNS)], []
    for line in lines[1:]:
        cells = next(csv.reader([line]), [])
        whole = line.endswith("\n") and len(cells) == len(COLUMNS) and cells[0] == str(len(kept))
        file = folder / Path(cells[2]).name if whole else None
        if file is None or not file.is_file():
            break
        kept.append(line)
        books.append(read_bytes(file) + b"\n")
    write_bytes(folder / INDEX, "".join(kept).encode())
    write_bytes(folder / BOOK, b"".join(books))
    return len(books)


def _plain(settings: Mapping[str, object]) -> dict[str, Any]:
    """Settings as JSON has them, a tune by its ABC; what is as always is left out."""

    from musicgen.formats.abc_notation import to_abc
    from musicgen.music.tune import Tune

    def plain(value: object) -> Any:
        if isinstance(value, Tune):
            return to_abc(value)
        if is_dataclass(value) and not isinstance(value, type):
            fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
            return {name: plain(item) for name, item in fields.items()}
        return list(value) if isinstance(value, tuple) else value

    return {name: plain(value) for name, value in settings.items()}


def _read_settings(folder: Path) -> dict[str, Any]:
    from musicgen.system.files import read_bytes

    try:
        found = json.loads(read_bytes(folder / SETTINGS))
        if not isinstance(found, dict):
            raise ValueError("no settings")
    except ValueError:
        raise MusicgenError(f"{folder / SETTINGS}: is damaged; begin anew with --force") from None
    return found


def _require_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for group in new:
        before, now = old.get(group), new[group]
        if before == now:
            continue
        names = [group]
        if isinstance(before, dict) and isinstance(now, dict):
            names = [name for name in now if before.get(name) != now[name]]
        raise MusicgenError(
            f"{folder}: was begun with other settings ({', '.join(names)}); use them, or another "
            "folder"
        )
