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
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from musicgen.formats import read, rendered
from musicgen.formats.musicxml.braces import parts_of
from musicgen.formats.musicxml.signs import DYNAMICS, NOTATIONS, as_decorations
from musicgen.music.playback import parts_in_order
from musicgen.music.tune import Change, Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.notes import Played, joined, midi_notes, notes_of_line, played_notes
from scripts.tune_sets import tune_sets

TOLERANCE = Fraction(1, 40)  # quarters; a tick of MuseScore's is 1/480, its notes end one early
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


def difference(ours: Played, theirs: Played) -> str:
    """Where two performances part, in words; "" when they agree."""
    mine, others = sorted(ours.items()), sorted(theirs.items())
    for ((onset, pitch), length), ((at, other), lasts) in zip(mine, others, strict=False):
        if pitch != other or abs(onset - at) > TOLERANCE or abs(length - lasts) > TOLERANCE:
            return (
                f"{pitch} at {float(onset):.3f} for {float(length):.3f}, "
                f"there {other} at {float(at):.3f} for {float(lasts):.3f}"
            )
    return "" if len(mine) == len(others) else f"{len(mine)} notes, there {len(others)}"


# Staff, bar, onset in it, MIDI pitch, duration; values that are tied within a bar are one.
InBars = Counter[tuple[int, int, Fraction, int, Fraction]]


def notes_in_bars(tune: Tune) -> InBars:
    """Every written note of ours."""
    found: InBars = Counter()
    ordered = parts_in_order(tune)
    tune = tune if ordered is None else ordered.tune
    places = {n: (i, staff) for i, part in enumerate(parts_of(tune)) for n, staff in part}
    staves = sorted(set(places.values()))
    for voice_number, voice in enumerate(tune.voices):
        staff = staves.index(places[voice_number])
        for number, bar in enumerate(voice.bars):
            notes = (note for line in bar.lines for note in notes_of_line(line))
            found.update((staff, number, *note) for note in joined(notes))
    return found


def music21_notes(document: bytes) -> InBars:
    """The same as music21 reads a document."""
    from music21 import converter, stream

    score = converter.parseData(document.decode(), format="musicxml", forceSource=True)
    found: InBars = Counter()
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
        tell(tune, "played alike by MuseScore", difference(played_notes(tune), theirs))
        path.unlink(missing_ok=True)
    for tune, document in zip(tunes, documents, strict=True):
        if schema is not None:
            tell(tune, "valid", schema_errors(schema, document))
        ours, theirs = notes_in_bars(tune), music21_notes(document)
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
    sets = tune_sets(**sizes, corpus=corpus, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        passed = [check_set(name, tunes, loaded, Path(folder)) for name, tunes, _ in sets]
        if files:
            tunes = [tune for path in files for tune in read(path)]
            passed.append(check_set("files", tunes, loaded, Path(folder)))
    return not all(passed)


if __name__ == "__main__":
    command_line.run(main)
