"""Reading MusicXML: what our writer writes, what music21 reads, and what strangers send."""

from __future__ import annotations

import io
import random
import re
import zipfile
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import music21
import pytest

from musicgen import formats
from musicgen.errors import MusicgenError, ParseError
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.formats.musicxml.archive import pack
from musicgen.formats.musicxml.reading import from_musicxml
from musicgen.formats.musicxml.writing import to_musicxml
from musicgen.music.playback import played_notes, timeline
from musicgen.music.tune import Bar, Change, Chord, Note, Rest, Tune

CORPUS = Path(music21.__file__).parent / "corpus"


def score(measures: str, *, head: str = "", attributes: str = "") -> bytes:
    """A score of one part; `measures` are the contents of its measures, separated by |."""
    start = f"<attributes><divisions>4</divisions>{attributes}</attributes>"
    bars = [f"<measure number='{n}'>{m}</measure>" for n, m in enumerate(measures.split("|"), 1)]
    bars[0] = bars[0].replace(">", f">{start}", 1)
    return (
        f"<score-partwise>{head}<part-list><score-part id='P1'><part-name>Fiddle</part-name>"
        f"</score-part></part-list><part id='P1'>{''.join(bars)}</part></score-partwise>"
    ).encode()


def note(pitch: str = "C4", duration: int = 4, inside: str = "", *, before: str = "") -> str:
    """A <note>, such as "F#5" of 4 divisions (a quarter)."""
    step, sign, octave = re.fullmatch(r"([A-G])([#b]?)(\d)", pitch).groups()  # type: ignore[union-attr]
    alter = {"#": "<alter>1</alter>", "b": "<alter>-1</alter>", "": ""}[sign]
    return (
        f"<note>{before}<pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch>"
        f"<duration>{duration}</duration>{inside}</note>"
    )


def read(measures: str, **others: str) -> Tune:
    return from_musicxml(score(measures, **others), "x.musicxml")


def abc(measures: str, **others: str) -> str:
    """The music as ABC, without its heading."""
    return to_abc(read(measures, **others)).partition("\nK:")[2].partition("\n")[2].strip()


Sounds = dict[tuple[int, Fraction, int, Fraction], int]


def our_notes(tune: Tune) -> Sounds:
    found: Sounds = {}
    for voice in tune.voices:
        for number, bar in enumerate(voice.bars):
            for line in (bar.events, *bar.overlays):
                at = Fraction(0)
                for event in (e for e in line if not isinstance(e, Change)):
                    notes = getattr(event, "notes", (event,))
                    for sounding in (n for n in notes if isinstance(n, Note)):
                        place = (number, at, sounding.midi, sounding.duration)
                        found[place] = found.get(place, 0) + 1
                    at += event.duration
    return found


def their_notes(path: Path) -> Sounds:
    found: Sounds = {}
    for part in music21.converter.parse(path, forceSource=True).toSoundingPitch().parts:
        for number, measure in enumerate(part.getElementsByClass("Measure")):
            for heard in measure.recurse().notes:
                if heard.duration.isGrace or "Harmony" in heard.classes:
                    continue
                at = Fraction(heard.getOffsetInHierarchy(measure)).limit_denominator(960)
                length = Fraction(heard.quarterLength).limit_denominator(960)
                for pitch in heard.pitches:
                    place = (number, at, pitch.midi, length)
                    found[place] = found.get(place, 0) + 1
    return found


@pytest.mark.parametrize(
    "name",
    [
        "bach/bwv66.6.mxl",
        "schoenberg/opus19/movement2.mxl",
        "corelli/opus3no1/1grave.xml",
        "leadSheet/fosterBrownHair.mxl",
        "joplin/maple_leaf_rag.mxl",
    ],
)
def test_music21_reads_the_same_notes_at_the_same_places(name: str) -> None:
    tune = from_musicxml((CORPUS / name).read_bytes(), name)
    assert our_notes(tune) == their_notes(CORPUS / name)


def test_a_chorale_has_four_voices_of_equal_length() -> None:
    tune = from_musicxml((CORPUS / "bach/bwv66.6.mxl").read_bytes(), "bwv66.6.mxl")
    assert [voice.name for voice in tune.voices] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert {len(voice.bars) for voice in tune.voices} == {10}
    assert str(tune.key) == "F# minor"


