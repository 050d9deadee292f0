"""Facts of a Tune that MusicXML cannot express, as processing instructions for our own reader.

    <?musicgen marks {"decorations": ["roll"]}?>     # a turn to all others

A score of ours read back is the same Tune, to the last field; the music itself never depends on
a remark.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any
from xml.etree.ElementTree import Element, ProcessingInstruction, fromstring

from musicgen.formats.musicxml import signs
from musicgen.formats.musicxml.harmony import harmony, read_harmony
from musicgen.formats.musicxml.lines import Connections
from musicgen.music.theory import (
    ACCIDENTALS,
    FREE_METER,
    MODE_FIFTHS,
    STEPS,
    Key,
    Meter,
    parse_fraction,
    parse_meter,
)
from musicgen.music.tune import Change, Grace, Marks, Tempo, Tune

TARGET = "musicgen"
MAX_QPM = 10_000


def remark(kind: str, value: object = None) -> str:
    """A processing instruction with a JSON value."""
    content = json.dumps(value).replace("?>", "\\u003f>")
    return f"<?{TARGET} {kind} {content}?>"


def read_remark(element: Element) -> tuple[str, Any]:
    """Kind and value of a remark; "" for everything else."""
    if element.tag is not ProcessingInstruction:  # type: ignore[comparison-overlap]
        return "", None
    target, _, rest = (element.text or "").partition(" ")
    kind, _, content = rest.partition(" ")
    if target != TARGET:
        return "", None
    try:
        return kind, json.loads(content)
    except (ValueError, RecursionError):
        return "", None


def key_remark(key: Key) -> str:
    """A remark on a key that <fifths> and <mode> do not determine; "" for others."""
    is_plain = not key.accidentals and key.tonic and key.mode in ("major", "minor")
    return "" if is_plain else change_remark(Change(key=key))


def change_remark(change: Change) -> str:
    """A remark with a change in full."""
    return remark(*_change_value(change))


def opening_remark(tune: Tune, changes: Sequence[Change]) -> str:
    """A remark on changes before the first note, which MusicXML has instead of those of the
    heading: the heading and the changes, both as changes."""
    heading = [Change(key=tune.key), Change(meter=tune.meter)]
    heading += [Change(tempo=tune.tempo)] if tune.tempo else []
    return remark("opening", [[_change_value(c) for c in each] for each in (heading, changes)])


def read_opening(value: Any) -> tuple[list[Change], list[Change]] | None:
    """The heading and the changes of such a remark; None where it is damaged."""
    try:
        heading, changes = ([read_change(*pair) for pair in each] for each in value)
    except (TypeError, ValueError):
        return None
    return [c for c in heading if c], [c for c in changes if c]


def _change_value(change: Change) -> tuple[str, Any]:
    if change.key is not None:
        return "key", [change.key.tonic, change.key.mode, change.key.accidentals]
    if change.meter is not None:
        return "meter", [change.meter.beats, change.meter.unit, change.meter.symbol]
    for name in _NUMBERS:
        if (number := getattr(change, name)) is not None:
            return name, number
    if change.tempo is not None:
        bpm = None if change.tempo.bpm is None else str(change.tempo.bpm)
        return "tempo", [bpm, str(change.tempo.beat), change.tempo.text]
    if change.signs is not None:  # of grace notes, that there are some; they are written as notes
        marks = change.signs
        return "signs", [marks.decorations, marks.annotations, marks.grace is not None]
    return ("part", change.part) if change.text is None else ("field", change.text)


def read_change(kind: str, value: Any) -> Change | None:
    """The change of a remark; None where it is damaged, or of another kind."""
    try:
        return _READERS[kind](value) if kind in _READERS else None
    except (TypeError, ValueError, KeyError, ZeroDivisionError):
        return None


def _read_key(value: Any) -> Change | None:
    name, mode, pairs = value
    accidentals = tuple((str(step), int(alter)) for step, alter in pairs)
    key = Key(str(name), str(mode), accidentals)
    is_valid = (
        (not key.tonic or (key.tonic[0] in STEPS and key.tonic[1:] in ACCIDENTALS))
        and set(key.signature) == set(STEPS)
        and mode in (*MODE_FIFTHS, "none")
        and all(abs(alter) < 3 for _, alter in accidentals)
    )
    return Change(key=key) if is_valid else None


def _read_meter(value: Any) -> Change | None:
    beats, unit, symbol = value
    meter = Meter(tuple(int(beat) for beat in beats), int(unit), str(symbol))
    if not meter.beats:
        return Change(meter=FREE_METER)
    return Change(meter=meter) if parse_meter(str(replace(meter, symbol=""))) else None


def _read_tempo(value: Any) -> Change | None:
    bpm, beat, text = value
    number, length = (None if bpm is None else parse_fraction(bpm)), parse_fraction(beat)
    if length is None or (bpm is not None and number is None):
        return None
    is_valid = length > 0 and (number is None or 0 < number <= MAX_QPM)
    return Change(tempo=Tempo(number, length, str(text))) if is_valid else None


def _read_field(value: Any) -> Change | None:
    letter, text = value
    return Change(text=(str(letter)[:20], str(text)))


def _read_part(value: Any) -> Change | None:
    return Change(part=value) if isinstance(value, str) else None


def _read_signs(value: Any) -> Change | None:
    decorations, annotations, has_graces = value
    grace = Grace(()) if has_graces else None
    return Change(
        signs=Marks(
            annotations=tuple(strings(annotations)),
            decorations=tuple(strings(decorations)),
            grace=grace,
        )
    )


# Changes that are a number, and which they may be.
_NUMBERS = {"program": range(128), "transposition": range(-48, 49)}


def _read_number(name: str, value: Any) -> Change | None:
    return Change(**{name: value}) if value in _NUMBERS[name] else None


_READERS: dict[str, Callable[[Any], Change | None]] = {
    "key": _read_key,
    "meter": _read_meter,
    "tempo": _read_tempo,
    **{name: partial(_read_number, name) for name in _NUMBERS},
    "field": _read_field,
    "part": _read_part,
    "signs": _read_signs,
}


def marks_remark(marks: Marks, shown: Marks, reach: Connections) -> str:
    """A remark on marks that MusicXML cannot express exactly, of which `shown` are written; ""
    where there are none."""
    lost: dict[str, object] = {}
    decorations, annotations = signs.as_read(shown.decorations, shown.annotations)
    if decorations != marks.decorations:
        lost["decorations"] = marks.decorations
    if annotations != marks.annotations:  # some of them are read as decorations
        lost["annotations"] = marks.annotations
        lost["decorations"] = marks.decorations
    symbol = marks.chord_symbol
    if symbol and not _is_read(symbol):
        lost |= {"chord_symbol": symbol, "annotations": marks.annotations}
        lost["decorations"] = marks.decorations  # it may be read as one
    slurs = [kind for kind, _ in reach.slurs.marks]
    if (slurs.count("start"), slurs.count("stop")) != (marks.slurs_opened, marks.slurs_closed):
        lost["slurs"] = [marks.slurs_opened, marks.slurs_closed]
    if not all(map(_is_plain_syllable, marks.lyrics)):
        lost["lyrics"] = marks.lyrics
    return remark("marks", lost) if lost else ""


def strings(values: Any) -> list[str]:
    """A list of texts out of a remark; empty where it is none."""
    return [v for v in values if isinstance(v, str)] if isinstance(values, list) else []


@lru_cache(maxsize=4096)
def _is_read(symbol: str) -> bool:
    xml = harmony(symbol)
    return xml is not None and read_harmony(fromstring(xml)) == symbol  # noqa: S314 - our own


def _is_plain_syllable(syllable: str) -> bool:
    bare = syllable.removesuffix("-")
    return syllable != "-" and bare == " ".join(bare.split()).rstrip("-")
