"""The files of a corpus: the table of named collections, files, folders, URLs."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from musicgen import formats
from musicgen.config import suggestion
from musicgen.errors import CorpusError, MusicgenError, ParseError, printable
from musicgen.music.tune import Rejected, Tune
from musicgen.system import remote
from musicgen.system.files import open_regular, read_bytes

NOT_TUNEBOOKS = ("license", "licence", "copying", "readme", "source", "notice", "changelog")

_SNIFFED = 65_536  # bytes at each end of a table in a folder
_MOST_KEPT = 100_000  # files in memory

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
    with ABC ("": it is found). With a `url` it is read from there, and the path only names it."""

    source: str
    label: str
    path: Path
    named: bool = False
    column: str = ""
    url: str = ""
    url_size: int = -1

    @property
    def options(self) -> dict[str, Any]:
        """Reading options for this file."""
        return formats.options_for(self.path, {"column": self.column} if self.column else {})

    @property
    def place(self) -> str:
        """Its path or URL."""
        return self.url or str(self.path)

    @property
    def size(self) -> int:
        """Its bytes; 0 where it cannot be told."""
        if self.url:
            return max(0, self.url_size)
        with suppress(OSError, ValueError):
            return self.path.stat().st_size if self.path.is_file() else 0
        return 0

    def content(self) -> bytes:
        """Its bytes.

        Raises:
            ParseError: it cannot be read, or is too large.
        """
        return remote.read_url(self.url) if self.url else read_bytes(self.path)

    def state(self) -> str:
        """A digest of its content, behind a URL of what the server says of it."""
        try:
            if self.url:
                return remote.state_of(self.url)
            return hashlib.sha256(self.content()).hexdigest()
        except ParseError:
            return "unreadable"

    def scan(self, *, all_voices: bool = False) -> Iterator[Tune | Rejected]:
        """Its tunes; see `formats.scan_each`."""
        options = {"all_voices": all_voices, **self.options}
        if not self.url:
            return formats.scan_each(self.path, **options)
        return formats.parsed_each(self.content(), remote.name_of(self.url), **options)


class _Root(NamedTuple):
    """A file, folder or URL whose files belong to a source."""

    source: str
    place: Path | str
    named: bool = False
    pattern: str = ".*"
    column: str = ""


def with_column(names: Iterable[str], column: str) -> list[str]:
    """Sources that say which column of their tables holds the ABC, as "tunes.csv#column"."""
    return [f"{name}#{column}" if column and name not in CORPORA else name for name in names]


def find_files(names: Iterable[str], *, texts: bool = False) -> list[CorpusFile]:
    """Every file of the sources, each file once, in order. A folder stands for the files in it that
    can be read as music, or with `texts` for all of them.

    Raises:
        CorpusError: a name that is no corpus, path or URL, or a folder without music.
    """
    return list(each_file(names, texts=texts))


def each_file(names: Iterable[str], *, texts: bool = False) -> Iterator[CorpusFile]:
    """The same one by one; of a folder only the names in it are in memory, not those below."""
    roots = _roots(list(names))
    seen: set[str] | None = set() if len(roots) > 1 else None
    links: set[str] = set()
    for root in roots:
        as_text = texts and not root.named
        is_empty = True
        for file in _files_of(root, texts=as_text):
            is_empty = False
            if file.url or _is_first(file, root, seen, links, texts=as_text):
                yield file
        if is_empty:
            readable = f"music in this folder; files must end in {', '.join(formats.READERS)}"
            missing = "file in this folder" if as_text else readable
            raise CorpusError(f"{printable(root.source)}: no {missing}")


def _roots(names: list[str]) -> list[_Root]:
    roots: dict[str, _Root] = {}
    for name in [n for n in CORPORA if n in names]:
        row = CORPORA[name]
        for folder in row.folders:
            inside = _named_folder(folder, row.location)
            roots.setdefault(folder, _Root(folder, inside, True, row.pattern))
    for name in names:
        if name not in CORPORA:
            place, column = _existing_place(name)
            roots.setdefault(name, _Root(name, place, column=column))
    return list(roots.values())


def _files_of(root: _Root, *, texts: bool) -> Iterator[CorpusFile]:
    """The files of a source, also those that belong to another one, too."""
    source, place, named, _, column = root
    base = source.rstrip("/")
    if isinstance(place, str):
        accepted = partial(_is_wanted, root, texts=texts)
        for file in remote.list_files(place, accepted):
            path = Path(remote.name_of(file.url))
            label = f"{base}/{file.inside}" if file.inside else source
            yield CorpusFile(source, label, path, named, column, file.url, file.size)
    elif place.is_file():
        yield CorpusFile(source, source, place, named, column)
    else:
        for inside in _names_in(place):
            if _is_wanted(root, inside.rpartition("/")[2], str(place / inside), texts=texts):
                yield CorpusFile(source, f"{base}/{inside}", place / inside, named, column)


