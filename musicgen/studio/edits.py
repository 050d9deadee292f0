"""Edits of a tune, each by its name in a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from musicgen.composer.controls.values import read_tempo, tempo_of
from musicgen.errors import ConfigError, ControlError, FieldError, printable
from musicgen.music.arranging import cut, one_voice, to_rhythm
from musicgen.music.theory import parse_key
from musicgen.music.transposition import transpose
from musicgen.music.tune import Tune

if TYPE_CHECKING:
    from musicgen.models.harmony.model import HarmonyModel

Change = Callable[[Tune, Mapping[str, Any]], Tune]


def changed(tune: Tune, request: Mapping[str, Any]) -> Tune:
    """The tune after the edit that a request names.

    Raises:
        FieldError: a field that the edit needs is missing or unusable, or is for another edit.
        MusicgenError: the tune cannot be edited so.
    """
    name = request["change"]
    change, needed = CHANGES[name]
    arguments = [field for field in request if field not in ("abc", "change", "size")]
    for field in arguments:
        if field not in needed:
            raise FieldError(field, f"is not for {name}; it takes {' or '.join(needed) or 'none'}")
    if needed and len(arguments) != 1:
        raise FieldError(needed[0], f"{name} needs {' or '.join(needed)}, one of them")
    try:
        return change(tune, request)
    except (ConfigError, ControlError) as error:
        raise FieldError(arguments[0] if arguments else "change", str(error)) from None


def _transpose(tune: Tune, request: Mapping[str, Any]) -> Tune:
    if "semitones" in request:
        return transpose(tune, f"{request['semitones']:+d}")
    if parse_key(request["key"]) is None:
        raise ControlError(f"'{printable(request['key'])}': write a key such as G, Em or Ador")
    return transpose(tune, request["key"])


def _tempo(tune: Tune, request: Mapping[str, Any]) -> Tune:
    if tune.meter.bar_duration is None:
        raise ControlError("a tune without meter has no beats to count")
    return replace(tune, tempo=tempo_of(read_tempo(request["tempo"]), tune.meter))


@cache
def _harmonizer() -> HarmonyModel:
    from musicgen.composer import harmony

    return harmony.load()


def _chords(tune: Tune, _request: Mapping[str, Any]) -> Tune:
    from musicgen.composer import harmony

    return harmony.harmonize(tune, _harmonizer()).tune


HEAVY = frozenset({"chords"})  # edits that need torch
# Name -> the edit, and the fields of which it needs one.
CHANGES: Mapping[str, tuple[Change, tuple[str, ...]]] = {
    "transpose": (_transpose, ("semitones", "key")),
    "rhythm": (lambda tune, request: to_rhythm(tune, request["rhythm"]), ("rhythm",)),
    "voice": (lambda tune, request: one_voice(tune, request["voice"]), ("voice",)),
    "cut": (lambda tune, request: cut(tune, tuple(request["place"])), ("place",)),
    "title": (
        lambda tune, request: replace(tune, title=" ".join(request["title"].split())),
        ("title",),
    ),
    "tempo": (_tempo, ("tempo",)),
    "chords": (_chords, ()),
}
