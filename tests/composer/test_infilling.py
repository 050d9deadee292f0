"""Infilling and varying: only what was asked for changes, and what must stay stays.

The model is untrained: whatever holds here holds by construction.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from musicgen.composer import Composer
from musicgen.composer.infilling import InfillCandidate, draw, right_bits
from musicgen.composer.prompts.infill_target import InfillTarget
from musicgen.composer.sampling import SamplingConfig
from musicgen.composer.variation import Band
from musicgen.errors import ControlError
from musicgen.formats import read, rendered
from musicgen.formats.abc_notation import parse_text
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.similarity import similarity
from musicgen.music.tune import Note, Tune
from musicgen.music.validation import validate
from scripts.measuring import event_counts

TUNE = """X:1
T:A jig
R:jig
M:6/8
L:1/8
K:D
% a remark
|:A|"D"d2f {g}fed|"G"B2B "A"A2G|FAd f2e-|1 "D"e2B d2:|2 "A"^G3 A2||
|:B|(d2f fed)|"A"BAB A2G|F/A/B (3def e2-|e3 d2:|
"""


@pytest.fixture(scope="module")
def composer(untrained: Checkpoint) -> Composer:
    return Composer(untrained)


def tune_of(text: str = TUNE) -> Tune:
    (tune,) = parse_text(text).tunes
    return tune


def infilled(composer: Composer, bars: str, text: str = TUNE, seed: int = 1) -> Tune:
    sampling = SamplingConfig(seed=seed)
    return next(composer.infill(tune_of(text), bars=bars, sampling=sampling)).tune


@pytest.mark.parametrize(
    ("bars", "numbers"),
    [
        ("0", {0}),  # the pickup
        ("1", {1}),
        ("2-3", {2, 3}),
        ("4", {4}),  # a first ending, into which a tie leads
        ("5", {5}),  # a second ending
        ("6", {6, 7}),  # a later pickup goes with the bar that it leads into
        ("8-9", {9, 10}),
        ("1-9", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}),
        ("3-8", {3, 4, 5, 6, 7, 8, 9}),
    ],
)
def test_only_the_bars_asked_for_change(composer: Composer, bars: str, numbers: set[int]) -> None:
    before, after = tune_of(), infilled(composer, bars)
    assert len(after.bars) == len(before.bars)
    for i, (old, new) in enumerate(zip(before.bars, after.bars, strict=True)):
        assert (old == new) is (i not in numbers)
        assert old.duration == new.duration
        assert (old.repeat_start, old.volta, old.repeat_end, old.barline) == (
            new.repeat_start, new.volta, new.repeat_end, new.barline,
        )  # fmt: skip
    symbols = [[e.marks.chord_symbol for e in bar.timed if e.marks.chord_symbol]
               for tune in (before, after) for bar in tune.bars]  # fmt: skip
    n = len(before.bars)
    assert symbols[:n] == symbols[n:]
    assert not [p for p in validate(after) if p.kind == "tie"]


def test_ties_over_the_edges_keep_their_notes(composer: Composer) -> None:
    before, after = tune_of(), infilled(composer, "4")
    assert after.bars[4].events[0] == before.bars[4].events[0]
    after = infilled(composer, "3")
    assert after.bars[3].events[-1] == before.bars[3].events[-1]


def test_versions_differ_from_the_tune_and_from_each_other(composer: Composer) -> None:
    takes = list(composer.infill(tune_of(), bars="2", n=4, sampling=SamplingConfig(seed=2)))
    texts = {take.exact[".abc"].decode() for take in takes}
    assert len(texts | {TUNE}) == 5
    again = next(composer.infill(tune_of(), bars="2", sampling=SamplingConfig(seed=2)))
    assert again.tune == takes[0].tune


@pytest.mark.parametrize(
    ("text", "bars", "message"),
    [
        (TUNE, "5-", "--bars '5-': write it like 5-8, or 5 for one bar"),
        (TUNE, "8-6", "--bars 8-6: the tune has bars 0 to 9"),
        (TUNE, "8-12", "--bars 8-12: the tune has bars 0 to 9"),
        ("X:1\nM:4/4\nK:C\nCDEF-|F4-|F2 G2|", "2",
         "the bars hold only notes that are tied over their edges"),
        ("X:1\nM:4/4\nL:1/4\nK:C\nCDEF|CD[K:G]EF|CDEF|", "2",
         "bar 2: key or meter change inside it; choose other bars"),
        ("X:1\nM:4/4\nL:1/4\nK:C\nCDEF|D100000|", "2", "bar 2: longer than 64 quarters"),
        ("X:1\nM:4/4\nL:1/4\nK:C\nCDEF|CD&EF|CDEF|\nw:a b c d e f g h i j", "9", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_rewritten_is_refused_in_a_line(
    composer: Composer, text: str, bars: str, message: str
) -> None:
    with pytest.raises(ControlError) as error:
        infilled(composer, bars, text.replace("M:4/4\nK:C", "M:4/4\nL:1/4\nK:C"))
    assert message in str(error.value)


def test_midi_changes_inside_the_bars_alone(composer: Composer, tmp_path: Path) -> None:
    path = tmp_path / "tune.mid"
    path.write_bytes(rendered([tune_of()], ".mid"))
    (tune,) = read(path)
    for bars in ("1-2", "3", "9-12"):
        take = next(composer.infill(tune, bars=bars))
        before, after = event_counts(path.read_bytes()), event_counts(take.exact[".mid"])
        piece = InfillTarget.read(tune)
        first, stop = piece.select(bars)
        begin = sum((b.duration for b in piece.encoded_bars[:first]), Fraction(0)) * 480
        end = sum((b.duration for b in piece.encoded_bars[:stop]), Fraction(0)) * 480
        changed = list((before - after) + (after - before))
        assert changed
        assert all(begin <= event[1] < end for event in changed)  # type: ignore[operator]


def test_a_file_keeps_every_other_byte(composer: Composer, tmp_path: Path) -> None:
    content = b"% head\r\n\r\n" + TUNE.replace("\n", "\r\n").encode() + b"\r\n% tail"
    path = tmp_path / "tune.abc"
    path.write_bytes(content)
    take = next(composer.infill(read(path)[0], bars="2"))
    whole = take.exact[".abc"]
    at = content.index(b'"G"B2B')
    end = content.index(b"|FAd")
    assert whole[:at] == content[:at]
    assert whole.endswith(content[end:])
    assert whole != content


def test_lyrics_that_would_move_to_other_notes_are_not_moved(composer: Composer) -> None:
    text = "X:1\nM:4/4\nL:1/4\nK:C\nCDEF|GABc|defg|\nw:a b c d e f g h i j k l\n"
    said = []
    for seed in range(4):
        try:
            after = infilled(composer, "2", text, seed)
        except ControlError as error:
            said.append(str(error))
        else:
            assert after.bars[2] == tune_of(text).bars[2]
    assert said
    assert all("lyrics outside the bars" in message for message in said)


def test_the_right_side_decides() -> None:
    likely, unlikely = InfillCandidate({}, 1.0, 10.0), InfillCandidate({}, 1.0, 30.0)
    drawn = [draw([unlikely, likely], np.random.default_rng(k)) for k in range(20)]
    assert all(candidate is likely for candidate in drawn)


def test_the_cost_of_the_right_side_is_that_of_its_tokens(composer: Composer) -> None:
    head = ("R:jig", "M:6/8", "L:1/8", "K:D", "mode:major", "up:0")
    bar = ("1", "2", "3", "1", "2", "3", "|")
    whole = right_bits(composer.engine, [head], (*bar, *bar))[0]
    split = right_bits(composer.engine, [head, (*head, *bar)], bar)
    assert whole == pytest.approx(split[0] + split[1], abs=1e-4)


# --- varying --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("0.6-0.8", 0.6, 0.8), ("0.7", 0.65, 0.75), ("0.98", 0.93, 1.0), (".5 - 1", 0.5, 1.0)],
)
def test_a_band_is_read(text: str, low: float, high: float) -> None:
    band = Band.read(text)
    assert (band.low, band.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("text", ["", "high", "0.8-0.6", "1.2", "-1", "0.5-1.5"])
def test_what_is_no_band_is_refused(text: str) -> None:
    with pytest.raises(ControlError, match="write a band between 0 and 1, like"):
        Band.read(text)


@pytest.mark.parametrize("band", ["0.6-0.8", "0.85-0.95"])
def test_a_variation_lies_in_the_band_and_keeps_the_form(composer: Composer, band: str) -> None:
    tune = tune_of()
    takes = list(composer.vary(tune, similarity=band, n=2, sampling=SamplingConfig(seed=5)))
    wanted = Band.read(band)
    assert takes[0].tune != takes[1].tune
    for take in takes:
        after = take.tune
        assert wanted.low <= similarity(tune, after) <= wanted.high
        assert (after.key, after.meter, len(after.bars)) == (tune.key, tune.meter, len(tune.bars))
        assert validate(after) == validate(tune)


def test_a_band_out_of_reach_is_refused_with_the_nearest_reached(composer: Composer) -> None:
    tune = tune_of("X:1\nM:2/4\nL:1/4\nK:C\nCD|EF|")
    with pytest.raises(ControlError, match=r"the nearest reached|no new version"):
        next(composer.vary(tune, similarity="0.999-0.9995"))


def test_a_chord_stays_a_chord_outside_what_is_rewritten(composer: Composer) -> None:
    text = "X:1\nM:4/4\nL:1/4\nK:C\n[CE]DEF|GABc|[df]efg|\n"
    after = infilled(composer, "2", text)
    assert not isinstance(after.bars[0].events[0], Note)
    assert after.bars[2] == tune_of(text).bars[2]
