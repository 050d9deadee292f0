"""Tunes as dicts, lists, strings and numbers that JSON holds, and back without loss.

    json.dumps(to_dict(tune))      # {"type": "Tune", "title": "The Kesh", "meter": {...}, ...}
    from_dict(to_dict(tune)) == tune

A dataclass becomes an object with its class as "type" and the fields that are not the default;
a Fraction becomes a string, "3/2" or "1". `source` and `warnings` say where a tune was read and
are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from musicgen.config import Accepted, arguments, unknown
from musicgen.errors import ParseError, printable
from musicgen.music import theory, tune

CLASSES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(tune.Tune, tune.Voice, tune.Bar, tune.Note, tune.Chord, tune.Rest, tune.Change),
        *(tune.Marks, tune.Grace, tune.Tuplet, tune.Tempo),
        *(theory.Key, theory.Meter, theory.Pitch),
    )
}
LEFT_OUT = ("source", "warnings", "span")


@arguments()
def to_dict(music: tune.Tune) -> dict[str, Any]:
    """A tune as plain data."""
    return _plain(tune.require_tune(music))


@arguments(data=Accepted("a dict that to_dict made", (Mapping,)))
def from_dict(data: Mapping[str, Any]) -> tune.Tune:
    """The tune that `to_dict` was given.

    Raises:
        ParseError: a class, field or value that no tune has; the message says which.
    """
    music = _object(data)
    if not isinstance(music, tune.Tune):
        raise ParseError('"type": is not "Tune"')
    return music


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    fields = {
        field.name: _plain(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.name not in LEFT_OUT and getattr(value, field.name) != field.default
    }
    return {"type": type(value).__name__, **fields}


def _object(value: Any, *, fractions: bool = False) -> Any:
    if isinstance(value, list | tuple):
        return tuple([_object(item, fractions=fractions) for item in value])
    if fractions and isinstance(value, str):
        try:
            return Fraction(value)
        except (ValueError, ZeroDivisionError):
            raise ParseError(f"'{printable(value[:40])}': is not a fraction such as 3/2") from None
    if not isinstance(value, Mapping):
        return value
    name = str(value.get("type"))
    if name not in CLASSES:
        raise ParseError(unknown(name, name, CLASSES, kind="type"))
    known = _fields(name)
    fields = {}
    for field in value:
        if field == "type":
            continue
        if field not in known:
            raise ParseError(unknown(f"{name}.{field}", str(field), known, kind="field"))
        has_fractions, fits = known[field]
        fields[field] = _object(value[field], fractions=has_fractions)
        if not fits(fields[field]):
            shown = printable(repr(value[field]))[:40]
            raise ParseError(f"{name}.{field}: has the wrong type: {shown}")
    try:
        return CLASSES[name](**fields)
    except TypeError as error:
        raise ParseError(f"{name}: {error}") from None


@cache
def _fields(name: str) -> dict[str, tuple[bool, Callable[[Any], bool]]]:
    """The fields of a class: whether text in one is a Fraction, and whether a value fits it."""
    kind = CLASSES[name]
    types = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.name not in LEFT_OUT]
    return {field: ("Fraction" in str(types[field]), _check(types[field])) for field in names}


def _check(hint: Any) -> Callable[[Any], bool]:
    """Whether a value is of a type, which may be a union or a tuple of types."""
    args = get_args(hint)
    if get_origin(hint) is not tuple:
        checks = [_check(kind) for kind in args if get_args(kind)]
        kinds = {kind for kind in args or (hint,) if not get_args(kind)}
        return lambda value: type(value) in kinds or any(check(value) for check in checks)
    if args[-1] is ...:
        each = _check(args[0])
        return lambda value: type(value) is tuple and all(map(each, value))
    by_place = [_check(kind) for kind in args]
    return lambda value: (
        type(value) is tuple
        and len(value) == len(by_place)
        and all(check(item) for check, item in zip(by_place, value, strict=True))
    )
