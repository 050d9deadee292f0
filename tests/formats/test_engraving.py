"""Scores: everything that is in the tune is on the page, pages are whole, bad tunes one line."""

from __future__ import annotations

import random
import re
import struct
from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import music21
import pytest

from musicgen import formats
from musicgen.composer import Composer
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ConfigError, InvalidTuneError
from musicgen.formats import rendered
from musicgen.formats.abc_notation import parse
from musicgen.formats.engraving import score
from musicgen.formats.engraving.book import BookLayout
from musicgen.formats.engraving.lines import line_starts
from musicgen.formats.engraving.pages import display_title
from musicgen.formats.engraving.score import PageLayout
from musicgen.formats.musicxml.lengths import written
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.theory import Meter, Pitch
from musicgen.music.tune import Bar, Chord, Note, Rest, Tune, Voice
from musicgen.system.markup import text
from musicgen.system.sandbox import ResourceLimits

FULL = """X:1
T:Full House, The
R:jig
C:A. N. Other
M:6/8
L:1/8
Q:3/8=120
K:Ador
e|"Am"~A3 {c}BAG|"G"(3efg e "F#m7"dBG|.e.f.g Ta2g-|g2e !fermata!d3:|
|:"Am"^c=cB {Bcd}A2z|[Ace]3 (edB)|1 "G"GAB "Em"B2e:|2 (GAB A3)-|A6|]
w: la la la-la la _ la
W:One verse of words
"""
REPEAT_DOT = "E044"  # the SMuFL code of its glyph


def tune(abc: str) -> Tune:
    return parse(abc.encode(), "test.abc").tunes[0]


def classes(svg: str) -> Counter[str]:
    return Counter(c for group in re.findall(r'class="([^"]+)"', svg) for c in group.split())


def drawn(svg: str) -> tuple[int, int, int, int]:
    """Notes, measures, endings and repeat dots on a page."""
    found = classes(svg)
    # An ending that goes on in the next line has another bracket there, with its number in ( ).
    endings = re.findall(r'class="voltaBracket"><text[^>]*>[^(]', svg)
    return found["note"], found["measure"], len(endings), svg.count(f'href="#{REPEAT_DOT}"')


def expected(ours: Tune) -> tuple[int, int, int, int]:
    """The same, counted in the tune; a note that needs two values is drawn as two."""
    notes = 0
    for voice in ours.voices:
        for event in voice.events:
            if not isinstance(event, Rest):
                heads = len(event.notes) if isinstance(event, Chord) else 1
                notes += heads * len(written(event.duration, event.tuplet))
            notes += len(event.marks.grace.notes) if event.marks.grace else 0
    repeats = sum(bool(bar.repeat_start) + bool(bar.repeat_end) for bar in ours.bars)
    voltas = sum(bool(bar.volta) for bar in ours.bars)
    return notes, max(len(v.bars) for v in ours.voices), voltas, 2 * len(ours.voices) * repeats


@cache
def bundled() -> list[Tune]:
    """Tunes of all three collections that come with music21."""
    folder = Path(music21.__file__).parent / "corpus"
    files = [
        *sorted(folder.glob("oneills1850/*.abc"))[::5],
        *sorted(folder.glob("ryansMammoth/*.abc"))[::5],
        *sorted(folder.glob("airdsAirs/*.abc"))[::2],
    ]
    return [ours for file in files for ours in formats.read(file)]


def sample(n: int) -> list[Tune]:
    return random.Random(7).sample(bundled(), n)


