"""Tunes as dicts, lists, strings and numbers that JSON holds, and back without loss.

    json.dumps(to_dict(tune))      # {"type": "Tune", "title": "The Kesh", "meter": {...}, ...}
    from_dict(to_dict(tune)) == tune

A dataclass becomes an object with its class as "type" and the fields that are not the default;
a Fraction becomes a string, "3/2" or "1". `source` and `warnings` say where a tune was read and
are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any, get_type_hints

from musicgen.config import unknown
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


def to_dict(music: tune.Tune) -> dict[str, Any]:
    """A tune as plain data."""
    return _plain(tune.require_tune(music))


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


def _object(value: Any, hint: str = "") -> Any:
    if isinstance(value, list):
        return tuple(_object(item, hint) for item in value)
    if isinstance(value, str) and "Fraction" in hint:
        try:
            return Fraction(value)
        except (ValueError, ZeroDivisionError):
            raise ParseError(f"'{printable(value[:40])}': is not a fraction such as 3/2") from None
    if not isinstance(value, Mapping):
        return value
    name = str(value.get("type"))
    if name not in CLASSES:
        raise ParseError(unknown(name, name, CLASSES, kind="type"))
    hints = _hints(name)
    for field in value:
        if field != "type" and field not in hints:
            raise ParseError(unknown(f"{name}.{field}", str(field), hints, kind="field"))
    try:
        return CLASSES[name](**{f: _object(value[f], hints[f]) for f in hints if f in value})
    except TypeError as error:
        raise ParseError(f"{name}: {error}") from None


@cache
def _hints(name: str) -> dict[str, str]:
    """The fields of a class, each with its type as text."""
    kind = CLASSES[name]
    types = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return {field: str(types[field]) for field in names if field not in LEFT_OUT}
