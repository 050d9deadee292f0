"""The report as one HTML page that needs nothing else: charts, tables, scores and players."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np

from musicgen.evaluation import charts
from musicgen.evaluation.charts import REAL, SETS, Series
from musicgen.evaluation.discrimination import Discrimination
from musicgen.evaluation.report import Assessment, Benchmark, RankStep
from musicgen.evaluation.sets import TuneSet
from musicgen.evaluation.tables import (
    asked_rows,
    family_rows,
    headline,
    novelty_rows,
    number,
    spread,
)
from musicgen.formats.webpage import CARD_STYLE, SCRIPT, PageEntry, card
from musicgen.music.metrics.distances import tabulate
from musicgen.music.metrics.distributions import DISTRIBUTIONS
from musicgen.music.metrics.features import Features
from musicgen.music.metrics.note_arrays import NoteArrays
from musicgen.music.metrics.structure import similarity_curve
from musicgen.music.metrics.table import MEASURES

MAX_LISTED = 500  # faults and copies on the page; the JSON has all
_N_CURVE = 200  # tunes that the curve of likeness by distance is the mean of

_STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --paper: #fff; --faint: #6b6b70; --rule: #ddd;
  --real: #8a8f98; --s0: #b3472a; --s1: #2f6f9f; --s2: #3d8a4e; --s3: #8a5aa8; --s4: #b08a1e;
  --s5: #2a8f8f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ea; --paper: #17181a; --faint: #9a9aa0;
  --rule: #38393d; --real: #7c828c; --s0: #e4835f; --s1: #6aaed6; --s2: #7cc48b; --s3: #bd93d8;
  --s4: #dcb84f; --s5: #5fc4c4; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 66rem; margin: 2rem auto; padding: 0 1.2rem 4rem; }
h1 { font: 600 1.7rem/1.2 Georgia, serif; margin: 0; } h2 { font-size: 1.2rem; margin: 2.4rem 0
  .5rem; border-top: 1px solid var(--rule); padding-top: 1rem; } h3 { font-size: 1rem;
  margin: 1rem 0 .3rem; }
p { max-width: 46rem; } p.lead, .faint { color: var(--faint); } p.verdict { font-size: 1.05rem; }
table { border-collapse: collapse; margin: .6rem 0; } th, td { text-align: left; vertical-align:
  top; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid var(--rule); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.scroll { overflow-x: auto; } .charts { display: flex; flex-wrap: wrap; gap: 1.2rem 2.4rem; }
.key span { margin-right: 1.2rem; white-space: nowrap; } .key i { display: inline-block;
  width: .8em; height: .8em; border-radius: .2em; margin-right: .35em; }
svg { max-width: 100%; height: auto; display: block; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg text.n { fill: var(--faint);
  font-size: 11px; }
svg .grid { stroke: var(--rule); } svg .floor { stroke: var(--ink); } svg .twice {
  stroke: var(--faint); stroke-dasharray: 3 3; } svg .worse { fill: none; stroke: var(--real);
  stroke-width: 1.3; } svg .ssm rect { fill: var(--ink); }
.examples { display: grid; gap: 1.6rem; } .example h3 { margin: 0 0 .3rem; }
details { border-top: 1px solid var(--rule); padding: .4rem 0; } summary { cursor: pointer; }
.note { border-left: 3px solid var(--s1); padding-left: .8rem; }
"""
_COLOURS = "".join(
    f"rect.{c}, .{c} circle, i.{c} {{ fill: var(--{c}); background: var(--{c}); }} "
    f".{c} line, polyline.{c} {{ stroke: var(--{c}); stroke-width: 2; fill: none; }}\n"
    for c in (REAL, *SETS)
)
_SHOWN = (
    "scale degrees",
    "intervals",
    "note lengths",
    "form",
    "section lengths",
    "repeat distances",
    "cadences",
)


def render_page(
    benchmark: Benchmark,
    sets: Sequence[tuple[TuneSet, Features]],
    assessments: Sequence[Assessment],
    steps: Sequence[RankStep],
    about: Mapping[str, Any],
) -> str:
    """The whole page. Nothing is fetched and the only script is the players' (the policy in the
    head names it by its hash)."""
    title = "Evaluation: " + ", ".join(assessment.name for assessment in assessments)
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(_lead(benchmark, about))}</p>',
        *(f'<p class="note">{escape(notice)}</p>' for notice in benchmark.reference.notices),
        *(f'<p class="verdict">{escape(headline(benchmark, one))}</p>' for one in assessments),
        _ranked(steps),
        _section("In short", _table(*family_rows(benchmark, assessments))),
        _section("Likeness to real tunes, measure by measure", _likeness(benchmark, assessments)),
        _section("Distributions", _distributions(benchmark, sets)),
        _section("Structure", _structure(benchmark, sets)),
        _section(
            "What gives the tunes away", "".join(_giveaways(benchmark, one) for one in assessments)
        ),
        _section("Novelty and diversity", _table(*novelty_rows(benchmark, assessments))),
        _section("Control, likelihood, judge", _table(*asked_rows(assessments))),
        _section("Examples", _examples(sets, assessments)),
        _section("Every tune with something wrong", "".join(map(_faults, assessments))),
        _section("Definitions of the measures", _definitions()),
    ]
    digest = b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; "
        f"font-src data:; script-src 'sha256-{digest}'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{_COLOURS}{CARD_STYLE}</style>\n</head>\n"
        "<body>\n" + "\n".join(body) + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _lead(benchmark: Benchmark, about: Mapping[str, Any]) -> str:
    reference = benchmark.reference
    remarks = ", ".join(f"{name} {value}" for name, value in about.items())
    return (
        f"Compared with {len(reference.held_out):,} held-out tunes of {reference.name} "
        f"({len(set(reference.held_out.groups)):,} families, split {reference.split}); floors from "
        f"{len(reference.others):,} other tunes; copies looked for among "
        f"{len(reference.sources):,}. {remarks}."
    )


