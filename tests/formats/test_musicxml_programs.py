"""MusicXML in other programs: MuseScore 3 opens it without a message and plays what we play."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from fractions import Fraction
from xml.etree import ElementTree as ET

import mido
import pytest

from musicgen.formats.abc_notation import parse_text
from musicgen.formats.musicxml.reading import from_musicxml
from musicgen.formats.musicxml.writing import to_musicxml
from musicgen.music.playback import timeline
from musicgen.music.tune import Tune

HEAD = "X:1\nM:4/4\nL:1/4\nK:C\n"
IMPLIED = [
    ("CDEF:|GABc:|", 16),
    ("CDEF:|GABc|cBAG:|", 24),
    ("|:CDEF|1GABc:|2cBAG|]EFGA:|", 24),  # the second repeat begins after the endings
    ("|:CDEF|1GABc:|2cBAG|:EFGA:|", 24),  # the same with a sign of its own
    ("G|CDEF:|GABc|]cBAG:|", 22),
    ("V:1\nCDEF:|GABc:|\nV:2\nC,4|G,4|", 20),
]
SIGNS = [
    "(!lowermordent!CD) !uppermordent!EF|",  # 3.2 takes what follows them at once for part of them
    "!^!C .D !tenuto!E !trill!F|",
    "|:CDEF|[1 GABc:|[2 cBAG|CDEF|]",
    "[K:Ddor]DEFG|[K:Amix]A4|[K:Hp]A4|[K:D exp _b]B4|",
]
TEMPOS = [("Q:1/4=72\n", 72), ('Q:"Slow"\nR:jig\n', 174), ("R:jig\n", 174), ("", 120)]
JUMPS = [
    'C4|"Fine"D4|E4|"D.C."F4|]',  # without "al Fine" MuseScore goes on to the end
    "C4|D4!fine!|E4|F4!D.C.!|]",
    "|:C4|D4!fine!:|E4|F4!D.C.alfine!|]",
    "C4|!segno!D4|E4!fine!|F4!D.S.!|]",
    "C4!segno!|D4|E4|F4!D.S.!|]",
    "C4!dacoda!|D4|E4!D.C.alcoda!|!coda!F4|]",
    "C4!coda!|D4|E4!D.C.!|!coda!F4|]",  # the first sign is where the coda is left for
    "C4|!segno!D4!dacoda!|E4|F4!D.S.alcoda!|!coda!G4|A4|]",
    "|:C4|1,2 D4:|3 E4|]",
    "|:C4|1,3 D4:|2 E4:|]",
    "|:C4|1 D4:|2 E4:|F4|]",  # from the last ending nothing is repeated
    "|:C4|1 D4:|2 E4:||:F4:|",
    "|:C4|1 D4:|E4|]",
    '"Fine"C4|D4|',  # nothing goes back
]
PARTS = [
    ("ABA", "[P:A]CDEF:|[P:B]GABc:|"),
    ("ABAC", "[P:A]CDEF|GABc:|[P:B][K:D]GABc|[P:C]cdef|1c4:|2d4|]"),
    ("A2B2", "[P:A]CDEF|[P:B][M:3/4]GAB|"),
    ("ABA", "V:1\n[P:A]CDEF|[P:B][K:G]F4|\nV:2\n[P:A]C,4|[P:B][K:G]F,4|"),
    ("AB", "[P:A]CDEF:|[P:B]GABc:|"),
]
PIANO = "%%score {RH LH}\nV:RH name=Piano\nV:LH clef=bass\n"
PIANOS = [
    PIANO + 'K:C\nV:RH\n"C"CDEF|[K:G]"G"GABc:|\nV:LH\n!p!C,4|[K:G]G,4:|',
    PIANO + "K:C\nV:RH\n.C{d}DEF & G4|z4|\nV:LH\nC,2 [K:treble]c2|(3C,D,E, !trill!G,2|",
    "%%score 1 {(2 3) 4}\nK:C\nV:1\nC4|D4|\nV:2\nE4|F4|\nV:3\nG4|A4|\nV:4 clef=bass\nC,4|D,4|",
]

Exported = dict[str, tuple[list[str], bytes]]  # document -> messages, MIDI file


def tune(body: str, fields: str = "", *, key: str = "K:C\n") -> Tune:
    return parse_text(HEAD.replace("K:C\n", fields + key) + body + "\n").tunes[0]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """What MuseScore says and plays of every document of this module, in one run."""
    program = shutil.which("mscore3")
    if program is None:
        pytest.skip("MuseScore 3 is not installed (Debian: musescore3)")
    folder = tmp_path_factory.mktemp("musescore")
    tunes = [
        *(tune(body) for body, _ in IMPLIED),
        tune("\n".join(SIGNS), "R:reel\n", key="K:Gmix\n"),
        *(tune("CDEF|", fields) for fields, _ in TEMPOS),
        *map(tune, JUMPS),
        *(tune(body, f"P:{parts}\n") for parts, body in PARTS),
        *(tune(body, key="") for body in PIANOS),
    ]
    documents = {str(folder / f"{n}.musicxml"): to_musicxml(t) for n, t in enumerate(tunes)}
    jobs = [{"in": path, "out": path.replace(".musicxml", ".mid")} for path in documents]
    for path, document in documents.items():
        (folder / path).write_text(document, encoding="utf-8")
    (folder / "jobs.json").write_text(json.dumps(jobs))
    done = subprocess.run(
        [program, "-j", folder / "jobs.json"],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    messages: dict[str, list[str]] = {path: [] for path in documents}
    said = messages.setdefault("", [])
    for line in (done.stdout + done.stderr).splitlines():
        if begins := re.match(r"convert <(.*)>", line):
            said = messages[begins[1]]
        elif line and not line.startswith(("QStandardPaths", "\tto <", "... success!")):
            said.append(line)
    return {
        document: (messages[path], (folder / path).with_suffix(".mid").read_bytes())
        for path, document in documents.items()
    }


def midi_notes(data: bytes) -> list[tuple[Fraction, int]]:
    """Onset in quarters and pitch of every note of a MIDI file."""
    file = mido.MidiFile(file=io.BytesIO(data))
    found = []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                found.append((Fraction(tick, file.ticks_per_beat), message.note))
    return sorted(found)


def our_notes(tune: Tune) -> list[tuple[Fraction, int]]:
    return sorted((note.onset, note.midi) for note in timeline(tune).notes)


@pytest.mark.parametrize(
    ("body", "n_notes"),
    IMPLIED,
)
def test_a_repeat_that_begins_without_a_sign_is_played_alike(
    body: str, n_notes: int, exported: Exported
) -> None:
    ours = tune(body)
    messages, midi = exported[to_musicxml(ours)]
    assert (messages, midi_notes(midi)) == ([], our_notes(ours))
    assert len(midi_notes(midi)) == n_notes


def test_musescore_has_nothing_to_say(exported: Exported) -> None:
    ours = tune("\n".join(SIGNS), "R:reel\n", key="K:Gmix\n")
    messages, _ = exported[to_musicxml(ours)]
    assert messages == []
    assert from_musicxml(to_musicxml(ours).encode()) == ours


@pytest.mark.parametrize(("head", "qpm"), TEMPOS)
def test_the_tempo_is_ours(head: str, qpm: float, exported: Exported) -> None:
    ours = tune("CDEF|", head)
    _, midi = exported[to_musicxml(ours)]
    tempos = [m.tempo for track in mido.MidiFile(file=io.BytesIO(midi)).tracks for m in track
              if m.type == "set_tempo"]  # fmt: skip
    assert round(mido.tempo2bpm(tempos[0])) == qpm
    assert from_musicxml(to_musicxml(ours).encode()) == ours


def test_every_part_has_an_instrument_of_its_own_channel() -> None:
    ours = tune("V:1\nC4|\nV:2 program=40\nC4|\n")
    root = ET.fromstring(to_musicxml(ours))
    named = [e.get("id") for e in root.iter("score-instrument")]
    channels = [e.findtext("midi-channel") for e in root.iter("midi-instrument")]
    assert named == ["P1-I1", "P2-I1"] == [e.get("id") for e in root.iter("midi-instrument")]
    assert channels == ["1", "2"]
    assert [v.program for v in from_musicxml(to_musicxml(ours).encode()).voices] == [
        voice.program for voice in ours.voices
    ]


@pytest.mark.parametrize(
    "body",
    JUMPS,
)
def test_jumps_and_endings_are_played_alike(body: str, exported: Exported) -> None:
    ours = tune(body)
    messages, midi = exported[to_musicxml(ours)]
    assert (messages, midi_notes(midi)) == ([], our_notes(ours))
    assert from_musicxml(to_musicxml(ours).encode()) == ours
    again = from_musicxml(re.sub(r"<\?musicgen.*?\?>", "", to_musicxml(ours)).encode())
    assert our_notes(again) == our_notes(ours)


@pytest.mark.parametrize(
    ("parts", "body"),
    PARTS,
)
def test_parts_are_played_in_their_order(parts: str, body: str, exported: Exported) -> None:
    ours = tune(body, f"P:{parts}\n")
    messages, midi = exported[to_musicxml(ours)]
    assert (messages, midi_notes(midi)) == ([], our_notes(ours))
    assert from_musicxml(to_musicxml(ours).encode()) == ours


@pytest.mark.parametrize(
    ("body", "staves"),
    list(zip(PIANOS, ["{1 2}", "{(1 2) 3}", "1 {(2 3) 4}"], strict=True)),
)
def test_a_grand_staff_is_one_part(body: str, staves: str, exported: Exported) -> None:
    ours = tune(body, key="")
    document = to_musicxml(ours)
    root = ET.fromstring(document)
    assert [e.text for e in root.iter("staves")] == ["2"]
    assert len(root.findall("part")) == (1 if "RH" in body else 2)
    assert from_musicxml(document.encode()) == ours
    # Read without our remarks it is the same music, with a directive for the staves.
    again = from_musicxml(
        re.sub(r"<\?musicgen.*?\?>", "", document.replace("musicgen<", "x<")).encode()
    )
    assert our_notes(again) == our_notes(ours)
    assert ("%%", f"score {staves}") in again.fields
    messages, midi = exported[document]
    assert messages == []
    if "{d}" not in body:  # which MuseScore plays out
        assert midi_notes(midi) == our_notes(ours)


def test_voices_of_different_instruments_in_braces_are_parts() -> None:
    body = "%%score {1 2}\nK:C\nV:1\n%%MIDI program 40\nC4|\nV:2\n%%MIDI program 42\nC,4|"
    ours = tune(body, key="")
    assert len(ET.fromstring(to_musicxml(ours)).findall("part")) == 2
    assert from_musicxml(to_musicxml(ours).encode()) == ours
