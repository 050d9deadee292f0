"""Whether MIDI comes in as it was meant: against ABC versions, abc2midi, and our own writer.

    python scripts/checks/midi.py --abc ABC_FOLDER --midi MIDI_FOLDER    # pairs by name and number
    python scripts/checks/midi.py --abc FOLDER...                        # our ABC, through abc2midi
    python scripts/checks/midi.py --exact MIDI_FOLDER...                 # MIDI -> Tune -> MIDI

--abc renders every tune of the books by abc2midi, reads that MIDI, and compares its notes with
our playback of the ABC. With --midi, a file NAME12.mid is compared with tune X:12 of NAME.abc,
too. Whose fault a difference is, three things say: whether we read of the MIDI what mido does,
whether abc2midi plays the ABC as we do, and which of `MISREADINGS` of the ABC the MIDI comes from.
--exact compares ticks, pitches and ends of notes of the files, read and written again; each track
of a type 2 file. All differences are listed by cause; -v prints each.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Annotated

import mido

from musicgen.errors import MusicgenError
from musicgen.formats import abc_notation, midi, scan
from musicgen.formats.midi.parts import MidiPart, choose_melody, parts_of
from musicgen.formats.midi.smf import parse_file
from musicgen.music.playback import played_notes
from musicgen.music.theory import parse_key
from musicgen.music.tune import Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.checks.abc2midi import Verdict, judge, with_plain_repeats, without_ornaments

REPEATED = "the same bars, repeated otherwise"
BAR = Fraction(1)  # a length that bars and parts are multiples of
AGREED = (Verdict.EQUAL, Verdict.JUMPS, Verdict.REPEATS, Verdict.ERROR_EQUAL)
Notes = list[tuple[Fraction, Fraction, int]]


def files(folders: Sequence[Path], suffix: str) -> list[Path]:
    """Files with a suffix in folders, or named themselves, in order."""
    found = []
    for folder in folders:
        found += [folder] if folder.is_file() else sorted(folder.rglob(f"*{suffix}"))
    return found


def melody_of(tune: Tune) -> Notes:
    """Onset, duration and pitch of the first voice's notes, the highest of each chord."""
    top: dict[Fraction, tuple[Fraction, int]] = {}
    for note in played_notes(tune):
        if note.voice == 0 and (note.onset not in top or note.midi > top[note.onset][1]):
            top[note.onset] = (note.duration, note.midi)
    return [(onset, *rest) for onset, rest in sorted(top.items())]


def cause(ours: Notes, theirs: Notes) -> str:
    """Why two melodies are not the same, "" when they are; times from the first note."""
    if not ours or not theirs:
        return "no notes on one side"
    ours, theirs = _from_first(ours), _from_first(theirs)
    if ours == theirs:
        return ""
    if [(a, p) for a, _, p in ours] == [(a, p) for a, _, p in theirs]:
        return "equal but for durations"
    if [(a, d) for a, d, _ in ours] == [(a, d) for a, d, _ in theirs]:
        apart = {p - q for (_, _, p), (_, _, q) in zip(ours, theirs, strict=True)} - {0}
        return "accidentals" if apart <= {1, -1} else "other pitches"
    if _bars(ours) == _bars(theirs):
        return REPEATED
    if abs(len(ours) - len(theirs)) > 0.2 * len(ours):
        return "parts or repeats played another number of times"
    if [p for *_, p in ours] == [p for *_, p in theirs]:
        return "other durations, the same pitches"
    return "other notes" if len(ours) == len(theirs) else "notes more or less"


