"""What a tune is asked to be: `Controls` as people write them, `Asked` as theory has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, TypedDict

from musicgen.composer.controls.form import Form, limits_of
from musicgen.composer.controls.motif import Motif
from musicgen.composer.controls.phrase import understand_phrase
from musicgen.composer.controls.scale import Scale
from musicgen.composer.controls.setting import LineControls
from musicgen.composer.controls.values import (
    MOST_BARS,
    NARROWEST_RANGE,
    WIDEST_INTERVAL,
    read_count,
    read_key,
    read_meter,
    read_part_bars,
    read_pickup,
    read_range,
    read_tempo,
    read_unit,
    tempo_of,
)
from musicgen.errors import ControlError
from musicgen.music.instruments import written_range
from musicgen.music.theory import Key, Meter, Pitch, canonical_rhythm, rhythm_meters
from musicgen.music.tune import Tempo, Tune
from musicgen.tokens.melody.grammar import Limits


class ControlOptions(TypedDict, total=False):
    """The fields of `Controls`, as keyword arguments."""

    key: str | None
    meter: str | None
    rhythm: str | None
    form: str | None
    bars: int | None
    part_bars: int | str | Sequence[int] | None
    pickup: str | None
    range: str | None
    instrument: str | None
    scale: str | None
    unit: str | None
    tempo: str | float | None
    end_on_tonic: bool
    max_interval: int | None
    motif: Tune | None
    motif_bars: str
    max_repeats: int
    like: str | None


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What a new tune must be; None leaves the choice to the model.

    Attributes:
        key: such as "D", "Ador", "E minor", "Bb mixolydian".
        meter: such as "6/8", "C|".
        rhythm: such as "jig", "slip jig".
        form: letters such as "AABB", "ABAC": the same letter twice in a row is a repeat, one that
            comes back is the same music note for note; other letters are other music.
        bars: full bars of the written parts together; a pickup and the bar it is taken from count
            as one, a second ending does not count.
        part_bars: full bars of each part: one number, or one for each letter of the form.
        pickup: length of the pickup as a note value, "1/8"; "0" for none. Parts of one bar have
            none, and a motif brings its own.
        range: lowest and highest written pitch, "D4-B5" (C4 is middle C).
        instrument: one whose range holds, such as "D whistle"; see `instruments.RANGES`.
        scale: "diatonic", "pentatonic" ... or notes, "D E F# A B".
        unit: unit note length of the ABC, "1/8".
        tempo: beats of the meter a minute, "110" (dotted quarters in 6/8), or "3/8=110".
        end_on_tonic: whether the last note is the tonic.
        max_interval: widest interval in semitones between notes that follow each other, rests
            passed over, as written and as played, through repeats and endings.
        motif: a tune whose `motif_bars` (full bars from 1) open the first part, and come back in
            its bar 5 (a motif of more than 4 bars: in its bar 9) if it has room for them there.
        max_repeats: how often in a row the same bar may come; 0 is as often as it likes.
        like: a plain phrase, "slow waltz in E minor"; what is asked otherwise comes first.
    """

    key: str | None = None
    meter: str | None = None
    rhythm: str | None = None
    form: str | None = None
    bars: int | None = None
    part_bars: int | str | Sequence[int] | None = None
    pickup: str | None = None
    range: str | None = None
    instrument: str | None = None
    scale: str | None = None
    unit: str | None = None
    tempo: str | float | None = None
    end_on_tonic: bool = False
    max_interval: int | None = None
    motif: Tune | None = None
    motif_bars: str = "1-2"
    max_repeats: int = 0
    like: str | None = None

    def spelled_out(self) -> Controls:
        """The controls with the phrase put into their own fields.

        Raises:
            ControlError: a word of the phrase is not understood, or it contradicts a field.
        """
        if self.like is None:
            return self
        found = understand_phrase(self.like)
        for name, value in found.items():
            given = getattr(self, name)
            if given not in (None, False) and given != value:
                raise ControlError(
                    f"like '{self.like}': {name.replace('_', '-')} is asked twice, "
                    f"{value} and {given}"
                )
        return replace(self, like=None, **found)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Controls that have been read and do not contradict each other. Lengths are in quarters."""

    key: Key | None = None
    meter: Meter | None = None
    rhythm: str | None = None
    form: Form | None = None
    limits: Limits | None = None
    pickup: Fraction | None = None
    unit: Fraction | None = None
    tempo: tuple[Fraction | None, Fraction] | None = None
    line: LineControls = field(default_factory=LineControls)
    motif: Motif | None = None
    max_repeats: int = 0
    smallest: Fraction = Fraction(1)

    @staticmethod
    def read(controls: Controls, smallest: Fraction) -> Asked:
        """Read controls; `smallest` is the shortest length that the model writes, in units.

        Raises:
            ControlError: they cannot be read or contradict each other.
        """
        c = controls.spelled_out()
        read = Asked(
            key=None if c.key is None else read_key(c.key),
            meter=None if c.meter is None else read_meter(c.meter),
            rhythm=None if c.rhythm is None else canonical_rhythm(c.rhythm),
            form=None if c.form is None else Form.read(c.form),
            pickup=None if c.pickup is None else read_pickup(str(c.pickup)),
            unit=None if c.unit is None else read_unit(str(c.unit)),
            tempo=None if c.tempo is None else read_tempo(str(c.tempo)),
            line=_line_controls(c),
            motif=None if c.motif is None else Motif.read(c.motif, c.motif_bars),
            max_repeats=read_count("max-repeats", c.max_repeats or None, 1000) or 0,
            smallest=smallest,
        )
        total = read_count("bars", c.bars, MOST_BARS)
        read = replace(read, limits=limits_of(read.form, read_part_bars(c.part_bars), total))
        read = read._with_motif() if read.motif is not None else read
        read = read._with_short_parts()
        read._check()
        return read

    @property
    def exact(self) -> bool:
        """Whether anything is asked that the heading and the plain grammar do not see to."""
        asked = self.limits is not None or self.motif is not None
        return asked or self.line.asked or self.max_repeats > 0

    @property
    def header(self) -> dict[str, Any]:
        """What is asked of the heading, by the kinds of its tokens."""
        wanted = {"rhythm": self.rhythm, "unit": self.unit, "pickup": self.pickup}
        if self.key is not None:
            wanted |= {"tonic": self.key.tonic, "mode": self.key.mode}
        return {kind: value for kind, value in wanted.items() if value is not None}

    def tempo_in(self, meter: Meter) -> Tempo:
        """The tempo that was asked, in a meter."""
        assert self.tempo is not None
        return tempo_of(self.tempo, meter)

    def _with_motif(self) -> Asked:
        """What the motif brings with it and was not asked otherwise."""
        motif = self.motif
        assert motif is not None
        if self.meter is not None and not alike(self.meter, motif.meter):
            raise ControlError(f"the motif is in {motif.meter}, not in {self.meter}")
        if self.pickup is not None and self.pickup != motif.pickup:
            brought = f"a pickup of {motif.pickup / 4}" if motif.pickup else "no pickup"
            raise ControlError(f"the motif has {brought}; leave pickup out")
        return replace(
            self,
            meter=self.meter or motif.meter,
            key=self.key or motif.key,
            pickup=motif.pickup if self.pickup is None else self.pickup,
        )

    def _with_short_parts(self) -> Asked:
        """A part of one bar has no pickup: the two would be one bar to whoever plays on."""
        limits = self.limits
        if limits is None or 1 not in (limits.part_bars, *(part.bars for part in limits.form)):
            return self
        if self.pickup:
            raise ControlError("a part of one bar has no room for a pickup; leave one of them out")
        return replace(self, pickup=Fraction(0))

    def _check(self) -> None:
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


def _line_controls(c: Controls) -> LineControls:
    span = None if c.range is None else read_range(c.range)
    if c.instrument is not None:
        low, high = written_range(c.instrument)
        span = (low, high) if span is None else (max(low, span[0]), min(high, span[1]))
        if span[1] - span[0] < NARROWEST_RANGE:
            raise ControlError(
                f"range {c.range} leaves less than a fifth of what {c.instrument} can play, "
                f"{_name(low)}-{_name(high)}"
            )
    return LineControls(
        span=span,
        scale=None if c.scale is None else Scale.read(c.scale),
        end_on_tonic=c.end_on_tonic,
        widest=read_count("max-interval", c.max_interval, WIDEST_INTERVAL),
    )


def _name(midi: int) -> str:
    natural = {0: "C", 2: "D", 4: "E", 5: "F", 7: "G", 9: "A", 11: "B"}
    step = natural.get(midi % 12)
    octave = midi // 12 - 1
    return Pitch(step, 0, octave).name if step else f"{natural[midi % 12 - 1]}#{octave}"
