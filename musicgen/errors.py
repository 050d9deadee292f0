"""The exceptions that musicgen raises on purpose, as one tree.

    MusicgenError
    +-- ParseError              a file or text that cannot be read as music (path, line, column)
        +-- MissingFileError    there is no such file; a FileNotFoundError, too
    +-- UnsupportedFormatError  a file extension or content that no reader or writer knows
    +-- InvalidTuneError        a Tune that a writer, tokenizer or renderer cannot represent
    +-- SandboxError            a foreign library that crashed, hung or used too much
    +-- ConfigError             an unknown or impossible setting
        +-- OptionError         an argument that a function does not take; a TypeError, too
    +-- CorpusError             a corpus that is missing, empty or unusable
    +-- CheckpointError         a model folder that is damaged, foreign or of another version
        +-- MissingModelError   there is no such model; a FileNotFoundError, too
    +-- ControlError            a request that contradicts itself or that the model cannot follow
    +-- FieldError              a value of a request to the studio that cannot be used (field)
    +-- TrainingError           a training run that cannot start or continue
        +-- TrainingInterrupted stopped by a signal, its state saved
    +-- EndedElsewhere          of processes that train together another one says why they end

Every message is one line: where, what is wrong, what to do. `Terminated` is none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import ENOENT
from pathlib import Path
from types import MappingProxyType

MAX_MESSAGE = 2000  # characters


class MusicgenError(Exception):
    """Base of every error that is caused by the input, not by a defect of the program.

    A message is one line of printable characters of bounded length, whatever it quotes.

    Attributes:
        unwritten: files that could not be written, by their names, for whoever can keep them
            elsewhere.
    """

    unwritten: Mapping[str, bytes] = MappingProxyType({})

    def __init__(self, message: str = "") -> None:
        text = printable(message)
        if len(text) > MAX_MESSAGE:
            half = MAX_MESSAGE // 2
            text = f"{text[:half]} ... {text[-half:]}"
        super().__init__(text)

    __str__ = Exception.__str__  # also of those that are an OSError, too


class ParseError(MusicgenError):
    """Text or bytes that cannot be read as music.

    Args:
        what: what is wrong and what to do about it.
        path: the file; None or "" where there is none.
        line: 1-based line, 0 when unknown.
        column: 1-based column, 0 when unknown.
    """

    def __init__(
        self, what: str, *, path: str | Path | None = None, line: int = 0, column: int = 0
    ) -> None:
        path = path or None
        self.what = what
        self.path = None if path is None else str(path)
        self.line = line
        self.column = column
        super().__init__(locate(what, path=path, line=line, column=column))


class MissingFileError(ParseError, FileNotFoundError):
    """There is no file of this name (`path`, `filename`)."""

    errno = ENOENT

    @property
    def filename(self) -> str | None:
        """The name of the file, as in an OSError."""
        return self.path


class UnsupportedFormatError(MusicgenError):
    """A file whose extension or content no reader or writer knows."""


class InvalidTuneError(MusicgenError):
    """A Tune that the output format cannot represent."""


class SandboxError(MusicgenError):
    """A foreign library that crashed in its child process, hung, or used too much."""


class ConfigError(MusicgenError):
    """An unknown or impossible setting."""


class OptionError(ConfigError, TypeError):
    """An argument that a function does not take, by its name or its type."""


class CorpusError(MusicgenError):
    """A corpus that is missing, empty or unusable."""


class CheckpointError(MusicgenError):
    """A model folder that is damaged, foreign or of another version."""


class MissingModelError(CheckpointError, FileNotFoundError):
    """There is no model of this name."""

    errno = ENOENT


class ControlError(MusicgenError):
    """A request that contradicts itself or that the model cannot follow."""


class FieldError(MusicgenError):
    """A value of a request to the studio that cannot be used; `field` is its dotted name."""

    def __init__(self, field: str, what: str) -> None:
        self.field = field
        named = what.startswith(field.rpartition(".")[2].replace("_", "-"))
        super().__init__(what if named else f"{field}: {what}")


class TrainingError(MusicgenError):
    """A training run that cannot start or continue."""


class TrainingInterrupted(TrainingError):  # noqa: N818 - an interruption is no mistake
    """A run stopped by a signal after its state was saved; a shell expects 128 + `signal`."""

    def __init__(self, message: str, *, signal: int) -> None:
        self.signal = signal
        super().__init__(message)


class Terminated(BaseException):
    """A signal ends the command: open files are closed while this is raised."""

    def __init__(self, signal: int) -> None:
        self.signal = signal
        super().__init__(signal)


class EndedElsewhere(MusicgenError):  # noqa: N818 - nothing that this process could name
    """A run of several processes ends, of which another one says why; `code` is for the shell."""

    def __init__(self, code: int = 1) -> None:
        self.code = code
        super().__init__()


def reason_of(error: MusicgenError, path: str | Path) -> str:
    """The message of an error about a file without the file's name in front."""
    if isinstance(error, ParseError):
        return error.what
    return str(error).removeprefix(f"{printable(str(path))}: ")


def locate(what: str, *, path: str | Path | None = None, line: int = 0, column: int = 0) -> str:
    """Prefix a message with its place: `FILE:LINE:COL: what`, leaving out what is unknown."""
    place = [printable(str(path))] if path is not None else []
    if line:
        place += [str(line)] if place else [f"line {line}"]
        if column:
            place.append(str(column))
    return f"{':'.join(place)}: {printable(what)}" if place else printable(what)


def printable(text: str) -> str:
    """Escape control characters, so that a file's content cannot drive the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
