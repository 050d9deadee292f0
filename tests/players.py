"""Other programs that play scores: the notes that abc2midi, abcjs and MuseScore make of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import mido

DRUM_CHANNEL = 9
PlayedPitch = tuple[float, int, bool]  # onset in quarters, MIDI number, on the drum channel

_ABCJS = """
const abcjs = require('abcjs');
const played = JSON.parse(require('fs').readFileSync(0)).map(text => {
  const notes = [];
  for (const track of abcjs.parseOnly(text)[0].setUpAudio({}).tracks)
    for (const e of track)
      if (e.cmd === 'note') notes.push([e.start * 4, e.pitch, e.instrument === 128]);
  return notes;
});
console.log(JSON.stringify(played));
"""


def has_abcjs() -> bool:
    """Whether node finds abcjs (`npm install abcjs`), by NODE_PATH or beside the project."""
    if shutil.which("node") is None:
        return False
    found = subprocess.run(["node", "-e", "require('abcjs')"], capture_output=True, check=False)
    return found.returncode == 0


def by_abcjs(texts: Sequence[str]) -> list[list[PlayedPitch]]:
    """The notes that abcjs plays of each ABC text."""
    command = ["node", "-e", _ABCJS]
    done = subprocess.run(
        command, input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    return [_sorted(notes) for notes in json.loads(done.stdout.splitlines()[-1])]


def by_abc2midi(text: str, folder: Path) -> list[PlayedPitch]:
    """The notes that abc2midi plays of an ABC text."""
    source, target = folder / "source.abc", folder / "target.mid"
    source.write_text(text)
    subprocess.run(["abc2midi", source, "-o", target], capture_output=True, check=True)
    return of_midi(target.read_bytes())


def errors_of_abc2midi(text: str, folder: Path) -> list[str]:
    """The errors that abc2midi reports of an ABC text."""
    source = folder / "source.abc"
    source.write_text(text)
    command = ["abc2midi", source, "-o", folder / "target.mid"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith("Error")]


def by_musescore(document: str, folder: Path) -> list[PlayedPitch]:
    """The notes that MuseScore plays of a MusicXML document."""
    source, target = folder / "source.musicxml", folder / "target.mid"
    source.write_text(document)
    quiet = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    subprocess.run(["mscore3", "-o", target, source], capture_output=True, env=quiet, check=True)
    return of_midi(target.read_bytes())


def of_midi(data: bytes) -> list[PlayedPitch]:
    """The notes of a MIDI file."""
    file, notes = mido.MidiFile(file=BytesIO(data)), []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                onset = tick / file.ticks_per_beat
                notes.append((onset, message.note, message.channel == DRUM_CHANNEL))
    return _sorted(notes)


def _sorted(notes: Sequence[Sequence[float]]) -> list[PlayedPitch]:
    return sorted((round(onset, 1), int(midi), bool(drum)) for onset, midi, drum in notes)
