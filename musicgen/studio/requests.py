"""The fields of each request, as tables that check requests and describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from musicgen.composer.controls.table import MORE, TABLE, THE_TUNE, Control, Controls
from musicgen.composer.controls.values import MOST_BARS
from musicgen.composer.sampling import TEMPERATURE
from musicgen.composer.selection import JUDGES
from musicgen.formats.engraving.score import LARGEST, SMALLEST
from musicgen.music.instruments import PROGRAMS
from musicgen.music.transposition import MOST_SEMITONES
from musicgen.studio.edits import CHANGES
from musicgen.studio.fields import MAX_BASE64, MAX_MUSIC, MAX_TEXT, Field, FieldGroup
from musicgen.studio.files import TYPES

MOST_TAKES = 8
MOST_SEED = 2**53 - 1  # the largest integer that JavaScript has exactly
MOST_VOICES = 64
KINDS = ("generate", "continue", "infill", "vary")
FORMATS = tuple(TYPES)

_ABC = Field(
    name="abc", kind="music", label="ABC", longest=MAX_MUSIC, required=True, help="One tune in ABC."
)


def _control(name: str, control: Control, default: object) -> Field:
    """The field of a row of the table of controls."""
    return Field(
        name=name,
        kind="music" if control.kind == "tune" else control.kind,
        label=control.label,
        help=f"{control.help} {control.note}".rstrip(),
        section=control.section,
        widget=control.widget,
        choices=control.choices,
        minimum=control.minimum,
        maximum=control.maximum,
        step=1 if control.kind == "integer" else None,
        longest=MAX_MUSIC if control.kind == "tune" else MAX_TEXT,
        default=default,
    )


CONTROLS = FieldGroup(
    tuple(_control(row.name, TABLE[row.name], row.default) for row in fields(Controls))
)
DARING, CHOOSING = "How daring", "How it chooses"
# Sections of the page's form, and whether they are open at first.
SECTIONS = {THE_TUNE: True, MORE: False, DARING: True, CHOOSING: False}
SAMPLING = FieldGroup(
    (
        Field(
            name="temperature",
            kind="number",
            label="Temperature",
            section=DARING,
            widget="slider",
            minimum=0,
            maximum=5,
            step=0.05,
            default=TEMPERATURE,
            help="Below 1 is safer, above 1 more daring; 0 always takes the most likely note.",
        ),
        Field(
            name="top_k",
            kind="integer",
            label="Top k",
            section=CHOOSING,
            minimum=0,
            maximum=10_000,
            step=1,
            default=0,
            help="Sample from this many of the most likely notes; 0 is all of them.",
        ),
        Field(
            name="top_p",
            kind="number",
            label="Top p",
            section=CHOOSING,
            minimum=0.01,
            maximum=1,
            step=0.01,
            default=1.0,
            help="Sample from the most likely notes that together have this probability; 1 is all "
            "of them.",
        ),
        Field(
            name="min_p",
            kind="number",
            label="Min p",
            section=CHOOSING,
            minimum=0,
            maximum=1,
            step=0.01,
            default=0.0,
            help="Drop notes less likely than this fraction of the most likely one.",
        ),
    )
)
SELECTION = FieldGroup(
    (
        Field(
            name="best_of",
            kind="integer",
            label="Best of",
            section=CHOOSING,
            minimum=1,
            maximum=16,
            step=1,
            default=1,  # a single attempt can be shown while it is sampled
            help="Compose this many for each take and keep the best.",
        ),
        Field(
            name="judge",
            kind="choice",
            label="Judge",
            section=CHOOSING,
            choices=tuple(JUDGES),
            help="How to rank: by a critic that tells real tunes from new ones (likeness; the "
            "default if the model has a critic), by the model itself (likelihood), by form and "
            "novelty (structure), or by mistakes (fitted).",
        ),
        Field(
            name="max_copied_bars",
            kind="integer",
            label="Bars like a known tune",
            section=CHOOSING,
            minimum=0,
            maximum=MOST_BARS,
            step=1,
            help="Resample tunes that share more than this many bars with a corpus tune.",
        ),
    )
)
SIZE = Field(
    name="size",
    kind="integer",
    minimum=SMALLEST,
    maximum=LARGEST,
    help="Size of the music on the score, in percent of the usual one.",
)
INSTRUMENT = Field(
    name="instrument",
    kind="choice",
    label="Instrument",
    choices=tuple(PROGRAMS),
    help="The instrument that plays it (default: the tune's own, or by its range).",
)
TAKES = FieldGroup(
    (
        Field(name="kind", kind="choice", choices=KINDS, required=True, help="The kind of takes."),
        Field(
            name="seed",
            kind="integer",
            minimum=0,
            maximum=MOST_SEED,
            default=0,
            help="The same seed and settings give the same takes.",
        ),
        Field(
            name="number",
            kind="integer",
            minimum=1,
            maximum=MOST_TAKES,
            default=1,
            help="Number of takes.",
        ),
        Field(name="controls", kind="group", group=CONTROLS),
        Field(name="sampling", kind="group", group=SAMPLING),
        Field(name="selection", kind="group", group=SELECTION),
        replace(_ABC, required=False, help="continue, infill, vary: the given tune."),
        Field(
            name="bars",
            kind="bars",
            minimum=1,
            maximum=MOST_BARS,
            help="infill: the bars to rewrite, as printed (5-8; a pickup is bar 0). continue: full "
            "bars of the whole tune.",
        ),
        Field(
            name="similarity",
            help="vary: a band between 0 and 1, such as 0.6-0.8 (the default).",
        ),
        SIZE,
    )
)
TUNE = FieldGroup((_ABC, SIZE))
SURPRISE = FieldGroup((_ABC,))
ATTENTION = FieldGroup(
    (
        _ABC,
        Field(name="place", kind="place", required=True, help="The note: [bar, event] from 0."),
        Field(name="layer", kind="integer", minimum=1, maximum=1000),
        Field(name="head", kind="integer", minimum=1, maximum=1000),
    )
)
READ = FieldGroup(
    (
        Field(
            name="name",
            longest=255,
            required=True,
            help="The file's name; its extension is the format. It is used for nothing else.",
        ),
        Field(name="data", kind="data", longest=MAX_BASE64, required=True, help="The file."),
    )
)
CHANGE = FieldGroup(
    (
        _ABC,
        Field(name="change", kind="choice", choices=tuple(CHANGES), required=True),
        Field(
            name="semitones",
            kind="integer",
            minimum=-MOST_SEMITONES,
            maximum=MOST_SEMITONES,
            help="transpose: by this many; or give a key.",
        ),
        Field(name="key", help="transpose: to this key, such as G, in the nearer direction."),
        Field(name="rhythm", help="rhythm: the dance to arrange it as, such as reel."),
        Field(
            name="voice",
            kind="integer",
            minimum=1,
            maximum=MOST_VOICES,
            help="voice: the one to keep, counted from 1.",
        ),
        Field(name="tempo", help="tempo: beats a minute, 110, or 3/8=110."),
        Field(name="title", longest=200, help="title: the new one."),
        Field(name="place", kind="place", help="cut: the first event to remove, [bar, event]."),
        SIZE,
    )
)  # fmt: skip
EXPORT = FieldGroup(
    (
        replace(_ABC, help="One or more tunes in ABC."),
        Field(name="format", kind="choice", choices=FORMATS, required=True),
        INSTRUMENT,
    )
)
# Name of a POST route -> its fields.
GROUPS = {
    "takes": TAKES,
    "tune": TUNE,
    "read": READ,
    "change": CHANGE,
    "surprise": SURPRISE,
    "attention": ATTENTION,
    "export": EXPORT,
}


def choices(known: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The fields, sections and names that the page offers; `known` are the values of some controls
    that a model knows."""
    groups = {"controls": CONTROLS, "sampling": SAMPLING, "selection": SELECTION}
    rows = [field.listed(name) for name, group in groups.items() for field in group.fields]
    return {
        "fields": [
            row | {"choices": known[row["name"]]} if row["name"] in known else row for row in rows
        ],
        "sections": [{"title": title, "open": is_open} for title, is_open in SECTIONS.items()],
        "instruments": sorted(PROGRAMS),
        "formats": list(FORMATS),
        "changes": list(CHANGES),
    }
