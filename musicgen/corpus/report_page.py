"""The report of a corpus as one HTML page: tables and SVG charts, no scripts, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

MAX_ROWS = 5000  # of a list; the JSON report has all
_MAX_BARS = 18
_BAR_HEIGHT, _LABEL_WIDTH, _CHART_WIDTH = 20, 150, 440
_COLUMN_WIDTH, _COLUMN_HEIGHT = 18, 120

_STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --paper: #fff; --faint: #6b6b70; --rule: #ddd;
  --bar: #2f6f9f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ea; --paper: #17181a; --faint: #9a9aa0;
  --rule: #38393d; --bar: #6aaed6; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 68rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.05rem; margin: 0 0 .4rem; }
p.lead { color: var(--faint); margin-top: .2rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(29rem, 100%), 1fr));
  gap: 1.6rem 2.4rem; margin: 1.6rem 0; }
svg { max-width: 100%; height: auto; display: block; } svg rect { fill: var(--bar); }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg text.n { fill: var(--faint); }
table { border-collapse: collapse; width: 100%; overflow-wrap: anywhere; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0;
  border-bottom: 1px solid var(--rule); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
details { border-top: 1px solid var(--rule); padding: .5rem 0; } summary { cursor: pointer; }
.note { border-left: 3px solid var(--bar); padding-left: .8rem; }
"""

# Titles of the charts, and the keys of their numbers in a report.
_COUNTS = (
    ("Keys", "keys"),
    ("Modes", "modes"),
    ("Meters", "meters"),
    ("Types of tune", "rhythms"),
    ("Sources", "by_source"),
)
_HISTOGRAMS = (
    ("Length in bars", "bars"),
    ("Length in notes", "notes_per_tune"),
    ("Lowest pitch (MIDI; 60 is middle C)", "lowest_pitch"),
    ("Highest pitch (MIDI)", "highest_pitch"),
    ("Range in semitones", "range"),
)


def render_page(facts: Mapping[str, Any]) -> str:
    """A self-contained page of the result of `report.report`."""
    title = f"Corpus: {', '.join(facts['sources'])}"
    charts = [_section(name, bar_chart(facts[key])) for name, key in _COUNTS]
    charts += [
        _section(name, _range_of(facts[key]) + histogram(facts[key]["histogram"]))
        for name, key in _HISTOGRAMS
    ]
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{facts["tunes"]:,} different tunes, {facts["notes"]:,} notes, '
        f"{facts['families']['count']:,} families. Fingerprint {facts['fingerprint'][:16]}.</p>",
        *(f'<p class="note">{escape(notice)}</p>' for notice in facts["notices"]),
        '<div class="charts">',
        _section("What became of every tune", bar_chart(facts["outcomes"])),
        _section("Splits, whole families each", _splits(facts["splits"])),
        *charts,
        "</div>",
        *_lists(facts),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def bar_chart(counts: Mapping[str, int]) -> str:
    """Horizontal bars, one for each count; the least are summed up as "other"."""
    shown = list(counts.items())
    if len(shown) > _MAX_BARS:
        rest = shown[_MAX_BARS - 1 :]
        shown = [*shown[: _MAX_BARS - 1], (f"{len(rest)} other", sum(n for _, n in rest))]
    most = max((n for _, n in shown), default=0) or 1
    room = _CHART_WIDTH - _LABEL_WIDTH - 60
    parts = []
    for row, (name, n) in enumerate(shown):
        y = row * _BAR_HEIGHT
        width = max(1, round(room * n / most)) if n else 0
        label = name if len(name) <= 22 else f"{name[:21]}…"
        parts.append(
            f'<text x="{_LABEL_WIDTH - 8}" y="{y + 14}" text-anchor="end">{escape(label)}'
            f"<title>{escape(name)}</title></text>"
            f'<rect x="{_LABEL_WIDTH}" y="{y + 3}" width="{width}" height="{_BAR_HEIGHT - 6}"/>'
            f'<text class="n" x="{_LABEL_WIDTH + width + 6}" y="{y + 14}">{n:,}</text>'
        )
    return _svg(_CHART_WIDTH, len(shown) * _BAR_HEIGHT, parts)


