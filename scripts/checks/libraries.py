"""Tunes go to each Python library and back: the share that has the same notes.

python scripts/checks/libraries.py celtic --every 20

A tune is equal when it plays the same notes in the same voices: onset, duration and MIDI pitch, all
exact, repeats played out. By way of music21 and of plain dicts the written notes must be spelled
alike, too, and by way of dicts the tunes be equal in every field. MIDI has no voices but those with
notes. Exit code 1 where a share is less than `--least`.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import musicgen
from musicgen.corpus import find_files
from musicgen.errors import MusicgenError
from musicgen.music.playback import played_notes, separate
from musicgen.music.tune import notes_of
from musicgen.system.workers import in_order

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

There, Back = Callable[[musicgen.Tune], Any], Callable[[Any], musicgen.Tune]
LIBRARIES: dict[str, tuple[There, Back]] = {
    "dict": (
        lambda t: json.dumps(musicgen.to_dict(t)),
        lambda d: musicgen.from_dict(json.loads(d)),
    ),
    "music21": (musicgen.to_music21, musicgen.from_music21),
    "mido": (musicgen.to_mido, musicgen.from_mido),
    "symusic": (musicgen.to_symusic, musicgen.from_symusic),
    "pretty_midi": (musicgen.to_pretty_midi, musicgen.from_pretty_midi),
}
WRITTEN = ("dict", "music21")  # libraries with written notes, not only played ones


def played(tune: musicgen.Tune) -> list[list[tuple[Any, ...]]]:
    """Onset, duration and pitch of the notes of each voice that has any; a pitch that is struck
    while it sounds ends there, as no instrument and no MIDI file can have it twice."""
    voices = defaultdict(list)
    for note in played_notes(tune):
        voices[note.voice].append(note)
    return [
        sorted((note.onset, note.duration, note.midi) for note in separate(voices[number]))
        for number in sorted(voices)
    ]


def spelled(tune: musicgen.Tune) -> list[list[str]]:
    """The written notes of each voice by name, in order."""
    return [
        [note.pitch.name for event in voice.events for note in notes_of(event)]
        for voice in tune.voices
    ]


def difference(tune: musicgen.Tune, library: str) -> str:
    """What a tune loses on its way to a library and back; "" for nothing."""
    there, back = LIBRARIES[library]
    try:
        result = back(there(tune))
    except MusicgenError as error:
        return f"refused: {error}"
    if library == "dict":
        return "" if result == tune else "a field"
    ours, theirs = played(tune), played(result)
    if ours != theirs:
        counts = [f"{sum(map(len, voices))} in {len(voices)}" for voices in (ours, theirs)]
        return f"notes ({' for '.join(counts)} voices)"
    return "spelling" if library in WRITTEN and spelled(tune) != spelled(result) else ""


def differences(path: Path, libraries: Sequence[str], every: int) -> list[tuple[str, str, str]]:
    """(tune, library, difference) for every so many tunes of a file and each library."""
    tunes = musicgen.scan(path).tunes[::every]
    return [
        (
            f"{path.name}:{tune.source.line if tune.source else 0} {tune.title}",
            name,
            difference(tune, name),
        )
        for tune in tunes
        for name in libraries
    ]


def main(
    corpora: Annotated[Sequence[str], "named corpora, files and folders"] = ("celtic",),
    *,
    library: Annotated[str, "one of them alone", tuple(LIBRARIES)] = "",
    every: Annotated[int, "take each so many-th tune of a file"] = 1,
    least: Annotated[float, "share that must be equal"] = 0.98,
    workers: int = 1,
) -> bool:
    """Print each difference and the shares."""
    libraries = [library] if library else list(LIBRARIES)
    check = partial(differences, libraries=libraries, every=every)
    paths = [file.path for file in find_files(corpora)]
    counts: dict[str, list[int]] = {name: [0, 0] for name in libraries}
    for results in in_order(check, paths, workers=workers, advice="use --workers 1"):
        for name, of, lost in results:
            counts[of][0] += not lost
            counts[of][1] += 1
            if lost:
                print(f"{of}: {name}: {lost}", flush=True)
    for of, (equal, tunes) in counts.items():
        print(f"{of:12} {equal} of {tunes} tunes equal ({equal / tunes:.2%})")
    return any(equal < least * tunes for equal, tunes in counts.values())


if __name__ == "__main__":
    command_line.run(main)