def _ranked(steps: Sequence[RankStep]) -> str:
    if not steps:
        return ""
    rows = [
        (
            step.better,
            "is nearer to real tunes than" if step.sure else "cannot be told from",
            step.worse,
            spread(step.difference),
        )
        for step in steps
    ]
    intro = (
        "<p>Neighbours in the order of their distance over all measures; a rank is given only "
        "where the bootstrap interval of the difference (natural logarithm of the ratio) "
        "excludes 0.</p>"
    )
    return _section("Ranking", intro + _table(("", "", "", "difference"), rows))


def _likeness(benchmark: Benchmark, assessments: Sequence[Assessment]) -> str:
    rows = [(one.name, one.likeness) for one in assessments]
    ceilings = {ceiling.name: ceiling.distances for ceiling in benchmark.ceilings}
    words = (
        "<p>Distances are divided by their floor, the mean distance of as many other real tunes, "
        "whole families: 1x is as near as real tunes are to each other. Lines are 95 % of "
        "bootstrap samples. Hollow triangles are an order-3 Markov chain, squares shuffled "
        "notes; both are given the heading, the length and the repeats of real tunes.</p>"
    )
    key = _key([(one.name, colour) for one, colour in zip(assessments, SETS, strict=False)])
    return words + key + charts.distances(rows, ceilings) + _numbers(benchmark, assessments)


def _numbers(benchmark: Benchmark, assessments: Sequence[Assessment]) -> str:
    head = (
        "measure",
        "family",
        "unit",
        "floor",
        "95 % of floors",
        *(name for one in assessments for name in (one.name, "95 %", "by floor")),
        *(ceiling.name for ceiling in benchmark.ceilings),
    )
    rows = []
    for k, row in enumerate(assessments[0].likeness):
        cells = [row.name, row.family, row.unit, number(row.floor), f"≤ {number(row.floor_high)}"]
        for one in assessments:
            distance = one.likeness[k].distance
            interval = f"{number(distance.low)} to {number(distance.high)}"
            cells += [number(distance.value), interval, number(one.likeness[k].ratio, 2)]
        rows.append([*cells, *(number(ceiling.distances[k]) for ceiling in benchmark.ceilings)])
    return _details("All numbers", head, rows)


def _distributions(benchmark: Benchmark, sets: Sequence[tuple[TuneSet, Features]]) -> str:
    parts = [_key([("held-out real tunes", REAL), *_names(sets)])]
    for name in _SHOWN:
        real = benchmark.floors.reference.counts[name]
        kinds = _top(real, [features.counts[name] for _, features in sets])
        series = [
            Series("real", REAL, _shares(real, kinds)),
            *(
                Series(tunes.name, colour, _shares(features.counts[name], kinds))
                for (tunes, features), colour in zip(sets, SETS, strict=False)
            ),
        ]
        parts.append(
            f"<section><h3>{escape(name)}</h3>"
            f'<span class="faint">{escape(DISTRIBUTIONS[name].definition)}</span>'
            f"{charts.bars(kinds, series)}</section>"
        )
    return f'{parts[0]}<div class="charts">{"".join(parts[1:])}</div>'


def _top(real: Any, others: Sequence[Any], most: int = 14) -> list[str]:
    """The most frequent kinds of any set, numbers in their order."""
    totals: dict[str, float] = {}
    for counts in (real, *others):
        pooled: Counter[str] = Counter()
        for tune in counts:
            pooled.update(tune)
        for kind, n in pooled.items():
            totals[kind] = max(totals.get(kind, 0), n / (pooled.total() or 1))
    kinds = sorted(totals, key=lambda kind: -totals[kind])[:most]
    return sorted(kinds, key=int) if all(k.lstrip("-").isdigit() for k in kinds) else kinds


def _shares(counts: Any, kinds: Sequence[str]) -> list[float]:
    total = tabulate(counts, (*kinds, "")).sum(axis=0)
    return (total / max(total.sum(), 1))[: len(kinds)].tolist()


