"""Files behind a URL, through fsspec: listed in order and read, nothing else.

    for file in list_files("s3://bucket/tunes/"): data = read_url(file.url)

Chained URLs work as fsspec has them (`simplecache::s3://bucket/tunes`, `zip://::https://host/a.zip`);
an archive alone, `zip:///data/a.zip`, is short for `zip://::/data/a.zip`. Memory is bounded by the
largest folder that is listed, and by the size that a local file may have.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from musicgen.errors import CorpusError, MusicgenError, ParseError
from musicgen.system.files import input_limit, require_size

_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+://")
_ARCHIVES = ("zip://", "tar://", "libarchive://")
_ATTEMPTS = 3  # at reading a file, for a network may fail
_WAIT_S = 0.5  # before the second, and twice as long before each that follows
_MOST_FOLDERS = 1024  # inside each other


class RemoteFile(NamedTuple):
    """A file: its place below the URL that was listed, its own URL, and its size (-1: not told)."""

    inside: str
    url: str
    size: int


def is_url(name: str) -> bool:
    """Whether a name is a URL."""
    return _URL.match(name) is not None


def name_of(url: str) -> str:
    """The part of a URL that names the file: without what it is packed in, and what is asked of a
    server."""
    parts = [part for part in url.split("::") if "://" in part]
    return parts[0].partition("?")[0] if parts else url


def list_files(url: str, wanted: Callable[[str, str], bool] | None = None) -> Iterator[RemoteFile]:
    """The file of a URL, or the files below it in the order of their names, hidden folders left
    out; with `wanted(name, url)` only those.

    Raises:
        CorpusError: there is nothing, it cannot be listed, or a package is missing.
    """
    with _explained(url, CorpusError):
        system, root = _opened(url)
        found = system.info(root)
        is_folder = found["type"] == "directory" or root.endswith("/")
    if not is_folder:
        yield RemoteFile("", url, _size_of(found))
        return
    top = _path_of(root)
    folders = [iter([found | {"name": root, "type": "directory"}])]
    while folders:
        entry = next(folders[-1], None)
        if entry is None:
            folders.pop()
            continue
        path = str(entry["name"])
        if entry["type"] == "directory":
            if len(folders) > _MOST_FOLDERS:
                raise CorpusError(f"{url}: its folders are more than {_MOST_FOLDERS} deep")
            with _explained(url, CorpusError):
                inside = [e for e in system.ls(path, detail=True) if _is_below(e, path)]
            folders.append(iter(sorted(inside, key=lambda e: _name_of(e["name"]))))
            continue
        own = _url_of(url, path)
        if wanted is None or wanted(_name_of(path), own):
            yield RemoteFile(_path_of(path).removeprefix(top).lstrip("/"), own, _size_of(entry))


def read_url(url: str) -> bytes:
    """The content of a file, at most as large as a local one may be.

    Raises:
        ParseError: it is not there, cannot be read, or is too large.
    """
    return _attempted(url, lambda: _read(url))


def state_of(url: str) -> str:
    """What the server says of a file, as a digest: another one when it has been changed.

    Raises:
        ParseError: it cannot be asked.
    """
    return _attempted(url, lambda: _state(url))


@contextmanager
def open_url(url: str) -> Iterator[IO[bytes]]:
    """A file open for reading.

    Raises:
        ParseError: it cannot be read.
    """
    with _explained(url, ParseError):
        system, path = _opened(url)
        with system.open(path, "rb") as file:
            yield file


def _read(url: str) -> bytes:
    with open_url(url) as file:
        size = getattr(file, "size", None)
        if isinstance(size, int):
            require_size(size, path=url)
        data = file.read(input_limit() + 1)
    require_size(len(data), path=url)
    return data


def _state(url: str) -> str:
    with _explained(url, ParseError):
        system, path = _opened(url)
        return hashlib.sha256(str(system.ukey(path)).encode()).hexdigest()


def _attempted(url: str, work: Callable[[], Any]) -> Any:
    for attempt in range(1, _ATTEMPTS):
        try:
            return work()
        except ParseError as error:
            if not isinstance(error.__cause__, OSError) or isinstance(
                error.__cause__, FileNotFoundError | PermissionError
            ):
                raise
            time.sleep(_WAIT_S * attempt)
    return work()


def _opened(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it. Listings are not kept: they would grow."""
    from fsspec.core import url_to_fs

    if url.startswith(_ARCHIVES) and "::" not in url:
        scheme, _, path = url.partition("://")
        url = f"{scheme}://::{path}"
    return url_to_fs(url, use_listings_cache=False) if "::" not in url else url_to_fs(url)


@contextmanager
def _explained(url: str, kind: type[MusicgenError]) -> Iterator[None]:
    """Errors of fsspec and of the packages below it as one of ours, in one line."""
    try:
        yield
    except MusicgenError:
        raise
    except ImportError as error:
        advice = "pip install 'musicgen[remote]'"
        what = f"needs another package ({_line(error)}); {advice}"
        raise _failure(url, what, kind) from error
    except FileNotFoundError as error:
        raise _failure(url, "no such file or folder; check the URL", kind) from error
    except Exception as error:
        what = f"cannot be read ({_line(error)}); check the URL and your access to it"
        raise _failure(url, what, kind) from error


def _failure(url: str, what: str, kind: type[MusicgenError]) -> MusicgenError:
    return ParseError(what, path=url) if kind is ParseError else kind(f"{url}: {what}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _is_below(entry: dict[str, Any], folder: str) -> bool:
    """Whether an entry of a listing is a file or folder in it, and no hidden folder: some services
    list the folder itself, or links to other places."""
    path = _path_of(str(entry["name"]))
    hidden = entry["type"] == "directory" and _name_of(path).startswith(".")
    return path.startswith(f"{_path_of(folder)}/".lstrip("/")) and not hidden


def _path_of(path: str) -> str:
    return path.strip("/")


def _name_of(path: str) -> str:
    return _path_of(str(path)).rpartition("/")[2]


def _url_of(url: str, path: str) -> str:
    """The URL of a file that was found below another URL."""
    if "://" in path:
        return path
    if url.startswith(_ARCHIVES) and "::" not in url:
        url = url.replace("://", "://::", 1)
    parts = url.split("::")
    first = next(i for i, part in enumerate(parts) if "://" in part)
    scheme = parts[first].partition("://")[0]
    return "::".join([*parts[:first], f"{scheme}://{path}", *parts[first + 1 :]])


def _size_of(entry: dict[str, Any]) -> int:
    size = entry.get("size")
    return size if isinstance(size, int) else -1