def _bars(notes: Notes) -> set[tuple[tuple[Fraction, Fraction, int], ...]]:
    """What sounds in each quarter, each once."""
    bars: dict[Fraction, list[tuple[Fraction, Fraction, int]]] = {}
    for onset, duration, pitch in notes:
        bars.setdefault(onset // BAR, []).append((onset % BAR, duration, pitch))
    return {tuple(bar) for bar in bars.values()}


def _from_first(notes: Notes) -> Notes:
    return [(onset - notes[0][0], duration, pitch) for onset, duration, pitch in notes]


def _rendered(tune: Tune, folder: Path, text: str = "") -> bytes:
    """MIDI that abc2midi writes of a tune, or of a text, without grace notes, swing and chords;
    b"" for none."""
    assert tune.source is not None
    source, target = folder / "tune.abc", folder / "tune.mid"
    text = re.sub(r"\AX:.*", "X:1", without_ornaments(text or tune.source.text))
    source.write_text(text + "\n", encoding="utf-8")
    target.unlink(missing_ok=True)
    subprocess.run(
        ["abc2midi", source, "1", "-o", target, "-NGRA", "-NGUI", "-NFER"],
        capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    return target.read_bytes() if target.exists() else b""


def as_mido_has_it(data: bytes) -> Notes:
    """The notes of a file of one voice, highest of each chord, by another reader than ours; each
    ends with the next at the latest."""
    file = mido.MidiFile(file=io.BytesIO(data))
    now, sounding, top = 0, {}, {}
    for message in mido.merge_tracks(file.tracks):
        now += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        if message.type == "note_on" and message.velocity:
            sounding[message.note] = now
        elif message.note in sounding:
            onset = sounding.pop(message.note)
            if onset not in top or message.note > top[onset][1]:
                top[onset] = (now - onset, message.note)
    unit = file.ticks_per_beat
    ends = [*sorted(top)[1:], now]
    return [
        (Fraction(onset, unit), Fraction(min(held, end - onset), unit), midi)
        for (onset, (held, midi)), end in zip(sorted(top.items()), ends, strict=True)
    ]


# What whoever made a MIDI version may have read otherwise than the ABC standard has it.
MISREADINGS = {
    "ties": "ties are struck again",
    "accidentals": "accidentals are for one note, not the bar",
    "parts": "it stops where the second part (P:) begins",
    "order": "Y: is the order of the parts",
    "repeats": "a repeat goes back past the one before, to the last |:",
}
ROUNDED = "triplets are rounded"
MOST_PLAYED = 10_000  # bars
OFF = Fraction(1, 24)  # of a quarter: between a place of triplets and one of thirty-seconds
_ABC = re.compile(
    r'"[^"]*"|%.*|\[[A-Za-z]:[^\]]*\]|^[A-Za-z]:.*$|[|]|([_^=]*)([A-Ga-g])([,\']*)|-', re.M
)

_SECOND_PART = re.compile(r"^K:.*\n(?:[A-Za-z]:.*\n)*(?![A-Za-z]:)(?s:.*?)(?=^P:)", re.M)


def misread(tune: Tune, how: Sequence[str]) -> str:
    """The tune's text with what is misread written as it is read."""
    assert tune.source is not None
    key, changed = tune.key, set()

    def replaced(match: re.Match[str]) -> str:
        nonlocal key
        text = match[0]
        if text.startswith(("K:", "[K:")):
            key = parse_key(text.strip("[]")[2:].split("%")[0].strip()) or key
        if text == "|":
            changed.clear()
        if text == "-" and "ties" in how:
            return ""
        if match[2] and "accidentals" in how:
            note = match[2] + match[3]
            if match[1]:
                changed.add(note)
            elif note in changed:
                return "_=^"[key.signature.get(match[2].upper(), 0) + 1] + note
        return text

    text = tune.source.text
    if "parts" in how and (second := _SECOND_PART.search(text)):
        text = text[: second.end()]
    text = re.sub("^Y:", "P:", text, flags=re.M) if "order" in how else text
    return _ABC.sub(replaced, text)


def repeated_past_repeats(tune: Tune) -> Tune:
    """The tune written out as somebody plays it who goes back to the last |: at every :|, through
    all repeats on the way again: |: A :| B :| is AABAAB."""
    bars = tune.bars
    order: list[int] = []
    taken: set[int] = set()  # :| that have sent the player back
    at = ending = 0
    while at < len(bars) and len(order) < MOST_PLAYED:
        bar = bars[at]
        ending = max(bar.volta, default=ending)
        close = next((i for i in range(at, len(bars)) if bars[i].repeat_end), len(bars))
        if bar.volta and close in taken:
            at = close + 1
            continue
        order.append(at)
        if at == close and at not in taken and ending < 2:
            start = max((i for i in range(at + 1) if bars[i].repeat_start), default=0)
            taken = {i for i in taken if not start <= i < at} | {at}
            at, ending = start, 0
            continue
        ending = 0 if at == close else ending
        at += 1
    plain = [replace(bars[i], repeat_start=False, repeat_end=0, volta=()) for i in order]
    return replace(tune, voices=(replace(tune.voices[0], bars=tuple(plain)),), parts="")


def _explained(tune: Tune, theirs: Notes) -> str:
    """The misreadings, as few as do, by which the ABC has the notes of a MIDI version; what is
    left to be explained else."""
    assert tune.source is not None
    loose, tried = "", set()
    for n in range(len(MISREADINGS) + 1):
        for how in combinations(MISREADINGS, n):
            names = [MISREADINGS[name] for name in how]
            text, again = misread(tune, how), "repeats" in how
            found = () if (text, again) in tried else abc_notation.parse(text.encode()).tunes
            tried.add((text, again))
            for read in found:
                ours = melody_of(repeated_past_repeats(read) if again else read)
                why = cause(ours, theirs)
                if why and _rounded(ours, theirs):
                    return " + ".join([*names, ROUNDED])
                if not why:
                    return " + ".join(names)
                if why == REPEATED and not loose:
                    loose = " + ".join([*names, REPEATED])
    return loose or cause(melody_of(tune), theirs)


def _rounded(ours: Notes, theirs: Notes) -> bool:
    """Whether times differ by the rounding of triplets alone."""
    if not ours or len(ours) != len(theirs):
        return False
    return all(
        p == q and abs(a - c) <= OFF and abs(b - d) <= 2 * OFF
        for (a, b, p), (c, d, q) in zip(_from_first(ours), _from_first(theirs), strict=True)
    )


def through_abc2midi(books: Sequence[Path], *, verbose: bool) -> None:
    """ABC -> abc2midi -> our reader, against our playback of the same ABC."""
    causes: Counter[str] = Counter()
    written_out = 0
    with tempfile.TemporaryDirectory() as folder:
        for book in books:
            for tune in scan(book).tunes:
                why, _ = _compare(tune, _rendered(tune, Path(folder)))
                if why and _plain_repeats_agree(tune, Path(folder)):
                    why, written_out = "", written_out + 1
                causes[why] += 1
                if why and verbose:
                    print(f"{book.name}: {tune.number}. {tune.title}: {why}")
    _print("ABC -> abc2midi -> MIDI reader against playback of the ABC", causes)
    print(f"    of the equal, {written_out} when repeats are written out for abc2midi")


def _plain_repeats_agree(tune: Tune, folder: Path) -> bool:
    """Whether abc2midi and our reader make the tune of it when its repeats have plain signs."""
    text = with_plain_repeats(tune)
    return not _compare(tune, _rendered(tune, folder, text))[0]


def against_pairs(books: Sequence[Path], folder: Path, *, verbose: bool) -> None:
    """A MIDI version of each tune against our playback of the ABC version."""
    causes: Counter[str] = Counter()
    exactly = n_agreed = n_differ = 0
    with tempfile.TemporaryDirectory() as scratch:
        for book in books:
            for tune in scan(book).tunes:
                path = folder / f"{book.stem}{tune.number}.mid"
                if not path.exists():
                    continue
                why, same = _compare(tune, path.read_bytes(), explain=True)
                causes[why] += 1
                exactly += same
                agreed = bool(why) and judge(tune, Path(scratch))[0] in AGREED
                n_differ, n_agreed = n_differ + bool(why), n_agreed + agreed
                if (why or not same) and verbose:
                    whose = "" if agreed or not why else "; abc2midi plays the ABC otherwise, too"
                    whose += "" if same else "; MISREAD"
                    print(f"{path.name}: {tune.title}: {why or 'equal'}{whose}")
    _print_as_read("MIDI version against playback of the ABC version", causes)
    print(f"    of all, read to the tick as mido reads them: {exactly}")
    print(f"    of the {n_differ} that differ, ABC played by abc2midi as by us: {n_agreed}")


def _compare(tune: Tune, data: bytes, *, explain: bool = False) -> tuple[str, bool]:
    """Why the MIDI is not the ABC, and whether we read of it what mido does."""
    if not data:
        return "abc2midi wrote nothing", False
    try:
        ours = melody_of(midi.parse(data, key=tune.key).tunes[0])
    except MusicgenError as error:
        return f"refused: {error}", False
    why = cause(melody_of(tune), ours)
    if why and explain:
        why = _explained(tune, ours)
    return why, _same_ticks(ours, as_mido_has_it(data), data)


def _same_ticks(ours: Notes, theirs: Notes, data: bytes) -> bool:
    """Whether onsets, durations and pitches are equal but for the rounding of thirds to ticks."""
    tick = Fraction(1, int.from_bytes(data[12:14]))
    return len(ours) == len(theirs) and all(
        abs(a - c) < tick and abs(b - d) < 2 * tick and p == q
        for (a, b, p), (c, d, q) in zip(ours, theirs, strict=True)
    )


def exact(paths: Sequence[Path], *, verbose: bool) -> None:
    """MIDI -> Tune -> MIDI, by ticks, with all parts and with the melody alone."""
    for voices in ("melody", "all"):
        causes: Counter[str] = Counter()
        for path in paths:
            why = _exact(path.read_bytes(), voices)
            causes[why] += 1
            if why and verbose:
                print(f"{path.name}: {why}")
        _print(f"MIDI -> Tune -> MIDI, {voices}", causes)


def _exact(data: bytes, voices: str) -> str:
    try:
        before = parse_file(data)
        tunes = midi.parse(data, voices=voices).tunes
        patterns = [[part] for part in parts_of(before, [])] if before.kind == 2 else []
        whys = []
        for tune, old in zip(tunes, patterns or [parts_of(before, [])], strict=True):
            after = parse_file(midi.render([tune]))
            new = parts_of(after, [])
            if voices == "melody":
                old, new = [choose_melody(old, 1, [])], [choose_melody(new, 1, [])]
            coarser = before.ticks_per_quarter != after.ticks_per_quarter
            whys.append("another resolution" if coarser else _moved(_rows(old), _rows(new)))
            if any("performance" in w.what for w in tune.warnings):
                return "a performance"
    except MusicgenError as error:
        return f"refused: {error}"
    return max(whys)


def _moved(theirs: list[tuple[int, ...]], ours: list[tuple[int, ...]]) -> str:
    """How notes differ that should be the same."""
    if theirs == ours:
        return ""
    if len(theirs) != len(ours):
        return "overlapping or repeated notes merged"
    furthest = max(max(abs(a - c), abs(b - d)) for (a, b, _), (c, d, _) in
                   zip(theirs, ours, strict=True))  # fmt: skip
    return "off by a tick" if furthest <= 1 else "notes moved (see the warnings)"


def _rows(parts: Sequence[MidiPart]) -> list[tuple[int, ...]]:
    return sorted(tuple(row) for part in parts for row in part.notes.tolist())


def _print_as_read(what: str, causes: Counter[str]) -> None:
    """The strict share, and the shares when one misreading after the other is allowed for."""
    n, good, allowed = sum(causes.values()), causes[""], {""}
    _print(what, causes)
    print(f"    equal: {good} ({100 * good / max(n, 1):.2f} %)")
    for name in (*MISREADINGS.values(), ROUNDED):
        allowed.add(name)
        good = sum(number for why, number in causes.items() if set(why.split(" + ")) <= allowed)
        print(f"    if {name}: {good} ({100 * good / max(n, 1):.2f} %)")


def _print(what: str, causes: Counter[str]) -> None:
    n, good = sum(causes.values()), causes[""]
    print(f"{what}: {good} of {n} equal ({100 * good / max(n, 1):.2f} %)")
    for why, number in causes.most_common():
        if why:
            print(f"    {number} {why}")


def main(
    *,
    abc: Sequence[Path] = (),
    midi: Path | None = None,
    exact_: Sequence[Path] = (),
    verbose: Annotated[bool, "-v"] = False,
) -> None:
    """Do what the options say."""
    books = files(abc, ".abc")
    if books and midi:
        against_pairs(books, midi, verbose=verbose)
    if books:
        through_abc2midi(books, verbose=verbose)
    if exact_:
        exact(files(exact_, ".mid"), verbose=verbose)


if __name__ == "__main__":
    command_line.run(main)