def _structure(benchmark: Benchmark, sets: Sequence[tuple[TuneSet, Features]]) -> str:
    series = [
        Series("held-out real tunes", REAL, _curve(benchmark.reference.held_out.notes)),
        *(
            Series(tunes.name, colour, _curve(tunes.notes))
            for (tunes, _), colour in zip(sets, SETS, strict=False)
        ),
    ]
    words = (
        "<p>How alike measures are that lie 1, 2, 3 ... measures apart (mean of the "
        "self-similarity matrix along a diagonal). Real dance tunes answer themselves after 2, 4, "
        "8 and 16 measures.</p>"
    )
    return (
        words
        + _key([("held-out real tunes", REAL), *_names(sets)])
        + charts.curves(series, label="likeness by distance in measures")
    )


def _curve(notes: Sequence[NoteArrays]) -> list[float]:
    rows = np.array([similarity_curve(tune) for tune in notes[:_N_CURVE]])
    known = ~np.isnan(rows)
    return (np.where(known, rows, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)).tolist()


def _giveaways(benchmark: Benchmark, one: Assessment) -> str:
    judges = (
        (one.unseen, benchmark.real_unseen, "strings of notes and phrases, which no critic uses"),
        (one.classifier, benchmark.real_classifier, "the measures, which a critic may use"),
    )
    return f"<h3>{escape(one.name)}</h3>" + "".join(_told(*judge) for judge in judges)


def _told(told: Discrimination | None, floor: Discrimination | None, views: str) -> str:
    if told is None:
        return f"<p>Too few tunes for a classifier of {views}.</p>"
    words = (
        f"<p>By {views}, a classifier tells them from held-out real tunes with AUC "
        f"{spread(told.auc, 2)}"
        + (f"; real tunes from other real tunes with {spread(floor.auc, 2)}" if floor else "")
        + ". These things by themselves tell most (AUC above 0.5: more in the new tunes).</p>"
    )
    rows = [(g.name, number(g.auc), number(g.real), number(g.new)) for g in told.giveaways]
    return words + _table(("what", "AUC by itself", "real tunes", "these"), rows)


def _examples(sets: Sequence[tuple[TuneSet, Features]], assessments: Sequence[Assessment]) -> str:
    parts = []
    for (tunes, _), assessment in zip(sets, assessments, strict=True):
        for label, i in assessment.examples.items():
            tune = replace(tunes.tunes[i], title=tunes.tunes[i].title or tunes.names[i])
            picture = charts.self_similarity(tunes.notes[i].similarity, "self-similarity")
            parts.append(
                f'<div class="example"><h3>{escape(tunes.name)}: {escape(label)}</h3>'
                f"{card(PageEntry(tune, {}))}<details><summary>Self-similarity of its "
                f"{tunes.notes[i].n_measures} measures</summary>{picture}</details></div>"
            )
    return f'<div class="examples">{"".join(parts)}</div>'


def _faults(one: Assessment) -> str:
    validity = one.validity
    lists = (
        ("unreadable", [(f.name, f.what) for f in validity.unreadable]),
        (
            "invalid: bars, repeats or endings do not add up",
            [(f.name, f.what) for f in validity.invalid],
        ),
        (
            "set aside: no single melody in one key and meter",
            [(f.name, f.what) for f in validity.set_aside],
        ),
        (
            "copies",
            [
                (c.name, f"{c.bars} bars of {c.of}, similarity {c.similarity:.2f}")
                for c in one.copies
            ],
        ),
    )
    return "".join(_details(f"{one.name}: {name}", ("tune", "what"), rows) for name, rows in lists)


def _definitions() -> str:
    rows = [
        (d.name, d.group, f"distribution: {d.definition}; Jensen-Shannon distance", d.source)
        for d in DISTRIBUTIONS.values()
    ]
    rows += [
        (m.name, m.group, f"{m.definition}; Wasserstein distance in standard deviations", m.source)
        for m in MEASURES.values()
    ]
    return _details("Definitions and sources", ("name", "family", "definition", "source"), rows)


def _names(sets: Sequence[tuple[TuneSet, Features]]) -> list[tuple[str, str]]:
    return [(one.name, colour) for (one, _), colour in zip(sets, SETS, strict=False)]


def _key(names: Iterable[tuple[str, str]]) -> str:
    spans = "".join(f'<span><i class="{c}"></i>{escape(name)}</span>' for name, c in names)
    return f'<p class="key">{spans}</p>'


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{content}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if k else ''}>{escape(cell)}</td>" for k, cell in enumerate(row))
        + "</tr>\n"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{top}</tr>\n{lines}</table></div>'


def _details(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return f"<details><summary>{escape(title)}: none</summary></details>"
    more = f"<p>The first {MAX_LISTED}; the JSON has all.</p>" if len(rows) > MAX_LISTED else ""
    return (
        f"<details><summary>{escape(title)}: {len(rows)}</summary>{more}"
        f"{_table(head, rows[:MAX_LISTED])}</details>"
    )
