"""Controls hold in every tune, what contradicts itself is refused in one line, phrases are read."""

from __future__ import annotations

import importlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from types import ModuleType

import numpy as np
import pytest

from musicgen.composer import Composer
from musicgen.composer.controls import (
    Controls,
    form_of,
    understand,
    understand_phrase,
)
from musicgen.composer.controls.pitch_automaton import NoteRules, PitchAutomaton, PitchSet
from musicgen.composer.generation import draft
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ControlError, MusicgenError
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.instruments import RANGES, written_range
from musicgen.music.tune import Rest, Tune
from musicgen.tokens.melody.automaton import Automaton, Tracer
from musicgen.tokens.melody.encoding import encode
from musicgen.tokens.melody.grammar import Limits, PartPlan, advance, outline_of, start
from musicgen.tokens.melody.table import parse_token
from musicgen.tokens.vocabulary import BOS, EOS
from tests.grammars import JIG, LENGTHS, VOCABULARY, assert_valid


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/checks/controls.py, which measures tunes without the sampler."""
    return importlib.import_module("scripts.checks.controls")


@pytest.fixture(scope="module")
def composer(untrained: Checkpoint) -> Composer:
    return Composer(untrained)


def read_back(tune: Tune) -> Tune:
    return parse_text(to_abc(tune)).tunes[0]


def motif() -> Tune:
    text = "X:1\nR:jig\nM:6/8\nL:1/8\nK:D\nA,|DFD A,2D|DFD A,DA,|DFD A,2D|DFD A,F:|\n"
    return parse_text(text).tunes[0]


HARD = [
    Controls(form="AABB", part_bars=4, key="D", meter="6/8", end_on_tonic=True),
    Controls(form="ABAC", bars=16, max_interval=5, end_on_tonic=True),
    Controls(form="AABBA", part_bars="4,6", pickup="1/8", scale="pentatonic"),
    Controls(form="AAA", part_bars=1, meter="3/4", max_interval=2, end_on_tonic=True),
    Controls(bars=13, max_interval=3, end_on_tonic=True, range="D4-D5"),
    Controls(part_bars="5,3,7", instrument="D whistle", key="G"),
    Controls(key="Bb mixolydian", range="Bb2-C4", max_interval=4, end_on_tonic=True),
    Controls(key="F# minor", scale="F# G# A B C#", unit="1/16", tempo="3/8=96"),
    Controls(rhythm="jig", pickup="5/8", part_bars=4, max_interval=2, end_on_tonic=True),
    Controls(motif=motif(), motif_bars="1-2", part_bars=8, form="AAB"),
    Controls(motif=motif(), motif_bars="1", key="G", max_interval=12, end_on_tonic=True),
    Controls(max_repeats=1, key="D"),
]


@pytest.mark.parametrize("number", range(len(HARD)))
def test_controls_hold_in_what_is_read_back(
    composer: Composer, script: ModuleType, number: int
) -> None:
    controls = HARD[number]
    for take in composer.takes(4, controls, SamplingConfig(seed=number, temperature=1.5)):
        tune = read_back(take.tune)
        given = controls
        if isinstance(controls.part_bars, str):
            numbers = [int(n) for n in controls.part_bars.split(",")]
            given = Controls(**{**vars(controls), "part_bars": numbers})
        assert list(script.disobedience(tune, given)) == []
        assert_valid(tune)


@pytest.mark.slow
def test_random_combinations_hold(composer: Composer, script: ModuleType, tmp_path: Path) -> None:
    assert script.check(composer, Random(3), 100, tmp_path, 1.0) == 0


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        (Controls(range="D4-F4"), "range 'D4-F4': narrower than a fifth; name a wider one"),
        (Controls(range="B5-D4"), "range 'B5-D4': its first pitch is above its second"),
        (Controls(range="high"), "range 'high': not a range; write it like D4-B5, where C4 is"),
        (Controls(key="G#"), "key 'G#': it has 8 sharps; use its usual name"),
        (Controls(meter="6/8", pickup="3/4"), "a pickup of 3/4 is not shorter than a bar of 6/8"),
        (Controls(meter="6/8", unit="1/2"), "a unit of 1/2 does not divide a bar of 6/8"),
        (Controls(unit="1/3"), "unit '1/3': use 1, 1/2, 1/4, 1/8, 1/16, 1/32 or 1/64"),
        (Controls(unit="1/0"), "unit '1/0': not a note length; write it like 1/8"),
        (Controls(form="AABB", part_bars="8,8,8"), "part-bars has 3 numbers, but AABB has 2 parts"),
        (
            Controls(form="BBAA"),
            "form 'BBAA': name the parts in the order in which they appear: AABB",
        ),
        (Controls(form="A1"), "form 'A1': not a form; write it like AABB or ABAC"),
        (Controls(form="AABB", part_bars=8, bars=30), "AABB with parts of 8 bars has 16 bars, not"),
        (Controls(bars=30, part_bars=8), "30 bars do not make 1 to 8 parts of 8 bars; change one"),
        (Controls(bars=0), "bars '0': use a whole number from 1 to 256"),
        (Controls(part_bars="8,x"), "part-bars '8,x': use numbers from 1 to 64, like 8 or 8,12"),
        (Controls(key="D", scale="E F# A B", end_on_tonic=True), "no D to end on is among the"),
        (Controls(key="D", scale="D E"), "scale 'D E': a tune needs at least 3 notes"),
        (Controls(scale="purple"), "scale 'purple': write notes such as D E F# A B, a mode, or"),
        (
            Controls(key="D", scale="pentatonic", max_interval=1),
            "max-interval 1: the notes allowed",
        ),
        (Controls(max_interval=0), "max-interval '0': use a whole number from 1 to 127"),
        (Controls(tempo="fast"), "tempo 'fast': write 10 to 1000 beats a minute, like 110 or"),
        (Controls(tempo="nan"), "tempo 'nan': write 10 to 1000 beats a minute, like 110 or"),
        (Controls(instrument="kazooo"), "'kazooo': unknown instrument"),
        (Controls(instrument="fiddle", range="C6-G6"), "range C6-G6 leaves less than a fifth of"),
        (Controls(motif=motif(), meter="3/4"), "the motif is in 6/8, not in 3/4"),
        (Controls(motif=motif(), motif_bars="2-3", pickup="1/8"), "the motif has no pickup; leave"),
        (Controls(motif=motif(), pickup="1/4"), "the motif has a pickup of 1/8; leave pickup out"),
        (Controls(part_bars="1,8", pickup="1/8"), "a part of one bar cannot have a pickup;"),
        (Controls(motif=motif(), motif_bars="3-9"), "motif-bars 3-9: the tune has 4 bars"),
        (Controls(motif=motif(), max_interval=2), "the motif leaps 5 semitones; max-interval is 2"),
        (Controls(motif=motif(), motif_bars="1-2", part_bars=2), "a motif of 2 bars does not fit"),
        (Controls(like="slow zydeco in D"), "like 'slow zydeco in D': the word 'zydeco' is not"),
        (Controls(like="jig in D", key="G"), "like 'jig in D': key is asked twice, D major and G"),
    ],
)
def test_what_contradicts_itself_is_refused_before_sampling(
    composer: Composer, controls: Controls, message: str
) -> None:
    with pytest.raises(MusicgenError) as error:
        composer.takes(1, controls, SamplingConfig())
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("seed", range(6))
def test_no_walk_through_notes_and_structure_comes_to_a_dead_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shortest = min(parse_token(text).value for text in LENGTHS)
    limits = Limits(form=(PartPlan(repeated=True, bars=2), PartPlan(bars=1)), smallest=shortest)
    base = Automaton(VOCABULARY, limits)
    ids = {VOCABULARY.ids[t]: m for t, m in {"5,": 57, "7,": 61, "1": 62, "2": 64, "3": 66}.items()}
    tonics, rules = frozenset({VOCABULARY.ids["1"]}), NoteRules(end_on_tonic=True, max_interval=4)
    pitches = PitchSet(pitches=ids, tonics=tonics, rules=rules).connected()
    automaton = PitchAutomaton(base, pitches)
    state = start()
    for text in JIG:
        state = advance(state, parse_token(text))
    for _ in range(15):
        number, last = automaton.begin(state), ""
        while not automaton.states[number].done:
            choices = np.flatnonzero(automaton.masks[number])
            assert len(choices)
            token = int(rng.choice(choices))
            last = VOCABULARY.tokens[token] if base.is_pitch[token] else last
            number = automaton.step(number, token)
        assert last == "1"


@pytest.mark.parametrize(
    ("phrase", "found"),
    [
        ("slow waltz in E minor", {"rhythm": "waltz", "key": "E minor", "tempo": "1/4=101"}),
        ("a jig", {"rhythm": "jig"}),
        ("reel in A", {"rhythm": "reel", "key": "A major"}),
        ("A minor slip jigs", {"rhythm": "slip jig", "key": "A minor"}),
        ("a 16-bar AABB polka in B flat", {"rhythm": "polka", "bars": 16, "form": "AABB"}),
        (
            "hornpipe in Gmix for the five-string banjo, ending on the tonic",
            {
                "rhythm": "hornpipe",
                "key": "G mixolydian",
                "instrument": "five string banjo",
                "end_on_tonic": True,
            },
        ),
        ("pentatonic air in 3/4", {"scale": "pentatonic", "rhythm": "air", "meter": "3/4"}),
    ],
)
def test_a_phrase_is_understood_word_by_word(phrase: str, found: dict[str, object]) -> None:
    assert understand_phrase(phrase).items() >= found.items()


@pytest.mark.parametrize(
    ("phrase", "word"),
    [("happy jig", "happy"), ("two reels", "two"), ("jig in H", "H"), ("badmin reel", "badmin")],
)
def test_a_word_that_is_not_understood_is_named(phrase: str, word: str) -> None:
    with pytest.raises(ControlError, match=f"the word '{word}' is not understood"):
        understand_phrase(phrase)


def test_a_part_that_comes_back_is_the_same_note_for_note(composer: Composer) -> None:
    for take in composer.takes(4, Controls(form="ABAC", part_bars=4), SamplingConfig(seed=5)):
        assert form_of(read_back(take.tune)) == ("ABAC", 16)


def test_a_stream_gives_the_tune_that_generate_gives_note_by_note(composer: Composer) -> None:
    controls, sampling = Controls(key="D", form="AB", part_bars=2), SamplingConfig(seed=9)
    stream = composer.stream(controls, sampling)
    events = [step.event for step in stream if step.event is not None]
    whole = composer.generate(seed=9, key="D", form="AB", part_bars=2)
    assert stream.tune == whole
    assert events == list(whole.voices[0].events)
    assert len(stream.milliseconds) >= len(events)
    assert stream.step() is None


def test_every_instrument_has_room_for_a_tune() -> None:
    assert len(set(RANGES.values())) >= 12
    for name in RANGES:
        low, high = written_range(name)
        assert high - low >= 12


def test_a_controlled_tune_does_not_rest_on_and_on(composer: Composer) -> None:
    controls = Controls(scale="D E F# A B", key="D", range="A3-E6")
    for take in composer.takes(16, controls, SamplingConfig(seed=3, temperature=2.0)):
        events = [event for bar in take.tune.bars for event in bar.timed]
        assert not [a for a, b in pairwise(events) if isinstance(a, Rest) and isinstance(b, Rest)]


def test_a_motif_comes_back_within_the_widest_interval(
    composer: Composer, script: ModuleType
) -> None:
    text = "X:1\nR:jig\nM:6/8\nL:1/8\nK:D\nD|AFD A2F|DFD A,DA,|\n"
    given = parse_text(text).tunes[0]
    controls = Controls(motif=given, motif_bars="1", part_bars=8, max_interval=7)
    for take in composer.takes(24, controls, SamplingConfig(seed=5)):
        assert list(script.disobedience(read_back(take.tune), controls)) == []


@pytest.mark.parametrize(
    "asked", [{"form": "AABA"}, {"form": "AABB", "range": "C4-C6"}, {"part_bars": "4,5"}]
)
def test_a_tune_whose_parts_are_asked_ends_on_the_tonic(
    composer: Composer, asked: dict[str, str]
) -> None:
    on_tonic = []
    for take in composer.takes(12, Controls(**{"part_bars": 4, **asked}), SamplingConfig(seed=4)):
        spoken = [BOS, *encode(take.tune), EOS]
        on_tonic.append(outline_of(Tracer().trace(spoken)[0], spoken)[-1].ends_on_tonic)
    # But where a note is tied into the last, or rests follow it; at random it would be two of 12.
    assert sum(map(bool, on_tonic)) >= 5


def test_a_form_without_lengths_takes_them_from_the_corpus(untrained: Checkpoint) -> None:
    engine = Composer(untrained).engine
    long = tuple(PartPlan(bars=n, repeated=True, ends_on_tonic=True) for n in (20, 8))
    two = tuple(PartPlan(bars=n, repeated=True, ends_on_tonic=True) for n in (4, 6))
    outlines = {engine.openings[0][0]: ((long, 5), (two, 1))}
    request = understand(Controls(form="ABACA"), engine.openings, engine.vocabulary, outlines)
    drawn = [request.draw(0, index)[1] for index in range(20)]
    assert {tuple(part.bars for part in parts) for parts in drawn} == {(4, 6, 4, 6, 4)}
    takes = draft(replace(engine, outlines=outlines), range(3), request, SamplingConfig())
    assert [form_of(read_back(take.tune)) for take in takes] == [("ABACA", 24)] * 3
    unknown = understand(Controls(form="ABACA"), engine.openings, engine.vocabulary, {})
    for take in draft(engine, range(4), unknown, SamplingConfig(seed=1)):
        form, bars = form_of(read_back(take.tune))
        assert form == "ABACA"
        assert bars <= 5 * 16


def test_bars_asked_in_all_are_shared_as_the_corpus_shares_them(untrained: Checkpoint) -> None:
    engine = Composer(untrained).engine
    two = (
        PartPlan(bars=4, repeated=True, ends_on_tonic=True),
        PartPlan(bars=6, repeated=False, ends_on_tonic=False),
    )
    outlines = {engine.openings[0][0]: ((two, 1), ((PartPlan(bars=9, repeated=False),), 5))}
    request = understand(Controls(bars=10), engine.openings, engine.vocabulary, outlines)
    assert {request.draw(0, index)[1] for index in range(20)} == {two}
    other = understand(Controls(bars=11), engine.openings, engine.vocabulary, outlines)
    assert other.draw(0, 0)[1] == ()
    for take in draft(replace(engine, outlines=outlines), range(6), request, SamplingConfig()):
        spoken = [BOS, *encode(take.tune), EOS]
        found = outline_of(Tracer().trace(spoken)[0], spoken)
        assert [(part.bars, part.repeated) for part in found] == [(4, True), (6, False)]
