"""Bar lines, repeats and endings as other programs play them: what we write is what we play."""

from __future__ import annotations

import itertools
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from musicgen.formats import musicxml
from musicgen.formats.abc_notation import to_abc
from musicgen.formats.abc_notation.tunebook import parse_text
from musicgen.music.playback import timeline
from musicgen.music.tune import BARLINES, Tune
from tests.players import by_abc2midi, by_abcjs, errors_of_abc2midi, has_abcjs

abc2midi = pytest.mark.skipif(shutil.which("abc2midi") is None, reason="needs abc2midi")
abcjs = pytest.mark.skipif(not has_abcjs(), reason="needs node and abcjs")

NOTES = "CDEFGABcdefgab"  # a bar each, so that the notes tell the order of the bars
SECTIONS = (
    "|:X:|", "|:XX:|", "X||", "XX|]", "X|", "|:X:|]", "|:XX:||", "|:X|1X:|2X||", "|:XX|1X:|2X||",
    "|:X|1XX:|2X|]", "|:X|1,2X:|3X||", "|:X|1X:|2X:|3X||", "|:X|1-3X:|4X||", "|:X[1X:|[2X|]",
    "|:X|1X:|]2X|]", "|:X|1X:||2X|", "|:X|1,3X:|2X:|4X||",
)  # fmt: skip


def read(music: str) -> Tune:
    return parse_text(f"X:1\nM:4/4\nL:1/1\nK:C\n{music}\n").tunes[0]


def patterns(number: int) -> list[str]:
    """Tunes of one to three sections, each bar a note; some repeats meet as `::`."""
    rng, found = random.Random(3), set[str]()
    while len(found) < number:
        tune = ""
        for section in rng.choices(SECTIONS, k=rng.choice([1, 2, 3])):
            if tune.endswith(":|") and section.startswith("|:") and rng.random() < 0.4:
                tune, section = tune[:-2], f"::{section[2:]}"
            tune += f"\n{section}" if tune.endswith(("|", "]")) else section
        notes = iter(NOTES)
        bars = (next(notes) if sign == "X" else sign for sign in tune.replace("XX", "X|X"))
        found.add("".join(bars))
    return sorted(found)


PATTERNS = patterns(60)


def played(tune: Tune) -> list[tuple[float, int]]:
    return sorted((float(note.onset), note.midi) for note in timeline(tune).notes)


@pytest.mark.parametrize("music", PATTERNS)
def test_what_is_written_is_read_and_played_as_before(music: str) -> None:
    tune = read(music)
    assert parse_text(to_abc(tune)).tunes == (tune,)
    assert played(musicxml.parse(musicxml.render([tune])).tunes[0]) == played(tune)


@abc2midi
def test_abc2midi_plays_repeats_as_they_are_played_here(tmp_path: Path) -> None:
    for music in PATTERNS:
        tune = read(music)
        assert errors_of_abc2midi(to_abc(tune), tmp_path) == [], music
        theirs = [(onset, midi) for onset, midi, _ in by_abc2midi(to_abc(tune), tmp_path)]
        assert theirs == played(tune), music


@abcjs
def test_abcjs_plays_repeats_as_they_are_played_here() -> None:
    tunes = [read(music) for music in PATTERNS]
    for music, tune, notes in zip(PATTERNS, tunes, by_abcjs(list(map(to_abc, tunes))), strict=True):
        assert [(onset, midi) for onset, midi, _ in notes] == played(tune), music


def test_music21_plays_repeats_as_they_are_played_here() -> None:
    music21 = pytest.importorskip("music21")
    for music in PATTERNS[::4]:
        if "1,3" in music:
            continue  # music21 knows no such endings
        tune = read(music)
        score = music21.converter.parse(
            musicxml.render([tune]), format="musicxml", forceSource=True
        ).expandRepeats()
        notes = [
            (float(n.getOffsetInHierarchy(score)), n.pitch.midi) for n in score[music21.note.Note]
        ]
        assert sorted(notes) == played(tune), music


def with_lines() -> list[Tune]:
    """A line of four bars with every bar line, repeat and ending after the second."""
    found = []
    for line, ends, starts, volta in itertools.product(BARLINES[1:], (0, 1), (0, 1), (0, 1)):
        if volta and (starts or not ends):
            continue
        tune = read("C|D|E|F|]")
        first, second, third, fourth = tune.voices[0].bars
        bars = (
            first,
            replace(second, barline=line, repeat_end=ends, volta=(1,) * volta),
            replace(third, repeat_start=bool(starts), volta=(2,) * volta),
            replace(fourth, repeat_end=starts),
        )
        found.append(replace(tune, voices=(replace(tune.voices[0], bars=bars),)))
    return found