def histogram(bins: Mapping[str, int]) -> str:
    """Columns in the order of the bins, every third named by its lower end."""
    most = max(bins.values(), default=0) or 1
    parts = []
    for column, (name, n) in enumerate(bins.items()):
        more = " or more" if column + 1 == len(bins) else ""
        x = column * _COLUMN_WIDTH
        height = max(1, round(_COLUMN_HEIGHT * n / most)) if n else 0
        parts.append(
            f'<rect x="{x + 1}" y="{_COLUMN_HEIGHT - height}" width="{_COLUMN_WIDTH - 2}" '
            f'height="{height}"><title>from {escape(name)}{more}: {n:,}</title></rect>'
        )
        if column % 3 == 0:
            parts.append(f'<text class="n" x="{x}" y="{_COLUMN_HEIGHT + 15}">{escape(name)}</text>')
    return _svg(max(len(bins) * _COLUMN_WIDTH + 20, 60), _COLUMN_HEIGHT + 20, parts)


def _svg(width: int, height: int, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"{''.join(parts)}</svg>"
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _range_of(summary: Mapping[str, Any]) -> str:
    return (
        f'<p class="lead">{summary["min"]:g} to {summary["max"]:g}, '
        f"median {summary['median']:g}</p>"
    )


def _splits(splits: Mapping[str, Mapping[str, int]]) -> str:
    rows = [
        (name, split["tunes"], split["families"], split["notes"]) for name, split in splits.items()
    ]
    return _table(("split", "tunes", "families", "notes"), rows)


def _lists(facts: Mapping[str, Any]) -> list[str]:
    """Every list of tunes, each closed at first."""
    columns = ("id", "title", "reason")
    repaired = [tune for tune in facts["every_tune"] if tune["outcome"] == "repaired"]
    return [
        _details("Rejected: could not be read", columns, _rows(facts["rejected"], columns)),
        _details("Warnings by kind", ("warning", "times"), list(facts["warnings_by_kind"].items())),
        _details("Repaired: read with warnings", columns, _rows(repaired, columns)),
        _details("No single-line melody", columns, _rows(facts["not_melodies"], columns)),
        _details(
            "Irregular: bars or repeats do not add up; kept",
            ("id",),
            [(name,) for name in facts["irregular"]],
        ),
        _details(
            "Duplicates: the melody of another tune, in any key",
            ("id", "title", "same as"),
            _rows(facts["duplicates"], ("id", "title", "same_as")),
        ),
        _details(
            "Families: near-duplicates, kept in one split",
            ("tunes", "titles"),
            [
                (len(tunes), " · ".join(tune["title"] or tune["id"] for tune in tunes))
                for tunes in facts["families"]["members"]
            ],
        ),
        _details(
            "Every tune",
            ("id", "title", "outcome", "reason"),
            _rows(facts["every_tune"], ("id", "title", "outcome", "reason")),
        ),
    ]


def _rows(tunes: Sequence[Mapping[str, str]], columns: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(tune[column] for column in columns) for tune in tunes]


def _details(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return f"<details><summary>{escape(title)}: none</summary></details>"
    more = (
        f"<p>The first {MAX_ROWS:,}; the JSON report has all.</p>" if len(rows) > MAX_ROWS else ""
    )
    return (
        f"<details><summary>{escape(title)}: {len(rows):,}</summary>{more}"
        f"{_table(columns, rows[:MAX_ROWS])}</details>"
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    rows = list(rows)
    numeric = [all(isinstance(row[k], int) for row in rows) for k in range(len(columns))]
    kinds = [' class="n"' if number else "" for number in numeric]
    head = "".join(f"<th{k}>{escape(c)}</th>" for c, k in zip(columns, kinds, strict=True))
    lines = [
        "<tr>"
        + "".join(
            f"<td{k}>{value:,}</td>" if isinstance(value, int) else f"<td>{escape(str(value))}</td>"
            for value, k in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row in rows
    ]
    return f"<table><tr>{head}</tr>\n" + "\n".join(lines) + "</table>"
