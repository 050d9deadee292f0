"""Do other programs read the ABC that we write? abc2midi and abcjs, on tunes of every origin.

    NODE_PATH=node_modules python scripts/checks/abc_programs.py
    python scripts/checks/abc_programs.py --generated 0 --corpus 2000 --no-abcjs

- abcjs gives no warning, of a corpus tune none that it did not give on the source, and plays the
  notes that we play: pitch, onset, duration.
- abc2midi plays the notes that we play, and of a corpus tune those that it plays from the source;
  it gives no message that it did not give on the source.

Ornaments and grace notes are left out of the copies that are compared with ours, and hornpipes are
not swung. A tune that differs is compared again with jumps (D.C. and the like) left out, which
abc2midi does not know, and then with every repeat sign explicit: where `|:` is missing, programs go
back to different places.

Needs abc2midi (Debian: abcmidi), the Python package mido, and node with the npm package abcjs (`npm
install abcjs`), found by NODE_PATH.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from musicgen.errors import InvalidTuneError
from musicgen.formats.abc_notation import to_abc
from musicgen.music.playback import implicit_repeat_starts
from musicgen.music.tune import NO_MARKS, Change, Event, Marks, Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.checks.abc2midi import (
    Played,
    Verdict,
    closed_endings,
    first_difference,
    oracle_notes,
    without_jumps,
)
from scripts.tune_sets import tune_sets

# Reads a list of ABC texts; writes of each the warnings and the notes: pitch, onset and duration in
# whole notes, track. A grace note takes its time from the note after it, which gets it back.
ABCJS = """
const abcjs = require("abcjs");
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answers = texts.map((text) => {
  const tune = abcjs.parseOnly(text)[0];
  const notes = [];
  const played = tune.setUpAudio({ chordsOff: true });
  played.tracks.forEach((track, number) => {
    for (const event of track) {
      if (event.cmd === "note") notes.push([event.pitch, event.start, event.duration, number]);
    }
  });
  return [(tune.warnings || []).map((w) => w.replace(/<[^>]*>/g, "")), notes];
});
process.stdout.write(JSON.stringify(answers));
"""
ROADS = re.compile(r"segno|coda|fine|d\.?[cs]|da ?capo|dal ?segno", re.IGNORECASE)
VERDICTS = (Verdict.EQUAL, Verdict.JUMPS, Verdict.REPEATS)
NUMBER = re.compile(r"\d+(?:[-/]\d+)?")


def plain(tune: Tune) -> Tune:
    """The tune without graces and decorations that programs play out; jumps stay."""

    def bare(event: Event) -> Event:
        if isinstance(event, Change):
            return event if event.signs is None else replace(event, signs=kept(event.signs))
        return replace(event, marks=kept(event.marks)) if event.marks != NO_MARKS else event

    def kept(marks: Marks) -> Marks:
        roads = tuple(d for d in marks.decorations if ROADS.match(d))
        return replace(marks, grace=None, decorations=roads, chord_symbol="")

    voices = []
    for voice in tune.voices:
        bars = [
            replace(
                bar,
                events=tuple(map(bare, bar.events)),
                overlays=tuple(tuple(map(bare, line)) for line in bar.overlays),
            )
            for bar in voice.bars
        ]
        voices.append(replace(voice, bars=tuple(bars)))
    return replace(tune, rhythm="", voices=tuple(voices))


def abcjs(texts: Sequence[str]) -> list[tuple[list[str], list[Played]]]:
    """The warnings of abcjs on each text, and the notes that it plays."""
    done = subprocess.run(
        ["node", "-e", ABCJS], input=json.dumps(texts), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"abcjs: {done.stderr.strip()}; npm install abcjs, and set NODE_PATH")

    def quarters(number: float) -> Fraction:
        return 4 * Fraction(number).limit_denominator(10_000)

    return [
        (warnings, [(p, quarters(at), track, quarters(length)) for p, at, length, track in notes])
        for warnings, notes in json.loads(done.stdout)
    ]


def messages(text: str, folder: Path) -> Counter[str]:
    """What abc2midi says of a text, numbers aside."""
    source = folder / "said.abc"
    source.write_text(re.sub(r"\AX:.*", "X:1", text) + "\n", encoding="utf-8")
    done = subprocess.run(
        ["abc2midi", source, "1", "-o", folder / "said.mid"],
        capture_output=True, text=True, errors="replace", timeout=20, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    return Counter(NUMBER.sub("N", s) for s in lines if s.startswith(("Error", "Warning")))


def explicit(tune: Tune) -> Tune:
    """The tune with `|:` where a repeat begins without it, and without a `:|` that only closes the
    last of several endings."""
    voices = []
    for voice in tune.voices:
        starts, closed = implicit_repeat_starts(voice.bars), closed_endings(voice.bars)
        bars = [
            replace(bar, repeat_end=0, barline="||")
            if number in closed
            else replace(bar, repeat_start=bar.repeat_start or 0 < number in starts)
            for number, bar in enumerate(voice.bars)
        ]
        voices.append(replace(voice, bars=tuple(bars)))
    return replace(tune, voices=tuple(voices))


def versions(tune: Tune) -> tuple[Tune, ...]:
    """The copies of a tune that are compared, in turn until one is played alike."""
    bare = plain(tune)
    straight = without_jumps(bare)
    return bare, straight, explicit(straight)


def verdict_of(
    copies: Sequence[Tune], played: Callable[[int], list[Played]]
) -> tuple[Verdict, str]:
    """How the notes of a program compare with ours, and what differs in the first copy."""
    differences = (first_difference(copy, played(n)) for n, copy in enumerate(copies))
    first = ""
    for verdict, difference in zip(VERDICTS, differences, strict=True):
        if not difference:
            return verdict, first
        first = first or difference
    return Verdict.DIFFERENT, first


def check_abc2midi(tune: Tune, folder: Path, *, is_new: bool) -> dict[str, str]:
    """The faults of a tune in abc2midi, by kind. A new tune may have no message at all; one made
    from another those of its bars without what was added to them."""
    text, copies = to_abc(tune), versions(tune)
    verdict, difference = verdict_of(copies, lambda n: oracle_notes(to_abc(copies[n]), folder)[0])
    faults = {"abc2midi plays otherwise": difference} if verdict is Verdict.DIFFERENT else {}
    source = tune.source.text if tune.source is not None else ""
    if source.startswith("X:"):
        theirs, ours = (sorted(oracle_notes(t, folder)[0]) for t in (source, text))
        if theirs != ours:
            faults["abc2midi plays the source otherwise"] = f"{len(theirs)} and {len(ours)} notes"
    before = source or ("" if is_new else to_abc(plain(tune)))
    if more := messages(text, folder) - (messages(before, folder) if before else Counter()):
        faults["messages of abc2midi"] = "; ".join(more)
    return faults


def kind_of(warning: str) -> str:
    """A warning of abcjs without its place and its line of music."""
    return NUMBER.sub("N", warning.split(" :  ")[0])


def check_abcjs(tunes: Sequence[Tune]) -> list[dict[str, str]]:
    """The faults of each tune in abcjs, by kind."""
    copies = [versions(tune) for tune in tunes]
    sources = [
        t.source.text if t.source is not None and t.source.text else "X:1\nK:C\nC" for t in tunes
    ]
    known = abcjs(sources)
    warned, *played = (abcjs([to_abc(t) for t in ts]) for ts in (tunes, *zip(*copies, strict=True)))
    found: list[dict[str, str]] = []
    for number, ((warnings, _), (before, _)) in enumerate(zip(warned, known, strict=True)):
        more = Counter(map(kind_of, warnings)) - Counter(map(kind_of, before))
        faults = {"warnings of abcjs": "; ".join(warnings)} if more else {}
        notes = [answers[number][1] for answers in played]
        verdict, difference = verdict_of(copies[number], notes.__getitem__)
        if verdict is Verdict.DIFFERENT:
            faults["abcjs plays otherwise"] = difference
        found.append(faults)
    return found


def main(
    *,
    generated: int = 300,
    harmonised: int = 100,
    continued: int = 50,
    corpus: int = 200,
    seed: int = 0,
    no_abcjs: Annotated[bool, "without abcjs"] = False,
    no_abc2midi: Annotated[bool, "without abc2midi"] = False,
) -> bool:
    """Check tunes of every origin; whether there is a fault."""
    any_fault = False
    sets = tune_sets(
        generated=generated, harmonised=harmonised, continued=continued, corpus=corpus, seed=seed
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, tunes in sets:
            faults: list[dict[str, str]] = [{} for _ in tunes]
            if not no_abcjs:
                faults = check_abcjs(tunes)
            if not no_abc2midi:
                for tune, row in zip(tunes, faults, strict=True):
                    try:
                        row |= check_abc2midi(tune, Path(folder), is_new=name == "generated")
                    except InvalidTuneError as error:
                        row["refused"] = str(error)
            counts = Counter(kind for row in faults for kind in row)
            for tune, row in zip(tunes, faults, strict=True):
                for kind, what in row.items():
                    print(f"{name}: {tune.number}. {tune.title}: {kind}: {what}")
            listed = "; ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
            print(f"{name}: {len(tunes)} tunes; {listed or 'no fault'}", flush=True)
            any_fault = any_fault or bool(counts)
    return any_fault


if __name__ == "__main__":
    command_line.run(main)
