"""Lookback columns: predictions of the next token from the tune so far, with their confidence.

    lookback = Lookback.of(feature_sizes, vocab)     # those that a model or a token set has
    columns = lookback.features(ids, given)          # of a whole tune
    tracker = lookback.tracker(n)                    # of n tunes that grow

A prediction is a token id, in a column whose name ends in "_next". Its confidence is a small
integer in a column whose name ends in "_length": the length of the longest match (`match`), how
often the same place some bars earlier was right in a row (`echo`), or for how many notes the tune
has kept its distance from it (`moved`). The last two need the features of the melody grammar, so
only token languages that begin with those columns have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from musicgen.tokens.lookback import match
from musicgen.tokens.lookback.echo import EchoTracker, echo_sizes
from musicgen.tokens.lookback.match import MatchTracker, match_features
from musicgen.tokens.lookback.moved import (
    MovableTokens,
    MovedTracker,
    movable_to,
    moved_sizes,
)
from musicgen.tokens.lookback.places import TunePlaces
from musicgen.tokens.melody.grammar import FEATURE_SIZES
from musicgen.tokens.vocabulary import PAD

Ids = NDArray[np.integer]

_FIRST = next(iter(match.match_sizes(1)))  # the name of the first lookback column
# The groups of columns that look up places, in order.
_OF_PLACES = {"echo": echo_sizes, "moved": moved_sizes}


def beside_inputs() -> set[str]:
    """The names of columns that a new network copies from and does not read: as inputs they drown
    out the tokens (docs/experiments.md)."""
    sizes = [*match.match_sizes(1), *(name for of in _OF_PLACES.values() for name in of(1))]
    return {name for name in sizes if name != "match_length"}


@dataclass(frozen=True, eq=False)
class Lookback:
    """The lookback columns beside the tokens of a vocabulary: matches, and those `of_places`.

    `sizes` are the names and sizes of the columns in order.
    """

    vocabulary: Sequence[str]
    of_places: tuple[str, ...] = ()

    @staticmethod
    def newest(given: Iterable[str], vocabulary: Sequence[str]) -> Lookback:
        """All columns that there are beside the feature columns of a token language."""
        in_melody = tuple(given)[: len(FEATURE_SIZES)] == tuple(FEATURE_SIZES)
        return Lookback(vocabulary, tuple(_OF_PLACES) if in_melody else ())

    @staticmethod
    def of(columns: Iterable[str], vocabulary: Sequence[str]) -> Lookback | None:
        """Those that end the feature columns of a model or a token set; None where it has none."""
        names = set(columns)
        if _FIRST not in names:
            return None
        return Lookback(
            vocabulary, tuple(group for group, of in _OF_PLACES.items() if names >= set(of(1)))
        )

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Names and sizes of the columns, in order."""
        n = len(self.vocabulary)
        sizes = match.match_sizes(n)
        for group in self.of_places:
            sizes |= _OF_PLACES[group](n)
        return sizes

    @cached_property
    def movable(self) -> MovableTokens:
        """What the tokens mean where they are to be moved."""
        return MovableTokens(self.vocabulary)

    @cached_property
    def predictions(self) -> list[int]:
        """Which of the columns hold token ids."""
        return [i for i, name in enumerate(self.sizes) if name.endswith("_next")]

    def own_vocabulary(self, tokens: Iterable[str]) -> list[str]:
        """A vocabulary in which the columns of one tune can be found before that of its corpus is
        known: no prediction, its different tokens in the order of their first occurrence, and the
        pitches that these may be moved to."""
        different = dict.fromkeys(tokens)
        moved = map(movable_to, different) if "moved" in self.of_places else ()
        beyond = dict.fromkeys(text for texts in moved for text in texts)
        return [PAD, *different, *(text for text in beyond if text not in different)]

    def features(self, ids: Ids, given: Ids) -> NDArray[np.uint16]:
        """The columns of a whole tune: ids (T,) and the features given (T, F) -> (T, columns), row
        t from `ids[: t + 1]` only."""
        matches = match_features(ids)
        if not self.of_places:
            return matches
        tune = _TunePlaces(self)
        rows = zip(ids.tolist(), given[:, :3].tolist(), strict=True)
        columns = np.array([tune.advance(*row) for row in rows], np.uint16)
        return np.hstack([matches, columns.reshape(len(ids), -1)])

    def tracker(self, batch: int) -> LookbackTracker:
        """The same columns for `batch` tunes that grow by one token a step."""
        return LookbackTracker(self, batch)


class LookbackTracker:
    """The lookback columns of tunes that grow together."""

    def __init__(self, lookback: Lookback, batch: int) -> None:
        self._matches = MatchTracker(batch)
        self._tunes = [_TunePlaces(lookback) for _ in range(batch if lookback.of_places else 0)]

    def advance(self, ids: Ids, given: Ids) -> NDArray[np.uint16]:
        """Append one token to each tune: (B,), (B, F) -> (B, columns)."""
        matches = self._matches.advance(ids)
        if not self._tunes:
            return matches
        rows = zip(self._tunes, ids.tolist(), given[:, :3].tolist(), strict=True)
        columns = [tune.advance(token, state) for tune, token, state in rows]
        return np.hstack([matches, np.array(columns, np.uint16)])

    def keep(self, rows: Ids) -> None:
        """Continue with these tunes only, in this order."""
        self._matches.keep(rows)
        if self._tunes:
            self._tunes = [self._tunes[row] for row in rows.tolist()]


class _TunePlaces:
    """The columns of one tune that look up places."""

    def __init__(self, lookback: Lookback) -> None:
        self._places = TunePlaces()
        self._trackers: list[EchoTracker | MovedTracker] = []
        if "echo" in lookback.of_places:
            self._trackers.append(EchoTracker())
        if "moved" in lookback.of_places:
            self._trackers.append(MovedTracker(lookback.movable))

    def advance(self, token: int, state: Sequence[int]) -> list[int]:
        """The columns after one more token and the grammar's state after it."""
        self._places.advance(token, state)
        return [
            value for tracker in self._trackers for value in tracker.advance(token, self._places)
        ]
