"""Charts of an evaluation as SVG text: distances, pairs of bars, curves, self-similarity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from musicgen.music.metrics.features import Likeness
from musicgen.music.metrics.note_arrays import Floats

# Classes of the page's style sheet: the real tunes and up to six sets.
REAL = "real"
SETS = ("s0", "s1", "s2", "s3", "s4", "s5")
_ROW, _LABEL, _PLOT = 19, 150, 480
_MOST = 64.0  # times the floor at the right edge


@dataclass(frozen=True, slots=True)
class Series:
    """One set's numbers in a chart: its name and the class that colours it."""

    name: str
    colour: str
    values: Sequence[float]


def svg(width: float, height: float, parts: Iterator[str] | Sequence[str], label: str) -> str:
    """An SVG element that shrinks with the page."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def distances(
    rows: Sequence[tuple[str, Sequence[Likeness]]], ceilings: Mapping[str, Sequence[float]]
) -> str:
    """Every distance in times the floor, on a logarithmic axis, a row a measure.

    `rows` are the sets with their likeness, `ceilings` the distances of worse music by name.
    """
    height = 30 + _ROW * len(rows[0][1])
    return svg(
        _LABEL + _PLOT + 20,
        height,
        list(_distance_parts(rows, ceilings, height)),
        "distance of every measure from real tunes, in times the floor",
    )


def _distance_parts(
    rows: Sequence[tuple[str, Sequence[Likeness]]],
    ceilings: Mapping[str, Sequence[float]],
    height: float,
) -> Iterator[str]:
    for tick in (0.5, 1, 2, 4, 8, 16, 32, 64):
        x = _place(tick)
        kind = "floor" if tick == 1 else "twice" if tick == 2 else "grid"
        yield f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="22" y2="{height}"/>'
        yield f'<text class="n" x="{x:.1f}" y="14" text-anchor="middle">{tick:g}x</text>'
    for number, row in enumerate(rows[0][1]):
        y = 30 + number * _ROW
        yield (
            f'<text x="{_LABEL - 10}" y="{y + 9}" text-anchor="end">{escape(row.name)}'
            f"<title>{escape(row.about)} ({escape(row.source)})</title></text>"
        )
        for shape, (name, values) in zip(
            ("M-4 4L0-4L4 4Z", "M-4-4H4V4H-4Z"), ceilings.items(), strict=False
        ):
            x = _place(values[number] / row.floor if row.floor else math.nan)
            yield (
                f'<path class="worse" d="{shape}" transform="translate({x:.1f} {y + 5})">'
                f"<title>{escape(f'{name}: {values[number]:.3f}')}</title></path>"
            )
        for colour, (name, likeness) in zip(SETS, rows, strict=False):
            yield _dot(likeness[number], y + 5, colour, name)


def _dot(row: Likeness, y: float, colour: str, name: str) -> str:
    floor = row.floor or math.nan
    x, low, high = (
        _place(v / floor) for v in (row.distance.value, row.distance.low, row.distance.high)
    )
    title = (
        f"{name}: {row.distance.value:.3f} ({row.distance.low:.3f} to {row.distance.high:.3f}), "
        f"floor {row.floor:.3f}"
    )
    return (
        f'<g class="{colour}"><line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>'
        f'<circle cx="{x:.1f}" cy="{y}" r="4"/><title>{escape(title)}</title></g>'
    )


def _place(ratio: float) -> float:
    """The x coordinate of a ratio on the logarithmic axis."""
    if not math.isfinite(ratio):
        return _LABEL
    return _LABEL + _PLOT * math.log(min(max(ratio, 0.25), _MOST) / 0.25) / math.log(_MOST / 0.25)


def bars(kinds: Sequence[str], series: Sequence[Series]) -> str:
    """Shares of each kind, the sets beside each other; `values` are shares of one."""
    most = max((max(s.values, default=0) for s in series), default=0) or 1
    longest = max(map(len, kinds), default=1)
    wide = max(5, min(12, 66 // len(series)))
    slot = max(wide * len(series) + 8, 6.6 * longest + 6 if len(kinds) <= 14 else 0)
    height, parts = 120, list[str]()
    turned = slot < 6.6 * longest + 4
    for column, kind in enumerate(kinds):
        left = column * slot + (slot - wide * len(series)) / 2
        for place, row in enumerate(series):
            tall = height * row.values[column] / most
            parts.append(
                f'<rect class="{row.colour}" x="{left + place * wide:.1f}" '
                f'y="{height - tall:.1f}" width="{wide - 1}" height="{tall:.1f}"><title>'
                f"{escape(f'{kind}, {row.name}: {row.values[column]:.1%}')}</title></rect>"
            )
        middle = column * slot + slot / 2
        position = (
            f'transform="translate({middle + 4:.1f} {height + 8}) rotate(-60)" text-anchor="end"'
            if turned
            else f'x="{middle:.1f}" y="{height + 14}" text-anchor="middle"'
        )
        parts.append(f'<text class="n" {position}>{escape(kind)}</text>')
    below = 6.2 * longest + 12 if turned else 20
    return svg(slot * len(kinds) + 10, height + below, parts, "shares")


def curves(series: Sequence[Series], *, first: int = 1, label: str = "") -> str:
    """Lines over whole numbers from `first` up; values from 0 to 1."""
    width, height = 440, 150
    n = max(len(s.values) for s in series)
    step = (width - 40) / max(1, n - 1)
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        y = height - tick * (height - 20)
        parts.append(f'<line class="grid" x1="30" x2="{width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="n" x="24" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts += [
        f'<text class="n" x="{30 + place * step:.1f}" y="{height + 15}" text-anchor="middle">'
        f"{place + first}</text>"
        for place in range(n)
        if (place + first) % 4 == 0
    ]
    for row in series:
        points = " ".join(
            f"{30 + i * step:.1f},{height - v * (height - 20):.1f}"
            for i, v in enumerate(row.values)
            if math.isfinite(v)
        )
        parts.append(
            f'<polyline class="{row.colour}" points="{points}"><title>'
            f"{escape(row.name)}</title></polyline>"
        )
    return svg(width + 10, height + 20, parts, label)


def self_similarity(matrix: Floats, label: str) -> str:
    """A self-similarity matrix as squares, dark where two measures are alike."""
    n = len(matrix)
    size = max(2.0, min(6.0, 220 / max(n, 1)))
    parts = [
        f'<rect x="{j * size:.1f}" y="{i * size:.1f}" width="{size:.1f}" '
        f'height="{size:.1f}" opacity="{matrix[i, j]:.2f}"/>'
        for i, j in zip(*np.nonzero(matrix > 0.05), strict=True)
    ]
    return svg(n * size, n * size, ['<g class="ssm">', *parts, "</g>"], label)
