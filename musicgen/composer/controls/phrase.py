"""A plain phrase, "slow waltz in E minor", read word by word by rules, or refused.

understand_phrase("a slow 16-bar waltz in E minor for the fiddle")
-> {"tempo": "1/4=101", "bars": 16, "rhythm": "waltz", "key": "E minor", "instrument": "fiddle"}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from musicgen.composer.controls.form import Form
from musicgen.composer.controls.scale import NAMED
from musicgen.errors import ControlError, printable
from musicgen.music.instruments import RANGES
from musicgen.music.theory import (
    MODE_ALIASES,
    MODE_FIFTHS,
    RHYTHM_ALIASES,
    RHYTHM_METERS,
    RHYTHM_QPM,
    canonical_rhythm,
    default_qpm,
    parse_key,
    parse_meter,
    parse_mode,
)

# Words without meaning for the tune.
FILLERS = frozenset(
    (
        *("a", "an", "the", "in", "of", "with", "on", "for", "to", "and", "please", "like"),
        *("tune", "tunes", "piece", "melody", "time", "key", "some", "something", "one", "new"),
        *("me", "write", "compose", "play"),
    )
)
# Of the dance's usual tempo.
PACES = {"slow": 0.7, "slowly": 0.7, "moderate": 1.0, "fast": 1.2, "quick": 1.2, "lively": 1.1}
_MODES = frozenset((*MODE_FIFTHS, *MODE_ALIASES))
_SIGNS = {"sharp": "#", "flat": "b"}
_RHYTHMS = (
    {*RHYTHM_METERS, *RHYTHM_QPM, *RHYTHM_ALIASES} - {"slow air"}  # an air that is slow
)
_LONGEST = 4  # words

Reading = tuple[str, Any]


def understand_phrase(text: str) -> dict[str, Any]:
    """The controls that a phrase names, by field.

    Raises:
        ControlError: no rule knows a word (the message names it), or a control is stated twice.
    """
    words = re.sub(r"(?<=[A-Za-z0-9])-(?=[A-Za-z])", " ", text).replace(",", " ").split()
    words = [word.rstrip(".;!") or word for word in words]
    controls: dict[str, Any] = {}
    start = 0
    while start < len(words):
        before = words[start - 1].lower() if start else ""
        for size in range(min(_LONGEST, len(words) - start), 0, -1):
            reading = _read(words[start : start + size], before, last=start + size == len(words))
            if reading is not None:
                break
        else:
            raise ControlError(
                f"like '{printable(text[:80])}': the word '{printable(words[start][:40])}' is not "
                "understood; leave it out or use the option for it"
            )
        name, value = reading
        if name and name in controls:
            raise ControlError(f"like '{printable(text[:80])}': {name} is stated twice")
        if name:
            controls[name] = value
        start += size
    if "pace" in controls:
        qpm = round(default_qpm(controls.get("rhythm", "")) * controls.pop("pace"))
        controls["tempo"] = f"1/4={qpm}"
    return controls


def describe(controls: Mapping[str, Any]) -> str:
    """The controls of a phrase in one line, for the person who wrote it."""
    pieces = [f"{name.replace('_', '-')} {value}" for name, value in controls.items()]
    return ", ".join(pieces).replace("end-on-tonic True", "end-on-tonic") or "nothing asked"


def _read(words: list[str], before: str, *, last: bool) -> Reading | None:
    """The control and its value that some words name together; ("", None) for a filler."""
    text = " ".join(words)
    lower = text.lower()
    if lower in _ENDINGS:
        return "end_on_tonic", True
    if lower in _NO_PICKUP:
        return "pickup", "0"
    rhythm = canonical_rhythm(lower)
    for candidate in (rhythm, rhythm.removesuffix("s"), rhythm.removesuffix("es")):
        if candidate in _RHYTHMS:
            return "rhythm", canonical_rhythm(candidate)
    if lower in RANGES:
        return "instrument", lower
    if lower in NAMED or lower in ("pentatonic", "diatonic"):
        return "scale", lower
    if lower in PACES:
        return "pace", PACES[lower]
    bars = re.fullmatch(r"(\d{1,3}) bars?( parts?)?", lower)
    if bars:
        return ("part_bars" if bars[2] else "bars"), int(bars[1])
    if re.fullmatch(r"C\||\(?\d+[\d+]*\)?/\d+", text) and parse_meter(text) is not None:
        return "meter", text
    key = _key(words, before, last=last)
    if key is not None:
        return "key", key
    if len(words) == 1 and re.fullmatch(r"[Aa][A-Ha-h]+", text) and text in (lower, text.upper()):
        try:
            return "form", Form.read(text).text
        except ControlError:
            return None
    return ("", None) if lower in FILLERS else None


_ENDINGS = frozenset(
    f"{verb} on {article}tonic" for verb in ("end", "ends", "ending") for article in ("", "the ")
)
_NO_PICKUP = frozenset(("no pickup", "without pickup", "without a pickup", "without any pickup"))


def _key(words: list[str], before: str, *, last: bool) -> str | None:
    """The key that words name. A lone "a" is an article unless "in" stands before it (and, in
    small letters, nothing after it)."""
    first, *rest = words
    if len(first) == 1 and rest and rest[0].lower() in _SIGNS:
        first, rest = first + _SIGNS[rest[0].lower()], rest[1:]
    if len(rest) > 1 or (rest and (rest[0].lower() not in _MODES or parse_mode(rest[0]) is None)):
        return None
    if not re.fullmatch(r"[A-Ga-g](?:#|b|♯|♭)?[A-Za-z]*", first) or len(first) > 12:
        return None
    key = parse_key(" ".join((first, *rest)))
    if key is None:
        return None
    alone = not rest and len(first) == 1
    if alone and first.lower() == "a" and not (before in ("in", "of") and (first == "A" or last)):
        return None
    if not rest and first[0].islower() and len(first) > 1 and len(first) != 2:
        return None  # an English word, such as "badmin"
    return str(key)