@abc2midi
def test_abc2midi_knows_every_bar_line_that_we_write(tmp_path: Path) -> None:
    for tune in with_lines():
        text = to_abc(tune)
        assert parse_text(text).tunes[0].voices == tune.voices, text
        theirs = [(onset, midi) for onset, midi, _ in by_abc2midi(text, tmp_path)]
        assert theirs == played(tune), text


# "H" is reported where it stands before a bar line; in full it would change the next note.
@abc2midi
@pytest.mark.parametrize(
    "signs", ['"D.C."[|]|]', "H[|]|]", '"Segno"[|]', "u[|]|", "S |]", "SZ|]", "!coda!|]"]
)
def test_abc2midi_knows_signs_at_bar_lines(signs: str, tmp_path: Path) -> None:
    tune = read(f"C|D {signs}\nE|F {signs}")
    text = to_abc(tune)
    errors = [
        e for e in errors_of_abc2midi(text, tmp_path) if "uitar" not in e and "hord name" not in e
    ]
    assert all("Malformed note" in e and "H" in signs for e in errors), text
    theirs = [midi for _, midi, _ in by_abc2midi(text, tmp_path)]
    assert theirs == [60, 62, 64, 65], text
    assert parse_text(text).tunes[0].voices == tune.voices


def measures(*signs: tuple[str, str]) -> bytes:
    """A MusicXML part of whole notes with these elements at the left and right of each measure."""
    music = "".join(
        f'<measure number="{n}">{"<attributes><divisions>1</divisions></attributes>" * (n == 1)}'
        f"{left}<note><pitch><step>{NOTES[n - 1]}</step><octave>4</octave></pitch>"
        f"<duration>4</duration><type>whole</type></note>{right}</measure>"
        for n, (left, right) in enumerate(signs, 1)
    )
    names = '<part-list><score-part id="P1"><part-name>Flute</part-name></score-part></part-list>'
    return f'<score-partwise>{names}<part id="P1">{music}</part></score-partwise>'.encode()


FORWARD = '<barline location="left"><repeat direction="forward"/></barline>'
BACKWARD = '<barline location="right"><repeat direction="backward"/></barline>'


def ending(number: str, kind: str = "stop", **repeat: Any) -> tuple[str, str]:
    """The bar lines of a measure that is an ending; `repeat` are attributes of its repeat."""
    attributes = "".join(f' {name}="{value}"' for name, value in repeat.items())
    back = f"<repeat{attributes}/>" if repeat else ""
    return (
        f'<barline location="left"><ending number="{number}" type="start"/></barline>',
        f'<barline location="right"><ending number="{number}" type="{kind}"/>{back}</barline>',
    )


LAST = ending("2", "discontinue")
FIRST = ending("1", direction="backward")
READ_FROM_MUSICXML = [
    # Endings have their numbers: how often the sign sends back is said twice.
    ([(FORWARD, ""), ending("1, 2", direction="backward", times=3), ending("3", "discontinue")],
     "|: C |1,2 D :|3 E |"),
    # A repeat that begins without a sign after a last ending begins there.
    ([(FORWARD, ""), FIRST, LAST, ("", BACKWARD)], "|: C |1 D :|2 E | |: F :|"),
    ([(FORWARD, ""), FIRST, LAST, ("", ""), ("", BACKWARD)], "|: C |1 D :|2 E | |: F | G :|"),
    ([("", ""), FIRST, LAST, ("", ""), FIRST, LAST], "C |1 D :|2 E | |: F |1 G :|2 A |"),
    ([(FORWARD, ""), FIRST, LAST, ("", "")], "|: C |1 D :|2 E | F |"),
    ([(FORWARD, ""), FIRST, ending("2", direction="backward"), ("", "")], "|: C |1 D :|2 E :| F |"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("signs", "music"), READ_FROM_MUSICXML, ids=[m for _, m in READ_FROM_MUSICXML]
)
def test_endings_of_musicxml_as_abc(signs: list[tuple[str, str]], music: str) -> None:
    (tune,) = musicxml.parse(measures(*signs)).tunes
    expected = read(music)
    for version in (tune, parse_text(to_abc(tune)).tunes[0]):
        assert [(b.repeat_start, b.volta, b.repeat_end) for b in version.bars] == [
            (b.repeat_start, b.volta, b.repeat_end) for b in expected.bars
        ]
        assert [midi for _, midi in played(version)] == [midi for _, midi in played(expected)]
