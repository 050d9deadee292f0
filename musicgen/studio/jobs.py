"""The jobs behind the requests, in child processes: JSON in, JSON or the bytes of a file out.

Every function is called through `system.sandbox`. An error in a request is an answer, too:
{"error": {"message", "field", "line", "column"}}.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, wraps
from typing import Any

from musicgen.errors import FieldError, MusicgenError, ParseError
from musicgen.formats import READERS, parsed_each, readable
from musicgen.formats.abc_notation import original_text
from musicgen.models.checkpoint import Checkpoint, load, locate
from musicgen.music.similarity import FILE_NAME, NoveltyIndex
from musicgen.music.tune import Rejected, Tune
from musicgen.studio import views
from musicgen.studio.edits import changed

Answer = dict[str, Any]

_OPTION = re.compile(r"--([a-z-]+)\b")  # at the start of a message for the command line
MAX_FILE_BYTES = 5 * 2**20
MOST_READ = 200  # tunes of a file
MOST_SKIPPED = 500  # that are named


@cache
def model(name: str) -> Checkpoint:
    """The model that this process keeps.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    return load(locate(name))


def to_json(answer: object) -> bytes:
    """One answer; nothing in it can be NaN."""
    return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()


def error_of(error: MusicgenError) -> Answer:
    """The message of an error, and the field, line and column where it is."""
    about: Answer = {"message": str(error).removeprefix("--")}
    if isinstance(error, FieldError):
        about["field"] = error.field
    elif option := _OPTION.match(str(error)):
        about["field"] = option[1].replace("-", "_")
    if isinstance(error, ParseError) and error.line:
        about |= {"field": "abc", "line": error.line, "column": error.column or None}
    return {"error": about}


def job(work: Callable[..., Answer]) -> Callable[..., bytes]:
    """A function of a request as a function of bytes, with errors as answers."""

    @wraps(work)
    def answered(data: bytes, **options: Any) -> bytes:
        try:
            return to_json(work(json.loads(data), **options))
        except MusicgenError as error:
            return to_json(error_of(error))

    return answered


def one_tune(abc: str, field: str = "abc") -> Tune:
    """The tune of a request.

    Raises:
        ParseError: it cannot be read.
        FieldError: the text holds no tune, or several.
    """
    tunes, problems = views.read_abc(abc)
    if problems and not tunes:
        first = problems[0]
        if field != "abc":
            raise FieldError(field, first["message"])
        raise ParseError(first["message"], line=first["line"] or 0, column=first["column"] or 0)
    if len(tunes) > 1:
        raise FieldError(field, f"holds {len(tunes)} tunes; send one")
    return tunes[0]


@job
def tune(request: dict[str, Any], checkpoint: str = "") -> Answer:
    """The view of a tune with its novelty to the corpus of a model; for text that is not music, its
    problems."""
    abc = request["abc"]
    tunes, problems = views.read_abc(abc)
    if len(tunes) > 1:
        problems.append(views.problem(f"holds {len(tunes)} tunes; the studio shows one"))
    if len(tunes) != 1:
        return {"problems": problems}
    given = None
    if "given_events" in request:
        given = views.first_events(tunes[0], request["given_events"])
    elif "before" in request:
        given = views.unchanged(tunes[0], one_tune(request["before"]))
    size = request.get("size", views.USUAL_SIZE)
    return views.tune_view(tunes[0], abc, given=given, size=size) | assessed(tunes[0], checkpoint)


@job
def read(request: dict[str, Any]) -> Answer:
    """The tunes of an uploaded file, without their scores, and those that were left out."""
    name = file_name(request["name"])
    if not readable(name):
        raise FieldError(
            "name", f"'{name[-20:]}' ends in no known extension; use {', '.join(READERS)}"
        )
    try:
        data = base64.b64decode(request["data"], validate=True)
    except ValueError:
        raise FieldError("data", "is not base64") from None
    if len(data) > MAX_FILE_BYTES:
        raise FieldError("data", f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB")
    try:
        return _shown(parsed_each(data, name), name)
    except ParseError as error:
        raise FieldError("data", str(error)) from None


def _shown(each: Iterable[Tune | Rejected], name: str) -> Answer:
    """The tunes of a file, up to the limits."""
    shown: list[Answer] = []
    skipped: list[Answer] = []
    for tune in each:
        if len(shown) >= MOST_READ or len(skipped) >= MOST_SKIPPED:
            why = f"the rest of the file: at most {MOST_READ} tunes of a file are read"
            skipped.append({"name": name, "why": why, "line": None})
            break
        if isinstance(tune, Rejected):
            skipped.append({"name": tune.name, "why": tune.reason, "line": tune.line or None})
            continue
        if tune.source is not None:  # without a path no file is opened by a client's name
            tune = replace(tune, source=replace(tune.source, path=""))
        try:
            abc = original_text(tune) or views.abc_of(tune)
            shown.append(views.tune_view(tune, abc, svg=False))
        except MusicgenError as error:
            skipped.append({"name": tune.title, "why": str(error), "line": None})
    return {"tunes": shown, "skipped": skipped}


def file_name(sent: str) -> str:
    """The last part of a name that a client sends: a title and an extension, never a folder."""
    return sent.replace("\\", "/").rpartition("/")[2]


@job
def change(request: dict[str, Any], checkpoint: str = "") -> Answer:
    """The view of a tune after an edit."""
    after = changed(one_tune(request["abc"]), request)
    view = views.tune_view(after, views.abc_of(after), size=request.get("size", views.USUAL_SIZE))
    return view | assessed(after, checkpoint)


def assessed(tune: Tune, checkpoint: str) -> Answer:
    """The novelty of a tune to the corpus of a model; {} without a model."""
    index = _index(checkpoint) if checkpoint else None
    return {} if index is None else {"novelty": views.novelty_view(index.assess(tune))}


@cache
def _index(checkpoint: str) -> NoveltyIndex | None:
    path = locate(checkpoint) / FILE_NAME
    return NoveltyIndex.load(path) if path.is_file() else None


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


def warm(data: bytes, *, checkpoint: str) -> bytes:
    """Load what drawing and playing need, so that the first request does not wait."""
    _index(checkpoint)
    tunes, _ = views.read_abc("X:1\nT:Warm\nM:4/4\nL:1/8\nK:D\nDEFG ABcd|]\n")
    from musicgen.studio.files import file_of

    views.tune_view(tunes[0], "")
    file_of(tunes, "ogg", "")
    return data