def page_count(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


def test_everything_that_is_in_the_tune_is_on_the_page() -> None:
    svg = rendered([tune(FULL)], ".svg").decode()
    assert drawn(svg) == expected(tune(FULL))
    found = classes(svg)
    signs = ("tuplet", "tie", "slur", "trill", "turn", "fermata", "artic", "harm", "keySig")
    assert {sign: found[sign] for sign in signs} == {
        "tuplet": 1,
        "tie": 2,
        "slur": 2,
        "trill": 1,
        "turn": 1,
        "fermata": 1,
        "artic": 3,
        "harm": 6,
        "keySig": 2,
    }
    words = set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
    assert {
        "The Full House",
        "Jig",
        "A. N. Other",
        "=\u00a0120",
        "F♯m7",
        "One verse of words",
    } <= words
    assert [e.text for e in ET.fromstring(svg).iter() if e.text == "la"] == ["la"] * 6


def test_several_voices_and_overlays_are_drawn() -> None:
    two = tune("X:1\nM:4/4\nL:1/4\nK:C\nV:1\n|:CDEF:|\nV:2\nC,4|\n")
    svg = rendered([two], ".svg").decode()
    assert (drawn(svg), classes(svg)["staff"]) == (expected(two), 2)


def test_bundled_tunes_are_drawn_note_by_note() -> None:
    for ours in sample(25):
        assert drawn(rendered([ours], ".svg").decode()) == expected(ours), ours.title


@pytest.mark.slow
def test_two_hundred_bundled_tunes_go_to_every_kind_of_page() -> None:
    tunes = sample(200)
    for ours in tunes:
        assert drawn(rendered([ours], ".svg").decode()) == expected(ours), ours.title
        assert rendered([ours], ".png", dpi=72).startswith(b"\x89PNG"), ours.title
        assert rendered([ours], ".musicxml")
        assert rendered([ours], ".roll.svg")
    assert page_count(rendered(tunes, ".pdf")) > 80


@pytest.mark.slow
def test_fifty_generated_tunes_go_to_every_kind_of_page(untrained: Checkpoint) -> None:
    for take in Composer(untrained).takes(50, Controls(), SamplingConfig(seed=1)):
        svg = rendered([take.tune], ".svg").decode()
        assert drawn(svg) == expected(take.tune), take.tune.title
        for suffix in (".png", ".pdf", ".musicxml", ".roll.svg"):
            assert rendered([take.tune], suffix)


def test_the_same_tune_gives_the_same_bytes() -> None:
    for suffix in (".svg", ".png", ".pdf"):
        assert rendered([tune(FULL)], suffix) == rendered([tune(FULL)], suffix), suffix


def test_a_png_is_as_wide_as_the_paper() -> None:
    png = rendered([tune(FULL)], ".png", paper="letter", dpi=100)
    assert struct.unpack(">I", png[16:20]) == (850,)


@pytest.mark.parametrize(("paper", "box"), [("a4", b"595.2756 841.8898"), ("letter", b"612 792")])
def test_a_pdf_has_the_size_of_the_paper(paper: str, box: bytes) -> None:
    pdf = rendered([tune(FULL)], ".pdf", paper=paper)
    assert box in pdf
    assert page_count(pdf) == 1


def test_a_book_has_a_title_page_every_tune_and_an_index() -> None:
    tunes = sample(8)
    book = BookLayout(tunes, PageLayout(), title="Eight Tunes", index=True)
    pages = book.pages()
    assert ">Eight Tunes<" in pages[0]
    assert ">Index of Incipits<" in pages[-1]
    assert len(book.bookmarks) == 9
    for number, (ours, mark) in enumerate(zip(tunes, book.bookmarks, strict=False), 1):
        heading = f">{number}.  {text(display_title(ours))}<"
        assert heading in pages[mark.page]
        assert f">\u2013 {mark.page + 1} \u2013<" in pages[mark.page]
    assert page_count(rendered(tunes, ".pdf", title="Eight Tunes")) == len(pages)


def test_all_notes_of_a_long_tune_are_on_its_pages() -> None:
    bar = "ABc def|"
    long = tune("X:1\nT:Long\nM:6/8\nL:1/8\nK:D\n" + bar * 200 + "\n")
    pages = BookLayout([long], PageLayout(), title="", index=False).pages()
    assert len(pages) > 3
    counts = [drawn(page)[:2] for page in pages]
    assert (sum(n for n, _ in counts), sum(m for _, m in counts)) == (1200, 200)


def test_words_that_do_not_fit_go_on_over_the_page() -> None:
    wordy = tune(FULL + "W:another line\n" * 120)
    pages = BookLayout([wordy], PageLayout(), title="", index=False).pages()
    assert sum(page.count(">another line<") for page in pages) == 120
    assert len(pages) == 3


def test_a_transposed_score_is_in_the_other_key() -> None:
    svg = rendered([tune(FULL)], ".svg", transpose="Em").decode()
    assert ">Em<" in svg
    assert svg.count('class="keyAccid"') == 4  # two sharps on two lines


def test_bars_per_line_is_followed() -> None:
    svg = rendered([tune(FULL)], ".svg", bars_per_line=2).decode()
    assert classes(svg)["system"] > classes(rendered([tune(FULL)], ".svg").decode())["system"]


def test_lines_hold_four_bars_and_whole_parts() -> None:
    bars = [Bar(events=(Note(Pitch("A", 0, 4), Fraction(3)),)) for _ in range(16)]
    bars[7] = Bar(events=bars[7].events, repeat_end=1)
    meter = Meter((6,), 8)
    assert line_starts(bars, [14.0] * 16, available=60.0, meter=meter) == (4, 8, 12)
    assert line_starts(bars, [28.0] * 16, available=60.0, meter=meter) == tuple(range(2, 16, 2))


def test_no_line_is_wider_than_it_may_be() -> None:
    widths = [float(w) for w in random.Random(1).choices(range(8, 55), k=60)]
    bars = [Bar(events=(Note(Pitch("A", 0, 4), Fraction(4)),)) for _ in widths]
    starts = line_starts(bars, widths, available=60.0, meter=Meter((4,), 4))
    edges = [0, *starts, len(bars)]
    for start, stop in pairwise(edges):
        assert stop - start == 1 or sum(widths[start:stop]) <= 60 * 1.12


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Full House, The", "The Full House"),
        ("FLING -- JIG", "FLING \u2013 JIG"),
        ("  a   b ", "a b"),
        ("", "Untitled"),
    ],
)
def test_titles_are_printed_as_a_publisher_would(title: str, shown: str) -> None:
    assert display_title(Tune(title=title)) == shown


