"""Compare what we play from ABC files with what abc2midi plays: pitches, onsets and durations.

    python scripts/checks/abc2midi.py oneill=O/*.abc aird=A/*.abc

Prints each tune that is not played alike, with its file, line and number, and for each file or
named group of files how many are. Ornaments are left aside, since abc2midi plays grace notes,
trills and rolls out. A tune that is played in another order is compared again in two ways:

- with jumps left out, since abc2midi knows no D.C. and D.S.;
- with plain repeat signs in abc2midi's copy: where `|:` is missing after endings or a double bar,
  it goes back further than the standard (2.1, section 4.8) and musicians do, and it repeats from
  a `:|` that only closes a last ending.

Tunes in which abc2midi itself reports errors, or finds no music at all, are counted apart. Needs
abc2midi (Debian: abcmidi) and mido.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from musicgen.errors import MusicgenError
from musicgen.formats import scan
from musicgen.music.playback import implicit_repeat_starts, timeline
from musicgen.music.tune import Bar, Change, Event, Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

TOLERANCE = Fraction(1, 10)  # quarters; abc2midi spreads chords and shortens notes by a tick
ORNAMENTS = re.compile(r"![^! ]*(?:trill|roll|turn|mordent|slide)[^! ]*!|[~TMPRJk](?![^!|]*!)")


def without_ornaments(text: str) -> str:
    """The tune's text without the letters that abc2midi plays out as several notes, and without
    R:, for which abc2midi swings hornpipes, and I:, whose dialects it does not know."""
    lines = []
    for line in text.splitlines():
        if line.startswith(("R:", "I:")):
            continue
        if not re.match(r"[A-Za-z]:(?![|:])|%", line):
            parts = re.split(r'("[^"]*"|\[[A-Za-z]:[^\]]*\])', line)  # text, inline fields
            line = "".join(p if n % 2 else ORNAMENTS.sub("", p) for n, p in enumerate(parts))
        lines.append(line)
    return "\n".join(lines)


Played = tuple[int, Fraction, int, Fraction]  # pitch, onset, track, duration; in quarters


class Verdict(StrEnum):
    """How a tune compares."""

    EQUAL = "equal as played"
    JUMPS = "equal with jumps left out"
    REPEATS = "equal with plain repeat signs"
    DIFFERENT = "different"
    ERROR_EQUAL = "equal though abc2midi reports an error"
    ERROR = "different where abc2midi reports an error"
    SILENT = "abc2midi finds no music"


JUDGED = (Verdict.EQUAL, Verdict.JUMPS, Verdict.REPEATS, Verdict.DIFFERENT)


def without_jumps(tune: Tune) -> Tune:
    """The tune without decorations and text, among which D.C., D.S., Fine and Coda are."""
    voices = []
    for voice in tune.voices:
        bars = [
            replace(bar, events=tuple(plain(e) for e in bar.events if not is_text(e)))
            for bar in voice.bars
        ]
        voices.append(replace(voice, bars=tuple(bars)))
    return replace(tune, voices=tuple(voices))


def is_text(event: Event) -> bool:
    """Whether an event is nothing but text or signs, such as an annotation before a bar line."""
    return isinstance(event, Change) and (event.text, event.signs) != (None, None)


def plain(event: Event) -> Event:
    """An event without the marks that could be jumps."""
    if isinstance(event, Change):
        return event
    return replace(event, marks=replace(event.marks, decorations=(), annotations=()))


BEFORE_MUSIC = re.compile(r"(?:\s|\[[A-Za-z]:[^\]\n]*\]|\|(?!:)|(?<=\n)(?:[A-Za-z]:|%).*\n)*")


def with_plain_repeats(tune: Tune) -> str:
    """The tune's text with `|:` where a repeat begins without it, and with `||` for a `:|` that
    only closes the last ending."""
    assert tune.source is not None
    text = tune.source.text
    edits: dict[tuple[int, int], str] = {}
    for voice in tune.voices:
        starts = implicit_repeat_starts(voice.bars)
        last_endings = closed_endings(voice.bars)
        for number, bar in enumerate(voice.bars):
            if bar.span is None:
                continue
            if number in starts and (before := BEFORE_MUSIC.match(text, *bar.span)):
                edits[before.end(), before.end()] = " |: "
            close = text.rfind(":|", *bar.span)
            if number in last_endings and close >= 0:
                edits[close, close + 2] = " ||"
    for (first, last), new in sorted(edits.items(), reverse=True):
        text = text[:first] + new + text[last:]
    return text


def closed_endings(bars: Sequence[Bar]) -> set[int]:
    """The bars whose `:|` closes the last of several endings and repeats nothing."""
    found = set()
    number = 0
    for index, bar in enumerate(bars):
        number = 0 if bar.repeat_start else max(bar.volta, default=number)
        if bar.repeat_end:
            after = bars[index + 1].volta if index + 1 < len(bars) else ()
            if number > 1 and max(after, default=0) <= number:
                found.add(index)
        if bar.repeat_end or bar.barline in ("||", "|]", "[|"):
            number = 0
    return found


def oracle_notes(text: str, folder: Path) -> tuple[list[Played], list[str]]:
    """Notes of abc2midi and the errors it reports."""
    import mido

    source, target = folder / "tune.abc", folder / "tune.mid"
    text = re.sub(r"\AX:.*", "X:1", without_ornaments(text))
    source.write_text(text + "\n", encoding="utf-8")
    target.unlink(missing_ok=True)
    done = subprocess.run(
        ["abc2midi", source, "1", "-o", target, "-NGRA", "-NGUI", "-NFER"],
        capture_output=True, text=True, errors="replace", timeout=20, check=False,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if line.startswith("Error")]
    if done.returncode < 0 or not target.exists():
        return [], [*errors, f"abc2midi wrote nothing ({done.returncode})"]
    midi = mido.MidiFile(target)
    ticks = midi.ticks_per_beat
    notes: dict[tuple[int, Fraction, int], Fraction] = {}
    for number, track in enumerate(midi.tracks):
        now, sounding = 0, {}
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity:
                sounding[message.note] = now
            elif message.type in ("note_on", "note_off") and message.note in sounding:
                start = sounding.pop(message.note)
                place = (message.note, Fraction(start, ticks), number)
                notes[place] = Fraction(now - start, ticks)
    return [(*place, duration) for place, duration in notes.items()], errors


def first_difference(tune: Tune, oracle: list[Played]) -> str:
    """Where the two performances part, in words; "" when they agree."""
    ours = sorted({(n.midi, n.onset, n.voice): n.duration for n in timeline(tune).notes}.items())
    theirs = sorted({note[:3]: note[3] for note in oracle}.items())
    found = []
    for (place, duration), (other_place, other_duration) in zip(ours, theirs, strict=False):
        mine, other = (*place[:2], duration), (*other_place[:2], other_duration)
        late, longer = abs(mine[1] - other[1]), other[2] - mine[2]
        # A staccato note lasts half as long there; a wrong length also moves the next onset.
        fits = -mine[2] / 2 - TOLERANCE < longer < TOLERANCE
        if mine[0] != other[0] or late > TOLERANCE or not fits:
            found.append((min(mine[1], other[1]), mine, other))
    if found:
        _, mine, other = min(found)
        return f"{describe(mine)}, abc2midi {describe(other)}"
    if len(ours) != len(theirs):
        return f"{len(ours)} notes, abc2midi {len(theirs)}"
    return ""


def describe(note: tuple[int, Fraction, Fraction]) -> str:
    """A note in words."""
    return f"pitch {note[0]} at {float(note[1]):.3f} for {float(note[2]):.3f}"


def judge(tune: Tune, folder: Path) -> tuple[Verdict, str]:
    """The verdict on a tune, and what differs as it is played."""
    assert tune.source is not None
    oracle, errors = oracle_notes(tune.source.text, folder)
    try:
        difference = first_difference(tune, oracle)
    except MusicgenError as error:
        return Verdict.DIFFERENT, str(error)
    if errors:
        return (Verdict.ERROR if difference else Verdict.ERROR_EQUAL), errors[0]
    if not difference:
        return Verdict.EQUAL, ""
    if not oracle:
        return Verdict.SILENT, difference
    straight = without_jumps(tune)
    if not first_difference(straight, oracle):
        return Verdict.JUMPS, difference
    explicit, _ = oracle_notes(with_plain_repeats(tune), folder)
    if not first_difference(straight, explicit):
        return Verdict.REPEATS, difference
    return Verdict.DIFFERENT, difference


def compare(path: Path, folder: Path) -> Iterator[tuple[Tune, Verdict, str]]:
    """The verdict on every tune of a file."""
    for tune in scan(path).tunes:
        yield (tune, *judge(tune, folder))


def summary(name: str, counts: Counter[Verdict]) -> str:
    """A group's figures on one line."""
    judged = sum(counts[verdict] for verdict in JUDGED)
    figures = [f"{name}: {judged} compared"]
    total = 0
    for verdict in JUDGED[:-1]:
        total += counts[verdict]
        share = f" ({100 * total / judged:.2f} % so far)" if judged else ""
        figures.append(f"{counts[verdict]} {verdict}{share}")
    figures += [f"{counts[v]} {v}" for v in Verdict if v not in JUDGED[:-1]]
    return "; ".join(figures)


def main(
    files: Annotated[
        Sequence[str], "FILE, or GROUP=FILE to count it and the files after it together"
    ],
) -> None:
    """Compare the files named on the command line."""
    groups: dict[str, Counter[Verdict]] = {}
    group = ""
    with tempfile.TemporaryDirectory() as folder:
        for argument in files:
            named, equals, name = argument.partition("=")
            group = named if equals else group
            path = Path(name if equals else argument)
            counts = groups.setdefault(group or "all", Counter())
            for tune, verdict, difference in compare(path, Path(folder)):
                counts[verdict] += 1
                if verdict not in (Verdict.EQUAL, Verdict.ERROR_EQUAL):
                    line = tune.source.line if tune.source else 0
                    place = f"{path.name}:{line}: {tune.number}. {tune.title}"
                    print(f"{place}: {verdict}: {difference}")
    for name, counts in groups.items():
        print(summary(name, counts))


if __name__ == "__main__":
    command_line.run(main)
