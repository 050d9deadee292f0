"""The table of controls: type, default, option text, web field and reader of each.

A row is a field of `Controls`. Python, the command line, the HTTP interface and the page take their
list of controls from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from inspect import signature
from typing import Any, Literal

from musicgen.composer.controls.form import Form
from musicgen.composer.controls.phrase import understand_phrase
from musicgen.composer.controls.scale import NAMED, Scale
from musicgen.composer.controls.values import (
    MOST_BARS,
    MOST_REPEATS,
    WIDEST_INTERVAL,
    read_count,
    read_key,
    read_meter,
    read_part_bars,
    read_pickup,
    read_range,
    read_tempo,
    read_unit,
)
from musicgen.config import checked, require_options
from musicgen.errors import ControlError
from musicgen.music.instruments import RANGES, written_range
from musicgen.music.theory import RHYTHM_METERS, canonical_rhythm
from musicgen.music.tune import Tune

THE_TUNE, MORE = "The tune", "More about the tune"
_METERS = tuple(dict.fromkeys(meter for meters in RHYTHM_METERS.values() for meter in meters))


@dataclass(frozen=True, kw_only=True)
class Control:
    """All that is said of one control, once.

    Attributes:
        kind: its type in a request and on the command line; a "tune" is ABC, or a file.
        help: what the command line, the HTTP interface and the page say of it; `note`, what the
            page and the HTTP interface say besides.
        label: its name on the page; `section` is its place there, "" for none of its own.
        choices: values that the page offers; with `closed` it offers no others. Where the model
            knows which there are (rhythms, meters), those of the model stand here.
        minimum, maximum: bounds of a number in a request.
        read: text -> its value in the terms of theory; raises ControlError.
    """

    kind: Literal["text", "integer", "flag", "tune"] = "text"
    help: str
    note: str = ""
    label: str
    section: str = MORE
    widget: Literal["", "key", "suggestions"] = ""
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    read: Callable[[Any], Any] | None = None

    def parse(self, name: str, value: Any) -> Any:
        """The value in the terms of theory: whole numbers within their bounds, others as `read`.

        Raises:
            ControlError: it cannot be read.
        """
        if self.maximum is not None:
            return read_count(name.replace("_", "-"), value, self.maximum)
        return value if self.read is None else self.read(value)


def _control(default: Any = None, **about: Any) -> Any:
    """A field of `Controls` with its row of the table."""
    return field(default=default, metadata={"control": Control(**about)})


@checked
@dataclass(frozen=True, kw_only=True)
class Controls:
    """Properties of a new tune; None leaves the choice to the model."""

    like: str | None = _control(
        help="In words, such as 'slow waltz in E minor'.",
        note="The fields below are for what the words leave open.",
        label="In words",
        section=THE_TUNE,
    )
    key: str | None = _control(
        help="Tonic and mode, such as D, Ador, 'E minor', 'Bb mixolydian'.",
        label="Key",
        section=THE_TUNE,
        widget="key",
        choices=(
            "D",
            "G",
            "A",
            "C",
            "F",
            "Bb",
            "Em",
            "Am",
            "Bm",
            "Dm",
            "Ador",
            "Edor",
            "Dmix",
            "Amix",
            "Gmix",
        ),
        read=read_key,
    )
    meter: str | None = _control(
        help="Such as 6/8 for jigs, 4/4 or C| for reels, 3/4 for waltzes.",
        label="Meter",
        section=THE_TUNE,
        choices=_METERS,
        read=read_meter,
    )
    rhythm: str | None = _control(
        help="The dance, such as jig, reel, 'slip jig'.",
        label="Rhythm",
        section=THE_TUNE,
        read=canonical_rhythm,
    )
    form: str | None = _control(
        help="Parts by letters: AABB is two parts, each played twice; ABAC brings A back.",
        note="The same letter twice in a row is a repeat, one that returns is the same music note "
        "for note, other letters are other music.",
        label="Form",
        section=THE_TUNE,
        widget="suggestions",
        choices=("AABB", "AAB", "ABAC", "AABBCC", "ABCA", "AA", "AB", "ABAB"),
        read=Form.read,
    )
    bars: int | None = _control(
        kind="integer",
        help="Full bars as written, each part once; most dance tunes have 16.",
        note="A pickup and the bar it is taken from count as one; a second ending does not count.",
        label="Bars",
        section=THE_TUNE,
        minimum=1,
        maximum=MOST_BARS,
    )
    part_bars: int | str | Sequence[int] | None = _control(
        help="Full bars of each part: 8 for all, or 8,12, one for each letter of the form.",
        label="Bars of each part",
        read=read_part_bars,
    )
    pickup: str | None = _control(
        help="Length of the notes before the first full bar: 1/8, or 0 for none.",
        note="Parts of one bar have none, and a motif brings its own.",
        label="Pickup",
        choices=("0", "1/8", "1/4", "3/8"),
        read=read_pickup,
    )
    range: str | None = _control(
        help="Lowest and highest written pitch, D4-B5; C4 is middle C.",
        label="Range",
        read=read_range,
    )
    instrument: str | None = _control(
        help="Keep to its range: 'D whistle', fiddle, flute, banjo ...",
        label="For the instrument",
        choices=tuple(RANGES),
        read=written_range,
    )
    scale: str | None = _control(
        help="diatonic (the key's own notes), pentatonic ..., or a list: 'D E F# A B'.",
        label="Scale",
        widget="suggestions",
        choices=("diatonic", "pentatonic", *NAMED),
        read=Scale.read,
    )
    tempo: str | float | None = _control(
        help="Beats of the meter a minute, 110, or with the note that beats: 3/8=110.",
        label="Tempo",
        read=read_tempo,
    )
    unit: str | None = _control(
        help="Unit note length of the ABC, such as 1/8.",
        label="Unit of the ABC",
        choices=("1/4", "1/8", "1/16"),
        read=read_unit,
    )
    end_on_tonic: bool = _control(
        False, kind="flag", help="End on the tonic.", label="End on the tonic"
    )
    max_interval: int | None = _control(
        kind="integer",
        help="Widest interval in semitones between consecutive notes; 12 is an octave.",
        note="It holds as written and as played, across rests, repeats and endings.",
        label="Widest leap",
        minimum=1,
        maximum=WIDEST_INTERVAL,
    )
    max_repeats: int = _control(
        0,
        kind="integer",
        help="How often the same bar may follow itself; 0 is any number.",
        label="Same bar in a row",
        minimum=0,
        maximum=MOST_REPEATS,
    )
    motif: Tune | None = _control(  # noqa: RUF009 - a field, as all rows are
        kind="tune",
        help="A tune whose bars open the first part and return in it.",
        note="They return in bar 5 of the part, more than 4 bars in bar 9, if it has that many.",
        label="Motif",
        section="",
    )
    motif_bars: str = _control(
        "1-2",
        help="Full bars of the motif to use, counted from 1: 1-2.",
        label="Bars of the motif",
        section="",
    )

    def spelled_out(self) -> Controls:
        """The controls with the phrase put into their own fields.

        Raises:
            ControlError: a word of the phrase is not understood, or it contradicts a field.
        """
        if self.like is None:
            return self
        phrase = understand_phrase(self.like)
        for name, value in phrase.items():
            stated = getattr(self, name)
            if stated not in (None, False) and stated != value:
                raise ControlError(
                    f"like '{self.like}': {name.replace('_', '-')} is asked twice, "
                    f"{value} and {stated}"
                )
        return replace(self, like=None, **phrase)

    def parse(self) -> dict[str, Any]:
        """The values that differ from their defaults, in the terms of theory.

        Raises:
            ControlError: one cannot be read.
        """
        return {
            row.name: TABLE[row.name].parse(row.name, getattr(self, row.name))
            for row in fields(self)
            if getattr(self, row.name) != row.default
        }


def controls_of(function: Callable[..., Any], given: Mapping[str, Any]) -> Controls:
    """The controls among the keyword arguments of a function that are not its own.

    Raises:
        OptionError: a name that neither is; the nearest of both is in the message.
    """
    own = signature(function).parameters.values()
    require_options(given, [*TABLE, *(p.name for p in own if p.kind is p.KEYWORD_ONLY)])
    return Controls(**given)


TABLE: Mapping[str, Control] = {row.name: row.metadata["control"] for row in fields(Controls)}
Controls.__doc__ = f"{Controls.__doc__}\n\nAttributes:\n" + "\n".join(
    f"    {name}: {row.help} {row.note}".rstrip() for name, row in TABLE.items()
)
