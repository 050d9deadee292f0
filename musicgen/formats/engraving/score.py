"""Engrave a tune: line breaks, verovio in a child process, drawings at the size of the paper."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from musicgen.errors import ConfigError, InvalidTuneError, SandboxError
from musicgen.formats.engraving.lines import line_starts
from musicgen.formats.musicxml.barlines import shared_bars
from musicgen.formats.musicxml.writing import to_musicxml
from musicgen.music.transposition import transpose
from musicgen.music.tune import NO_MARKS, Bar, Change, Tune
from musicgen.system.sandbox import ResourceLimits, run

LIMITS = ResourceLimits(memory_mib=2048, cpu_s=40, wall_s=60.0)
MAX_BARS = 2_000  # of all voices together: some forty pages
MAX_EVENTS = 40_000
SMALLEST, LARGEST = 40, 250  # sizes of the music, percent
FULL_LINE = 3  # bars that make a last line as wide as the others

PAPERS = {"a4": (210.0, 297.0), "letter": (215.9, 279.4)}  # mm
MARGIN = 17.0  # mm at the sides
STAFF_MM = 6.2  # height of a staff, as in books of dance music
_VEROVIO_STAFF = 72.0  # height of a staff in verovio's units
_FINE = 10
_INCIPIT_SIZE = 58  # percent


@dataclass(frozen=True, kw_only=True)
class PageLayout:
    """Layout of a score: paper "a4" or "letter", `size` of the music in percent, bars in a line
    (None: as many as fit best), `transpose` to a key or by semitones ("": no transposition)."""

    paper: str = "a4"
    size: int = 100
    bars_per_line: int | None = None
    transpose: str = ""

    def __post_init__(self) -> None:
        if self.paper not in PAPERS:
            raise ConfigError(f"paper '{self.paper}': use {' or '.join(PAPERS)}")
        if not SMALLEST <= self.size <= LARGEST:
            raise ConfigError(f"size {self.size}: use {SMALLEST} to {LARGEST} percent")
        if self.bars_per_line is not None and not 1 <= self.bars_per_line <= 16:
            raise ConfigError(f"bars per line {self.bars_per_line}: use 1 to 16")

    @property
    def page(self) -> tuple[float, float]:
        """Width and height of the paper, mm."""
        return PAPERS[self.paper]

    @property
    def body_width(self) -> float:
        """Width of a line of music, mm."""
        return self.page[0] - 2 * MARGIN

    @property
    def mm(self) -> float:
        """Millimetres in one of the drawing's units."""
        return STAFF_MM * self.size / 100 / (_VEROVIO_STAFF * _FINE)


@dataclass(frozen=True)
class Drawing:
    """Music on one page: glyphs by name, SVG text, both in drawing units; size in mm."""

    defs: dict[str, str]
    body: str
    width: float
    height: float
    mm: float


def engrave(
    tune: Tune, layout: PageLayout, *, max_height: float | None = None, named: bool = False
) -> list[Drawing]:
    """The music of a tune, without heading: one drawing, or several of at most `max_height` mm.

    With `named`, each group of a note or rest has `data-event`: the numbers of its voice, bar and
    timed event, from 0, separated by dots.

    Raises:
        InvalidTuneError: it cannot be engraved; the message names the tune.
    """
    tune = transpose(tune, layout.transpose) if layout.transpose else tune
    _check_size(tune)
    widths = _run("measure_widths", tune, to_musicxml(tune, as_written=True))
    starts = _line_starts(tune, widths, layout)
    last_line = len(widths) - max(starts, default=0)  # bars
    units = layout.mm * _FINE
    pages = _run(
        "engrave",
        tune,
        to_musicxml(tune, line_starts=starts, named=named, as_written=True),
        pageWidth=round(layout.body_width / units),
        pageHeight=60000 if max_height is None else max(100, int(max_height / units)),
        minLastJustification=0.0 if last_line >= FULL_LINE else 0.7,
    )
    return [_drawing(page, layout) for page in pages]


def incipit(tune: Tune, layout: PageLayout, *, width: float, bars: int = 2) -> Drawing:
    """The beginning of a tune on a short staff of `width` mm, without marks."""
    tune = transpose(tune, layout.transpose) if layout.transpose else tune
    voice = tune.voices[0]
    pickup = bool(voice.bars) and voice.bars[0].duration < (tune.meter.bar_duration or 0)
    shown = tuple(_bare(bar) for bar in voice.bars[: bars + pickup])
    short = replace(tune, voices=(replace(voice, bars=shown),), tempo=None)
    small = PageLayout(paper=layout.paper, size=_INCIPIT_SIZE)
    units = round(width / (small.mm * _FINE))
    (page,) = _run("engrave", tune, to_musicxml(short), pageWidth=units, minLastJustification=0.0)
    return _drawing(page, small)


def _bare(bar: Bar) -> Bar:
    events = tuple(
        replace(event, marks=NO_MARKS) if not isinstance(event, Change) else event
        for event in bar.events
        if not isinstance(event, Change) or event.key or event.meter
    )
    return Bar(events=events, repeat_start=bar.repeat_start)


def _drawing(page: dict[str, Any], layout: PageLayout) -> Drawing:
    mm = layout.mm
    return Drawing(page["defs"], page["body"], page["width"] * mm, page["height"] * mm, mm)


def _run(function: str, tune: Tune, musicxml: str, **options: Any) -> Any:
    """The result of a function of `drawing`, called in a child process."""
    name, data = f"{__package__}.drawing:{function}", musicxml.encode()
    try:
        return json.loads(run(name, data, what="the engraver", limits=LIMITS, **options))
    except SandboxError as error:
        raise InvalidTuneError(f"'{tune.title}': {error}") from None


def _check_size(tune: Tune) -> None:
    bars = sum(len(voice.bars) for voice in tune.voices)
    if bars > MAX_BARS:
        raise InvalidTuneError(f"'{tune.title}': {bars} bars, more than {MAX_BARS}; split it")
    events = sum(len(line) for v in tune.voices for b in v.bars for line in (b.events, *b.overlays))
    if events > MAX_EVENTS:
        raise InvalidTuneError(f"'{tune.title}': {events} notes, more than {MAX_EVENTS}; split it")


def _line_starts(tune: Tune, widths: list[float], layout: PageLayout) -> tuple[int, ...]:
    space = STAFF_MM * layout.size / 100 / 4
    opening = 5.0 + 1.1 * abs(tune.key.fifths)  # clef and signature, in staff spaces
    widths = [max(0.0, widths[0] - opening - 3.0), *widths[1:]] if widths else widths
    return line_starts(
        shared_bars(tune.voices),
        widths,
        available=layout.body_width / space - opening,
        meter=tune.meter,
        bars_per_line=layout.bars_per_line,
    )