def test_a_score_by_measures_is_the_same_as_one_by_parts() -> None:
    parts = read(f"{note()}|{note('D4')}")
    measures = (
        "<score-timewise><part-list/><measure number='1'><part id='P1'><attributes><divisions>4"
        f"</divisions></attributes>{note()}</part></measure><measure number='2'><part id='P1'>"
        f"{note('D4')}</part></measure></score-timewise>"
    )
    timewise = from_musicxml(measures.encode(), "x.musicxml")
    assert timewise.voices[0].bars == parts.voices[0].bars


def test_a_voice_that_starts_late_waits_in_invisible_rests() -> None:
    second = "<backup><duration>8</duration></backup><forward><duration>4</duration></forward>"
    second += note("E4", 4, "<voice>2</voice>")
    tune = read(note("C5", 8) + second + "|" + note("D5", 8) + second)
    assert [len(v.bars) for v in tune.voices] == [2, 2]
    late, sounding = tune.voices[1].bars[0].events
    assert isinstance(late, Rest)
    assert (late.duration, late.visible) == (1, False)
    assert isinstance(sounding, Note)


def test_a_voice_of_few_bars_becomes_overlays() -> None:
    beside = f"<backup><duration>8</duration></backup>{note('E4', 8, '<voice>2</voice>')}"
    tune = read("|".join([note("C5", 8)] * 4 + [note("C5", 8) + beside]))
    assert len(tune.voices) == 1
    assert [len(bar.overlays) for bar in tune.bars] == [0, 0, 0, 0, 1]


def test_rounded_tuplets_are_exact() -> None:
    third = "<type>eighth</type><time-modification><actual-notes>3</actual-notes><normal-notes>2"
    third += "</normal-notes></time-modification>"
    tune = read(note("C4", 1, third) * 2 + note("D4", 2, third) + note("E4", 4))
    assert [e.duration for e in tune.bars[0].timed] == [Fraction(1, 3)] * 3 + [1]
    assert abc(note("C4", 1, third) * 2 + note("D4", 2, third) + note("E4", 4)) == "(3CCD E2 |"


def test_grace_notes_chords_and_ties_are_joined_to_their_notes() -> None:
    grace = "<note><grace slash='yes'/><pitch><step>B</step><octave>4</octave></pitch></note>"
    tied = note("C5", 4, "<tie type='start'/>") + note("E5", 4, before="<chord/>")
    assert abc(grace + tied + note("C5", 4, "<tie type='stop'/>")) == "{/B}[c-e]2 c2 |"


def test_transposing_instruments_sound_where_they_sound() -> None:
    clarinet = "<key><fifths>2</fifths><mode>major</mode></key><transpose><diatonic>-1</diatonic>"
    clarinet += "<chromatic>-2</chromatic></transpose>"
    tune = read(note("D5"), attributes=clarinet)
    (sounding,) = tune.bars[0].timed
    assert isinstance(sounding, Note)
    assert (str(tune.key), sounding.pitch.name) == ("C major", "C5")


@pytest.mark.parametrize(("last", "key"), [("G4", "G major"), ("E4", "E minor")])
def test_a_mode_that_is_missing_is_told_by_the_last_note(last: str, key: str) -> None:
    tune = read(f"{note('D4')}|{note(last)}", attributes="<key><fifths>1</fifths></key>")
    assert str(tune.key) == key
    assert f"key signatures without a mode, read as {key}" in [w.what for w in tune.warnings]


def test_drums_and_cues_are_counted_not_lost() -> None:
    drum = "<note><unpitched/><duration>4</duration></note>"
    tune = read(note() + drum + note("D4", 4, before="<cue/>"))
    assert {w.what for w in tune.warnings} == {
        "notes without a pitch, as of drums, left out",
        "cue notes left out",
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "shift_jis"])
def test_any_encoding_is_read(encoding: str) -> None:
    title = {"shift_jis": "さくら"}.get(encoding, "Café")
    body = score(note(), head=f"<work><work-title>{title}</work-title></work>").decode()
    named = encoding.removesuffix("-sig")
    data = f"<?xml version='1.0' encoding='{named}'?>\n{body}".encode(encoding)
    assert from_musicxml(data, "x.xml").title == title


