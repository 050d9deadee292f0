"""Do other programs read the MusicXML that we write? MuseScore, the MusicXML 4.0 schema, music21.

    python scripts/checks/musicxml_programs.py --schema musicxml_4_0.xsd
    python scripts/checks/musicxml_programs.py --generated 0 --corpus 0 --files chorales/*.abc

Of every tune it is asked:

- MuseScore opens the file without a message and plays the notes that we play: pitch, onset and
  duration, repeats and jumps played out. Ornaments, graces and the signs that shorten notes are
  left out of the copy that is played, since MuseScore plays them out.
- The MusicXML 4.0 schema holds. It lies in `musicxml/generate_classes/` of the Python package
  `musicxml` (`pip download musicxml --no-deps`), and on the site of the W3C; without `--schema` it
  is left out.
- music21 reads every written note where we wrote it: bar, onset, pitch, duration.

Needs MuseScore 3 (Debian: musescore3) and the Python packages mido, music21 and xmlschema.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from musicgen.formats import read, rendered
from musicgen.formats.musicxml.signs import DYNAMICS, NOTATIONS, as_decorations
from musicgen.music.playback import timeline
from musicgen.music.tune import Change, Chord, Tune, notes_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.tune_sets import tune_sets

TOLERANCE = Fraction(1, 40)  # quarters; a tick of MuseScore's is 1/480, its notes end one early
Notes = dict[tuple[Fraction, int], Fraction]  # (onset, pitch) -> duration, in quarters
PROGRESS = re.compile(r"QStandardPaths|^convert |^\s*to <|^\.\.\. success!|^\s*$")


def plain(tune: Tune) -> Tune:
    """The tune without what MuseScore plays out: ornaments, articulations, dynamics, graces."""
    played_out = (*NOTATIONS, *DYNAMICS)

    def bare(event: Any) -> Any:
        if isinstance(event, Change):
            return event
        marks = event.marks
        kept = tuple(d for d in marks.decorations if d not in played_out)
        _, words = as_decorations(marks.annotations)
        return replace(
            event, marks=replace(marks, decorations=kept, annotations=tuple(words), grace=None)
        )

    voices = []
    for voice in tune.voices:
        bars = (
            replace(
                bar,
                events=tuple(map(bare, bar.events)),
                overlays=tuple(tuple(map(bare, line)) for line in bar.overlays),
            )
            for bar in voice.bars
        )
        voices.append(replace(voice, bars=tuple(bars)))
    return replace(tune, voices=tuple(voices))


def musescore(documents: Sequence[bytes], folder: Path) -> Iterator[tuple[str, Path]]:
    """Messages of MuseScore on each MusicXML document, and the MIDI file that it makes."""
    jobs = []
    for number, document in enumerate(documents):
        source = folder / f"{number}.musicxml"
        source.write_bytes(document)
        jobs.append({"in": str(source), "out": str(folder / f"{number}.mid")})
    (folder / "jobs.json").write_text(json.dumps(jobs))
    done = subprocess.run(
        ["mscore3", "-j", folder / "jobs.json"],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    messages: dict[str, list[str]] = {}
    current = ""
    for line in (done.stdout + done.stderr).splitlines():
        if begins := re.match(r"convert <(.*)>", line):
            current = begins[1]
        elif not PROGRESS.match(line):
            messages.setdefault(current, []).append(line.strip())
    for job in jobs:
        yield " ".join(messages.get(job["in"], [])), Path(job["out"])


def midi_notes(path: Path) -> Notes:
    """Notes of a MIDI file."""
    import mido

    file = mido.MidiFile(path)
    found: Notes = {}
    for track in file.tracks:
        now, sounding = 0, {}
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity:
                sounding[message.channel, message.note] = now
            elif message.type in ("note_on", "note_off"):
                start = sounding.pop((message.channel, message.note), None)
                if start is not None:
                    place = Fraction(start, file.ticks_per_beat), message.note
                    length = Fraction(now - start, file.ticks_per_beat)
                    found[place] = max(found.get(place, length), length)
    return found


def our_notes(tune: Tune) -> Notes:
    """Notes that we play; of those of one pitch struck together the longest."""
    found: Notes = {}
    for note in timeline(tune).notes:
        place = note.onset, note.midi
        found[place] = max(found.get(place, note.duration), note.duration)
    return found


def difference(ours: Notes, theirs: Notes) -> str:
    """Where two performances part, in words; "" when they agree."""
    mine, others = sorted(ours.items()), sorted(theirs.items())
    for ((onset, pitch), length), ((at, other), lasts) in zip(mine, others, strict=False):
        if pitch != other or abs(onset - at) > TOLERANCE or abs(length - lasts) > TOLERANCE:
            return (
                f"{pitch} at {float(onset):.3f} for {float(length):.3f}, "
                f"there {other} at {float(at):.3f} for {float(lasts):.3f}"
            )
    return "" if len(mine) == len(others) else f"{len(mine)} notes, there {len(others)}"


# Voice, bar, onset in it, MIDI pitch, duration; values that are tied within a bar are one.
Written = Counter[tuple[int, int, Fraction, int, Fraction]]


def written_notes(tune: Tune) -> Written:
    """Every written note of ours."""
    found: Written = Counter()
    for part, voice in enumerate(tune.voices):
        for number, bar in enumerate(voice.bars):
            notes = []
            for line in bar.lines:
                at = Fraction(0)
                for event in (e for e in line if not isinstance(e, Change)):
                    for note in notes_of(event):
                        length = note.duration if isinstance(event, Chord) else event.duration
                        notes.append((at, length, note.midi, note.tie))
                    at += event.duration
            found.update((part, number, *note) for note in joined(notes))
    return found


def joined(notes: Iterable[tuple[Fraction, Fraction, int, bool]]) -> Iterator[Any]:
    """Onset, pitch and duration of (onset, duration, pitch, whether tied to the next)."""
    tied: dict[tuple[Fraction, int], Fraction] = {}  # place that a tie leads to -> onset
    for onset, length, pitch, ties in sorted(notes, key=lambda note: note[0]):
        start = tied.pop((onset, pitch), onset)
        if ties:
            tied[onset + length, pitch] = start
        else:
            yield start, pitch, onset + length - start
    for (stop, pitch), start in tied.items():
        yield start, pitch, stop - start


def music21_notes(document: bytes) -> Written:
    """The same as music21 reads a document."""
    from music21 import converter, stream

    score = converter.parseData(document.decode(), format="musicxml", forceSource=True)
    found: Written = Counter()
    for number, part in enumerate(score.parts):
        for index, measure in enumerate(part.getElementsByClass(stream.Measure)):
            notes = []
            for element in measure.recurse().notes:
                if element.duration.isGrace or "ChordSymbol" in element.classes:
                    continue
                onset = Fraction(element.getOffsetInHierarchy(measure)).limit_denominator(10_000)
                length = Fraction(element.quarterLength).limit_denominator(10_000)
                for note in getattr(element, "notes", (element,)):
                    ties = note.tie is not None and note.tie.type in ("start", "continue")
                    notes.append((onset, length, note.pitch.midi, ties))
            found.update((number, index, *note) for note in joined(notes))
    return found


def schema_errors(schema: Any, document: bytes) -> str:
    """The first violation of the schema."""
    for error in schema.iter_errors(document.decode()):
        return f"{error.path}: {error.reason}"
    return ""


def check_set(name: str, tunes: Sequence[Tune], schema: Any, folder: Path) -> bool:
    """Print how many tunes of a set pass each check, and each that does not; whether all do."""
    counts: Counter[str] = Counter()

    def tell(tune: Tune, check: str, fault: str) -> None:
        counts[check] += not fault
        if fault:
            print(f"{name}: {tune.number}. {tune.title}: {check}: {fault}")

    documents = [rendered([tune], ".musicxml") for tune in tunes]
    for tune, (message, _) in zip(tunes, musescore(documents, folder), strict=True):
        tell(tune, "opened by MuseScore", message)
    bare = [plain(tune) for tune in tunes]
    played = musescore([rendered([tune], ".musicxml") for tune in bare], folder)
    for tune, (_, path) in zip(bare, played, strict=True):
        theirs = midi_notes(path) if path.exists() else {}
        tell(tune, "played alike by MuseScore", difference(our_notes(tune), theirs))
        path.unlink(missing_ok=True)
    for tune, document in zip(tunes, documents, strict=True):
        if schema is not None:
            tell(tune, "valid", schema_errors(schema, document))
        ours, theirs = written_notes(tune), music21_notes(document)
        only, other = sorted(ours - theirs)[:2], sorted(theirs - ours)[:2]
        tell(tune, "read alike by music21", "" if ours == theirs else f"ours {only}, its {other}")
    print(f"{name}: {len(tunes)} tunes; " + ", ".join(f"{n} {c}" for c, n in counts.items()))
    return all(counts[check] == len(tunes) for check in counts)


def main(
    *,
    schema: Annotated[Path | None, "musicxml_4_0.xsd"] = None,
    generated: int = 300,
    harmonised: int = 100,
    continued: int = 50,
    corpus: int = 200,
    files: Annotated[Sequence[Path], "further tunes"] = (),
    seed: int = 0,
) -> bool:
    """Run the checks on every set; exit code 1 where a tune fails one."""
    import xmlschema

    warnings.simplefilter("ignore")  # of music21
    loaded = xmlschema.XMLSchema(str(schema), allow="local") if schema else None
    sizes = {"generated": generated, "harmonised": harmonised, "continued": continued}
    sets: Iterable[tuple[str, list[Tune]]] = tune_sets(**sizes, corpus=corpus, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        passed = [check_set(name, tunes, loaded, Path(folder)) for name, tunes in sets if tunes]
        if files:
            passed.append(check_set("files", [read(path) for path in files], loaded, Path(folder)))
    return not all(passed)


if __name__ == "__main__":
    command_line.run(main)
