"""ABC from strangers: any bytes are read or refused, in time linear in their number."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen.errors import ParseError
from musicgen.formats.abc_notation import parse, parse_text, to_abc
from musicgen.formats.abc_notation.barlines import read_passes

SIGNS = "[ ] | : || |: :| :: (3 (9:2:7 { } + - > << & Z4 z x y [V:2] [K:Dm] [M:3/4] [1,3-5 |2"
NOTES = "=3D c' ^^ // % a B ^c [c c0 (0 !x! !trill! +f+ ( ) ~ H k [P:B] ! \" \\"
BREAKS = [" ", "\n", "\r\n", "\n\n", "\nV:1\n", "\nw: a-b_*|c\n", "\nm:n=g{a}g\n", "\nU:T=!x!\n"]
FIELDS = ["\nX:1\nK:C\n", "%%begintext\n", "%%endtext\n", "\n+:more\n", "Q:1/4=\n", "L:1/0\n"]
MORE = ["M:0/4\n", "P:A\n", "I:propagate-accidentals octave\n", "V:2 octave=-1\n"]
SCRAPS = st.sampled_from([*SIGNS.split(), *NOTES.split(), *BREAKS, *FIELDS, *MORE])
PIECES = st.lists(SCRAPS, max_size=40).map("".join)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(ParseError):
        parse(b"X:1\nK:C\n" + data)
    with suppress(ParseError):
        parse(data)


@given(PIECES)
@settings(max_examples=300, deadline=None)
def test_scraps_of_abc_in_any_order_are_read_and_survive_writing(music: str) -> None:
    for tune in parse_text(f"X:1\nL:1/8\nM:4/4\nK:C\nA {music}").tunes:
        assert parse_text(to_abc(tune)).tunes == (tune,)
        assert tune.source is not None
        for voice in tune.voices:
            for bar in voice.bars:
                assert bar.span is not None
                assert 0 <= bar.span[0] <= bar.span[1] <= len(tune.source.text)


HOSTILE = {
    "notes": "A",
    "open chords": "[",
    "bar lines": "|",
    "colons": ":",
    "slurs": "((",
    "tuplets": "(3",
    "graces": "{",
    "quotes": '"',
    "exclamations": "!a",
    "pluses": "+A",
    "ties": "A-",
    "digits": "9",
    "slashes": "A////////",
    "broken": "A>",
    "overlays": "A&",
    "voices": "[V:1]A",
    "dotted": ".",
    "lines": "A\n",
    "lyrics": "A\nw:a b\n",
    "verses": "w:la\n",
    "blank lines": "\n",
    "blocks": "%%begintext\n",
    "continuations": "+:x\n",
    "headings": "T:x\n",
    "tunes": "X:1\n",
    "macros": "m:A=AAAAAAAA\nAAAA\n",
    "bar rests": "Z999|",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_no_faster_than_the_text(name: str) -> None:
    piece = HOSTILE[name]

    def seconds(size: int) -> float:
        text = "X:1\nK:C\nA|\n" + piece * (size // len(piece))
        start = time.process_time()
        parse_text(text)
        return time.process_time() - start

    seconds(2000)
    small = large = math.inf
    for tries in range(20):
        small, large = min(small, seconds(8000)), min(large, seconds(64000))
        if tries >= 1 and large < 24 * max(small, 0.002) + 0.05:
            return
    pytest.fail(f"{small:.3f} s for 8,000 characters, {large:.3f} for 64,000")


def test_macros_make_a_tune_no_more_than_eight_times_longer() -> None:
    """Found by the fuzzer: the same macro again and again tripled every line."""
    text = "X:1\n" + "m:n=ggg\n" * 20 + "K:C\n" + "A\n" * 300
    (tune,) = parse_text(text).tunes
    assert 300 < sum(len(bar.events) for bar in tune.bars) <= 8 * len(text)
    assert tune.warnings[0].what == ("macros that make the tune many times longer; left unreplaced")


def test_limits_reject_the_tune_and_say_which() -> None:
    text = "X:1\nT:long\nK:C\n" + "A" * 60_000 + "\n\nX:2\nT:fine\nK:C\nA|\n"
    reading = parse_text(text)
    assert [t.title for t in reading.tunes] == ["fine"]
    assert reading.rejected[0].reason == ("a line is longer than 50000 characters; break it up")
    many = "".join(f"[V:{n}]A|" for n in range(70))
    (rejected,) = parse_text(f"X:1\nT:many\nK:C\n{many}\n").rejected
    assert rejected.reason == "has more than 64 voices; split it"


@pytest.mark.parametrize("music", ["A0", "A/0", "z0", "z/0", "[CEG]0", "{A0}B", "(3A0BC", "A0>B"])
def test_a_length_of_zero_is_warned_of_with_its_line(music: str) -> None:
    (tune,) = parse_text(f"X:1\nL:1/8\nK:C\nABcd|{music} c|\n").tunes
    found = [(w.what, w.line) for w in tune.warnings]
    assert ("a length of zero; read as the unit length", 4) in found


@pytest.mark.parametrize("tempo", ["0/4=100", "1/0=1e999", "1/4=0", "1000000000000/0=4"])
def test_a_tempo_that_makes_no_sense_is_warned_of_with_its_line(tempo: str) -> None:
    (tune,) = parse_text(f"X:1\nQ:{tempo}\nK:C\nABcd|\n").tunes
    assert [w.line for w in tune.warnings] == [2]


def test_an_ending_of_odd_numbers_is_read() -> None:
    """Found by the fuzzer: a slash among them was a ValueError."""
    assert [read_passes(text) for text in ("1,3.", "1-3", "/,2", "/")] == [
        (1, 3), (1, 2, 3), (2,), (),
    ]  # fmt: skip
