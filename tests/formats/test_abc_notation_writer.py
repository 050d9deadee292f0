"""Writing ABC: canonical text, and the same tune when it is read again."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings

from musicgen.errors import InvalidTuneError
from musicgen.formats.abc_notation import original_text, parse, parse_text, render, to_abc
from musicgen.music.theory import Key, Meter, Pitch
from musicgen.music.tune import Bar, Note, Rest, Tempo, Tune, Tuplet, Voice
from tests.bundled import abc_files
from tests.tunes import tunes

JIG = """\
X:7
T:Two Parts
C:Trad.
R:jig
S:nobody
M:6/8
L:1/8
Q:"Fast" 3/8=120
K:Dmix
A|:dcd fed|^c2A Bcd|e3 (3efe d|1 d3- d2A:|2 d3- d2z||
|:f2g a2f|[DAf]3 "A7"!trill!e3|{a}g2f "^slow"e3|d6:|]
"""


def written(*bars: Bar, meter: Meter | None = None) -> str:
    """The music lines of a tune with these bars."""
    tune = Tune(meter=meter or Meter((4,), 4), voices=(Voice(bars=bars),))
    return to_abc(tune).split("K:C\n")[1].rstrip("\n")


def run(steps: str, duration: Fraction = Fraction(1, 2)) -> tuple[Note, ...]:
    return tuple(Note(Pitch(step, 0, 4), duration) for step in steps)


CANONICAL = """\
X:7
T:Two Parts
C:Trad.
R:jig
S:nobody
M:6/8
L:1/8
Q:"Fast" 3/8=120
K:Dmix
A |
|: dcd fed | ^c2A Bcd | e3 (3efe d |1 d3- d2A :|2 d3- d2z ||
|: f2g a2f | [DAf]3 "A7"Te3 | {a}g2f "^slow"e3 | d6 :|]
"""


def test_a_tune_is_written_in_the_order_of_the_standard_and_four_bars_a_line() -> None:
    assert to_abc(parse_text(JIG).tunes[0]) == CANONICAL


def test_beams_follow_the_beats_of_the_meter() -> None:
    assert written(Bar(events=run("CDEFGABC")), meter=Meter((2, 2), 4)) == "CDEF GABC |"
    assert written(Bar(events=run("CDEFGA")), meter=Meter((3,), 4)) == "CD EF GA |"
    assert written(Bar(events=run("CDEFGA")), meter=Meter((6,), 8)) == "CDE FGA |"
    assert written(Bar(events=run("CDEFG")), meter=Meter((2, 3), 8)) == "CD EFG |"
    pickup, full = Bar(events=run("C")), Bar(events=run("CDEFGA"))
    assert written(pickup, full, meter=Meter((6,), 8)) == "C | CDE FGA |"


@pytest.mark.parametrize(
    ("music", "lines"),
    [
        ("GABcdedB|", "GABc dedB |"),
        ("G2BcdedB|", "G2 Bc dedB |"),
        ("G/A/BcdzdBA|", "G/A/Bcd zd BA |"),
        ("GABcd3B|", "GABc d3B |"),
        ("GAB2c>ded|", "GA B2 c>d ed |"),
        ("(3GABcdedBA|", "(3GAB cd edBA |"),
        ("GA2BcdeB|", "GA2B cdeB |"),
        ("GABcde|", "GA Bcde |"),  # a pickup ends on the bar line
        ("AB|cdefgabc'|", "AB | cdef gabc' |"),
        ("GABcdefg&d2e2f2g2|", "GABc defg & d2 e2 f2 g2 |"),
    ],
)
@pytest.mark.parametrize("meter", ["4/4", "C"])
def test_eighths_in_common_time_are_beamed_by_half_bars(meter: str, music: str, lines: str) -> None:
    tune = parse_text(f"X:1\nT:t\nM:{meter}\nL:1/8\nK:C\n{music}\n").tunes[0]
    assert to_abc(tune).split("K:C\n")[1] == lines + "\n"


def test_accidentals_are_written_where_any_reader_needs_them() -> None:
    """They reach through all octaves (ABC 2.1, 11.3), for abcjs through one."""
    sharp, plain = Note(Pitch("C", 1, 5)), Note(Pitch("C", 0, 5))
    low = Note(Pitch("C", 1, 4))
    bars = Bar(events=(sharp, low, plain, plain)), Bar(events=(plain, sharp))
    assert written(*bars) == "^c^C=cc | c^c |"


def test_tuplets_take_their_shortest_form() -> None:
    def group(actual: int, normal: int, size: int) -> Bar:
        length = Fraction(normal, 2 * actual)
        return Bar(
            events=tuple(
                Note(Pitch("C", 0, 4), length, tuplet=Tuplet(actual, normal, size, i))
                for i in range(size)
            )
        )

    forms = [written(group(*g)) for g in [(3, 2, 3), (5, 4, 5), (3, 2, 2), (5, 4, 3)]]
    assert forms == ["(3CCC |", "(5:4CCCCC |", "(3::2CC |", "(5:4:3CCC |"]


def test_a_last_bar_with_a_repeat_keeps_its_line() -> None:
    bar = Bar(events=run("C"), repeat_end=1)
    assert written(bar).endswith(" :|")
    assert written(Bar(events=run("C"), repeat_end=1, barline="|]")).endswith(" :|]")
    assert written(bar, Bar(events=run("D"), repeat_start=True)) == "C :|\n|: D |"


def test_text_cannot_break_out_of_its_field() -> None:
    tune = Tune(title="a\nK:D\r\n%x", fields=(("N", "50% \\ & &amp;"),), voices=(Voice(),))
    assert "T:a K:D \\%x\n" in to_abc(tune)
    bar = Bar(events=run("C"))
    again = parse_text(to_abc(Tune(**vars_of(tune), voices=(Voice(bars=(bar,)),)))).tunes[0]
    assert again.fields == tune.fields


def vars_of(tune: Tune) -> dict[str, object]:
    return {"title": tune.title, "fields": tune.fields}


def test_tunes_of_a_file_are_parted_by_one_blank_line() -> None:
    tune = parse_text(JIG).tunes[0]
    data = render([tune, tune])
    assert data.count(b"\n\n") == 1
    assert data.endswith(b":|]\n")
    assert parse(data).tunes == (tune, tune)


def test_the_original_text_is_written_where_it_still_holds() -> None:
    first = "X:3 % odd\nT: One\nK:  G Major\nGABc dedB|%rest\nG8 |]"
    second = "X:4\nT:Two\nK:D\nd8|]"
    one, two = parse_text(f"{first}\n\n{second}\n").tunes
    changed = replace(two, title="Three")
    made = Tune(title="Four", voices=(Voice(bars=(Bar(events=run("C")),)),))
    expected = f"{first}\n\n{to_abc(changed)}\n{to_abc(made)}"
    assert render([one, changed, made], original=True).decode() == expected
    assert render([one]).decode() == to_abc(one) != first


def test_a_tune_that_owes_its_meter_to_the_file_is_written_anew() -> None:
    (tune,) = parse_text("M:6/8\n\nX:1\nT:t\nK:D\nABc def|]\n").tunes
    assert original_text(tune) is None
    assert parse(render([tune], original=True)).tunes == (tune,)


@pytest.mark.parametrize(
    ("bar", "message"),
    [
        (
            Bar(events=(Note(Pitch("C", 0, 4), Fraction(1, 10007)),)),
            "t: a note of 1/10007 quarters cannot be written; quantise it first",
        ),
        (
            Bar(events=(Note(Pitch("C", 0, 4), tuplet=Tuplet(3, 2, 3, 0)), Rest())),
            "t: a tuplet is incomplete; give it all of its notes",
        ),
    ],
)
def test_what_abc_cannot_say_is_refused(bar: Bar, message: str) -> None:
    with pytest.raises(InvalidTuneError) as caught:
        to_abc(Tune(title="t", voices=(Voice(bars=(bar,)),)))
    assert str(caught.value) == message


def test_everything_in_the_heading_comes_back() -> None:
    bars = (Bar(events=run("C")),)
    tune = Tune(
        title="é & ç", number=12, rhythm="slip jig", composer="A. Nonymous", meter=Meter((9,), 8),
        unit=Fraction(1, 4), tempo=Tempo(Fraction(185, 2), Fraction(3, 2), "Brisk"),
        key=Key("F#", "dorian", (("G", 1),)), parts="(AB)3C",
        fields=(("T", "Other name"), ("Z", "me"), ("%%", "scale 0.8")), words=("One", "", "Two"),
        voices=(Voice(clef="bass", properties="middle=d", program=73, bars=bars),),
    )  # fmt: skip
    assert parse_text(to_abc(tune)).tunes == (tune,)


@given(tunes())
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_any_tune_survives_being_written_and_read(tune: Tune) -> None:
    assert parse_text(to_abc(tune)).tunes == (tune,)


@pytest.mark.parametrize(
    ("collection", "every", "count"),
    [
        *(("oneills1850", 20, 81), ("ryansMammoth", 10, 106), ("airdsAirs", 6, 200)),
        pytest.param("oneills1850", 1, 2009, marks=pytest.mark.slow),
        pytest.param("ryansMammoth", 1, 1059, marks=pytest.mark.slow),
        pytest.param("airdsAirs", 1, 1180, marks=pytest.mark.slow),
    ],
)
def test_bundled_tunes_are_read_and_survive_writing(
    collection: str, every: int, count: int
) -> None:
    files = abc_files(collection)[::every]
    readings = [parse(path.read_bytes(), str(path)) for path in files]
    found = [tune for reading in readings for tune in reading.tunes]
    assert (len(found), sum(len(r.rejected) for r in readings)) == (count, 0)
    lost = [t.title for t in found if parse_text(to_abc(t)).tunes != (t,)]
    assert lost == []
