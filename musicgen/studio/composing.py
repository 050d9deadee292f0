"""Composing for the studio, in a child process that keeps its model: events as lines of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from musicgen.composer import Composer, Draft, Selection, Take, composer_of
from musicgen.composer.controls import Controls, understand
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ConfigError, ControlError, FieldError, MusicgenError
from musicgen.studio import views
from musicgen.studio.jobs import Answer, error_of, model, one_tune, to_json
from musicgen.tokens.melody.table import parse_token

MOST_BARS = 512  # of a given tune
DRAFT_S = 0.25  # of each take, between two drafts


@cache
def composer(checkpoint: str) -> Composer:
    """The composer that this process keeps.

    Raises:
        CheckpointError: the model is missing or damaged.
        ConfigError: it writes in parts.
    """
    loaded = composer_of(model(checkpoint))
    if not isinstance(loaded, Composer):
        raise ConfigError(f"{checkpoint}: this model writes in parts; name one of single lines")
    return loaded


def about(data: bytes, *, checkpoint: str) -> bytes:
    """Load the model, try it, and return its card and the rhythms and meters that it knows."""
    engine = composer(checkpoint).engine
    next(composer(checkpoint).takes(1, Controls(bars=2), SamplingConfig()))
    headers = [[parse_token(text) for text in tokens] for tokens, _ in engine.openings]
    known = {
        kind: [str(t.value) for tokens in headers for t in tokens if t.kind == kind and t.value]
        for kind in ("rhythm", "meter")
    }
    values = {kind: sorted(set(values)) for kind, values in known.items()}
    return to_json(values | {"card": model(checkpoint).card})


def takes(data: bytes, *, checkpoint: str) -> Iterator[bytes]:
    """The events of the takes of a request. First {"event": "start"}, or an error."""
    request = json.loads(data)
    try:
        events = _sized(_events(composer(checkpoint), request), request.get("size"))
        first = next(events)
    except MusicgenError as error:
        yield to_json(error_of(error))
        return
    yield to_json({"event": "start"})
    yield to_json(first)
    done: set[int] = {first["take"]} if first["event"] == "take" else set()
    try:
        for event in events:
            if event["event"] == "take":
                done.add(event["take"])
            yield to_json(event)
    except MusicgenError as error:
        for take in range(request["number"]):
            if take not in done:
                yield to_json({"event": "failed", "take": take, **error_of(error)})


def _events(composer: Composer, request: dict[str, Any]) -> Iterator[Answer]:
    number = request["number"]
    sampling = SamplingConfig(seed=request["seed"], **request["sampling"])
    kind = request["kind"]
    _require_fields(request)
    if kind == "generate":
        yield from _generated(composer, request, sampling)
        return
    tune = one_tune(request["abc"])
    if len(tune.bars) > MOST_BARS:
        raise FieldError(
            "abc", f"has {len(tune.bars)} bars, more than {MOST_BARS}; send a part of it"
        )
    about: Answer = {"before": request["abc"]}
    if kind == "continue":
        new = composer.continuations(tune, number, sampling, bars=request.get("bars"))
        about = {"given_events": len(views.places(tune))}
    elif kind == "infill":
        new = composer.infill(tune, bars=request["bars"], n=number, sampling=sampling)
    else:
        similarity = request.get("similarity", "0.6-0.8")
        new = composer.vary(tune, similarity=similarity, n=number, sampling=sampling)
    for take in new:
        yield _take(take) | about


def _sized(events: Iterator[Answer], size: int | None) -> Iterator[Answer]:
    """The events, each take with the size of its score."""
    for event in events:
        yield event | {"size": size} if size and event["event"] == "take" else event


def _require_fields(request: dict[str, Any]) -> None:
    """Check that a request has the fields of its kind and none of another kind."""
    kind, bars = request["kind"], request.get("bars")
    for name, kinds in (
        ("abc", ("continue", "infill", "vary")),
        ("bars", ("continue", "infill")),
        ("similarity", ("vary",)),
    ):
        if name in request and kind not in kinds:
            raise FieldError(name, f"is for {' and '.join(kinds)}, not for {kind}")
    if kind != "generate" and "abc" not in request:
        raise FieldError("abc", f"is missing; {kind} needs a tune")
    if kind == "continue" and isinstance(bars, str):
        if not (bars.isdecimal() and len(bars) <= 3 and int(bars)):
            raise FieldError("bars", f"'{bars}' is not a number of bars from 1 up")
        request["bars"] = int(bars)
    if kind == "infill":
        if bars is None:
            raise FieldError("bars", "is missing; name the bars to rewrite, such as 5-8")
        request["bars"] = str(bars)


def _generated(
    composer: Composer, request: dict[str, Any], sampling: SamplingConfig
) -> Iterator[Answer]:
    number = request["number"]
    controls = _controls(composer, request["controls"])
    selection = Selection(**request["selection"])
    if selection.rules(has_critic=composer.engine.critic is not None).choose:
        for take in composer.takes(number, controls, sampling, selection):
            yield _take(take)
        return
    shown_at: dict[int, float] = {}  # time of the last draft of each take, in seconds
    for event in composer.watch(number, controls, sampling):
        if isinstance(event, Take):
            yield _take(event)
        elif time.monotonic() - shown_at.get(event.index, 0.0) > DRAFT_S:
            shown_at[event.index] = time.monotonic()
            yield _draft(event)


def _controls(composer: Composer, values: dict[str, Any]) -> Controls:
    """The controls of a request, checked.

    Raises:
        FieldError: a field cannot be read or met, or contradicts others.
        ControlError: fields contradict each other, and no single one is the cause.
    """
    values = dict(values)
    if "motif" in values:
        values["motif"] = one_tune(values["motif"], "controls.motif")
    engine = composer.engine

    def check(values: Mapping[str, Any]) -> Controls:
        controls = Controls(**values).spelled_out()
        understand(controls, engine.openings, engine.vocabulary)
        return controls

    try:
        return check(values)
    except ControlError as error:
        raise _located(values, check, error) from None


def _located(
    values: Mapping[str, Any], check: Callable[[Mapping[str, Any]], Controls], error: ControlError
) -> MusicgenError:
    """The error of the first field that cannot be met alone (bars of a motif: with the motif); else
    `error`, at the last field without which all others can be met."""
    for name in values:
        names = (name, "motif") if name == "motif_bars" else (name,)
        try:
            check({each: values[each] for each in names if each in values})
        except ControlError as reason:
            return FieldError(f"controls.{name}", str(reason))
    for name in reversed(tuple(values)):
        with suppress(ControlError):
            check({each: value for each, value in values.items() if each != name})
            return FieldError(f"controls.{name}", str(error))
    return error


def _draft(draft: Draft) -> Answer:
    tune = replace(draft.tune, number=draft.index + 1, title=f"Take {draft.index + 1}")
    return {
        "event": "notes",
        "take": draft.index,
        "abc": views.abc_of(tune),
        "notes": views.notes_of(tune) if tune.n_notes else [],
    }


def _take(take: Take) -> Answer:
    return {
        "event": "take",
        "take": take.index,
        "abc": views.abc_of(take.tune, take.exact),
        "likelihood_bits": round(take.bits_per_note, 4),
        "novelty": views.novelty_view(take.novelty),
        "warning": take.warning or None,
    }
