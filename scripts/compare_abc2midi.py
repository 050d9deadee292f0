"""Compare what we play from ABC files with what abc2midi plays: pitches, onsets and durations.

    python scripts/compare_abc2midi.py tunes/*.abc

Prints the share of tunes that agree and each difference. Ornaments are left aside, since abc2midi
plays grace notes, trills and rolls out. Where the performances differ, the written notes are
compared too, with all repeat signs taken out: the two readers may agree on the notes and differ
in the order of playing (abc2midi knows no implicit repeat from a double bar, standard 2.1,
section 4.8, and no jumps). Tunes in which abc2midi itself reports errors, or in which it finds no
music at all, are counted apart. Needs abc2midi (Debian: abcmidi) and mido.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from musicgen.errors import MusicgenError
from musicgen.formats import scan
from musicgen.playback import timeline
from musicgen.tune import Change, Event, Tune

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
            parts = re.split(r'("[^"]*")', line)
            line = "".join(p if p.startswith('"') else ORNAMENTS.sub("", p) for p in parts)
        lines.append(line)
    return "\n".join(lines)


Played = tuple[int, Fraction, int, Fraction]  # pitch, onset, track, duration; in quarters
REPEATS = (
    (re.compile(r"\[[1-9][\d,-]*|(?<=\|)[1-9][\d,-]*"), ""),
    (re.compile(r":*[ ]*\[?\|[|\]:]*:|:+[ ]*\[?\|[|\]:]*|::+"), "|"),
    (re.compile(r"![^! ]*(?:D\.C|D\.S|fine|segno|coda)[^! ]*!", re.IGNORECASE), ""),
)


def without_repeats(text: str) -> str:
    """The tune's text without repeat signs, endings and parts."""
    lines = []
    for line in text.splitlines():
        if line.startswith("P:"):
            continue
        if not re.match(r"[A-Za-z]:(?![|:])|%", line):
            parts = re.split(r'("[^"]*")', line)
            for pattern, new in REPEATS:
                parts = [p if p.startswith('"') else pattern.sub(new, p) for p in parts]
            line = "".join(parts)
        lines.append(line)
    return "\n".join(lines)


def written(tune: Tune) -> Tune:
    """The tune without repeat signs, endings, parts and jumps."""
    voices = []
    for voice in tune.voices:
        bars = [
            replace(
                bar,
                repeat_start=False,
                repeat_end=0,
                volta=(),
                events=tuple(plain(e) for e in bar.events if e != Change(part="")),
            )
            for bar in voice.bars
        ]
        voices.append(replace(voice, bars=tuple(bars)))
    return replace(tune, voices=tuple(voices), parts="")


def plain(event: Event) -> Event:
    """An event without the marks that could be jumps."""
    if isinstance(event, Change):
        return event
    return replace(event, marks=replace(event.marks, decorations=(), annotations=()))


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
    theirs = sorted((note[:3], note[3]) for note in oracle)
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
    if len(ours) != len(oracle):
        return f"{len(ours)} notes, abc2midi {len(oracle)}"
    return ""


def describe(note: tuple[int, Fraction, Fraction]) -> str:
    """A note in words."""
    return f"pitch {note[0]} at {float(note[1]):.3f} for {float(note[2]):.3f}"


def judge(tune: Tune, folder: Path) -> tuple[str, str]:
    """The verdict on a tune, and what differs."""
    assert tune.source is not None
    oracle, errors = oracle_notes(tune.source.text, folder)
    try:
        difference = first_difference(tune, oracle)
    except MusicgenError as error:
        difference = str(error)
    if not difference:
        return "agree", ""
    if errors:
        return "abc2midi reports an error", f"[{errors[0]}] {difference}"
    if not oracle:
        return "abc2midi finds no music", difference
    plain_oracle, _ = oracle_notes(without_repeats(tune.source.text), folder)
    if not first_difference(written(tune), plain_oracle):
        return "agree but for the order of repeats", difference
    return "differ", difference


def main() -> int:
    """Compare the files named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for path in parser.parse_args().files:
            for tune in scan(path).tunes:
                verdict, difference = judge(tune, Path(folder))
                counts[verdict] += 1
                if difference:
                    line = tune.source.line if tune.source else 0
                    print(f"{path.name}:{line}: {tune.title}: {verdict}: {difference}")
    agree = counts["agree"] + counts["agree but for the order of repeats"]
    judged = agree + counts["differ"]
    share = 100 * agree / judged if judged else 0.0
    print(f"the same notes in {agree} of {judged} tunes ({share:.2f} %)")
    for verdict, count in counts.most_common():
        print(f"{count:6} {verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
