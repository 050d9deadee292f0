"""Grammar: what it lets through is valid music, and what it refuses is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from musicgen.tokens.melody.automaton import Automaton, GrammarConstraint, Tracer
from musicgen.tokens.melody.encoding import decode, encode
from musicgen.tokens.melody.grammar import (
    FEATURE_SIZES,
    UNLIMITED,
    Limits,
    Outline,
    PartPlan,
    advance,
    allowed,
    features,
    outline_of,
    permits,
    start,
)
from musicgen.tokens.melody.table import parse_token
from tests.grammars import JIG, PITCHES, VOCABULARY, assert_valid


def irregularity(tokens: list[str]) -> tuple[int, str] | None:
    """Index and text of the first token that is not valid at its place; None for a valid tune."""
    state, pitch = start(), None
    for i, text in enumerate((*tokens, "<eos>")):
        token = parse_token(text)
        wrong_tie = state.tie and token.kind == "pitch" and token.value != pitch
        if wrong_tie or not permits(allowed(state, UNLIMITED), token):
            return i, text
        state = advance(state, token)
        pitch = token.value if token.kind == "pitch" else pitch
    return None


def random_tune(seed: int, limits: Limits | None = None, hurry_after: int = 400) -> list[str]:
    """A walk through the grammar that takes any permitted token with equal chance."""
    rng = np.random.default_rng(seed)
    constraint = GrammarConstraint(Automaton(VOCABULARY, limits), 1, hurry_after=hurry_after)
    tokens: list[str] = []
    while not tokens or tokens[-1] != "<eos>":
        choice = rng.choice(np.flatnonzero(constraint.mask()[0]))
        constraint.advance(np.array([choice]))
        tokens.append(VOCABULARY.tokens[choice])
    return tokens[:-1]


@pytest.mark.parametrize(
    "seed",
    [*range(50), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(50, 150))],
)
def test_every_random_walk_through_the_grammar_is_a_valid_tune(seed: int) -> None:
    tokens = random_tune(seed)
    tune = decode(tokens)
    assert_valid(tune)
    assert irregularity(tokens) is None
    assert encode(tune) == tokens


@pytest.mark.parametrize("seed", range(40))
def test_walks_end_soon_after_they_are_told_to_hurry(seed: int) -> None:
    tokens = random_tune(seed, hurry_after=60)
    assert len(tokens) < 60 + 200
    assert_valid(decode(tokens))


@pytest.mark.parametrize("seed", range(40))
def test_limits_on_bars_and_parts_hold(seed: int) -> None:
    tune = decode(random_tune(seed, Limits(part_bars=4, ending_bars=1, parts=2), hurry_after=5000))
    assert len(tune.bars) <= 2 * (4 + 1 + 2)
    assert_valid(tune)


@pytest.mark.parametrize(
    ("body", "position"),
    [
        ("1 | 1 2 3 1 2 3 | 1 2 3 *2 1 |]", None),
        ("|: 1 | 1 2 3 1 2 3 | 1 2 3 *2 1 :|", None),
        ("|: 1 | 1 2 3 1 2 3 | [1 1 2 3 *2 1 :| [2 1 2 3 *2 2 |]", None),
        ("1 | 1 2 3 1 2 | 1 2 3 *2 1 |]", 13),  # a bar that is too short
        ("1 | 1 2 3 1 2 3 4 | 1 2 3 *2 1 |]", 14),  # too long
        ("1 | 1 2 3 1 2 3 | 1 2 3 *3 1 |]", 20),  # no room left for the pickup
        ("|: 1 | 1 2 3 1 2 3 | 1 2 3 *2 1 |]", 21),  # a repeat that is not closed
        ("1 | 1 2 3 1 2 3 | 1 2 3 *2 1 :|", 20),  # one that is not opened
        ("1 | 1 2 3 1 2 3 | 1 2 3 *2 1 |", 20),  # no final bar line: the end is refused
        ("1 | 1 - 2 3 1 2 3 | 1 2 3 *2 1 |]", 10),  # a tie between different pitches
        ("1 | (3:2 1 2 | 1 2 3 *2 1 |]", 11),  # an incomplete triplet
        ("|: 1 | 1 2 3 1 2 3 | [2 1 2 3 *2 1 |]", 16),  # a second ending without a first
        ("1 | 1 2 3 1 2 3 | 1 2 3 *2 1 ||", 21),  # parts that are announced must come
    ],
)
def test_irregularity_names_the_first_token_out_of_place(body: str, position: int | None) -> None:
    found = irregularity(JIG + body.split())
    assert (None if found is None else found[0]) == position


def test_a_rhythm_fixes_the_meters_that_may_follow() -> None:
    state = advance(start(), parse_token("R:jig"))
    options = allowed(state)
    assert permits(options, parse_token("M:6/8"))
    assert not permits(options, parse_token("M:C|"))


def test_advance_follows_irregular_music_without_failing() -> None:
    tokens = [
        *JIG,
        *[
            "|",
            "[2",
            "1",
            "2",
            ":|",
            "(3:2",
            "1",
            "|",
            "-",
            "*7",
            "z",
            "|]",
            "|:",
            "4",
            "1",
            ":|",
            "1",
        ],
    ]
    state = start()
    for text in tokens:
        state = advance(state, parse_token(text))
        assert all(0 <= v < n for v, n in zip(features(state), FEATURE_SIZES.values(), strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_a_trace_has_the_features_of_every_state_and_the_first_irregular_token(seed: int) -> None:
    tokens = random_tune(seed)
    tracer = Tracer()
    state, expected = start(), []
    for text in tokens:
        state = advance(state, parse_token(text))
        expected.append(list(features(state)))
    traced, irregular = tracer.trace(tokens)
    assert traced.tolist() == expected
    assert irregular is None
    tokens[len(tokens) // 2] = "|:"
    found = irregularity(tokens)
    assert tracer.trace(tokens)[1] == (found and found[0])


def test_a_tracer_that_forgets_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tunes = [random_tune(seed) for seed in range(6)]
    expected = [Tracer().trace(tune)[0].tolist() for tune in tunes]
    monkeypatch.setattr(Tracer, "MAX_STEPS", 10)
    tracer = Tracer()
    assert [tracer.trace(tune)[0].tolist() for tune in tunes] == expected


def test_features_count_the_pickup_from_the_end_of_its_bar() -> None:
    state = start()
    for text in JIG:
        state = advance(state, parse_token(text))
    assert features(state)[0] == 24 * 5 // 2
    state = advance(advance(state, parse_token("1")), parse_token("|"))
    assert features(state)[:2] == (0, 1)


def test_a_batch_gives_the_same_masks_and_features_as_single_steps() -> None:
    automaton = Automaton(VOCABULARY)
    walks = [random_tune(seed) for seed in (1, 2, 3)]
    longest = max(map(len, walks))
    ids = np.array(
        [VOCABULARY.encode(w + ["<eos>"] + ["<pad>"] * (longest - len(w))) for w in walks]
    )
    batch = GrammarConstraint(automaton, 3)
    states = [start()] * 3
    for column in ids.T:
        for row, state in enumerate(states):
            options = allowed(state, replace(automaton.limits))
            if not state.done:
                for i in np.flatnonzero(batch.mask()[row]):
                    assert permits(options, automaton.tokens[i])
                pitches = batch.mask()[row] & automaton.is_pitch
                assert pitches.sum() <= 1 or not state.tie
            assert tuple(batch.features()[row]) == features(state)
        batch.advance(column)
        states = [advance(s, automaton.tokens[i]) for s, i in zip(states, column, strict=True)]
    assert all(state.done for state in states)


def test_rows_can_be_left_out_and_reordered_on_the_way() -> None:
    automaton = Automaton(VOCABULARY)
    walks = [VOCABULARY.encode(random_tune(seed)) for seed in (1, 2, 3)]
    ids = np.array([walk[:30] for walk in walks])
    batch, kept = GrammarConstraint(automaton, 3, hurry_after=20), np.array([2, 0])
    alone = GrammarConstraint(automaton, 2, hurry_after=20)
    for time in range(30):
        if time == 10:
            batch.keep(kept)
        batch.advance(ids[kept if time >= 10 else slice(None), time])
        alone.advance(ids[kept, time])
    np.testing.assert_array_equal(batch.mask(), alone.mask())
    np.testing.assert_array_equal(batch.features(), alone.features())


def test_a_tie_to_a_pitch_that_the_vocabulary_lacks_may_go_anywhere() -> None:
    script = [*JIG[:-1], "up:0", "b6", "-"]
    constraint = GrammarConstraint(Automaton(VOCABULARY), 1, script=script)
    for token in VOCABULARY.encode(["<bos>", *script]):
        constraint.advance(np.array([token]))
    assert (constraint.mask()[0] & constraint.automaton.is_pitch).sum() == len(PITCHES)


def test_the_outline_of_a_tune_is_read_from_its_features() -> None:
    bar = "1 1 1 1 1 1"
    heading = ["R:jig", "M:6/8", "L:1/8", "K:D", "mode:major", "up:0"]
    first = f"|: {' | '.join([bar] * 7)} | [1 {bar} :| [2 {bar} ||".split()
    second = f"{' | '.join([bar] * 5)} |]".split()
    tokens = ["<bos>", *heading, *first, *second[:-2], "3", "|]", "<eos>"]
    traced, _ = Tracer().trace(tokens)
    assert outline_of(traced, tokens) == (
        PartPlan(bars=8, repeated=True, ends_on_tonic=True),
        PartPlan(bars=5, repeated=False, ends_on_tonic=False),
    )
    tokens = ["<bos>", *heading, *f"{bar} | {bar} |]".split(), "<eos>"]
    assert outline_of(Tracer().trace(tokens)[0], tokens) == ()  # a new tune may not be as short


@pytest.mark.parametrize("seed", range(3))
def test_tunes_side_by_side_keep_to_outlines_of_their_own(seed: int) -> None:
    asked: list[Outline] = [
        (
            PartPlan(repeated=True, bars=4, ends_on_tonic=True),
            PartPlan(repeated=False, bars=6, ends_on_tonic=True),
        ),
        (),
        (PartPlan(repeated=False, bars=8),),
        tuple(PartPlan(repeated=n > 4, bars=n, ends_on_tonic=n < 6) for n in (5, 6, 4)),
    ]
    limits = [Limits(form=outline) if outline else None for outline in asked]
    rng = np.random.default_rng(seed)
    constraint = GrammarConstraint(Automaton(VOCABULARY), 4, limits=limits)
    tokens: list[list[str]] = [["<bos>"] for _ in asked]
    while any(row[-1] != "<eos>" for row in tokens):
        mask = constraint.mask()
        ids = np.array([rng.choice(np.flatnonzero(row)) for row in mask])
        constraint.advance(ids)
        for row, token_id in zip(tokens, ids.tolist(), strict=True):
            if row[-1] != "<eos>":
                row.append(VOCABULARY.tokens[token_id])
    for row, outline in zip(tokens, asked, strict=True):
        assert_valid(decode(row[1:-1]))
        if outline:
            found = outline_of(Tracer().trace(row)[0], row)
            assert [replace(part, ends_on_tonic=None) for part in found] == [
                replace(part, ends_on_tonic=None) for part in outline
            ]
            for part, on_tonic in zip(outline, ends_on_tonic(row), strict=True):
                assert on_tonic is None or part.ends_on_tonic in (None, on_tonic)


def ends_on_tonic(tokens: list[str]) -> list[bool | None]:
    """Of each part whether its last note is the tonic; None where that may be otherwise: it is tied
    to, or rests follow."""
    found = []
    for i, token in enumerate(tokens):
        if token in ("||", "|]") or (token == ":|" and tokens[i + 1] != "[2"):
            last = tokens[i - 1]
            before = (t for t in reversed(tokens[: i - 1]) if t[0] not in "*|")
            tied = next(before) == "-"
            found.append(None if tied or last == "z" else last in ("1", "1'"))
    return found
