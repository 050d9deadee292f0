"""The command that checks notation: validate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen import formats
from musicgen.cli import options
from musicgen.cli.batch import FEWEST_FOR_PROCESSES, find_sources
from musicgen.cli.command import CONVERT, command
from musicgen.cli.messages import say
from musicgen.cli.options import ReadingOptions
from musicgen.cli.progress import available_cores
from musicgen.cli.results import kept, require_free, require_screen
from musicgen.errors import MusicgenError, UnsupportedFormatError, locate, reason_of
from musicgen.system.files import read_bytes, require_writable, write_bytes
from musicgen.system.workers import in_order

if TYPE_CHECKING:
    from musicgen.music.tune import Tune


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of one tune of a file. `kind` is one of `validation.KINDS`, "warning" for a warning
    of the reader, or "rejected" for a tune or file that it could not read."""

    file: str
    line: int
    column: int
    tune: str
    bar: int
    kind: str
    message: str

    def __str__(self) -> str:
        where = f"{self.tune}: " if self.tune else ""
        what = f"{where}bar {self.bar}: {self.message}" if self.bar else f"{where}{self.message}"
        return locate(what, path=self.file, line=self.line, column=self.column)


@command(CONVERT)
def validate(
    files: Annotated[
        list[Path], typer.Argument(help="Files and folders: ABC, MIDI, MusicXML, kern.")
    ],
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Count the reader's warnings as problems, too.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write NAME.fixed.abc with every unambiguous repair.")
    ] = False,
    workers: options.Workers = None,
    force: options.Force = False,
    as_json: options.Json = False,
    reading: ReadingOptions,
) -> None:
    """List bar by bar what does not add up. Exit code 1 if there is a problem.

    Files that cannot be read at all are listed at the end.
    """
    paths = [source.path for source in find_sources(files)]
    require_screen()
    for folder in {path.parent for path in paths} if fix else ():
        require_writable(folder, is_folder=True)
    few = len(paths) < FEWEST_FOR_PROCESSES
    findings: list[Finding] = []
    n_tunes = 0
    for judged in in_order(
        partial(
            _judge_and_repair, reading=options.given(reading), strict=strict, fix=fix, force=force
        ),
        paths,
        workers=1 if few else workers or available_cores(),
        advice="use --workers 1",
    ):
        n_tunes += judged.n_tunes
        findings += judged.findings
        for line in judged.repairs:
            say(line)
    findings.sort(key=lambda finding: finding.kind == "rejected")  # the others stay in order
    if as_json:
        print(json.dumps({"tunes": n_tunes, "findings": [asdict(f) for f in findings]}, indent=1))
    else:
        _print(findings, n_tunes, len(paths))
    raise typer.Exit(1 if findings else 0)


def _print(findings: Sequence[Finding], n_tunes: int, n_files: int) -> None:
    for finding in findings:
        print(finding)
    wrong = len({(f.file, f.tune, f.kind == "rejected" and f.line) for f in findings})
    unread = len({f.file for f in findings if f.kind == "rejected" and not f.tune})
    say(
        f"{n_tunes} tunes in {n_files} files: {len(findings)} problems in {wrong} of them"
        + (f"; {unread} files could not be read" if unread else "")
    )


@dataclass(slots=True)
class _Judged:
    """The findings in a file, and a line for each repair."""

    n_tunes: int = 0
    findings: list[Finding] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)


def _judge_and_repair(
    path: Path, *, reading: Mapping[str, Any], strict: bool, fix: bool, force: bool
) -> _Judged:
    judged = _Judged()
    try:
        tunes, judged.findings = _judge(path, reading, strict=strict)
        judged.n_tunes = len(tunes)
        if fix:
            judged.repairs = _repair(path, tunes, force=force)
    except MusicgenError as error:
        line, column = getattr(error, "line", 0), getattr(error, "column", 0)
        judged.findings.append(
            Finding(str(path), line, column, "", 0, "rejected", reason_of(error, path))
        )
    return judged


def _judge(
    path: Path, reading: Mapping[str, Any], *, strict: bool
) -> tuple[tuple[Tune, ...], list[Finding]]:
    from musicgen.music.validation import validate as problems_of

    result = formats.scan(path, **formats.options_for(path, reading))
    file = str(path)
    findings = [
        Finding(file, rejected.line, 0, rejected.name, 0, "rejected", rejected.reason)
        for rejected in result.rejected
    ]
    for tune in result.tunes:
        name = f"X:{tune.number} {tune.title}".strip()
        findings += [
            Finding(file, p.line, p.column, name, p.bar, p.kind, p.message)
            for p in problems_of(tune)
        ]
        if strict:
            findings += [
                Finding(file, w.line, w.column, name, 0, "warning", w.what) for w in tune.warnings
            ]
    if not result.tunes and not findings:
        findings.append(Finding(file, 0, 0, "", 0, "rejected", "holds no tune"))
    return result.tunes, findings


def _repair(path: Path, tunes: tuple[Tune, ...], *, force: bool) -> list[str]:
    """Write the repaired file beside the old one; text that needed no repair stays as it is. The
    result is a line for each repair."""
    from musicgen.formats.abc_notation import to_abc
    from musicgen.formats.abc_notation.text import decode_bytes
    from musicgen.formats.abc_notation.tunebook import without_controls
    from musicgen.music.validation import fix

    if path.suffix.lower() not in (".abc", ".txt"):
        raise UnsupportedFormatError(f"{path}: only ABC can be repaired")
    text = without_controls(decode_bytes(read_bytes(path), str(path)))
    cursor, pieces = 0, []
    done: list[str] = []
    for tune in tunes:
        repaired, repairs = fix(tune)
        done += [f"{path}: X:{tune.number} {tune.title}: {line}" for line in repairs]
        if repairs and tune.source is not None:
            original = tune.source.text
            begin = text.index(original, cursor)
            tail = original[len(original.rstrip()) :]
            pieces += [text[cursor:begin], to_abc(repaired).rstrip() + tail]
            cursor = begin + len(original)
    pieces.append(text[cursor:])
    target = path.with_name(f"{path.stem}.fixed.abc")
    require_free(target, force=force)
    try:
        write_bytes(target, "".join(pieces).encode())
    except MusicgenError as error:
        raise MusicgenError(kept(error)) from None
    return [*done, f"wrote {target}"]
