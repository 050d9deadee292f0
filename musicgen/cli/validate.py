"""The command that judges notation: validate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.messages import say
from musicgen.cli.options import app
from musicgen.cli.output import require_free
from musicgen.cli.progress import available_cores
from musicgen.errors import MusicgenError, UnsupportedFormatError, locate, reason_of

if TYPE_CHECKING:
    from musicgen.music.tune import Tune


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with one tune of a file. `kind` is one of `validation.KINDS`, "warning" for
    what the reader put up with, or "rejected" for what it could not read."""

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


@app.command()
def validate(
    files: Annotated[
        list[Path], typer.Argument(help="Files and folders: ABC, MIDI, MusicXML, kern.")
    ],
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Count what the reader put up with as wrong, too.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write NAME.fixed.abc with what has one obvious repair.")
    ] = False,
    workers: options.Workers = None,
    force: options.Force = False,
    as_json: options.Json = False,
    voices: options.Voices = None,
    track: options.Track = None,
    channel: options.Channel = None,
    key: options.ReadKey = None,
    meter: options.ReadMeter = None,
    pickup: options.Pickup = None,
) -> None:
    """Say bar by bar what does not add up. Exit code 1 if anything is wrong.

    What cannot be read at all is listed at the end.
    """
    from musicgen.cli.batch import FEWEST_FOR_PROCESSES, find_sources
    from musicgen.system.workers import in_order

    paths = [source.path for source in find_sources(files)]
    few = len(paths) < FEWEST_FOR_PROCESSES
    findings: list[Finding] = []
    n_tunes = 0
    asked = options.reading(
        voices=voices, track=track, channel=channel, key=key, meter=meter, pickup=pickup
    )
    for judged in in_order(
        partial(_judge_and_repair, asked=asked, strict=strict, fix=fix, force=force),
        paths,
        workers=1 if few else workers or available_cores(),
        advice="use --workers 1",
    ):
        n_tunes += judged.n_tunes
        findings += judged.findings
        for line in judged.said:
            say(line)
    findings.sort(key=lambda finding: finding.kind == "rejected")  # all else stays in order
    if as_json:
        facts: dict[str, Any] = {"tunes": n_tunes, "findings": [asdict(f) for f in findings]}
        print(json.dumps(facts, indent=1))
    else:
        for finding in findings:
            print(finding)
        wrong = len({(f.file, f.tune, f.kind == "rejected" and f.line) for f in findings})
        unread = len({f.file for f in findings if f.kind == "rejected" and not f.tune})
        say(
            f"{n_tunes} tunes in {len(paths)} files: {len(findings)} problems in {wrong} of them"
            + (f"; {unread} files could not be read" if unread else "")
        )
    raise typer.Exit(1 if findings else 0)


@dataclass(slots=True)
class _Judged:
    """What was found in a file, and lines to say about its repair."""

    n_tunes: int = 0
    findings: list[Finding] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def _judge_and_repair(
    path: Path, *, asked: Mapping[str, Any], strict: bool, fix: bool, force: bool
) -> _Judged:
    judged = _Judged()
    try:
        tunes, judged.findings = _judge(path, asked, strict=strict)
        judged.n_tunes = len(tunes)
        if fix:
            judged.said = _repair(path, tunes, force=force)
    except MusicgenError as error:
        line, column = getattr(error, "line", 0), getattr(error, "column", 0)
        what = reason_of(error, path)
        judged.findings.append(Finding(str(path), line, column, "", 0, "rejected", what))
    return judged


def _judge(
    path: Path, asked: Mapping[str, Any], *, strict: bool
) -> tuple[tuple[Tune, ...], list[Finding]]:
    from musicgen import formats
    from musicgen.music.validation import validate as problems_of

    reading = formats.scan(path, **formats.options_for(path, asked))
    file = str(path)
    findings = [
        Finding(file, rejected.line, 0, rejected.name, 0, "rejected", rejected.reason)
        for rejected in reading.rejected
    ]
    for tune in reading.tunes:
        name = f"X:{tune.number} {tune.title}".strip()
        findings += [
            Finding(file, p.line, p.column, name, p.bar, p.kind, p.message)
            for p in problems_of(tune)
        ]
        if strict:
            findings += [
                Finding(file, w.line, w.column, name, 0, "warning", w.what) for w in tune.warnings
            ]
    if not reading.tunes and not findings:
        findings.append(Finding(file, 0, 0, "", 0, "rejected", "holds no tune"))
    return reading.tunes, findings


def _repair(path: Path, tunes: tuple[Tune, ...], *, force: bool) -> list[str]:
    """Write the file anew beside the old one; whatever needed no repair stays to the letter. What
    was done, a line each."""
    from musicgen.formats.abc_notation import to_abc
    from musicgen.formats.abc_notation.text import decode_bytes
    from musicgen.formats.abc_notation.tunebook import without_controls
    from musicgen.music.validation import fix
    from musicgen.system.files import read_bytes, write_bytes

    if path.suffix.lower() not in (".abc", ".txt"):
        raise UnsupportedFormatError(f"{path}: only ABC can be repaired")
    text = without_controls(decode_bytes(read_bytes(path), str(path)))
    cursor, pieces = 0, []
    done: list[str] = []
    for tune in tunes:
        repaired, said = fix(tune)
        done += [f"{path}: X:{tune.number} {tune.title}: {line}" for line in said]
        if said and tune.source is not None:
            original = tune.source.text
            begin = text.index(original, cursor)
            tail = original[len(original.rstrip()) :]
            pieces += [text[cursor:begin], to_abc(repaired).rstrip() + tail]
            cursor = begin + len(original)
    pieces.append(text[cursor:])
    target = path.with_name(f"{path.stem}.fixed.abc")
    require_free(target, force=force)
    write_bytes(target, "".join(pieces).encode())
    return [*done, f"wrote {target}"]
