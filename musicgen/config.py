"""Frozen dataclasses to JSON and back, dotted overrides, checked arguments, "did you mean".

    to_dict(TrainConfig()) -> {"seed": 0, "model": {"n_layers": 1, ...}, ...}
    override(TrainConfig(), "model.n_layers=6") -> TrainConfig(model=ModelConfig(n_layers=6, ...))

A setting has one dotted name everywhere: Python attribute, `--set`, key in config.json. Known
types: bool, int, float, str, Literal, tuples of one of these, dicts of any, nested dataclasses, and
`| None`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
import types
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cache, wraps
from inspect import signature
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from musicgen.errors import ConfigError, OptionError, printable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    C = TypeVar("C", bound=DataclassInstance)
else:
    C = TypeVar("C")


P = ParamSpec("P")
R = TypeVar("R")
MAX_NAME = 80  # characters of a name that a message repeats
_WORDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
_NUMBERS: dict[type, type] = {int: numbers.Integral, float: numbers.Real}


def to_dict(config: DataclassInstance) -> dict[str, Any]:
    """Plain dicts, lists and scalars that `json.dumps` accepts and `from_dict` turns back."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def from_dict(cls: type[C], data: object, *, where: str = "") -> C:
    """The dataclass that `to_dict` was given; missing fields take their defaults.

    `where` is the dotted name of `data` itself, for messages.

    Raises:
        ConfigError: an unknown field, a value of the wrong type, a required field left out.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where or cls.__name__}: {_show(data)} is not a group of settings")
    hints = get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]
    for name in data:
        if name not in names:
            raise ConfigError(unknown(_join(where, str(name)), str(name), names, kind="setting"))
    values = {n: _convert(hints[n], data[n], _join(where, n)) for n in names if n in data}
    missing = [
        f.name
        for f in dataclasses.fields(cls)
        if f.name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{_join(where, missing[0])}: is missing; give it a value")
    return cls(**values)


def override(config: C, assignment: str) -> C:
    """A copy with one setting changed: "model.dropout=0.3", "data.max_len=512", "ema=none".

    A tuple is written with commas ("4,8"). The text is converted to the field's own type.

    Raises:
        ConfigError: no such setting, or a value that is not of its type.
    """
    name, equals, text = assignment.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"'{printable(assignment)}': is not an assignment; write NAME=VALUE")
    return _assign(config, name.strip().split("."), text.strip(), where="")


def require(
    config: object,
    names: Iterable[str],
    holds: Callable[[Any], bool],
    what: str,
    *,
    where: str = "",
) -> None:
    """Check some settings of a group; `where` is written before their names.

    Raises:
        ConfigError: `holds` is False for one, which `what` says in words.
    """
    for name in names:
        value = getattr(config, name)
        if not holds(value):
            raise ConfigError(f"{where}{name}: {value} {what}")


def unknown(where: str, name: str, known: Iterable[str], *, kind: str) -> str:
    """The message for a name that is not one of `known`, with the nearest one as advice."""
    known = list(known)
    advice = suggestion(name, known) or f"use one of: {', '.join(known)}"
    return f"{printable(where[:MAX_NAME])}: unknown {kind}; {advice}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'rhythm'?" for the known name nearest to one, in any case; "" for none."""
    by_lower = {text.lower(): text for text in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f"did you mean '{by_lower[close[0]]}'?" if close else ""


def what_is_known(known: Iterable[str]) -> str:
    """The end of a message about a value that a model does not know: those that it knows."""
    listed = ", ".join(sorted(known))
    return f"it knows {listed}" if listed else "it knows none at all; leave it out"


def require_options(
    options: Iterable[str], known: Iterable[str], *, of: str = "", where: str = ""
) -> None:
    """Check the names of arguments; the message says of what they are options (`of`), and `where`.

    Raises:
        OptionError: "no option 'ryhthm'; did you mean 'rhythm'?"
    """
    known = list(known)
    for name in options:
        if name not in known:
            listed = f"it has {', '.join(known)}" if known else "it has none"
            what = f"no option '{printable(name[:MAX_NAME])}'{of and f' of {of}'}"
            advice = suggestion(name, known) or listed
            raise OptionError(f"{where}{where and ': '}{what}; {advice}")


def checked(cls: type[C]) -> type[C]:
    """A keyword-only dataclass that refuses other arguments, and values of another type, with an
    `OptionError` that says which."""
    plain_init: Callable[..., None] = cls.__init__

    @wraps(plain_init)
    def init(self: object, **options: Any) -> None:
        require_options(options, _hints(cls))
        require_types(cls, options)
        plain_init(self, **options)

    setattr(cls, "__init__", init)  # noqa: B010 - mypy lets no method be assigned
    return cls


def require_types(function: Callable[..., Any], options: Mapping[str, object]) -> None:
    """Check the values of arguments by the annotations of the function or class that takes them.

    Raises:
        OptionError: "seed: 'x' is not a whole number"
    """
    hints = _hints(function)
    for name in options.keys() & hints.keys():
        value = options[name]
        kinds = get_args(hints[name]) if _is_union(hints[name]) else (hints[name],)
        if any(_is_a(value, kind) for kind in kinds):
            continue
        if get_origin(kinds[0]) is Literal and isinstance(value, str):
            raise OptionError(
                unknown(name, value, get_args(kinds[0]), kind=f"value {_show(value)}")
            )
        raise OptionError(f"{name}: {_show(value)} is not {_in_words(kinds[0])}")


class Accepted(NamedTuple):
    """The values that an argument may have: in words, and their types; or the test of one."""

    words: str
    kinds: tuple[type, ...] = (str,)
    test: Callable[[Any], bool] | None = None

    def require(self, name: str, value: object) -> None:
        """Check a value of the argument of this name.

        Raises:
            OptionError: "checkpoint: 3 is not the name or folder of a model"
        """
        is_kind = any(_is_a(value, kind) for kind in self.kinds)
        if not (is_kind if self.test is None else self.test(value)):
            raise OptionError(f"{name}: {_show(value)} is not {self.words}")


TEXT = Accepted("text")
OPTIONAL_TEXT = Accepted("text or None", (str, type(None)))
WHOLE_NUMBER = Accepted("a whole number", (int,))
TRUE_OR_FALSE = Accepted("true or false", (bool,))


def arguments(**accepted: Accepted) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function that refuses other arguments, and values of these that they may not have, with an
    `OptionError` that says which argument and what it may be."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        call_signature = signature(function)
        names = [n for n, p in call_signature.parameters.items() if p.kind is not p.VAR_KEYWORD]

        @wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            if len(names) == len(call_signature.parameters):
                require_options(options, names)
            try:
                given = call_signature.bind(*args, **options).arguments
            except TypeError as error:
                raise OptionError(f"{function.__name__}: {error}") from None
            for name, value in given.items():
                if name in accepted:
                    accepted[name].require(name, value)
            return function(*args, **options)

        return call

    return decorate


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function)


