"""The HTTP interface described in OpenAPI 3.1, from the tables that check the requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import musicgen
from musicgen.studio import requests
from musicgen.studio.fields import FieldGroup
from musicgen.studio.files import TYPES
from musicgen.studio.job_queue import RETRY_S

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_WHOLE: Schema = {"type": "integer"}
_PLACE: Schema = {
    "type": "array",
    "items": _WHOLE,
    "description": "[bar, event of the bar], from 0, as in data-event of the score",
}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(description: str = "", *, optional: Sequence[str] = (), **properties: Schema) -> Schema:
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        error=_object(
            optional=("field", "line", "column"),
            message=_TEXT,
            field={**_TEXT, "description": "dotted name of the field, where it is one"},
            line=_or_null(_WHOLE),
            column=_or_null(_WHOLE),
        )
    ),
    "Note": _object(
        "A note as it is played, repeats played out, in seconds of the recording.",
        place=_or_null(_PLACE),
        voice=_WHOLE,
        onset=_NUMBER,
        duration=_NUMBER,
        pitch={"type": "integer", "minimum": 0, "maximum": 127},
        given={"type": "boolean", "description": "it was there before"},
    ),
    "Problem": _object(
        line=_or_null(_WHOLE),
        column=_or_null(_WHOLE),
        message=_TEXT,
        severity={"enum": ["error", "warning"]},
    ),
    "Problems": _object("Why text is no music.", problems=_list(_ref("Problem"))),
    "Novelty": _object(
        verdict=_TEXT,
        copied_bars=_WHOLE,
        similarity=_NUMBER,
        line=_TEXT,
        nearest=_list(_object(title=_TEXT, place=_TEXT, similarity=_NUMBER)),
    ),
    "Tune": _object(
        "A tune as it is shown.",
        optional=("warning",),
        abc=_TEXT,
        title=_TEXT,
        key=_TEXT,
        meter=_TEXT,
        rhythm=_TEXT,
        bars=_WHOLE,
        numbers={**_list(_WHOLE), "description": "the printed number of each bar; a pickup is 0"},
        voices=_WHOLE,
        seconds=_NUMBER,
        instrument=_TEXT,
        likelihood_bits=_or_null({**_NUMBER, "description": "bits per new note, of takes"}),
        novelty=_or_null(_ref("Novelty")),
        notes=_list(_ref("Note")),
        svg=_or_null({**_TEXT, "description": "every note has data-event: voice.bar.event"}),
        given=_or_null({**_list(_PLACE), "description": "what was there before, of takes"}),
        warning=_or_null({**_TEXT, "description": "what could not be met, of takes"}),
        problems=_list(_ref("Problem")),
    ),
    "Event": {
        "description": "A line of the answer.",
        "oneOf": [
            _object(
                "The beginning of a take.",
                event={"const": "notes"},
                take=_WHOLE,
                abc=_TEXT,
                notes=_list(_ref("Note")),
            ),
            _object("A whole take.", event={"const": "take"}, take=_WHOLE, tune=_ref("Tune")),
            _object(
                "A take that failed; without a number all that are not there yet.",
                optional=("take",),
                event={"const": "failed"},
                take=_WHOLE,
                error={"$ref": "#/components/schemas/Error/properties/error"},
            ),
            _object("The last line.", event={"const": "end"}),
        ],
    },
    "Health": _object(
        status=_TEXT,
        version=_TEXT,
        model=_TEXT,
        ready={"type": "boolean", "description": "it composes without loading anything first"},
        running=_WHOLE,
        waiting=_WHOLE,
    ),
    "Choices": _object(
        fields=_list(
            _object(
                optional=("widget", "choices", "minimum", "maximum", "step", "default"),
                name=_TEXT,
                group={"enum": ["controls", "sampling", "selection"]},
                label=_TEXT,
                help=_TEXT,
                section={**_TEXT, "description": "title of its section; empty for none"},
                kind=_TEXT,
                widget={"enum": ["key", "slider", "suggestions"]},
                choices=_list(_TEXT),
                minimum=_NUMBER,
                maximum=_NUMBER,
                step=_NUMBER,
                default={"description": "the value when it is left out"},
            )
        ),
        sections=_list(_object("A section of the form.", title=_TEXT, open={"type": "boolean"})),
        instruments=_list(_TEXT),
        formats=_list(_TEXT),
        changes=_list(_TEXT),
        model=_object(name=_TEXT, card=_TEXT),
    ),
    "Read": _object(
        tunes=_list(_ref("Tune")),
        skipped=_list(_object(name=_TEXT, why=_TEXT, line=_or_null(_WHOLE))),
    ),
    "Surprise": _object(
        notes=_list(_object(place=_PLACE, bits=_NUMBER)),
        mean={**_NUMBER, "description": "bits per note, bar lines included"},
        legend=_list(_object(color=_TEXT, meaning=_TEXT)),
        svg=_TEXT,
    ),
    "Attention": _object(
        model=_TEXT,
        layers=_WHOLE,
        heads=_WHOLE,
        layer=_WHOLE,
        head=_WHOLE,
        weights=_list(_object(place=_PLACE, weight=_NUMBER)),
        svg=_TEXT,
    ),
}
_REFUSALS = {
    400: "a field cannot be used; the error names it",
    401: "the token is missing or wrong",
    403: "from another site, or for another host",
    404: "there is no such file",
    408: "the body came too slowly",
    413: "the body is too large",
    415: "the body is not JSON",
    422: "the work failed, or went over its limits of time and memory",
    429: "too many requests wait; come again later",
    500: "the studio failed; its terminal says more",
    503: "the studio was stopped",
}
_ALWAYS = (400, 401, 403, 500)
_WORKING = (*_ALWAYS, 422, 429, 503)
_READING_BODY = (408, 413, 415)
_RETRY: Schema = {
    "Retry-After": {"description": "seconds", "schema": {**_WHOLE, "examples": [RETRY_S]}}
}


def document() -> dict[str, Any]:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "musicgen studio",
            "version": musicgen.__version__,
            "description": "Compose, continue, change and take away tunes. Requests are JSON.",
        },
        "paths": {
            "/": _reading("The page.", {"text/html": {}}),
            "/static/{name}": _reading("A part of the page.", {"*/*": {}}, (*_ALWAYS, 404))
            | {"parameters": [{"name": "name", "in": "path", "required": True, "schema": _TEXT}]},
            "/api/openapi.json": _reading(
                "This description.", {"application/json": {"schema": {"type": "object"}}}
            ),
            "/api/health": _reading("Whether the server is well, and how busy.", _json("Health")),
            "/api/choices": _reading("What can be asked for.", _json("Choices"), _WORKING),
            "/api/takes": _changing(
                "New takes, a line of JSON for each event as they are sampled. A client that "
                "leaves cancels the work. The same request gives the same takes.",
                requests.TAKES,
                {"application/x-ndjson": {"schema": _ref("Event")}},
            ),
            "/api/tune": _changing(
                "A tune with score and notes; of text that is no music its problems.",
                requests.TUNE,
                _json("Tune", "Problems"),
            ),
            "/api/read": _changing("The tunes of a file.", requests.READ, _json("Read")),
            "/api/change": _changing("A tune changed.", requests.CHANGE, _json("Tune")),
            "/api/surprise": _changing(
                "How unexpected the model finds each note.", requests.SURPRISE, _json("Surprise")
            ),
            "/api/attention": _changing(
                "Which earlier notes a note attends to.", requests.ATTENTION, _json("Attention")
            ),
            "/api/export": _changing(
                "A file to take away.",
                requests.EXPORT,
                {kind.partition(";")[0]: {} for kind in TYPES.values()},
            ),
        },
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _json(*names: str) -> Schema:
    schemas = [_ref(name) for name in names]
    return {"application/json": {"schema": {"anyOf": schemas} if schemas[1:] else schemas[0]}}


def _reading(summary: str, content: Schema, refusals: Iterable[int] = _ALWAYS) -> Schema:
    return {"get": {"summary": summary, "responses": _responses(content, refusals)}}


def _changing(summary: str, group: FieldGroup, content: Schema) -> Schema:
    return {
        "post": {
            "summary": summary,
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": group.schema}},
            },
            "responses": _responses(content, (*_WORKING, *_READING_BODY)),
        }
    }


def _responses(content: Schema, refusals: Iterable[int]) -> Schema:
    """The responses: an answer, or an error of one of those statuses."""
    responses: Schema = {"200": {"description": "OK", "content": content}}
    for status in sorted(refusals):
        responses[str(status)] = {"description": _REFUSALS[status], "content": _json("Error")}
    if "429" in responses:
        responses["429"]["headers"] = _RETRY
    return responses
