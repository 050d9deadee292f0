"""A tunebook in a folder: tunes as they come, book.abc, index.csv; resumed where it stopped."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicgen.cli.messages import say
from musicgen.cli.progress import progress_bar
from musicgen.errors import MusicgenError, ParseError
from musicgen.formats import write
from musicgen.music.tune import Tune
from musicgen.system.files import make_folder, read_bytes, slug, write_bytes
from musicgen.system.json_content import JsonContent
from musicgen.system.temporary import only_writer

if TYPE_CHECKING:
    from musicgen.composer import Take

BOOK, INDEX, SETTINGS = "book.abc", "index.csv", "book.json"
COLUMNS = (
    *("number", "title", "file", "key", "meter", "rhythm", "form", "bars", "bits_per_note"),
    *("novelty", "similarity", "copied_bars", "sha256"),
)
_LINES = 10  # of progress, where there is no bar


class Tunebook:
    """The tunebook in a folder, with `done` complete tunes.

    A tune's file is written before its row in the index, and a row counts once its line is
    complete; so a book that was stopped anywhere can be resumed. One process at a time writes it.

    Raises:
        MusicgenError: the folder has a book and neither `resume` nor `force` is True, there is none
            to resume, it was made with other settings, or another process is writing it.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, object], *, resume: bool, force: bool
    ) -> None:
        self.folder, self.resume, self.force = folder, resume, force
        self.done = 0
        self._settings = _plain(settings)
        with only_writer(folder):
            self._check()

    def _check(self) -> None:
        exists = (self.folder / SETTINGS).exists()
        if self.resume:
            if not exists:
                raise MusicgenError(
                    f"{self.folder}: holds no tunebook to resume; leave --resume out"
                )
            _require_same(self.folder, _read_settings(self.folder), self._settings)
        elif exists and not self.force:
            raise MusicgenError(
                f"{self.folder}: holds a tunebook already; use --resume to continue it, or --force "
                "to overwrite"
            )

    def _begin(self) -> None:
        """Begin the book, or cut the one that is resumed back to its complete tunes."""
        self._check()
        if self.resume:
            self.done = _recover(self.folder)
            return
        write_bytes(self.folder / INDEX, _row(COLUMNS).encode())
        write_bytes(self.folder / BOOK, b"")
        write_bytes(self.folder / SETTINGS, f"{json.dumps(self._settings, indent=1)}\n".encode())

    def fill(self, takes: Iterable[Take], total: int, formats: Sequence[str]) -> None:
        """Write takes as they come, up to number `total`; they are asked for once `done` says where
        to begin."""
        make_folder(self.folder)
        with only_writer(self.folder):
            self._begin()
            begun = self.done
            try:
                self._add_all(takes, total, formats)
            finally:
                if self.done < total:
                    say(f"{self.folder}: {self.done} of {total} tunes; --resume composes the rest")
        say(f"wrote {self.done - begun} tunes, {self.folder / BOOK} and {self.folder / INDEX}")

    def _add_all(self, takes: Iterable[Take], total: int, formats: Sequence[str]) -> None:
        with progress_bar() as report:
            for take in takes:
                self._add(take, formats)
                self.done += 1
                report("tunes", self.done, total)
                every = max(1, total // _LINES)
                if not sys.stderr.isatty() and (self.done % every == 0 or self.done == total):
                    say(f"{self.done} of {total} tunes")

    def _add(self, take: Take, formats: Sequence[str]) -> None:
        from musicgen.composer.controls import form_of

        tune = take.tune
        name = slug(tune.title)
        abc = _abc(tune)
        write_bytes(self.folder / f"{name}.abc", abc.encode())
        for suffix in formats:
            if suffix != ".abc":
                write(tune, self.folder / (name + suffix))
        form, bars = form_of(tune)
        novelty = take.novelty
        cells: tuple[object, ...] = ("", "", "")
        if novelty is not None:
            cells = (novelty.verdict, f"{novelty.similarity:.3f}", novelty.copied_bars)
        row = (
            *(take.index + 1, tune.title, f"{name}.abc", tune.key, tune.meter, tune.rhythm),
            *(form, bars, f"{take.bits_per_note:.4f}", *cells),
        )
        with (self.folder / BOOK).open("a", encoding="utf-8") as book:
            book.write(abc + "\n")
        with (self.folder / INDEX).open("a", encoding="utf-8", newline="") as index:
            index.write(_row((*row, _digest(row, abc.encode()))))


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


def _digest(row: Iterable[object], abc: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a row of the index and its tune's file."""
    return hashlib.sha256(_row(row).encode() + abc).hexdigest()[:16]


def _recover(folder: Path) -> int:
    """The number of complete tunes; book and index are cut back to them. What was changed since it
    was written stays as it is, with a warning; older books have no digests to tell by."""
    lines = read_bytes(folder / INDEX).decode("utf-8", "replace").splitlines(keepends=True)
    is_older = lines[:1] == [_row(COLUMNS[:-1])]
    kept, books = [_row(COLUMNS)], []
    for line in lines[1:]:
        cells = next(csv.reader([line]), [])
        if is_older and len(cells) == len(COLUMNS) - 1:
            cells.append("")
        complete = line.endswith("\n") and len(cells) == len(COLUMNS)
        if not complete or cells[0] != str(len(kept)):
            break
        file = folder / Path(cells[2]).name
        if not os.path.isfile(file):  # noqa: PTH113 - takes any name
            break
        *row, digest = cells
        abc = read_bytes(file)
        if digest and digest != _digest(row, abc):
            say(f"warning: {file}: it or its row in {INDEX} was changed; both are kept as they are")
        kept.append(_row((*row, _digest(row, abc))))
        books.append(abc + b"\n")
    write_bytes(folder / INDEX, "".join(kept).encode())
    write_bytes(folder / BOOK, b"".join(books))
    return len(books)


def _abc(tune: Tune) -> str:
    """The text of a tune; its reader and writer are not loaded at start-up."""
    from musicgen.formats.abc_notation import to_abc

    return to_abc(tune)


def _plain(settings: Mapping[str, object]) -> dict[str, Any]:
    """Settings as JSON has them, a tune by its ABC; what is as always is left out."""

    def plain(value: object) -> Any:
        if isinstance(value, Tune):
            return _abc(value)
        if is_dataclass(value) and not isinstance(value, type):
            return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
        return list(value) if isinstance(value, tuple) else value

    return {name: plain(value) for name, value in settings.items()}


def _read_settings(folder: Path) -> dict[str, Any]:
    file = folder / SETTINGS
    try:
        data = read_bytes(file)
    except ParseError as error:
        raise MusicgenError(f"{error}, or use --force to overwrite") from None
    with JsonContent(data, file, raises=MusicgenError, advice="use --force to overwrite") as stored:
        return dict(stored)


def _require_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for group, now in new.items():
        before = old.get(group)
        if before == now:
            continue
        names = [group]
        if isinstance(before, dict) and isinstance(now, dict):
            names = [name for name in now if before.get(name) != now[name]]
        raise MusicgenError(
            f"{folder}: was begun with other settings ({', '.join(names)}); use them, or another "
            "folder"
        )
