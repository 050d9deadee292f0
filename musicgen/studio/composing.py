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

MOST_BARS = 512  # of a tune that is worked on
DRAFT_S = 0.25  # of each take, between two drafts


@cache
def composer(checkpoint: str) -> Composer:
    """The composer that this process keeps.

    Raises:
        CheckpointError: the model is missing or damaged.
        ConfigError: it writes in parts.
    """
    found = composer_of(model(checkpoint))
    if not isinstance(found, Composer):
        raise ConfigError(f"{checkpoint}: this model writes in parts; name one of single lines")
    return found


def about(data: bytes, *, checkpoint: str) -> bytes:
    """Load the model, try it, and say what it knows: rhythms, meters, its card."""
    engine = composer(checkpoint).engine
    next(composer(checkpoint).takes(1, Controls(bars=2), SamplingConfig()))
    headers = [[parse_token(text) for text in tokens] for tokens, _ in engine.openings]
    known = {
        kind: [str(t.value) for tokens in headers for t in tokens if t.kind == kind and t.value]
        for kind in ("rhythm", "meter")
    }
    card = model(checkpoint).card
    return to_json({kind: sorted(set(values)) for kind, values in known.items()} | {"card": card})


def takes(data: bytes, *, checkpoint: str) -> Iterator[bytes]:
    """The takes that a request asks for. First {"event": "start"}, or an error."""
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
        why = f"has {len(tune.bars)} bars, more than {MOST_BARS}; send a part of it"
        raise FieldError("abc", why)
    if kind == "continue":
        bars = request.get("bars")
        events = {"given_events": len(views.places(tune))}
        for take in composer.continuations(tune, number, sampling, bars=bars):
            yield _take(take) | events
        return
    if kind == "infill":
        found = composer.infill(tune, bars=request["bars"], n=number, sampling=sampling)
    else:
        similarity = request.get("similarity", "0.6-0.8")
        found = composer.vary(tune, similarity=similarity, n=number, sampling=sampling)
    for take in found:
        yield _take(take) | {"before": request["abc"]}


def _sized(events: Iterator[Answer], size: int | None) -> Iterator[Answer]:
    """The events, each take with the size in which its score is to be drawn."""
    for event in events:
        yield event | {"size": size} if size and event["event"] == "take" else event


def _require_fields(request: dict[str, Any]) -> None:
    """See that what the kind needs is there, and nothing that is for another."""
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
            raise FieldError("bars", "is missing; say which are to be written anew, such as 5-8")
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
    told: dict[int, float] = {}
    for news in composer.watch(number, controls, sampling):
        if isinstance(news, Take):
            yield _take(news)
        elif time.monotonic() - told.get(news.index, 0.0) > DRAFT_S:
            told[news.index] = time.monotonic()
            yield _draft(news)


def _controls(composer: Composer, asked: dict[str, Any]) -> Controls:
    """What is asked, understood.

    Raises:
        FieldError: a field that cannot be read or followed, or contradicts others.
        ControlError: fields that contradict each other, none of them more than the rest.
    """
    asked = dict(asked)
    if "motif" in asked:
        asked["motif"] = one_tune(asked["motif"], "controls.motif")
    engine = composer.engine

    def understood(asked: Mapping[str, Any]) -> Controls:
        if "motif" not in asked:
            asked = {name: value for name, value in asked.items() if name != "motif_bars"}
        controls = Controls(**asked).spelled_out()
        understand(controls, engine.openings, engine.vocabulary)
        return controls

    try:
        return understood(asked)
    except ControlError as error:
        raise _at_fault(asked, understood, error) from None


def _at_fault(
    asked: Mapping[str, Any], understood: Callable[[Mapping[str, Any]], Controls], why: ControlError
) -> MusicgenError:
    """The error of the first field that cannot be followed by itself (bars of a motif: with it),
    else `why`, of the last field without which all others can."""
    for name in asked:
        try:
            alone = (name, "motif") if name == "motif_bars" else (name,)
            understood({one: asked[one] for one in alone if one in asked})
        except ControlError as error:
            return FieldError(f"controls.{name}", str(error))
    for name in reversed(tuple(asked)):
        with suppress(ControlError):
            understood({one: value for one, value in asked.items() if one != name})
            return FieldError(f"controls.{name}", str(why))
    return why


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