def _in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of: {', '.join(map(str, get_args(kind)))}"
    return _WORDS.get(kind) or f"a {getattr(kind, '__name__', kind)}"


def _is_a(value: object, kind: Any) -> bool:
    """Whether a value is of a type; numbers are those of numpy, too, and a bool is none."""
    if get_origin(kind) is Literal:
        return any(value == choice for choice in get_args(kind))
    kind = get_origin(kind) or kind
    if kind in (int, float):
        return isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
    return isinstance(value, kind)


def _assign(config: Any, path: list[str], text: str, *, where: str) -> Any:
    head, *rest = path
    here = _join(where, head)
    names = [f.name for f in dataclasses.fields(config)]
    if head not in names:
        raise ConfigError(unknown(here, head, names, kind="setting"))
    value = getattr(config, head)
    hint = get_type_hints(type(config))[head]
    if get_origin(hint) is dict:
        if len(rest) != 1:
            raise ConfigError(
                f"{here}: is a group of settings; set one of them, as {here}.NAME=..."
            )
        return dataclasses.replace(config, **{head: {**value, rest[0]: _parse_any(text)}})
    if rest:
        if not dataclasses.is_dataclass(value):
            raise ConfigError(f"{here}: is a single setting, without '.{rest[0]}'")
        return dataclasses.replace(config, **{head: _assign(value, rest, text, where=here)})
    if dataclasses.is_dataclass(value):
        inner = dataclasses.fields(value)[0].name
        raise ConfigError(f"{here}: is a group of settings; set one of them, as {here}.{inner}=...")
    return dataclasses.replace(config, **{head: _convert(hint, _parse(hint, text), here)})


def _parse_any(text: str) -> object:
    """The JSON value that a text is, or the text; True, False and None as Python writes them."""
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _parse(hint: Any, text: str) -> object:
    """Text of the command line as the JSON value that `_convert` expects for this type."""
    if _is_union(hint):
        if text.lower() in ("none", "null"):
            return None
        hint = next(h for h in get_args(hint) if h is not type(None))
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return [_parse(inner, part.strip()) for part in text.split(",") if part.strip()]
    if hint is bool:
        truth = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        return truth.get(text.lower(), text)
    if hint in (int, float):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _convert(hint: Any, value: Any, where: str) -> Any:
    """A JSON value checked against a type; the only widening is int to float."""
    origin = get_origin(hint)
    if _is_union(hint):
        if value is None:
            return None
        return _convert(next(h for h in get_args(hint) if h is not type(None)), value, where)
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where=where)  # type: ignore[arg-type]
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: {_show(value)} is not a group of settings")
        return dict(value)
    if origin is Literal:
        if value not in get_args(hint):
            raise ConfigError(
                unknown(where, str(value), get_args(hint), kind=f"value {_show(value)}")
            )
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}: {_show(value)} is not a list")
        inner = get_args(hint)[0]
        return tuple(_convert(inner, item, f"{where}[{i}]") for i, item in enumerate(value))
    return _convert_scalar(hint, value, where)


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if type(value) is hint and hint in (bool, int, str):
        return value
    raise ConfigError(f"{where}: {_show(value)} is not {_WORDS.get(hint, 'a known type')}")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _show(value: object) -> str:
    text = printable(repr(value))
    return text if len(text) <= 40 else text[:37] + "..."
