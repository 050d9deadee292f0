"""Piano rolls: pictures of pitch against time, with the scale of the key in colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from musicgen.errors import ConfigError, InvalidTuneError, SandboxError
from musicgen.music.playback import PlayedNote, Timeline, timeline
from musicgen.music.theory import STEP_SEMITONES
from musicgen.music.tune import Tune
from musicgen.system.markup import element, text
from musicgen.system.raster import rasterise

MAX_NOTES = 50_000
MAX_ROLLS = 100
ROW = 2.2  # mm a semitone
QUARTER, NARROWEST = 5.0, 1.8  # mm a quarter, most and least, for a picture of about
USUAL_WIDTH = 280.0  # mm
MARGIN, HEAD, LABELS, GAP = 8.0, 9.0, 9.0, 9.0  # mm

GIVEN, COMPOSED = "#3b5b92", "#d1603d"
VOICES = (COMPOSED, "#2f8f6b", "#8a5a9e", "#b58a1d")
SCALE_ROW, TONIC_ROW, OTHER_ROW = "#f4f2ec", "#f7e3bd", "#e3e1da"
BAR_LINE, BEAT_LINE = "#a9a59b", "#d2cfc6"
_BLACK_KEYS = frozenset({1, 3, 6, 8, 10})


@dataclass(frozen=True)
class _Roll:
    """A tune as it is played, and its range of pitches."""

    tune: Tune
    time: Timeline
    low: int
    high: int
    quarter: float  # mm

    @property
    def height(self) -> float:
        return (self.high - self.low + 1) * ROW + HEAD

    @property
    def width(self) -> float:
        return LABELS + float(self.time.duration) * self.quarter


def render_svg(tunes: Sequence[Tune], *, given: int | None = None, columns: int = 1) -> bytes:
    """An SVG picture of one or several tunes; options as in `draw`."""
    return draw(tunes, given=given, columns=columns)[0].encode()


def render_png(
    tunes: Sequence[Tune], *, given: int | None = None, columns: int = 1, dpi: int = 150
) -> bytes:
    """A PNG picture of one or several tunes, `dpi` pixels an inch; options as in `draw`."""
    svg, size = draw(tunes, given=given, columns=columns)
    try:
        return rasterise(svg.encode(), size, dpi=dpi)
    except SandboxError as error:
        raise InvalidTuneError(f"piano roll: {error}") from None


def draw(
    tunes: Sequence[Tune], *, given: int | None = None, columns: int = 1
) -> tuple[str, tuple[float, float]]:
    """An SVG picture and its size in mm: a roll for each tune, in columns.

    The first `given` bars, as played, have another colour than the composed bars after them; with
    None all bars have the colour of composed ones.

    Raises:
        InvalidTuneError: there are too many tunes or notes for a picture.
        ConfigError: the number of bars or columns is out of its range.
    """
    if not 1 <= columns <= 10:
        raise ConfigError(f"columns {columns}: use 1 to 10")
    if given is not None and given < 0:
        raise ConfigError(f"given {given}: use a number of bars")
    if not tunes or len(tunes) > MAX_ROLLS:
        raise InvalidTuneError(f"a picture holds 1 to {MAX_ROLLS} rolls, not {len(tunes)}")
    rolls = [_read(tune) for tune in tunes]
    longest = max(float(roll.time.duration) for roll in rolls) or 1.0
    width = USUAL_WIDTH / min(columns, len(rolls)) - LABELS
    quarter = max(NARROWEST, min(QUARTER, width / longest))
    rolls = [replace(roll, quarter=quarter) for roll in rolls]
    rows = [rolls[i : i + columns] for i in range(0, len(rolls), columns)]
    widths = [
        max(row[c].width for row in rows if c < len(row)) for c in range(min(columns, len(rolls)))
    ]
    parts: list[str] = []
    y = MARGIN
    for row in rows:
        x = MARGIN
        for roll, width in zip(row, widths, strict=False):
            parts.append(
                element("g", *_parts(roll, given), transform=f"translate({x:.2f} {y:.2f})")
            )
            x += width + GAP
        y += max(roll.height for roll in row) + GAP
    size = (2 * MARGIN + sum(widths) + GAP * (len(widths) - 1), y - GAP + MARGIN)
    right, bottom = (f"{n:.2f}" for n in size)
    document = element(
        "svg",
        element("rect", width=right, height=bottom, fill="white"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        width=f"{right}mm",
        height=f"{bottom}mm",
        viewBox=f"0 0 {right} {bottom}",
        font_family="'DejaVu Sans', Helvetica, Arial, sans-serif",
    )
    return document, size


def _read(tune: Tune) -> _Roll:
    tune = tune.without_drums
    time = timeline(tune)
    if not time.notes:
        raise InvalidTuneError(f"'{tune.title}': there is no note to draw")
    if len(time.notes) > MAX_NOTES:
        raise InvalidTuneError(f"'{tune.title}': {len(time.notes)} notes, more than {MAX_NOTES}")
    pitches = [note.midi for note in time.notes]
    if max(pitches) - min(pitches) > 127:
        raise InvalidTuneError(f"'{tune.title}': its notes are more than ten octaves apart")
    return _Roll(tune, time, min(pitches) - 1, max(pitches) + 1, QUARTER)


def _parts(roll: _Roll, given: int | None) -> Iterator[str]:
    yield _label(roll.tune.title or "Untitled", LABELS, 4.2, size=3.6, weight="bold")
    details = ", ".join(filter(None, (roll.tune.rhythm, str(roll.tune.key), str(roll.tune.meter))))
    yield _label(details, LABELS, 7.8, size=2.6, color="#6d6a63")
    yield from _rows(roll)
    yield from _lines(roll)
    boundary = _boundary(roll.time, given)
    yield from (_note(roll, note, boundary) for note in roll.time.notes)


def _rows(roll: _Roll) -> Iterator[str]:
    """A stripe for each semitone, labelled at the tonic; coloured by the key in force there."""
    keys = [(Fraction(0), roll.tune.key)]
    keys += [(onset, change.key) for onset, change in roll.time.changes if change.key]
    ends = [onset for onset, _ in keys[1:]] + [roll.time.duration]
    for (onset, key), end in zip(keys, ends, strict=True):
        if end <= onset:
            continue
        scale = {(STEP_SEMITONES[s] + alter) % 12 for s, alter in key.signature.items()}
        for midi in range(roll.low, roll.high + 1):
            color = SCALE_ROW if midi % 12 in scale else OTHER_ROW
            if key.tonic and midi % 12 == key.tonic_pitch_class:
                color = TONIC_ROW
            yield _box(roll, (onset, end), midi, fill=color, kind="row")
    tonic = roll.tune.key.tonic_pitch_class if roll.tune.key.tonic else 0
    for midi in range(roll.low, roll.high + 1):
        black = midi % 12 in _BLACK_KEYS
        y = HEAD + (roll.high - midi) * ROW
        yield _rect(LABELS - 3.4, y, 3.0, ROW - 0.15, fill="#55524c" if black else "#ffffff")
        if midi % 12 == tonic:
            name = f"{roll.tune.key.tonic or 'C'}{midi // 12 - 1}"
            yield _label(name, LABELS - 4.2, y + ROW - 0.4, size=2.2, anchor="end")


def _lines(roll: _Roll) -> Iterator[str]:
    for bar in roll.time.bars:
        yield _line(roll, bar.onset, BAR_LINE, 0.3, "bar")
        onset = bar.onset
        for beat in bar.meter.beat_durations:
            onset += beat
            if onset < bar.onset + bar.duration:
                yield _line(roll, onset, BEAT_LINE, 0.15, "beat")
    yield _line(roll, roll.time.duration, BAR_LINE, 0.3, "end")


def _line(roll: _Roll, onset: Fraction, color: str, width: float, kind: str) -> str:
    path = f"M{LABELS + float(onset) * roll.quarter:.2f} {HEAD:g}V{roll.height:.2f}"
    return element("path", d=path, stroke=color, stroke_width=f"{width:g}", **{"class": kind})


def _boundary(time: Timeline, given: int | None) -> Fraction:
    """The end of the given bars, in quarters."""
    if given is None:
        return Fraction(0)
    return time.bars[given].onset if given < len(time.bars) else time.duration


def _note(roll: _Roll, note: PlayedNote, boundary: Fraction) -> str:
    was_given = note.onset < boundary
    color = GIVEN if was_given else VOICES[note.voice % len(VOICES)]
    kind = "note given" if was_given else "note"
    return _box(roll, (note.onset, note.onset + note.duration), note.midi, fill=color, kind=kind)


def _box(roll: _Roll, span: tuple[Fraction, Fraction], midi: int, *, fill: str, kind: str) -> str:
    scale = roll.quarter
    x, width = LABELS + float(span[0]) * scale, float(span[1] - span[0]) * scale
    y = HEAD + (roll.high - midi) * ROW
    if kind == "row":
        return _rect(x, y, width, ROW - 0.12, fill=fill)
    width = max(0.4, width - 0.25)
    return _rect(x, y + 0.1, width, ROW - 0.32, fill=fill, rx="0.5", **{"class": kind})


def _rect(x: float, y: float, width: float, height: float, **style: str) -> str:
    place = {"x": f"{x:.2f}", "y": f"{y:.2f}", "width": f"{width:.2f}", "height": f"{height:.2f}"}
    return element("rect", **place, **style)


def _label(
    content: str,
    x: float,
    y: float,
    *,
    size: float,
    weight: str = "normal",
    anchor: str = "start",
    color: str = "#2b2a27",
) -> str:
    return element(
        "text",
        text(content),
        x=f"{x:.2f}",
        y=f"{y:.2f}",
        font_size=f"{size:g}",
        font_weight=weight,
        text_anchor=anchor,
        fill=color,
    )
