"""The HTTP interface described in OpenAPI 3.1, from the tables that check the requests."""

from __future__ import annotations

from typing import Any

import musicgen
from musicgen.studio import requests
from musicgen.studio.fields import Group
from musicgen.studio.files import TYPES
from musicgen.studio.work import RETRY_S

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


def _object(description: str = "", **properties: Schema) -> Schema:
    about = {"description": description} if description else {}
    return {"type": "object", **about, "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        error={
            **_object(
                message=_TEXT,
                field={**_TEXT, "description": "dotted name of the field, where it is one"},
                line=_or_null(_WHOLE),
                column=_or_null(_WHOLE),
            ),
            "required": ["message"],
        }
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
    "Novelty": _object(
        verdict=_TEXT,
        copied_bars=_WHOLE,
        similarity=_NUMBER,
        line=_TEXT,
        nearest=_list(_object(title=_TEXT, place=_TEXT, similarity=_NUMBER)),
    ),
    "Tune": _object(
        "A tune as it is shown; of text that is no music only `problems`.",
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
        given_events=_or_null(_WHOLE),
        warning=_or_null(_TEXT),
        problems=_list(_ref("Problem")),
    ),
    "Event": _object(
        "One line of the answer: notes so far, a whole take, one that failed, or the end.",
        event={"enum": ["notes", "take", "failed", "end"]},
        take=_WHOLE,
        abc=_TEXT,
        notes=_list(_ref("Note")),
        tune=_ref("Tune"),
        error=_object(message=_TEXT),
    ),
    "Health": _object(
        status=_TEXT, version=_TEXT, model=_TEXT, ready={"type": "boolean"}, running=_WHOLE,
        waiting=_WHOLE,
    ),
    "Choices": _object(
        fields=_list(_object(name=_TEXT, group=_TEXT, label=_TEXT, help=_TEXT, kind=_TEXT)),
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
}  # fmt: skip
_REFUSALS = {
    "400": "a field cannot be used; the error names it",
    "401": "the token is missing or wrong",
    "403": "from another site, or for another host",
    "408": "the body came too slowly",
    "413": "the body is too large",
    "415": "the body is not JSON",
    "422": "the work failed, or went over its limits of time and memory",
    "429": f"too many requests wait; come again after Retry-After ({RETRY_S} s)",
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
            "/api/health": _reading("Whether the server is well, and how busy.", "Health"),
            "/api/choices": _reading("What can be asked for.", "Choices"),
            "/api/takes": _changing(
                "New takes, a line of JSON for each event as they are sampled. A client that "
                "leaves cancels the work. The same request gives the same takes.",
                requests.TAKES,
                {"application/x-ndjson": {"schema": _ref("Event")}},
            ),
            "/api/tune": _changing("A tune with score and notes.", requests.TUNE, _json("Tune")),
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


def _json(name: str) -> Schema:
    return {"application/json": {"schema": _ref(name)}}


def _reading(summary: str, answer: str) -> Schema:
    responses = {"200": {"description": "OK", "content": _json(answer)}}
    return {"get": {"summary": summary, "responses": responses}}


def _changing(summary: str, group: Group, content: Schema) -> Schema:
    refusals = {
        status: {"description": what, "content": _json("Error")}
        for status, what in _REFUSALS.items()
    }
    return {
        "post": {
            "summary": summary,
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": group.schema}},
            },
            "responses": {"200": {"description": "OK", "content": content}, **refusals},
        }
    }
