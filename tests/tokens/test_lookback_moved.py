"""The moved columns: by hand, and against a slow reading of their definition."""

from __future__ import annotations

import numpy as np

from musicgen.tokens.lookback.features import Lookback
from musicgen.tokens.lookback.moved import MOST_HELD, MOST_STEPS, NAMES, MovableTokens
from musicgen.tokens.melody.automaton import Tracer
from musicgen.tokens.melody.table import parse_token
from musicgen.tokens.vocabulary import BOS, EOS

HEADING = "R:jig M:6/8 L:1/8 K:D mode:major up:0"
FIRST = "1 2 3 3 2 1"
HIGHER = "3 4 5 5 4 3"


def columns(music: str) -> tuple[list[str], list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, vocabulary, ids, grammar features and the moved columns of a jig."""
    tokens = [BOS, *HEADING.split(), *music.split(), EOS]
    scale = [
        f"{mark}{degree}{octave}"
        for degree in range(1, 8)
        for mark in ("", "#")
        for octave in ("", "'")
    ]
    vocabulary = list(dict.fromkeys(["<pad>", *tokens, *scale]))
    ids = np.array([vocabulary.index(token) for token in tokens])
    grammar, _ = Tracer().trace(tokens)
    found = Lookback(vocabulary, ("echo", "moved")).features(ids, grammar)
    return tokens, vocabulary, ids, grammar, found[:, -2 * len(NAMES) :]


def predicted(music: str, name: str) -> list[tuple[str, str, int]]:
    """(what came, what was predicted, for how many notes the distance had held) at every place
    that had a prediction."""
    tokens, vocabulary, _, _, found = columns(music)
    held, following = found[:, NAMES.index(name)], found[:, len(NAMES) + NAMES.index(name)]
    return [
        (came, vocabulary[p], int(n))
        for came, p, n in zip(tokens[1:], following[:-1], held[:-1], strict=True)
        if p
    ]


def test_a_bar_that_is_taken_up_higher_is_predicted_from_its_second_note() -> None:
    found = predicted(f"{FIRST} | {HIGHER} |]", "moved1")
    assert found == [
        ("4", "4", 1),
        ("5", "5", 2),
        ("5", "5", 3),
        ("4", "4", 4),
        ("3", "3", 5),
        ("|]", "|", 6),
        (EOS, "5", 6),
    ]


def test_accidentals_move_along_and_what_the_vocabulary_lacks_is_not_predicted() -> None:
    assert ("#5", "#5", 2) in predicted("1 2 #3 3 2 1 | 3 4 #5 5 4 3 |]", "moved1")
    found = predicted(f"{FIRST} | 1, 2, 3, 3, 2, 1, |]", "moved1")
    assert [(came, p) for came, p, _ in found][:2] == [("2,", "2,"), ("3,", "3,")]
    high = "1 7' 1 1 1 1 | 2 1' 1 1 1 1 |]"  # a step above 7' is not in the vocabulary
    assert "1''" not in columns(high)[1]
    assert predicted(high, "moved1") == []


def test_an_exact_return_is_left_to_the_echo() -> None:
    assert predicted(f"{FIRST} | {FIRST} |]", "moved1") == []


def test_half_a_bar_and_four_bars_earlier() -> None:
    half = predicted("1 2 3 2 3 4 |]", "moved_half")
    assert half[:2] == [("3", "3", 1), ("4", "4", 2)]
    other = " | ".join(["5 5 5 6 6 6"] * 3)
    four = predicted(f"{FIRST} | {other} | {HIGHER} |]", "moved4")
    assert [pair for pair in four if pair[0] in "345"][-5:] == [
        ("4", "4", 1),
        ("5", "5", 2),
        ("5", "5", 3),
        ("4", "4", 4),
        ("3", "3", 5),
    ]


def test_every_prediction_is_what_the_definition_says() -> None:
    rng = np.random.default_rng(1)
    bars = [" ".join(rng.choice(list("1234567"), 6)) for _ in range(4)]
    music = " | ".join(bars[i] for i in rng.integers(0, 4, 12)) + " |]"
    tokens, vocabulary, ids, grammar, found = columns(music)
    movable = MovableTokens(vocabulary)
    places, bar = [], 0
    for t, (position, number, part, _) in enumerate(grammar.tolist()):
        bar += bool(number) and (number != grammar[t - 1, 1] or part != grammar[t - 1, 2])
        again = sum(1 for place in places if place[:2] == (bar, position))
        places.append((bar, position, again))
    begins = {places[t - 1][:2]: t for t, token in enumerate(tokens) if token in "1234567"}

    def earlier(place: tuple[int, ...], lag: float) -> tuple[int, int]:
        if lag == 0.5:
            return (place[0], place[1] - 36) if place[1] >= 36 else (place[0] - 1, place[1] + 36)
        return place[0] - int(lag), place[1]

    for name, lag in zip(NAMES, (0.5, 1, 2, 4), strict=True):
        distances: list[int] = []
        for t in range(len(HEADING.split()) + 1, len(tokens) - 1):
            if tokens[t] in "1234567":
                source = begins.get(earlier(places[t - 1], lag))
                own = parse_token(tokens[t]).value[0]
                distances.append(own - parse_token(tokens[source]).value[0] if source else 0)
            distance = distances[-1] if distances else 0
            n_held = next(
                (i for i, d in enumerate(distances[::-1]) if d != distance), len(distances)
            )
            wanted = (*earlier(places[t], lag), places[t][2])
            source = next((i for i in range(t - 1, -1, -1) if places[i] == wanted), None)
            known = source is not None and 0 < abs(distance) <= MOST_STEPS
            expected = movable.moved(int(ids[source + 1]), distance) if known else 0
            assert found[t, len(NAMES) + NAMES.index(name)] == expected
            assert found[t, NAMES.index(name)] == (min(n_held, MOST_HELD) if distance else 0)
