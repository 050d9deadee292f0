"""An evaluation in words and rows: the same for the terminal, the page and a model's card."""

from __future__ import annotations

import math
from collections.abc import Sequence

from musicgen.evaluation.report import Assessment, Benchmark
from musicgen.music.metrics.distances import ConfidenceInterval
from musicgen.music.metrics.table import GROUPS

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]

RATIO_GOAL = 2.0


def number(value: float, digits: int = 3) -> str:
    """A number, or a dash where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def spread(estimate: ConfidenceInterval, digits: int = 3) -> str:
    """An estimate with its interval."""
    low, high = number(estimate.low, digits), number(estimate.high, digits)
    return f"{number(estimate.value, digits)} ({low} to {high})"


def headline(benchmark: Benchmark, one: Assessment) -> str:
    """The verdict in a sentence or three, shortfalls included."""
    valid = one.validity
    n_near = sum(row.ratio <= RATIO_GOAL for row in one.likeness)
    parts = [
        f"{one.name}: {valid.valid.value:.1%} of {valid.n_found:,} tunes are valid",
        f"{n_near} of {len(one.likeness)} likeness measures lie within {RATIO_GOAL:g} times what "
        "other real tunes show",
    ]
    for told, floor, views in (
        (one.unseen, benchmark.real_unseen, "by views that no critic uses"),
        (one.classifier, benchmark.real_classifier, "by the measures"),
    ):
        if told is not None:
            tells = "cannot tell" if told.auc.low <= 0.5 else "tells"
            real = f" (real from real: {number(floor.auc.value, 2)})" if floor is not None else ""
            parts.append(
                f"a classifier {tells} them from real tunes {views}, "
                f"AUC {spread(told.auc, 2)}{real}"
            )
    ours, theirs = one.nearness, benchmark.held_out_nearness
    less = "no longer" if ours.copied_bars.low <= theirs.copied_bars.high else "longer"
    parts.append(
        f"runs shared with the corpus are {less} than held-out real tunes' "
        f"({number(ours.copied_bars.value, 1)} against {number(theirs.copied_bars.value, 1)} bars "
        "on average)"
    )
    return "; ".join(parts) + "."


def family_rows(benchmark: Benchmark, assessments: Sequence[Assessment]) -> Rows:
    """Every set, the ceilings and the floor, by family of measures."""
    head = ("", "tunes", "valid", *GROUPS, "all", "AUC", "unseen", "copies")
    rows = [
        (
            "other real tunes",
            f"{len(benchmark.reference.others):,}",
            "-",
            *("1.00" for _ in GROUPS),
            "1.00",
            *(
                number(floor.auc.value, 2) if floor else "-"
                for floor in (benchmark.real_classifier, benchmark.real_unseen)
            ),
            f"{benchmark.held_out_nearness.copies.value:.1%}",
        )
    ]
    for one in assessments:
        rows.append(
            (
                one.name,
                f"{one.validity.n_judged:,}",
                f"{one.validity.valid.value:.1%}",
                *(number(one.ratios[family], 2) for family in (*GROUPS, "all")),
                *(spread(t.auc, 2) if t else "-" for t in (one.classifier, one.unseen)),
                f"{one.nearness.copies.value:.1%}",
            )
        )
    rows += [
        (
            ceiling.name,
            "",
            "-",
            *(number(ceiling.ratios[family], 2) for family in GROUPS if family != "form"),
            "given",
            number(ceiling.ratios["all"], 2),
            number(ceiling.auc, 2),
            number(ceiling.unseen_auc, 2),
            "-",
        )
        for ceiling in benchmark.ceilings
    ]
    return head, rows


def novelty_rows(benchmark: Benchmark, assessments: Sequence[Assessment]) -> Rows:
    """Copied runs, nearest tunes and duplicates, held-out real tunes first."""
    head = (
        "",
        "tunes",
        "copied bars, mean",
        "median, 90 %, 99 %",
        "longest",
        "similarity, mean",
        "called copies",
        "duplicates",
        "families",
    )
    sets = [("held-out real tunes", benchmark.held_out_nearness, "-", "-")]
    sets += [
        (one.name, one.nearness, str(one.diversity.duplicates), str(one.diversity.families))
        for one in assessments
    ]
    rows: list[tuple[str, ...]] = [
        (
            name,
            str(near.n),
            spread(near.copied_bars, 2),
            ", ".join(number(q, 0) for q in near.copied_bars_quantiles),
            number(near.longest, 0),
            spread(near.similarity, 2),
            spread(near.copies),
            duplicates,
            families,
        )
        for name, near, duplicates, families in sets
    ]
    return head, rows


def asked_rows(assessments: Sequence[Assessment]) -> Rows:
    """How well models met their controls; continuations, likelihood, the judge's score."""
    rows: list[tuple[str, ...]] = []
    for one in assessments:
        rows += [(one.name, f"{o.asked} as asked", spread(o.held), str(o.n)) for o in one.control]
        c = one.continuation
        if c is not None:
            about = (
                ("every note given kept", spread(c.kept)),
                ("valid", spread(c.valid)),
                (f"end on the tonic (real: {c.real_on_tonic.value:.2f})", spread(c.on_tonic)),
                (f"motifs of the first half (real: {c.real_motifs:.2f})", number(c.motifs)),
            )
            rows += [(one.name, f"continuations: {what}", n, str(c.n)) for what, n in about]
        bits = one.likelihood
        if bits is not None:
            value = spread(ConfidenceInterval(bits.bits_per_note, bits.low, bits.high))
            rows.append((one.name, "bits per note on held-out families", value, str(bits.n_tunes)))
        judged = one.judge
        rows += [
            (
                one.name,
                f"judge: {what} (real: {number(judged[f'real {what}'], 2)})",
                number(judged[what], 2),
                str(one.validity.n_judged),
            )
            for what in ("score", "rejected")
        ]
    return ("", "what", "share or value", "tunes"), rows


def detail_tables(
    benchmark: Benchmark, assessments: Sequence[Assessment]
) -> list[tuple[str, *Rows]]:
    """The longer tables of the terminal, with their titles."""
    head = (
        "measure",
        "floor",
        *(name for one in assessments for name in (one.name, "by floor")),
        *(ceiling.name for ceiling in benchmark.ceilings),
    )
    rows = []
    for k, row in enumerate(assessments[0].likeness):
        cells = [f"{row.name} ({row.unit})", number(row.floor)]
        for one in assessments:
            cells += [spread(one.likeness[k].distance), number(one.likeness[k].ratio, 1)]
        rows.append((*cells, *(number(ceiling.distances[k]) for ceiling in benchmark.ceilings)))
    tables: list[tuple[str, *Rows]] = [("distances from held-out real tunes", head, rows)]
    for one in assessments:
        for judge, views in ((one.classifier, "measures"), (one.unseen, "unseen views")):
            if judge is not None:
                told: list[tuple[str, ...]] = [
                    (g.name, number(g.auc), number(g.real), number(g.new)) for g in judge.giveaways
                ]
                title = f"what gives {one.name} away, {views}"
                tables.append((title, ("", "AUC by itself", "real tunes", "these"), told))
    tables.append(("asked and judged", *asked_rows(assessments)))
    return tables
