"""Labels of tunes and texts: from a table, a field of the heading, or the folders of the files.

labels_from("labels.csv")      # file, id or title; label
labels_from("reviews.csv")     # text; label: the table is the corpus, too
labels_from("R")               # the R: field of each tune
labels_from("folder")          # the subfolder that a file is in
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from musicgen.config import suggestion
from musicgen.corpus.reading import Entry
from musicgen.corpus.sources import CORPORA
from musicgen.errors import CorpusError, ParseError, printable
from musicgen.formats.tables import ABC_NAMES, looks_like_abc, rows_of
from musicgen.music.theory import canonical_rhythm
from musicgen.music.tune import Tune
from musicgen.system.files import read_bytes

FOLDER = "folder"
# Names of columns, in order of preference.
TEXT_NAMES = ("text", "sentence", "review", "document", "content", "comment", "phrase")
_KEY_NAMES = ("id", "file", "path", "filename", "file name", "name", "title", "tune")
_LABEL_NAMES = ("label", "class", "category", "sentiment", "genre", "origin", "type", "target")
_FIELD_NAMES = {"R": "rhythm", "C": "composer", "M": "meter", "K": "key", "O": "origin"}


class Labels(ABC):
    """The label of each tune or text. `name` is what the labels are called; `corpus` names the
    source that comes with them, or is None; `has_texts` says that it is of texts, not of ABC."""

    name: str
    corpus: str | None = None
    has_texts = False

    @abstractmethod
    def of(self, entry: Entry, field: str) -> str:
        """The label of an entry, "" for none; `field` is the one of its heading that is asked
        for."""

    def unused(self) -> list[str]:
        """The labels of nothing that was read, for a person."""
        return []


class FieldLabels(Labels):
    """A field of the heading, by its letter."""

    def __init__(self, letter: str) -> None:
        self.letter, self.name = letter, _FIELD_NAMES.get(letter, letter)

    def of(self, entry: Entry, field: str) -> str:
        """What the heading says."""
        return field


class FolderLabels(Labels):
    """The first folder inside a source; for a source without folders its own name."""

    name = "origin"

    def __init__(self) -> None:
        self._has_folders: dict[str, bool] = {}

    def prepare(self, entries: Sequence[Entry]) -> None:
        """See which sources have folders: files beside them have no label then."""
        for entry in entries:
            folders = len(_inside(entry)) > 1 and entry.source not in CORPORA
            self._has_folders[entry.source] = self._has_folders.get(entry.source, False) or folders

    def of(self, entry: Entry, field: str) -> str:
        """The name of the folder."""
        inside = _inside(entry)
        if self._has_folders.get(entry.source, False):
            return inside[0] if len(inside) > 1 else ""
        return Path(entry.source).stem


def _inside(entry: Entry) -> tuple[str, ...]:
    """The path of the file of an entry inside its source."""
    file = entry.id.removeprefix(entry.source.rstrip("/")).rpartition(":")[0] or entry.id
    return tuple(part for part in file.split("/") if part)


class TableLabels(Labels):
    """Rows of a name and a label; the name is the id of a tune, its file or its title. A table that
    is the corpus itself has the label of each row in the row."""

    def __init__(self, path: str, rows: Mapping[str, tuple[str, int]], name: str) -> None:
        self.path, self.name, self._rows = path, name, rows
        self._used: set[str] = set()

    def of(self, entry: Entry, field: str) -> str:
        """The label in the row of the first name that the entry answers to."""
        for name in self._names(entry):
            if name in self._rows:
                self._used.add(name)
                return self._rows[name][0]
        return ""

    def _names(self, entry: Entry) -> Iterator[str]:
        file, _, place = entry.id.rpartition(":")
        if self.corpus is not None:
            yield place.partition("#")[0]
            return
        parts = _folded(file).split("/")
        for first in range(len(parts)):
            path = "/".join(parts[first:])
            yield f"{path}:{place}"
            yield path
            yield path.rpartition(".")[0]
        yield _folded(entry.facts.title)

    def unused(self) -> list[str]:
        """The rows of which no tune was read."""
        left = (row for name, row in self._rows.items() if name not in self._used)
        names = {row: name for name, row in self._rows.items()}
        return [f"row {row[1]}: {names[row]}" for row in left]


def _folded(name: str) -> str:
    return " ".join(name.replace("\\", "/").removeprefix("./").lower().split())


def labels_from(given: str, *, column: str = "") -> Labels:
    """Labels by what `--labels` was given: a table (with "#" and the name of its column of labels
    if need be), a letter of a heading field, or "folder". `column` names the column of a table that
    holds texts or ABC.

    Raises:
        CorpusError: it is none of these, or the table cannot be used.
    """
    if given == FOLDER:
        return FolderLabels()
    if re.fullmatch(r"[A-Z]", given):
        return FieldLabels(given)
    path, _, label = given.rpartition("#") if "#" in given else (given, "", "")
    place = Path(given) if Path(given).exists() else Path(path)
    if not place.is_file():
        advice = suggestion(given, (FOLDER, "R")) or "give a table such as labels.csv,"
        raise CorpusError(
            f"--labels {printable(given)}: no such file; {advice} a letter of a heading field such "
            f"as R, or '{FOLDER}'"
        )
    return _table(str(place), "" if place == Path(given) else label, column)


def _table(path: str, label: str, column: str) -> TableLabels:
    """The labels in a file.

    Raises:
        CorpusError: it has no two columns, a row with more, or two labels for one name.
    """
    try:
        rows = rows_of(read_bytes(Path(path)), path)
    except ParseError as error:
        raise CorpusError(str(error)) from None
    names = [str(name) for name in (rows[0] if rows else {}) if name]
    if len(names) < 2:
        raise CorpusError(f"{path}: needs a column of files, titles or texts, and one of labels")
    label = _column(path, names, label, _LABEL_NAMES, "labels", names[-1])
    others = [name for name in names if name != label]
    key = _column(path, others, column, (*TEXT_NAMES, *ABC_NAMES, *_KEY_NAMES), "names", others[0])
    table = [(str(row.get(key) or ""), row.get(label), None in row) for row in rows]
    first = 2 if Path(path).suffix.lower() in (".csv", ".tsv") else 1
    if first == 2 and len(names) == 2 and names[1] in {value for _, value, _ in table}:
        table.insert(0, (names[0], names[1], False))  # no heading: the first row is one of them
        first, label = 1, "label"
    own = column or key.lower() in (*TEXT_NAMES, *ABC_NAMES)
    by_name: dict[str, tuple[str, int]] = {}
    for number, (name, value, longer) in enumerate(table, 1):
        line = number + first - 1
        if longer:
            raise CorpusError(f"{path}:{line}: has more cells than the first row; quote the texts")
        text = "" if value is None else " ".join(str(value).split())
        name = str(number) if own else _folded(name)
        if not text or not name:
            continue
        if by_name.get(name, (text,))[0] != text:
            other = by_name[name]
            raise CorpusError(
                f"{path}:{line}: '{printable(name)}' is '{printable(text)}' here and "
                f"'{printable(other[0])}' in row {other[1]}; keep one of them"
            )
        by_name.setdefault(name, (text, line))
    labels = TableLabels(path, by_name, label)
    if own:
        labels.corpus = f"{path}#{key}"
        labels.has_texts = 2 * sum(looks_like_abc(name) for name, _, _ in table) < len(table)
    return labels


def _column(
    path: str, names: Sequence[str], given: str, known: Sequence[str], what: str, otherwise: str
) -> str:
    """The column that is asked for, or the first one of a known name, or the other."""
    if given and given not in names:
        raise CorpusError(f"{path}: no column '{printable(given)}'; it has {', '.join(names)}")
    by_name = {name.lower().replace("_", " "): name for name in reversed(names)}
    return given or next((by_name[name] for name in known if name in by_name), otherwise)


def heading_field(tune: Tune, letter: str) -> str:
    """A field of a tune's heading, by its letter."""
    known = {
        "C": tune.composer,
        "K": str(tune.key) if tune.key.tonic else "",
        "M": str(tune.meter),
        "R": canonical_rhythm(tune.rhythm),
        "T": tune.title,
    }
    others = (value for name, value in tune.fields if name == letter)
    return " ".join((known[letter] if letter in known else next(others, "")).split())


def counted_labels(labels: Sequence[str]) -> dict[str, int]:
    """How many of each label there are, most first."""
    return dict(sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0])))
