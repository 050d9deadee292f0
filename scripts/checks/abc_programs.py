"""Do other programs read the ABC that we write? abc2midi and abcjs, on tunes of every origin.

    NODE_PATH=node_modules python scripts/checks/abc_programs.py
    python scripts/checks/abc_programs.py --generated 0 --corpus 2000 --no-abcjs

- abcjs gives no warning, of a tune made from another none that it did not give on that, and plays
  the notes that we play: pitch, onset, duration.
- abc2midi plays the notes that we play, and of a corpus tune those that it plays from the source;
  it gives no message that it did not give on the source.

Ornaments and grace notes are left out of the copies that are compared with ours, and hornpipes are
not swung. A tune that differs is compared again (see `COPIES`) with jumps (D.C. and the like) left
out, which abc2midi does not know; with every repeat sign explicit: where `|:` is missing, programs
go back to different places; without the order of parts in P:, which abcjs does not know; and with
all notes of a chord as long as its first, as programs play them, though the standard (4.17) says
only that the chord lasts so long.

A difference that the user's own text makes is counted apart, with its reason (`NOT_OURS`).

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
from itertools import accumulate
from pathlib import Path
from typing import Annotated

from musicgen.formats.abc_notation import to_abc
from musicgen.music.playback import implicit_repeat_starts
from musicgen.music.tune import NO_MARKS, Change, Chord, Event, Marks, Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.checks.abc2midi import (
    Played,
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
NUMBER = re.compile(r"\d+(?:[-/]\d+)?")
UNREADABLE = "the source has errors for abc2midi or for us; from our text it plays what we play"
FEWER = "abc2midi gives other messages than on the source, in all no more"
CHORDS = "abc2midi gives the same messages for any chord symbol over these bars"
UNSIGNED = "abc2midi gives them for want of a |: in what was given"
NOT_OURS = frozenset((UNREADABLE, FEWER, CHORDS, UNSIGNED))


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


def without_parts(tune: Tune) -> Tune:
    """The tune with its parts in the order in which they are written."""
    return replace(tune, parts="")


def even_chords(tune: Tune) -> Tune:
    """The tune with every note of a chord as long as the chord."""

    def even(event: Event) -> Event:
        if not isinstance(event, Chord):
            return event
        notes = tuple(replace(note, duration=event.duration) for note in event.notes)
        return replace(event, notes=notes)

    voices = [
        replace(
            voice,
            bars=tuple(replace(bar, events=tuple(map(even, bar.events))) for bar in voice.bars),
        )
        for voice in tune.voices
    ]
    return replace(tune, voices=tuple(voices))


# Each copy is made from the one before it.
COPIES: dict[str, Callable[[Tune], Tune]] = {
    "as played": plain,
    "without jumps": without_jumps,
    "with explicit repeats": explicit,
    "without the order of parts": without_parts,
    "with even chords": even_chords,
}
DIFFERENT = "different"


def copies_of(tune: Tune) -> list[Tune]:
    """The copies of a tune that are compared, in turn until one is played alike."""
    return list(accumulate(COPIES.values(), lambda copy, make: make(copy), initial=tune))[1:]


def verdict_of(copies: Sequence[Tune], played: Callable[[int], list[Played]]) -> tuple[str, str]:
    """The first copy that a program plays as we do, or DIFFERENT; and what differs in the first."""
    first = ""
    for number, (name, copy) in enumerate(zip(COPIES, copies, strict=True)):
        difference = first_difference(copy, played(number))
        if not difference:
            return name, first
        first = first or difference
    return DIFFERENT, first


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


def text_of(tune: Tune) -> str:
    """The ABC that a tune was read from, or else what we write."""
    source = tune.source.text if tune.source is not None else ""
    return source if source.startswith("X:") else to_abc(tune)


def new_messages(tune: Tune, origin: Tune | None, folder: Path) -> dict[str, str]:
    """The messages of abc2midi that it did not give on the text that a tune was made from; where
    music or chord symbols were added, of other kinds."""
    said = messages(to_abc(tune), folder)
    before = messages(text_of(origin), folder) if origin is not None else Counter()
    more = said - before if origin is tune else Counter(said.keys() - before)
    if not more:
        return {}
    kind = "messages of abc2midi"
    if origin is not None:
        written = messages(to_abc(explicit(tune)), folder)
        starts = implicit_repeat_starts(tune.voices[0].bars)
        if said.total() <= before.total():
            kind = FEWER
        elif not more.keys() - messages(accompanied(origin), folder):
            kind = CHORDS
        elif not more.keys() & written and max(starts) < len(origin.voices[0].bars):
            kind = UNSIGNED
    return {kind: "; ".join(more)}


def accompanied(tune: Tune) -> str:
    """The tune as ABC with one chord symbol, at its first note, and no ornaments."""
    bare = plain(tune)
    first, *others = bare.voices[0].bars
    events = list(first.events)
    place = next(i for i, event in enumerate(events) if not isinstance(event, Change))
    marks = replace(events[place].marks, chord_symbol="C")
    events[place] = replace(events[place], marks=marks)
    voice = replace(bare.voices[0], bars=(replace(first, events=tuple(events)), *others))
    return to_abc(replace(bare, voices=(voice, *bare.voices[1:])))


def check_abc2midi(tune: Tune, origin: Tune | None, folder: Path) -> tuple[str, dict[str, str]]:
    """How abc2midi plays a tune, and its faults by kind."""
    copies = copies_of(tune)
    verdict, difference = verdict_of(copies, lambda n: oracle_notes(to_abc(copies[n]), folder)[0])
    faults = {"abc2midi plays otherwise": difference} if verdict == DIFFERENT else {}
    source = text_of(tune)
    theirs, errors = oracle_notes(source, folder)
    ours, _ = oracle_notes(to_abc(tune), folder)
    if sorted(theirs) != sorted(ours):
        is_unread = verdict != DIFFERENT and (errors or tune.warnings)
        kind = UNREADABLE if is_unread else "abc2midi plays the source otherwise"
        faults[kind] = f"{len(theirs)} and {len(ours)} notes; {[*errors, *tune.warnings][:1]}"
    return verdict, faults | new_messages(tune, origin, folder)


def kind_of(warning: str) -> str:
    """A warning of abcjs without its place, its line of music and the length that it speaks of."""
    return NUMBER.sub("N", re.split(r" ?:  |(?<=representable): ", warning)[0])


def check_abcjs(
    tunes: Sequence[Tune], origins: Sequence[Tune | None]
) -> list[tuple[str, dict[str, str]]]:
    """How abcjs plays each tune, and its faults by kind."""
    copies = [copies_of(tune) for tune in tunes]
    known = abcjs([text_of(t) if t is not None else "X:1\nK:C\nC" for t in origins])
    warned, *played = (abcjs([to_abc(t) for t in ts]) for ts in (tunes, *zip(*copies, strict=True)))
    found = []
    for number, ((warnings, _), (before, _)) in enumerate(zip(warned, known, strict=True)):
        more = Counter(map(kind_of, warnings)) - Counter(map(kind_of, before))
        faults = {"warnings of abcjs": "; ".join(warnings)} if more else {}
        notes = [answers[number][1] for answers in played]
        verdict, difference = verdict_of(copies[number], notes.__getitem__)
        if verdict == DIFFERENT:
            faults["abcjs plays otherwise"] = difference
        found.append((verdict, faults))
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
        for name, tunes, origins in sets:
            checks: dict[str, list[tuple[str, dict[str, str]]]] = {}
            if not no_abcjs:
                checks["abcjs"] = check_abcjs(tunes, origins)
            if not no_abc2midi:
                pairs = zip(tunes, origins, strict=True)
                checks["abc2midi"] = [check_abc2midi(*pair, Path(folder)) for pair in pairs]
            for program, results in checks.items():
                any_fault |= report(f"{name}: {program}", tunes, results)
    return any_fault


def report(title: str, tunes: Sequence[Tune], results: list[tuple[str, dict[str, str]]]) -> bool:
    """Print the faults of a program and their number; whether any is ours."""
    for tune, (_, faults) in zip(tunes, results, strict=True):
        for kind, what in faults.items():
            print(f"{title}: {tune.number}. {tune.title}: {kind}: {what}")
    verdicts = Counter(verdict for verdict, _ in results)
    counts = Counter(kind for _, faults in results for kind in faults)
    for heading, numbers in (
        ("played", {name: verdicts[name] for name in (*COPIES, DIFFERENT) if verdicts[name]}),
        ("faults", {kind: n for kind, n in counts.items() if kind not in NOT_OURS}),
        ("not ours", {kind: n for kind, n in counts.items() if kind in NOT_OURS}),
    ):
        listed = "; ".join(f"{n} {kind}" for kind, n in numbers.items())
        print(f"{title}: {len(tunes)} tunes: {heading}: {listed or 'none'}", flush=True)
    return bool(counts.keys() - NOT_OURS)


if __name__ == "__main__":
    command_line.run(main)
