"""Moved columns: the token at the same place half a bar to 4 bars earlier, moved as the notes are.

A sequence takes a bar up again some steps higher or lower. Where the last notes stand as many
steps from those at the same places a lag earlier, the token that followed there, its pitch moved by
as many steps of the scale, predicts the next token; other tokens are predicted as they were. The
number of notes for which the distance has held is its confidence. At a distance of 0 it is the
echo's to predict.

Where this came from and what it gains: docs/experiments.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from musicgen.tokens.lookback.places import TunePlaces
from musicgen.tokens.melody.grammar.state import TICKS_PER_QUARTER
from musicgen.tokens.melody.table import parse_token, pitch_token

LAGS = (1, 2, 4)  # bars, after half a bar
NAMES = ("moved_half", *(f"moved{lag}" for lag in LAGS))
MOST_HELD = 7  # notes; more count as this
MOST_STEPS = 8  # of the scale; notes farther apart are not in a sequence


def moved_sizes(vocab_size: int) -> dict[str, int]:
    """Names and sizes of the columns, in order: every value is in [0, size)."""
    held = {f"{name}_length": MOST_HELD + 1 for name in NAMES}
    return held | {f"{name}_next": vocab_size for name in NAMES}


@lru_cache(maxsize=1024)
def movable_to(text: str) -> tuple[str, ...]:
    """The pitches that a token may be moved to, from the lowest on; () for one that is none."""
    token = parse_token(text)
    if token.kind != "pitch":
        return ()
    steps, alter = token.value
    return tuple(pitch_token(steps + by, alter) for by in range(-MOST_STEPS, MOST_STEPS + 1))


class MovableTokens:
    """What the ids of a vocabulary of melodies mean: staff steps of pitches, ticks of meters."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        tokens = [parse_token(text) for text in vocabulary]
        ids = {text: i for i, text in enumerate(vocabulary)}
        self.steps = [token.value[0] if token.kind == "pitch" else None for token in tokens]
        self.bar_ticks = [
            int(token.value.bar_duration * TICKS_PER_QUARTER) if token.kind == "meter" else 0
            for token in tokens
        ]
        self._moved = [[ids.get(other, 0) for other in movable_to(text)] for text in vocabulary]

    def moved(self, token: int, steps: int) -> int:
        """The token `steps` higher, itself where it is no pitch, 0 where the vocabulary has it
        not."""
        moved = self._moved[token]
        return moved[steps + MOST_STEPS] if moved else token


class MovedTracker:
    """The columns of one tune: for how many notes each distance has held, then the predictions, 0
    where there is none."""

    def __init__(self, tokens: MovableTokens) -> None:
        self._tokens = tokens
        self._bar_ticks = 0
        self._place = (0, 0)  # bar and position before the last token
        self._notes: dict[tuple[int, int], int] = {}  # staff steps of the note that began there
        self._distances = [0] * len(NAMES)  # in staff steps; 0 also where there is no note
        self._held = [0] * len(NAMES)

    def advance(self, token: int, places: TunePlaces) -> list[int]:
        """The columns after one more token, which `places` has read."""
        tokens = self._tokens
        self._bar_ticks = tokens.bar_ticks[token] or self._bar_ticks
        steps = tokens.steps[token]
        if steps is not None and self._bar_ticks:
            self._notes[self._place] = steps
            for i, source in enumerate(self._sources(*self._place)):
                distance = steps - self._notes.get(source, steps)
                again = distance == self._distances[i]
                self._held[i] = min(self._held[i] + 1, MOST_HELD) if again else 1
                self._distances[i] = distance if abs(distance) <= MOST_STEPS else 0
        self._place = (places.bar, places.position)
        predictions = [
            tokens.moved(places.token_at(*source), distance) if distance else 0
            for source, distance in zip(self._sources(*self._place), self._distances, strict=True)
        ]
        held = [
            n if distance else 0 for n, distance in zip(self._held, self._distances, strict=True)
        ]
        return [*held, *predictions]

    def _sources(self, bar: int, position: int) -> list[tuple[int, int]]:
        """The same place each lag earlier."""
        half = self._bar_ticks // 2
        before = (bar, position - half) if position >= half else (bar - 1, position + half)
        return [before, *[(bar - lag, position) for lag in LAGS]]
