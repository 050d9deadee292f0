"""The files of a corpus: the table of named collections, files, folders."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from musicgen import formats
from musicgen.config import suggestion
from musicgen.errors import CorpusError, MusicgenError, printable
from musicgen.system.files import open_regular

NOT_TUNEBOOKS = ("license", "licence", "copying", "readme", "source", "notice", "changelog")

_SNIFFED = 65_536  # bytes at each end of a table in a folder

NON_COMMERCIAL = (
    "essenFolksong is free for non-commercial use only, and so is a model trained on it"
)


@dataclass(frozen=True, slots=True)
class NamedCorpus:
    """A row of `CORPORA`: folders with music, what they hold and under which licence.

    `location` is a folder that holds `folders`; "" is the corpus inside the installed music21
    package. Only files whose name matches `pattern` belong to it. `notice` is shown to everyone
    who uses the corpus.
    """

    folders: tuple[str, ...]
    about: str
    licence: str = "public domain"
    notice: str = ""
    pattern: str = ".*"
    location: str = ""


# All of music21's Bach that is no four-part chorale: settings with instruments, in five voices, a
# prelude, and transcriptions that are there twice (as kern).
_NOT_IN_FOUR_PARTS = (
    "1.6 8.6 12.7 19.7 27.6 29.8 31.9 41.6 52.6 59.3 69.6 70.11 79.3 79.6 91.6 95.7 97.9 112.5-sc "
    "120.8-a 124.6 128.5 130.6 136.6 137.5 149.7 161.6 171.6 172.6 175.7 185.6 190.7-inst 195.6 "
    "227.3 248.9-1 248.9-s 248.17 248.23-2 248.35-3c 248.42-4 248.59-6 248.64-6 250 251 252 846"
)
_OTHERS = "|".join(map(re.escape, _NOT_IN_FOUR_PARTS.split()))
FOUR_PART_CHORALES = rf"bwv(?!(?:{_OTHERS})\.(?:mxl|xml)$).*\.(?:mxl|xml)"


CORPORA = {
    "oneills1850": NamedCorpus(("oneills1850",), "O'Neill's Music of Ireland, 1903"),
    "ryansMammoth": NamedCorpus(("ryansMammoth",), "Ryan's Mammoth Collection, 1883"),
    "airdsAirs": NamedCorpus(("airdsAirs",), "Aird's Selection of Airs, 1778-1801"),
    "celtic": NamedCorpus(
        ("oneills1850", "ryansMammoth", "airdsAirs"), "O'Neill's, Ryan's and Aird's collections"
    ),
    "chorales": NamedCorpus(
        ("bach",), "four-part chorales of J. S. Bach", pattern=FOUR_PART_CHORALES
    ),
    "essenFolksong": NamedCorpus(
        ("essenFolksong",),
        "Essen folksong collection",
        licence="free for non-commercial use",
        notice=NON_COMMERCIAL,
    ),
}


class CorpusFile(NamedTuple):
    """A file to read: the source that it belongs to, the beginning of the ids of its tunes, its
    path; `named` says whether it belongs to one of `CORPORA`, `column` the name of a table's column
    with ABC ("": it is found)."""

    source: str
    label: str
    path: Path
    named: bool = False
    column: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """Reading options for this file."""
        return formats.options_for(self.path, {"column": self.column} if self.column else {})


def with_column(names: Iterable[str], column: str) -> list[str]:
    """Sources that say which column of their tables holds the ABC, as "tunes.csv#column"."""
    return [f"{name}#{column}" if column and name not in CORPORA else name for name in names]


def find_files(names: Iterable[str], *, texts: bool = False) -> list[CorpusFile]:
    """Every file of the sources, each file once, in order. A folder stands for the files in it that
    can be read as music, or with `texts` for all of them.

    Raises:
        CorpusError: a name that is neither a corpus nor a path, or a folder without music.
    """
    names = list(names)
    folders: dict[str, tuple[str, Path, str]] = {}
    columns: dict[str, str] = {}
    for name in [n for n in CORPORA if n in names]:
        for folder in CORPORA[name].folders:
            row = CORPORA[name]
            folders.setdefault(folder, (folder, _named_folder(folder, row.location), row.pattern))
    for name in names:
        if name not in CORPORA:
            place, columns[name] = _existing_path(name)
            folders.setdefault(name, (name, place, ".*"))
    corpus_files: dict[Path, CorpusFile] = {}
    named = {folder for name in names if name in CORPORA for folder in CORPORA[name].folders}
    for source, place, pattern in folders.values():
        as_text = texts and source not in named
        files = [place] if place.is_file() else _files_in(place, pattern, texts=as_text)
        if not files:
            readable = f"music in this folder; files must end in {', '.join(formats.READERS)}"
            missing = "file in this folder" if as_text else readable
            raise CorpusError(f"{printable(source)}: no {missing}")
        for path in files:
            inside = path.relative_to(place).as_posix() if place.is_dir() else ""
            label = f"{source.rstrip('/')}/{inside}" if inside else source
            # `resolve` would raise at links that lead in circles.
            file = CorpusFile(source, label, path, source in named, columns.get(source, ""))
            corpus_files.setdefault(Path(os.path.realpath(path)), file)
    return list(corpus_files.values())


def _files_in(folder: Path, pattern: str, *, texts: bool) -> list[Path]:
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        files += [
            Path(parent, name)
            for name in names
            if (
                texts or formats.readable(name, tables=False) or _is_music_table(Path(parent, name))
            )
            and re.fullmatch(pattern, name, re.DOTALL)
            and not name.startswith(".")
            and (texts or Path(name).stem.lower() not in NOT_TUNEBOOKS)
        ]
    return sorted(files, key=lambda path: path.relative_to(folder).parts)


def _is_music_table(path: Path) -> bool:
    """Whether a file is a table that speaks of ABC, by its beginning and its end."""
    if not formats.readable(path):
        return False
    from musicgen.formats.tables import holds_abc

    try:
        with open_regular(path) as file:
            head = file.read(_SNIFFED)
            file.seek(max(file.seek(0, os.SEEK_END) - _SNIFFED, 0))
            return holds_abc(head + file.read())
    except MusicgenError:
        return False


def _named_folder(name: str, location: str) -> Path:
    """The folder of a named corpus, inside its location or inside music21."""
    if location:
        folder = Path(location, name).expanduser()
        if not folder.is_dir():
            raise CorpusError(f"{name}: is not at {printable(str(folder))}; put the corpus there")
        return folder
    spec = importlib.util.find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError(f"{name}: comes with the music21 package; install music21")
    folder = Path(spec.submodule_search_locations[0], "corpus", name)
    if not folder.is_dir():
        raise CorpusError(f"{name}: this music21 was installed without its corpus; reinstall it")
    return folder


def _existing_path(name: str) -> tuple[Path, str]:
    """The path of a source, and the column it names after a "#"."""
    path, _, column = name.rpartition("#")
    for place, its_column in ((name, ""), (path, column)):
        if place and Path(place).exists():
            return Path(place), its_column
    advice = suggestion(name, CORPORA)
    raise CorpusError(
        f"{printable(name)}: no such file, folder or corpus; {advice}{advice and ' '}"
        f"there is {', '.join(CORPORA)}"
    )
