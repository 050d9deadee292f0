"""The one reader of JSON: bounded in depth and numbers, with errors that name file and place.

with JsonContent(data, "m/config.json", raises=CheckpointError, advice="get it again") as config:
    width = int(config["width"])

Size is bounded where the bytes are read (`files.read_bytes`). Reading takes time and memory in
proportion to the bytes, at most about 30 bytes of memory for each (`[[],[],...` is the worst).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from musicgen.errors import ConfigError, MusicgenError, printable

MAX_DEPTH = 64  # of lists and objects in each other
MAX_INTEGER = 1 << 64  # seeds are the largest
_MAX_DIGITS = 4300  # that Python reads of an integer
_MAX_SHOWN = 40  # characters of a name in a message


def parse_json(data: bytes | str, *, below: float = MAX_INTEGER) -> Any:
    """The value of a JSON text; its integers are smaller than `below`.

    Raises:
        ValueError: it is not JSON, is nested too deeply, holds a number out of range or one name
            twice in an object; the message is one line that says where.
    """
    try:
        value = json.loads(
            data,
            parse_int=lambda digits: int(digits) if len(digits) <= _MAX_DIGITS else math.inf,
            object_pairs_hook=_unique,
        )
        _require_in_range(value, below, MAX_DEPTH)
    except _RefusedError as error:
        raise ValueError(f"{''.join(reversed(error.path)) or 'it'}: {error}") from None
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from None
    except UnicodeDecodeError:
        raise ValueError("it is not JSON: other bytes than those of UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    return value


@dataclass
class JsonContent:
    """The value of a file of JSON, for a block that takes from it what it needs. Errors of the text
    and those that the block meets because the content is not as expected become one of `raises`:
    "WHERE: cannot be read: [width]: a number out of range; ADVICE".
    """

    data: bytes | str
    where: object
    raises: type[MusicgenError]
    advice: str

    def __enter__(self) -> Any:
        try:
            return parse_json(self.data)
        except ValueError as error:
            raise self._refusal(str(error)) from None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case ConfigError():
                raise self.raises(f"{self.where}: {error}") from None
            case MusicgenError() | None:
                return
            case KeyError():
                raise self._refusal(f"it lacks {named(error.args)}") from None
            case TypeError() | AttributeError() | OverflowError() | IndexError():
                # Their messages speak of Python, which says nothing to a user.
                raise self._refusal("it holds something else than it should") from None
            case ValueError():
                raise self._refusal(str(error)) from None

    def _refusal(self, what: str) -> MusicgenError:
        return self.raises(f"{self.where}: cannot be read: {what}; {self.advice}")


def named(keys: Iterable[object]) -> str:
    """Keys and positions in a value of JSON, "[trees][3]"; a long name is cut."""
    return "".join(f"[{printable(str(key)[:_MAX_SHOWN])}]" for key in keys)


class _RefusedError(ValueError):
    """A number that is refused; `path` leads to it, the last key first."""

    def __init__(self) -> None:
        super().__init__("a number out of range")
        self.path: list[str] = []


def _require_in_range(value: Any, below: float, depth: int) -> None:
    if isinstance(value, float | int):
        if not -below < value < below and not (isinstance(value, float) and math.isfinite(value)):
            raise _RefusedError
        return
    if value is None:
        return
    if not depth:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if type(item) is not str:
            try:
                _require_in_range(item, below, depth - 1)
            except _RefusedError as error:
                error.path.append(named([key]))
                raise


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{named([twice])}: twice in one object")
    return unique
