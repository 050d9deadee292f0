"""The work behind the requests, done in child processes: JSON in, JSON or the bytes of a file out.

Every function is called through `musicgen.isolation`. What is wrong with a request is an answer
too: {"error": {"message", "field", "line", "column"}}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from musicgen.errors import FieldError, MusicgenError, ParseError
from musicgen.studio import views
from musicgen.tune import Tune

Answer = dict[str, Any]


def to_json(answer: object) -> bytes:
    """One answer; nothing in it can be NaN."""
    return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()


def error_of(error: MusicgenError) -> Answer:
    """What a person needs to put it right."""
    about: Answer = {"message": str(error)}
    if isinstance(error, FieldError) and error.field:
        about["field"] = error.field
    if isinstance(error, ParseError) and error.line:
        about |= {"field": "abc", "line": error.line, "column": error.column or None}
    return {"error": about}


def _job(work: Callable[[dict[str, Any]], Answer]) -> Callable[[bytes], bytes]:
    """A function of a request as one of bytes, with errors as answers."""

    @wraps(work)
    def answered(data: bytes) -> bytes:
        try:
            return to_json(work(json.loads(data)))
        except MusicgenError as error:
            return to_json(error_of(error))

    return answered


def one_tune(abc: str, field: str = "abc") -> Tune:
    """The tune of a request.

    Raises:
        ParseError: it cannot be read.
        FieldError: there is none, or several.
    """
    tunes, problems = views.read_abc(abc)
    if problems and not tunes:
        first = problems[0]
        raise ParseError(first["message"], line=first["line"] or 0, column=first["column"] or 0)
    if len(tunes) > 1:
        raise FieldError(field, f"holds {len(tunes)} tunes; send one")
    return tunes[0]


@_job
def tune(request: dict[str, Any]) -> Answer:
    """A tune as it is shown; for text that is no music, its problems."""
    abc = request["abc"]
    tunes, problems = views.read_abc(abc)
    if not tunes or len(tunes) > 1:
        if len(tunes) > 1:
            problems.append(views.problem(f"holds {len(tunes)} tunes; the studio shows one"))
        return {"problems": problems}
    given = None
    if "given_events" in request:
        given = views.first_events(tunes[0], request["given_events"])
    elif "before" in request:
        given = views.unchanged(tunes[0], one_tune(request["before"]))
    return views.tune_view(tunes[0], abc, given=given)


def export(data: bytes) -> Iterator[bytes]:
    """Tunes as a file: first {"type", "name"} or an error, then the bytes."""
    from musicgen.studio.files import file_of

    request = json.loads(data)
    try:
        tunes, problems = views.read_abc(request["abc"])
        if problems:
            raise ParseError(problems[0]["message"], line=problems[0]["line"] or 0)
        file = file_of(tunes, request["format"], request.get("instrument", ""))
    except MusicgenError as error:
        yield to_json(error_of(error))
        return
    yield to_json({"type": file.type, "name": file.name})
    yield file.content


def warm(data: bytes) -> bytes:
    """Have loaded what drawing and playing need, so that the first request need not wait."""
    tunes, _ = views.read_abc("X:1\nT:Warm\nM:4/4\nL:1/8\nK:D\nDEFG ABcd|]\n")
    from musicgen.studio.files import file_of

    views.tune_view(tunes[0], "")
    file_of(tunes, "ogg", "")
    return data


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a request that were given."""
    return {name: value for name, value in values.items() if value is not None}
