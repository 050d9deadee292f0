"""Fields of requests: each with its bounds, its help, and its check.

    TAKES.read({"kind": "generate", "number": 9}, "")    # FieldError: number: 9 is not from 1 to 8

One table checks the requests, gives the page its form, and writes the OpenAPI document. `Controls`
checks whether musical values make sense.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from musicgen.config import suggestion
from musicgen.errors import FieldError, printable

Kind = Literal[
    "text", "choice", "integer", "number", "flag", "music", "place", "bars", "data", "group"
]

MAX_TEXT = 80
MAX_MUSIC = 200_000  # characters of ABC: a tunebook of some 400 tunes
MAX_BASE64 = 7_100_000  # characters, 5 MiB
_SCHEMAS: Mapping[Kind, Mapping[str, Any]] = {
    "text": {"type": "string"},
    "choice": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "flag": {"type": "boolean"},
    "music": {"type": "string", "description": "ABC notation"},
    "place": {
        "type": "array",
        "items": {"type": "integer", "minimum": 0},
        "minItems": 2,
        "maxItems": 2,
    },
    "bars": {"type": ["string", "integer"]},
    "data": {"type": "string", "contentEncoding": "base64"},
}

_MOST_LISTED = 60  # choices in a message


@dataclass(frozen=True, kw_only=True)
class Field:
    """One value of a request.

    Numbers are from `minimum` to `maximum`, texts at most `longest` characters; a "choice" is one
    of `choices`, which are only suggestions for a text. `default` is the value when it is left out,
    None where the model or the route decides. `section` and `widget` are its place in the page's
    form and how it is entered there, "" for the usual way.
    """

    name: str
    kind: Kind = "text"
    label: str = ""
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    longest: int = MAX_TEXT
    choices: tuple[str, ...] = ()
    default: Any = None
    required: bool = False
    group: FieldGroup | None = None
    section: str = ""
    widget: str = ""

    def read(self, value: object, where: str) -> Any:
        """The value, checked.

        Raises:
            FieldError: it is of another type or out of bounds.
        """
        if self.group is not None:
            return self.group.read(value, where)
        match self.kind:
            case "integer" | "number":
                return self._number(value, where)
            case "flag":
                if not isinstance(value, bool):
                    raise _unusable(where, value, "true or false")
                return value
            case "place":
                return self._place(value, where)
            case "bars" if isinstance(value, int):
                return self._whole(value, where)
            case "choice":
                return self._choice(value, where)
        return self._text(value, where)

    def _number(self, value: object, where: str) -> int | float:
        whole = self.kind == "integer"
        wanted = "a whole number" if whole else "a number"
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise _unusable(where, value, wanted)
        assert isinstance(value, (int, float))
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if not low <= value <= high:  # which NaN is not
            raise FieldError(where, f"{_shown(value)} is not from {low:g} to {high:.16g}")
        return value if whole else float(value)

    def _text(self, value: object, where: str) -> str:
        if not isinstance(value, str):
            raise _unusable(where, value, "text")
        if len(value) > self.longest:
            raise FieldError(where, f"{len(value)} characters, more than {self.longest}")
        if not value.strip():
            raise FieldError(where, "is empty; leave it out")
        if self.kind == "music":
            if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
                raise FieldError(where, "holds half a character; send valid Unicode")
        elif not value.isprintable():
            raise FieldError(where, "holds a character that cannot be printed")
        return value

    def _choice(self, value: object, where: str) -> str:
        text = self._text(value, where)
        if text not in self.choices:
            more = ", ..." if len(self.choices) > _MOST_LISTED else ""
            listed = f"use {', '.join(list(self.choices)[:_MOST_LISTED])}{more}"
            listed = suggestion(text, self.choices) or listed
            raise FieldError(where, f"{_shown(text)} is unknown; {listed}")
        return text

    def _place(self, value: object, where: str) -> tuple[int, int]:
        if not isinstance(value, list) or len(value) != 2:
            raise _unusable(where, value, "a place: [bar, event], both from 0")
        number = replace(self, minimum=0, maximum=100_000)
        return number._whole(value[0], where), number._whole(value[1], where)

    def _whole(self, value: object, where: str) -> int:
        return int(replace(self, kind="integer")._number(value, where))

    def listed(self, group: str) -> dict[str, Any]:
        """The field as the page is told of it."""
        about = {
            "name": self.name,
            "group": group,
            "label": self.label or self.name.replace("_", " ").capitalize(),
            "help": self.help,
            "section": self.section,
            "kind": self.kind,
            "widget": self.widget or None,
            "choices": list(self.choices) or None,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "step": self.step,
            "default": self.default,
        }
        return {name: value for name, value in about.items() if value is not None}

    @property
    def schema(self) -> dict[str, Any]:
        """The field in JSON Schema."""
        if self.group is not None:
            return self.group.schema
        schema = dict(_SCHEMAS[self.kind])
        if self.help:
            schema["description"] = self.help
        for name, value in (("minimum", self.minimum), ("maximum", self.maximum)):
            if value is not None:
                schema[name] = value
        if schema["type"] == "string":
            schema |= {"minLength": 1, "maxLength": self.longest}
        if self.kind == "choice":
            schema["enum"] = list(self.choices)
        elif self.choices:
            schema["examples"] = list(self.choices)
        if self.default is not None:
            schema["default"] = self.default
        return schema


@dataclass(frozen=True)
class FieldGroup:
    """Fields that are sent together as one object; no others may be in it."""

    fields: tuple[Field, ...]

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    def __getitem__(self, name: str) -> Field:
        return self._by_name[name]

    def read(self, value: object, where: str = "") -> dict[str, Any]:
        """The values that were given, checked, and the defaults of those that were not.

        Raises:
            FieldError: a field that is unknown, missing or wrong.
        """
        if not isinstance(value, dict):
            raise _unusable(where, value, "an object with named fields")
        for name in value:
            if name not in self._by_name:
                advice = suggestion(name, self._by_name) or "leave it out"
                raise FieldError(_dotted(where, printable(name[:40])), f"is no field; {advice}")
        checked = {}
        for field in self.fields:
            path = _dotted(where, field.name)
            if field.name in value:
                checked[field.name] = field.read(value[field.name], path)
            elif field.required:
                raise FieldError(path, "is missing")
            elif field.group is not None:
                checked[field.name] = field.group.read({}, path)
            elif field.default is not None:
                checked[field.name] = field.default
        return checked

    @property
    def schema(self) -> dict[str, Any]:
        """The group in JSON Schema."""
        required = [field.name for field in self.fields if field.required]
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {field.name: field.schema for field in self.fields},
            **({"required": required} if required else {}),
        }


def _dotted(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _unusable(where: str, value: object, wanted: str) -> FieldError:
    if value is None:
        return FieldError(where, f"is null; send {wanted}, or leave it out")
    return FieldError(where, f"{_shown(value)} is not {wanted}")


def _shown(value: object) -> str:
    try:
        text = printable(repr(value)) if not isinstance(value, (list, dict)) else "a list"
    except ValueError:  # an integer with too many digits to print
        return "a number of many digits"
    if isinstance(value, dict):
        text = "an object"
    return text if len(text) <= 40 else text[:37] + "..."
