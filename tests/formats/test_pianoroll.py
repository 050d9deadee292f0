"""Piano rolls: a box for every sounding note, bar lines, the key's rows, given and composed."""

from __future__ import annotations

import re

import pytest

from musicgen.errors import ConfigError, InvalidTuneError
from musicgen.formats import rendered
from musicgen.formats.abc_notation import parse
from musicgen.formats.pianoroll import OTHER_ROW, SCALE_ROW, TONIC_ROW
from musicgen.music.playback import played_notes, timeline
from musicgen.music.tune import Tune

JIG = "X:1\nT:Jig & Reel\nR:jig\nM:6/8\nL:1/8\nK:D\n|:DFA d2A|B3- B2A:|\n"


def tune(abc: str = JIG) -> Tune:
    return parse(abc.encode(), "").tunes[0]


def count(svg: bytes, kind: str) -> int:
    return len(re.findall(rf'class="{kind}"', svg.decode()))


def test_every_sounding_note_and_bar_is_drawn_as_it_is_played() -> None:
    svg = rendered([tune()], ".roll.svg")
    assert count(svg, "note") == len(played_notes(tune())) == 14
    assert count(svg, "bar") == len(timeline(tune()).bars) == 4
    assert b">Jig &amp; Reel<" in svg


def test_what_was_given_has_another_colour() -> None:
    svg = rendered([tune()], ".roll.svg", given=1)
    assert (count(svg, "note given"), count(svg, "note")) == (5, 9)


def test_the_rows_show_the_scale_and_its_tonic() -> None:
    colors = re.findall(r'fill="(#\w+)"/>', rendered([tune()], ".roll.svg").decode())
    # C#4 to D#5: two tonics, six other notes of the scale, and what is not in it
    assert (colors.count(TONIC_ROW), colors.count(SCALE_ROW)) == (2, 7)
    assert colors.count(OTHER_ROW) == 15 - 9


def test_a_change_of_key_changes_the_rows() -> None:
    one, two = (
        rendered([tune(abc)], ".roll.svg").decode()
        for abc in (JIG, JIG.replace("|B3-", "|[K:Em]B3-"))
    )
    assert two.count(TONIC_ROW) > one.count(TONIC_ROW)


def test_several_tunes_stand_side_by_side() -> None:
    one, two = (rendered([tune()] * n, ".roll.svg", columns=2) for n in (1, 2))
    assert count(two, "note") == 2 * count(one, "note")
    heights = [re.search(rb'height="([\d.]+)mm"', svg) for svg in (one, two)]
    assert heights[0] is not None
    assert heights[1] is not None
    assert heights[0][1] == heights[1][1]


def test_a_png_comes_out() -> None:
    assert rendered([tune()], ".roll.png", dpi=60).startswith(b"\x89PNG")


@pytest.mark.parametrize("options", [{"columns": 0}, {"given": -1}])
def test_impossible_options_are_errors(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        rendered([tune()], ".roll.svg", **options)


def test_silence_cannot_be_drawn() -> None:
    with pytest.raises(InvalidTuneError, match="there is no note to draw"):
        rendered([tune("X:1\nK:C\nz4|\n")], ".roll.svg")
