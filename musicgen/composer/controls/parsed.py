"""Controls that have been read and checked against each other: the rules of contradiction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Any

from musicgen.composer.controls.form import Form
from musicgen.composer.controls.limits import limits_of
from musicgen.composer.controls.motif import Motif
from musicgen.composer.controls.pitch_automaton import NoteRules
from musicgen.composer.controls.table import Controls
from musicgen.composer.controls.values import NARROWEST_RANGE, read_meter
from musicgen.errors import ControlError
from musicgen.music.theory import Key, Meter, rhythm_meters, spell
from musicgen.tokens.melody.grammar import Limits


@dataclass(frozen=True, kw_only=True)
class ParsedControls:
    """Controls in the terms of theory, which do not contradict each other. Lengths are in quarters;
    `smallest` is the shortest length that the model writes, in units."""

    key: Key | None = None
    meter: Meter | None = None
    rhythm: str | None = None
    form: Form | None = None
    limits: Limits | None = None
    pickup: Fraction | None = None
    unit: Fraction | None = None
    tempo: tuple[Fraction | None, Fraction] | None = None
    notes: NoteRules = field(default_factory=NoteRules)
    motif: Motif | None = None
    max_repeats: int = 0
    smallest: Fraction = Fraction(1)

    @staticmethod
    def of(controls: Controls, smallest: Fraction) -> ParsedControls:
        """Read controls and check them against each other.

        Raises:
            ControlError: they cannot be read or contradict each other.
        """
        controls = controls.spelled_out()
        values = controls.parse()
        if controls.motif is not None:
            values["motif"] = Motif.read(controls.motif, controls.motif_bars)
        if "instrument" in values:
            values["range"] = _range_on_instrument(controls, values)
        parsed = ParsedControls(
            **_fields_of(ParsedControls, values),
            notes=NoteRules(**_fields_of(NoteRules, values)),
            limits=limits_of(values.get("form"), values.get("part_bars", ()), values.get("bars")),
            smallest=smallest,
        )
        parsed = parsed._with_motif()._with_short_parts()
        parsed._check_meter()
        return parsed

    @property
    def exact(self) -> bool:
        """Whether the heading and the plain grammar alone cannot meet the controls."""
        structured = self.limits is not None or self.motif is not None
        return structured or self.notes != NoteRules() or self.max_repeats > 0

    @property
    def header(self) -> dict[str, Any]:
        """The values that the heading must have, by the kinds of its tokens."""
        wanted = {"rhythm": self.rhythm, "unit": self.unit, "pickup": self.pickup}
        if self.key is not None:
            wanted |= {"tonic": self.key.tonic, "mode": self.key.mode}
        return {kind: value for kind, value in wanted.items() if value is not None}

    def _with_motif(self) -> ParsedControls:
        """With the motif's meter, key and pickup where no others are stated."""
        motif = self.motif
        if motif is None:
            return self
        if self.meter is not None and not alike(self.meter, motif.tune.meter):
            raise ControlError(f"the motif is in {motif.tune.meter}, not in {self.meter}")
        if self.pickup is not None and self.pickup != motif.pickup:
            pickup = f"a pickup of {motif.pickup / 4}" if motif.pickup else "no pickup"
            raise ControlError(f"the motif has {pickup}; leave pickup out")
        return replace(
            self,
            meter=self.meter or motif.tune.meter,
            key=self.key or motif.tune.key,
            pickup=motif.pickup if self.pickup is None else self.pickup,
        )

    def _with_short_parts(self) -> ParsedControls:
        """Without a pickup where a part has one bar: the two would be played as one bar."""
        limits = self.limits
        if limits is None or 1 not in (limits.part_bars, *(part.bars for part in limits.form)):
            return self
        if self.pickup:
            raise ControlError("a part of one bar cannot have a pickup; leave one of them out")
        return replace(self, pickup=Fraction(0))

    def _check_meter(self) -> None:
        """See that rhythm, pickup and unit fit the meter."""
        danced = rhythm_meters(self.rhythm or "")
        meter = self.meter
        if meter is None:
            return
        if danced and not any(alike(meter, read_meter(m)) for m in danced):
            raise ControlError(
                f"a {self.rhythm} in {meter} contradicts itself; its meters are {', '.join(danced)}"
            )
        full = meter.bar_duration
        assert full is not None
        if self.pickup is not None and self.pickup >= full:
            raise ControlError(
                f"a pickup of {self.pickup / 4} is not shorter than a bar of {meter}"
            )
        if self.unit is not None and (full / self.unit).denominator != 1:
            raise ControlError(f"a unit of {self.unit / 4} does not divide a bar of {meter}")


def alike(meter: Meter, other: Meter) -> bool:
    """Whether two meters have the same bar and beats, or are both in two or four, as C and C|."""
    if meter.bar_duration != other.bar_duration or meter.compound != other.compound:
        return False
    return not meter.compound or meter.beat_durations == other.beat_durations


def _fields_of(target: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are fields of a dataclass."""
    return {row.name: values[row.name] for row in fields(target) if row.name in values}


def _range_on_instrument(controls: Controls, values: Mapping[str, Any]) -> tuple[int, int]:
    """The range that an instrument has in common with the range that is stated, if one is."""
    low, high = values["instrument"]
    if "range" not in values:
        return low, high
    shared = max(low, values["range"][0]), min(high, values["range"][1])
    if shared[1] - shared[0] < NARROWEST_RANGE:
        first, last = (spell(midi, Key("C", "major")).name for midi in shared)
        raise ControlError(
            f"range {controls.range} leaves less than a fifth of what {controls.instrument} can "
            f"play, {first}-{last}"
        )
    return shared
