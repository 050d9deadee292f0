"""The echo features: by hand, against a slow reading of their definition, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from musicgen.tokens.lookback.echo import LAGS, NAMES, RUNS, echo_sizes
from musicgen.tokens.lookback.features import Lookback
from musicgen.tokens.melody.automaton import Tracer
from musicgen.tokens.vocabulary import BOS, EOS

N_COLUMNS = 2 * len(NAMES)
HEADING = "R:jig M:6/8 L:1/8 K:D mode:major up:0"
# Each bar is six notes; the fifth bar is the first again, but for its last note.
FIRST = "1 2 3 4 5 6 | 7 6 5 4 3 2 | 1 1 2 2 3 3 | 4 4 5 5 6 6"
SECOND = "1 2 3 4 5 7 | 7 6 5 4 3 2 | 1 1 2 2 3 3 | 4 4 5 5 1 1"


def echo_features(ids: np.ndarray, grammar: np.ndarray) -> np.ndarray:
    """The echo columns of a whole tune."""
    return Lookback(["-"] * (int(ids.max()) + 1), ("echo",)).features(ids, grammar)[:, -N_COLUMNS:]


def heard(music: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Tokens, ids and grammar features of a jig."""
    tokens = [BOS, *HEADING.split(), *music.split(), EOS]
    known = {token: i for i, token in enumerate(dict.fromkeys(["<pad>", *tokens]))}
    grammar, _ = Tracer().trace(tokens)
    return tokens, np.array([known[token] for token in tokens]), grammar


def guesses(music: str, name: str) -> list[tuple[str, str]]:
    """(what came, what was guessed) at every place that had a guess."""
    tokens, ids, grammar = heard(music)
    texts = dict(zip(ids.tolist(), tokens, strict=True))
    columns = echo_features(ids, grammar)[:, len(NAMES) + NAMES.index(name)].tolist()
    return [(came, texts[g]) for came, g in zip(tokens[1:], columns[:-1], strict=True) if g]


def test_four_bars_later_the_phrase_is_guessed_note_for_note() -> None:
    found = guesses(f"{FIRST} | {SECOND} |]", "bar4")
    wrong = [pair for pair in found if pair[0] != pair[1]]
    assert found[:6] == [(n, n) for n in "12345"] + [("7", "6")]
    assert wrong == [("7", "6"), ("1", "6"), ("1", "6"), ("|]", "|"), ("<eos>", "1")]


def test_a_part_is_guessed_from_the_one_before() -> None:
    found = guesses(f"{FIRST} || {SECOND} |]", "part")
    wrong = [pair for pair in found if pair[0] != pair[1]]
    assert len(found) == 29
    assert wrong == [("7", "6"), ("1", "6"), ("1", "6"), ("|]", "||"), ("<eos>", "1")]


def test_a_second_ending_stands_where_the_first_does() -> None:
    music = (
        "|: 1 2 3 4 5 6 | 2 2 2 2 2 2 | 3 3 3 3 3 3 [1 4 4 4 4 4 4 :| "
        "[2 5 5 5 5 5 5 || 1 2 3 4 5 6 | 2 2 2 2 2 2 | 3 3 3 3 3 3 | 4 4 4 4 4 1 |]"
    ).replace("3 [1", "3 | [1")
    found = guesses(music, "bar4")
    notes = [pair for pair in found if pair[0] in "1234567"]
    assert notes[-24:-6] == [(n, n) for n in "123456" + "2" * 6 + "3" * 6]
    assert notes[-6:] == [("4", "4")] * 5 + [("1", "4")]


def test_how_often_a_guess_came_true_in_a_row() -> None:
    _, ids, grammar = heard(f"{FIRST} | {SECOND} |]")
    runs = echo_features(ids, grammar)[:, NAMES.index("bar4")].tolist()
    begin = len(HEADING.split()) + 1 + 28  # the first bar line and all before it
    counted = [int(sum(n >= RUNS)) for n in range(6)]
    assert runs[begin - 1 : begin + 8] == [*counted, 0, 1, 2]


def by_definition(ids: np.ndarray, grammar: np.ndarray) -> list[list[int]]:
    """The guesses of a tune without endings, looked for the slow way."""
    bars, places = 0, []
    for t, (position, bar, part, _) in enumerate(grammar.tolist()):
        before = grammar[t - 1].tolist() if t else [0, 0, 0, 0]
        bars += bool(bar) and (bar, part // 6) != (before[1], before[2] // 6) and bar > 0
        here = (bars, position)
        is_sign = part != before[2]
        again = places[-1][2] + 1 if places and places[-1][:2] == here and not is_sign else 0
        places.append((*here, again, part // 6, bar))

    def music(t: int) -> list[int]:
        return [i for i in range(t - 1, -1, -1) if grammar[i, 0] or grammar[i, 1]]

    rows = []
    for t, (bars, position, again, part, bar) in enumerate(places):
        row = []
        for lag in LAGS:
            wanted = (bars - lag, position, again)
            row.append(next((ids[i + 1] for i in music(t) if places[i][:3] == wanted), 0))
        same = (position, again, part - 1, bar)
        row.append(next((ids[i + 1] for i in music(t) if places[i][1:] == same), 0))
        rows.append([int(guess) for guess in row])
    return rows


@pytest.mark.parametrize("music", [f"{FIRST} | {SECOND} |]", f"|: {FIRST} :| |: {SECOND} :|"])
def test_guesses_are_what_followed_at_the_same_place(music: str) -> None:
    _, ids, grammar = heard(music)
    features = echo_features(ids, grammar)
    assert features[:, len(NAMES) :].tolist() == by_definition(ids, grammar)


def test_step_by_step_with_rows_left_out_equals_all_at_once() -> None:
    tunes = [heard(f"{FIRST} | {SECOND} |]"), heard(f"{FIRST} || {SECOND} |]")]
    vocabulary = ["-"] * (1 + max(int(tune[1].max()) for tune in tunes))
    tracker, n_steps = Lookback(vocabulary, ("echo",)).tracker(2), len(tunes[0][0])
    steps = []
    for t in range(n_steps):
        rows = tunes if t < 30 else tunes[1:]
        if t == 30:
            tracker.keep(np.array([1]))
        ids = np.array([tune[1][t] for tune in rows])
        columns = tracker.advance(ids, np.array([tune[2][t] for tune in rows]))
        steps.append(columns[-1, -N_COLUMNS:])
    np.testing.assert_array_equal(np.array(steps), echo_features(*tunes[1][1:]))


def test_the_columns_are_within_their_sizes() -> None:
    _, ids, grammar = heard(f"{FIRST} | {SECOND} |]")
    features = echo_features(ids, grammar)
    sizes = echo_sizes(int(ids.max()) + 1)
    assert features.shape == (len(ids), N_COLUMNS) == (len(ids), len(sizes))
    assert (features.max(axis=0) < list(sizes.values())).all()
    assert features[:, : len(NAMES)].max() > 4