def test_a_wrong_encoding_is_found_out() -> None:
    body = score(note(), head="<work><work-title>Café</work-title></work>").decode()
    for declared, real in [("utf-8", "latin-1"), ("utf-16", "utf-8")]:
        data = f"<?xml version='1.0' encoding='{declared}'?>\n{body}".encode(real)
        assert from_musicxml(data, "x.xml").title == "Café"


LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))


def bomb(size: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("score.xml", bytes(size))
    return packed.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x:1:1: is not well-formed XML (no element found)"),
        (b"<html/>", "x: is XML but not MusicXML: it begins with <html>"),
        (b"<opus/>", "x: is an opus"),
        (b"<score-partwise/>", "x: holds no part with measures"),
        (score(""), "x: holds no notes and no rests"),
        (score(note())[:-20], "x:1:"),
        (f"<!DOCTYPE a [<!ENTITY l0 'ha'>{LAUGHS}]><a>&l9;</a>".encode(), "x: declares XML ent"),
        (zipped("readme.txt", b"hello"), "x: is an archive without a score"),
        (zipped("../../score.xml", b"<a/>"), "x: is XML but not MusicXML"),
        (zipped("score.xml", zipped("score.xml", b"<a/>")), "x:1:3: is not well-formed XML"),
        (pack(score(note()))[:-30], "x: is a damaged archive"),
        (b"<a>" * 200_000 + b"</a>" * 200_000, "x: is XML but not MusicXML"),
        (b"<a/>" * 7_000_000, "x: has more than 1500000 XML elements"),
        (bomb(128 * 2**20), "x: unpacks to more than 25503 KiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_score_is_one_clear_line(data: bytes, message: str) -> None:
    with pytest.raises(ParseError) as error:
        from_musicxml(data, "x")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def mutated(document: str, choose: random.Random) -> bytes:
    """The document with numbers changed, elements taken away or renamed, or cut off."""
    kind = choose.randrange(4)
    if kind == 0:
        return document[: choose.randrange(len(document))].encode()
    if kind == 1:
        names = re.findall(r"<(\w[\w-]*)", document)
        return re.sub(
            rf"(</?){choose.choice(names)}\b", rf"\g<1>{choose.choice(names)}", document
        ).encode()
    pattern = r"(?<=>)-?\d+(?=<)" if kind == 2 else r"<(\w[\w-]*)[^>]*>[^<]*</\1>"
    found = list(re.finditer(pattern, document))
    others = ["", "0", "-1", "99999999", "1.5", "x", "3", "255", "9" * 5000] if kind == 2 else [""]
    for match in sorted(choose.sample(found, min(len(found), 8)), key=lambda m: -m.start()):
        document = document[: match.start()] + choose.choice(others) + document[match.end() :]
    return document.encode()


def test_damaged_scores_are_read_or_refused() -> None:
    choose = random.Random(0)
    originals = [
        to_musicxml(from_musicxml((CORPUS / "bach" / name).read_bytes(), name))
        for name in ("bwv66.6.mxl", "bwv269.mxl")
    ]
    for _ in range(90):
        data = mutated(choose.choice(originals), choose)
        with suppress(MusicgenError):
            tune = from_musicxml(data, "x")
            for use in (to_abc, to_musicxml, timeline):
                use(tune)


def test_a_folder_of_scores_is_a_corpus(tmp_path: Path) -> None:
    from musicgen.corpus import load

    (tune,) = parse_text("X:1\nT:Kesh\nM:6/8\nL:1/8\nK:G\nGAG GAB|ABA ABd|]\n").tunes
    formats.write(tune, tmp_path / "a.mxl")
    formats.write(tune, tmp_path / "b.musicxml")
    (tmp_path / "c.xml").write_text("<rss/>")
    corpus = load(tmp_path)
    assert (len(corpus.entries), len(corpus.duplicates)) == (1, 1)
    assert [o.reason for o in corpus.rejected] == [
        "is XML but not MusicXML: it begins with <rss>; is it the right file?"
    ]


def test_the_same_tune_makes_the_same_archive() -> None:
    assert pack(score(note())) == pack(score(note()))
    tune = from_musicxml(pack(score(note())), "x.mxl")
    assert [n.midi for n in played_notes(tune)] == [60]
    assert isinstance(tune.bars[0], Bar)
    assert not any(isinstance(e, Chord) for e in tune.bars[0].events)
