"""The command that describes a corpus: corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.command import LOOK, command
from musicgen.cli.messages import say
from musicgen.cli.output import MOST_LISTED, print_table, write_json, write_text
from musicgen.cli.progress import available_cores, progress_bar
from musicgen.cli.results import require_output, require_screen
from musicgen.errors import UnsupportedFormatError, printable


@command(LOOK)
def corpus(
    sources: options.Sources,
    *,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="List every tune left out, with the reason.")
    ] = False,
    irregular: Annotated[
        bool, typer.Option("--irregular", help="List every tune whose bars do not add up.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Write all of it to a .html or .json file.",
            rich_help_panel="Output",
        ),
    ] = None,
    column: options.Column = "",
    workers: options.Workers = None,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Describe a corpus: tunes, keys, meters, rhythms, what was left out and why."""
    from musicgen.corpus.preparation import examine
    from musicgen.corpus.report import report as describe
    from musicgen.corpus.report_page import render_page
    from musicgen.corpus.sources import with_column

    if report is not None:
        if report.suffix.lower() not in (".html", ".json"):
            raise UnsupportedFormatError(f"{report}: a report is .html or .json")
        require_output(report, force=force)
    else:
        require_screen()
    with progress_bar() as progress:
        named = with_column(sources, column)
        examined = examine(named, workers=workers or available_cores(), progress=progress)
    for notice in examined.corpus.notices:
        say(f"note: {notice}")
    facts = describe(examined.corpus, not_melodies=examined.omitted, irregular=examined.irregular)
    if report is not None:
        if report.suffix.lower() == ".html":
            write_text(report, render_page(facts))
        else:
            write_json(facts, report)
    if as_json:
        write_json(facts)
        return
    _print_corpus(facts, examined.language.what)
    if report is None and not rejected:
        for tune in facts["rejected"][:MOST_LISTED]:
            say(f"left out: {tune['id']}: {tune['reason']}")
    if rejected:
        for tune in [*facts["rejected"], *facts["not_melodies"]]:
            print(printable(f"{tune['id']}: {tune['reason']} ({tune['title']})"))
    if irregular:
        print("\n".join(map(printable, facts["irregular"])))


def _print_corpus(facts: dict[str, Any], language: str) -> None:
    families = facts["families"]
    rows = [
        ("read", f"{facts['tunes'] + len(facts['duplicates']):,} tunes"),
        ("repaired", f"{facts['tunes_with_warnings']:,} of them, read with warnings"),
        ("different", f"{facts['tunes']:,} tunes with {facts['notes']:,} notes"),
        ("unreadable", f"{len(facts['rejected']):,}{_listed(facts['rejected_by_reason'])}"),
        (
            f"no {language}",
            f"{len(facts['not_melodies']):,}{_listed(facts['not_melodies_by_reason'])}",
        ),
        ("irregular", f"{len(facts['irregular']):,} whose bars or repeats do not add up; kept"),
        ("families", f"{families['count']:,}; the largest has {families['largest']} tunes"),
        *(
            (f"  {name}", f"{split['tunes']:,} tunes, {split['notes']:,} notes")
            for name, split in facts["splits"].items()
        ),
        ("bars", _range(facts["bars"])),
        ("notes a tune", _range(facts["notes_per_tune"])),
        ("lowest pitch", _range(facts["lowest_pitch"])),
        ("highest pitch", _range(facts["highest_pitch"])),
        ("sources", _counts(facts["by_source"])),
        ("keys", _counts(facts["keys"])),
        ("meters", _counts(facts["meters"])),
        ("rhythms", _counts(facts["rhythms"])),
    ]
    print_table((), [(name, printable(value)) for name, value in rows])
    if facts["rejected"] or facts["not_melodies"]:
        say("--rejected lists every tune left out, --irregular those that do not add up")


def _listed(counts: dict[str, int]) -> str:
    return f": {_counts(counts)}" if counts else ""


def _counts(counts: dict[str, int], most: int = 14) -> str:
    shown = [f"{name} {n:,}" for name, n in list(counts.items())[:most]]
    rest = len(counts) - most
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def _range(summary: dict[str, float]) -> str:
    return f"{summary['min']:g} to {summary['max']:g}, median {summary['median']:g}"
