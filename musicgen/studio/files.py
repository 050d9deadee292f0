"""Tunes as files to take away: one format, or a zip of the whole tunebook."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from musicgen.errors import FieldError, MusicgenError
from musicgen.formats import WRITERS, rendered, writing_options
from musicgen.music.tune import Tune
from musicgen.system.files import slug

# Format -> media type.
TYPES = {row.extensions[0][1:]: row.media_type for row in WRITERS.values() if row.media_type} | {
    "zip": "application/zip"
}
# What each tune of a tunebook gets in the zip; the book itself is there as ABC and PDF.
ZIPPED = ("abc", "mid", "musicxml", "svg", "mp3")
MOST_ZIPPED = 64  # tunes
MOST_TUNES = 400
# The earliest date that a zip can hold, so that the same tunes make the same file.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Download:
    """A file for the browser: its media type, a name of ASCII letters, its content."""

    type: str
    name: str
    content: bytes


def file_of(tunes: Sequence[Tune], kind: str, instrument: str = "") -> Download:
    """Tunes in a format of `TYPES`; sound and MIDI by an instrument ("": the tune's).

    Raises:
        FieldError: too many tunes, or several for a format that holds one.
        MusicgenError: a tune cannot be written.
    """
    most = MOST_ZIPPED if kind == "zip" else MOST_TUNES
    if len(tunes) > most:
        raise FieldError("abc", f"holds {len(tunes)} tunes, more than {most}; send fewer")
    if kind != "zip" and len(tunes) > 1 and not WRITERS[f".{kind}"].holds_many:
        raise FieldError("format", f"{kind} holds one tune, not {len(tunes)}; ask for a zip")
    name = slug(tunes[0].title) if len(tunes) == 1 else "tunes"
    content = _zipped(tunes, instrument) if kind == "zip" else _content(tunes, kind, instrument)
    return Download(TYPES[kind], f"{name}.{kind}", content)


def _content(tunes: Sequence[Tune], kind: str, instrument: str) -> bytes:
    options: dict[str, Any] = {}
    if instrument and "instrument" in writing_options(f".{kind}"):
        options["instrument"] = instrument
    if kind == "abc":
        options["original"] = True  # as it was written by hand
    return rendered(tunes, f".{kind}", **options)


def _zipped(tunes: Sequence[Tune], instrument: str) -> bytes:
    """Every tune in each format of `ZIPPED`, the book, and what could not be written."""
    taken = {"book"}
    names = [_unique(slug(tune.title), taken) for tune in tunes]
    wanted = [
        (f"{name}.{kind}", [tune], kind)
        for name, tune in zip(names, tunes, strict=True)
        for kind in ZIPPED
    ]
    wanted += [(f"book.{kind}", list(tunes), kind) for kind in ("abc", "pdf")]

    def content(one: tuple[str, list[Tune], str]) -> bytes | MusicgenError:
        _, several, kind = one
        try:
            return _content(several, kind, instrument)
        except MusicgenError as error:
            return error

    buffer = io.BytesIO()
    failures = ""
    # Drawing and sound are made by child processes, so threads are enough to use all cores.
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        for (name, _, _), made in zip(wanted, pool.map(content, wanted), strict=True):
            if isinstance(made, bytes):
                _add(archive, name, made)
            else:
                failures += f"{name}: {made}\n"
        if failures:
            _add(archive, "NOT-WRITTEN.txt", failures.encode())
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)


def _unique(name: str, taken: set[str]) -> str:
    """A name that was not taken before, and is then."""
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name}-{number}"
    taken.add(unique)
    return unique
