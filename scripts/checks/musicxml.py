"""How much survives ABC -> MusicXML -> Tune, and whether music21 reads scores as we do.

    python scripts/checks/musicxml.py round-trip celtic tunes/ hymns.abc
    python scripts/checks/musicxml.py round-trip --plain celtic     # without our remarks
    python scripts/checks/musicxml.py read scores/ --sample 60      # .mxl, .musicxml, .krn

`round-trip` compares every field of every tune with what is read back, and lists what differs.
`--plain` takes the processing instructions out first, as another program would, and compares the
played notes, spelling and repeats as well. `read` reads every score under the folders, and a
sample of them with music21, and compares every note: bar, onset in it, pitch, duration.
"""

from __future__ import annotations

import random
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from musicgen.corpus import find_files
from musicgen.errors import MusicgenError
from musicgen.formats import read, scan
from musicgen.formats.musicxml.reading import from_musicxml
from musicgen.formats.musicxml.writing import to_musicxml
from musicgen.music.playback import timeline
from musicgen.music.tune import Bar, Change, Chord, Marks, Note, Tune, Voice

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

SUFFIXES = (".mxl", ".musicxml", ".xml", ".krn")
Sounds = Counter[tuple[int, Fraction, int, Fraction]]  # bar, onset in it, pitch, duration


def differences(ours: Any, read_back: Any, place: str = "") -> Iterator[str]:
    """Names of the fields that differ."""
    if ours == read_back:
        return
    same_kind = type(ours) is type(read_back)
    if same_kind and isinstance(ours, Tune | Voice | Bar | Note | Chord | Marks | Change):
        for field in fields(ours):
            if field.compare:
                mine, other = getattr(ours, field.name), getattr(read_back, field.name)
                yield from differences(mine, other, f"{type(ours).__name__}.{field.name}")
    elif same_kind and isinstance(ours, tuple) and len(ours) == len(read_back):
        for mine, other in zip(ours, read_back, strict=True):
            yield from differences(mine, other, place)
    else:
        yield place


def music(tune: Tune) -> tuple[object, ...]:
    """What nobody may lose: played notes, spelled pitches, repeats and endings."""
    played = [(n.onset, n.midi, n.duration, n.voice) for n in timeline(tune).notes]
    spelled = [
        note.pitch
        for voice in tune.voices
        for event in voice.events
        for note in getattr(event, "notes", (event,))
        if isinstance(note, Note)
    ]
    repeats = [
        [(bar.repeat_start, bar.volta, bar.repeat_end) for bar in voice.bars]
        for voice in tune.voices
    ]
    return played, spelled, repeats


def round_trip(sources: Sequence[str], *, plain: bool) -> None:
    """Print the share of tunes that come back as they were, and what differs in the others."""
    counts: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    written_s = read_s = 0.0
    for file in find_files(sources):
        for tune in scan(file.path).tunes:
            counts["tunes"] += 1
            start = time.process_time()
            try:
                document = to_musicxml(tune)
            except MusicgenError as error:
                print(f"{file.label}: {error}")
                causes["cannot be written"] += 1
                continue
            middle = time.process_time()
            if plain:
                document = re.sub(r"<\?musicgen .*?\?>", "", document)
            found = from_musicxml(document.encode(), file.label)
            written_s += middle - start
            read_s += time.process_time() - middle
            counts["to the last field"] += found == tune
            causes.update(set(differences(tune, found)))
            try:
                counts["same notes, spelling and repeats"] += music(found) == music(tune)
            except MusicgenError:
                counts["that cannot be played"] += 1
    n = counts.pop("tunes")
    print(f"{n} tunes; CPU: written in {written_s:.1f} s, read in {read_s:.1f} s")
    for what, count in counts.items():
        print(f"  {what}: {count} ({100 * count / max(n, 1):.2f} %)")
    for cause, count in causes.most_common():
        print(f"  differs in {count}: {cause}")


def our_sounds(tune: Tune) -> Sounds:
    """Every written note."""
    found: Sounds = Counter()
    for voice in tune.voices:
        for number, bar in enumerate(voice.bars):
            for line in (bar.events, *bar.overlays):
                at = Fraction(0)
                for event in (e for e in line if not isinstance(e, Change)):
                    notes = getattr(event, "notes", (event,))
                    found.update(
                        (number, at, n.midi, n.duration) for n in notes if isinstance(n, Note)
                    )
                    at += event.duration
    return found


def their_sounds(path: Path) -> Sounds:
    """Every written note as music21 reads the file."""
    import music21

    kind = "humdrum" if path.suffix == ".krn" else None
    score = music21.converter.parse(path, format=kind, forceSource=True).toSoundingPitch()
    found: Sounds = Counter()
    for part in score.parts:
        for number, measure in enumerate(part.getElementsByClass("Measure")):
            for heard in measure.recurse().notes:
                if heard.duration.isGrace or getattr(heard.style, "noteSize", "") == "cue":
                    continue
                if {"Harmony", "Unpitched", "PercussionChord"} & set(heard.classes):
                    continue
                at, length = (
                    Fraction(value).limit_denominator(960)
                    for value in (heard.getOffsetInHierarchy(measure), heard.quarterLength)
                )
                found.update((number, at, pitch.midi, length) for pitch in heard.pitches)
    return found


def compare_readers(folders: Sequence[str], sample: int, seed: int) -> None:
    """Read everything, and a sample with music21 too."""
    paths = sorted(p for f in folders for p in Path(f).rglob("*") if p.suffix in SUFFIXES)
    counts: Counter[str] = Counter()
    ours_s = theirs_s = 0.0
    chosen = set(random.Random(seed).sample(paths, min(sample, len(paths))))
    for path in paths:
        start = time.process_time()
        try:
            (tune,) = read(path)
        except MusicgenError as error:
            print(error)
            continue
        own_s = time.process_time() - start
        counts["read"] += 1
        counts["seconds, thousandths of"] += round(1000 * own_s)
        lengths = [[bar.duration for bar in voice.bars] for voice in tune.voices]
        counts["all voices equally long in every bar"] += all(o == lengths[0] for o in lengths)
        if path in chosen:
            ours_s += own_s
            start = time.process_time()
            theirs = their_sounds(path)
            theirs_s += time.process_time() - start
            ours = our_sounds(tune)
            counts["compared"] += 1
            cues = not ours - theirs and any(w.what.startswith("cue") for w in tune.warnings)
            counts["equal"] += ours == theirs
            counts["equal but for cue notes, which we leave out"] += ours != theirs and cues
            if ours != theirs and not cues:
                only, other = sorted(ours - theirs)[:2], sorted(theirs - ours)[:2]
                print(f"{path.name}: {sum(ours.values())} notes, ours {only}, music21 {other}")
    print(f"{len(paths)} files; {dict(counts)}")
    print(f"CPU on the sample: ours {ours_s:.1f} s, music21 {theirs_s:.1f} s")


def main(
    check: Annotated[str, ["round-trip", "read"]],
    sources: Annotated[Sequence[str], "corpora, files and folders"],
    *,
    plain: Annotated[bool, "take our remarks out first"] = False,
    sample: Annotated[int, "files for music21"] = 60,
    seed: int = 0,
) -> None:
    """Run the check that the command line names."""
    warnings.simplefilter("ignore")  # of music21
    if check == "round-trip":
        round_trip(sources, plain=plain)
    else:
        compare_readers(sources, sample, seed)


if __name__ == "__main__":
    command_line.run(main)