def _names_in(folder: Path) -> Iterator[str]:
    """The files below a folder, as paths from there, in the order of their parts; hidden folders
    and links to folders left out."""
    levels: list[tuple[str, Iterator[tuple[str, bool]]]] = [("", _listed(folder))]
    while levels:
        above, entries = levels[-1]
        entry = next(entries, None)
        if entry is None:
            levels.pop()
        elif entry[1]:
            levels.append((f"{above}{entry[0]}/", _listed(folder / f"{above}{entry[0]}")))
        else:
            yield above + entry[0]


def _listed(folder: Path) -> Iterator[tuple[str, bool]]:
    """What is in a folder, by name, and whether it is a folder to look into."""
    try:
        with os.scandir(folder) as entries:
            found = [(e.name, e.is_dir(follow_symlinks=False), _is_folder(e)) for e in entries]
    except OSError as error:
        raise CorpusError(
            f"{printable(str(folder))}: cannot be listed ({error.strerror}); check its permissions"
        ) from None
    kept = [(n, own) for n, own, linked in found if own or not linked]
    return iter(sorted((n, own) for n, own in kept if not (own and n.startswith("."))))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one."""
    with suppress(OSError):  # a link that leads in circles
        return entry.is_dir()
    return False


def _is_wanted(root: _Root, name: str, place: str, *, texts: bool) -> bool:
    """Whether a file of this name in a folder belongs to the source."""
    if name.startswith(".") or not re.fullmatch(root.pattern, name, re.DOTALL):
        return False
    if texts:
        return True
    is_music = formats.readable(name, tables=False) or (
        formats.readable(name) and _is_music_table(place)
    )
    return is_music and Path(name).stem.lower() not in NOT_TUNEBOOKS


def _is_first(
    file: CorpusFile, root: _Root, seen: set[str] | None, links: set[str], *, texts: bool
) -> bool:
    """Whether a file has not been listed before, or will be, under another name. `seen` are all
    files so far, where there are several sources, `links` what the links so far lead to."""
    is_link = file.path.is_symlink()
    if seen is None and not is_link:
        return True
    # `resolve` would raise at links that lead in circles.
    real = os.path.realpath(file.path)
    if seen is not None:
        new = real not in seen
        seen.add(real)
        return new
    if real == str(Path(os.path.realpath(file.path.parent), file.path.name)):
        return True  # a link that leads to itself, which is told as one that cannot be read
    folder = f"{os.path.realpath(root.place)}{os.sep}"
    inside = real.removeprefix(folder) if real.startswith(folder) else ""
    hidden = any(part.startswith(".") for part in Path(inside).parts)
    listed = inside and not hidden and _is_wanted(root, Path(real).name, real, texts=texts)
    new = not listed and real not in links
    links.add(real)
    return new


def _is_music_table(place: str) -> bool:
    """Whether a file is a table that speaks of ABC, by its beginning and its end."""
    from musicgen.formats.tables import holds_abc

    try:
        with remote.open_url(place) if remote.is_url(place) else open_regular(place) as file:
            head = file.read(_SNIFFED)
            file.seek(max(file.seek(0, os.SEEK_END) - _SNIFFED, 0))
            return holds_abc(head + file.read(_SNIFFED))
    except MusicgenError:
        return False


class Listing:
    """The files of some sources, in order; listed anew each time where they are many, so that ten
    million need no memory. `digest` is that of their labels."""

    def __init__(self, names: Iterable[str], *, texts: bool = False) -> None:
        self._names, self._texts = list(names), texts
        self._kept: list[CorpusFile] | None = []
        self._n, digest = 0, hashlib.sha256()
        for file in each_file(self._names, texts=texts):
            self._n += 1
            digest.update(f"{file.label}\0".encode(errors="surrogateescape"))
            if self._kept is not None:
                self._kept.append(file)
            if self._n == _MOST_KEPT:
                self._kept = None
        self.digest = digest.hexdigest()

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[CorpusFile]:
        return iter(each_file(self._names, texts=self._texts) if self._kept is None else self._kept)


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


def _existing_place(name: str) -> tuple[Path | str, str]:
    """The path or URL of a source, and the column it names after a "#"."""
    path, _, column = name.rpartition("#")
    if remote.is_url(name):
        return (path, column) if path else (name, "")
    for place, its_column in ((name, ""), (path, column)):
        if place and Path(place).exists():
            return Path(place), its_column
    advice = suggestion(name, CORPORA)
    raise CorpusError(
        f"{printable(name)}: no such file, folder or corpus; {advice}{advice and ' '}"
        f"there is {', '.join(CORPORA)}"
    )