PLAIN = Bar(events=(Note(Pitch("A", 0, 4), Fraction(4)),))
HIGH = Bar(events=(Note(Pitch("C", 0, 40), Fraction(4)),))


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
@pytest.mark.parametrize(
    ("ours", "message"),
    [
        (
            Tune(title="Absurd", voices=(Voice(bars=(PLAIN,) * 3000),)),
            "'Absurd': 3000 bars, more than 2000; split it",
        ),
        (
            Tune(title="High", voices=(Voice(bars=(HIGH,)),)),
            "'High': bar 1: C40 is outside octaves 0 to 9",
        ),
        (Tune(title="Empty"), "'Empty': there is no music to write"),
    ],
    ids=["long", "high", "empty"],
)
def test_a_tune_that_cannot_be_engraved_is_one_line_and_no_file(
    tmp_path: Path, suffix: str, ours: Tune, message: str
) -> None:
    with pytest.raises(InvalidTuneError) as error:
        formats.write(ours, tmp_path / f"a{suffix}")
    assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


def test_an_engraver_that_fails_is_one_line_and_the_next_tune_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(score, "LIMITS", ResourceLimits(wall_s=1e-6))
        with pytest.raises(InvalidTuneError) as error:
            rendered([tune(FULL)], ".svg")
    assert str(error.value) == "'Full House, The': the engraver took longer than 1e-06 s"
    assert rendered([tune(FULL)], ".svg")


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_several_tunes_do_not_go_into_one_picture(suffix: str) -> None:
    with pytest.raises(InvalidTuneError, match="file holds one tune, not 2; write a PDF"):
        rendered([tune(FULL)] * 2, suffix)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"paper": "a5"}, "paper 'a5': use a4 or letter"),
        ({"size": 1}, "size 1: use 40 to 250 percent"),
        ({"bars_per_line": 0}, "bars per line 0: use 1 to 16"),
        ({"dpi": 5000}, "5000 dots an inch: use 30 to 1200, fewer for a long tune"),
        (
            {"tempo": "70%"},
            "tune.png: no option 'tempo' of .png; "
            "it has paper, size, bars_per_line, transpose, dpi",
        ),
    ],
)
def test_an_impossible_option_is_one_clear_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        rendered([tune(FULL)], ".png", **options)
    assert str(error.value) == message
