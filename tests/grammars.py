"""A small vocabulary of melodies, and validity stated without the grammar."""

from __future__ import annotations

from fractions import Fraction

from musicgen.music.tune import Note, Rest, Tune
from musicgen.tokens.vocabulary import Vocabulary

PITCHES = ["5,", "7,", "1", "2", "3", "#4", "5", "b7", "1'"]
LENGTHS = ["*1/4", "*1/2", "*3/4", "*3/2", "*2", "*3", "*4", "*6"]
BODY = [*PITCHES, *LENGTHS, "z", "-", "(3:2", "(2:3", "|", "||", ":|", "|]", "|:", "[1", "[2"]
HEADER = ["R:", "R:jig", "R:reel", "M:6/8", "M:C|", "M:2/4", "M:9/8", "L:1/8", "L:1/16", "K:D"]
HEADER += ["mode:major", "mode:dorian", "up:0", "up:1/2", "up:1/4", "up:3/2"]
VOCABULARY = Vocabulary.build([HEADER + BODY])
JIG = ["R:jig", "M:6/8", "L:1/8", "K:D", "mode:major", "up:1/2"]


def assert_valid(tune: Tune) -> None:
    """Validity stated without the grammar: by the lengths and marks of the bars alone."""
    full = tune.meter.bar_duration
    assert full is not None
    bars = tune.bars
    pickup = bars[0].duration if bars[0].duration < full else Fraction(0)
    starts_part, opened, ending = True, False, 0
    for i, bar in enumerate(bars):
        last = i == len(bars) - 1
        ends = bar.repeat_end or bar.barline != "|"
        if bar.repeat_start:
            assert starts_part
            opened = True
        if bar.volta:
            assert opened
            assert bar.volta == (ending + 1,)
            ending += 1
        if starts_part and pickup:
            assert bar.duration == pickup
        else:
            assert bar.duration == (full - pickup if ends else full)
        assert not (bar.repeat_end and (not opened or ending == 2))
        if bar.repeat_end and ending == 1:
            assert not last
            assert bars[i + 1].volta == (2,)
        elif ends:
            assert opened == bool(bar.repeat_end or ending == 2)
            opened, ending = False, 0
        starts_part = bool(ends) and ending == 0
        assert (bar.barline == "|]" or bool(bar.repeat_end)) if last else bar.barline != "|]"
    notes = [event for bar in bars for event in bar.timed]
    for first, second in zip(notes, [*notes[1:], Rest()], strict=True):
        if isinstance(first, Note) and first.tie:
            assert isinstance(second, Note)
            assert second.pitch == first.pitch
    groups = [e.tuplet.index for e in notes if e.tuplet is not None]
    sizes = [e.tuplet.size for e in notes if e.tuplet is not None]
    position = 0
    while position < len(groups):
        assert groups[position : position + sizes[position]] == list(range(sizes[position]))
        position += sizes[position]
