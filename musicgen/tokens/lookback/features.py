"""Lookback features: predictions of the next token from the tune so far, with their confidence.

A prediction is a token id. Its confidence is a small integer: the length of the longest match
(`match`), or how often the same place some bars earlier was right in a row (`echo`). Echoes need
the features of the melody grammar, so only token languages that begin with those columns have them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from musicgen.tokens.lookback import echo as echoes
from musicgen.tokens.lookback import match
from musicgen.tokens.melody.grammar import FEATURE_SIZES

Ids = NDArray[np.integer]
N_WITH_ECHOES = match.N_COLUMNS + echoes.N_COLUMNS


def supports_echo(given: Iterable[str]) -> bool:
    """Whether feature columns with these names begin with those of the melody grammar."""
    return tuple(given)[: len(FEATURE_SIZES)] == tuple(FEATURE_SIZES)


def uses_echo(n_columns: int, n_given: int) -> bool:
    """Whether `n_columns` feature columns, of which `n_given` come first, end with echo columns."""
    return n_columns - n_given == N_WITH_ECHOES


def lookback_sizes(vocab_size: int, *, echo: bool) -> dict[str, int]:
    """Names and sizes of the columns, in order. The name of a prediction ends in "_next", that of
    its confidence in "_length"."""
    sizes = match.match_sizes(vocab_size)
    return sizes | echoes.echo_sizes(vocab_size) if echo else sizes


def n_given_columns(columns: Iterable[str]) -> tuple[int, bool]:
    """The number of columns before those of lookback, and whether these hold echoes."""
    names = tuple(columns)
    echo = any(name in echoes.echo_sizes(1) for name in names)
    return len(names) - (N_WITH_ECHOES if echo else match.N_COLUMNS), echo


def lookback_features(ids: Ids, given: Ids, *, echo: bool) -> NDArray[np.uint16]:
    """The columns of a whole tune: ids (T,) and the features given (T, F) -> (T, 2) or (T, 12), row
    t from `ids[: t + 1]` only."""
    matches = match.match_features(ids)
    return np.hstack([matches, echoes.echo_features(ids, given)]) if echo else matches


class LookbackTracker:
    """The same columns for `batch` tunes that grow by one token a step."""

    def __init__(self, batch: int, *, echo: bool) -> None:
        self._matches = match.MatchTracker(batch)
        self._echoes = echoes.EchoTracker(batch) if echo else None

    def advance(self, ids: Ids, given: Ids) -> NDArray[np.uint16]:
        """Append one token to each tune: (B,), (B, F) -> (B, 2) or (B, 12)."""
        matches = self._matches.advance(ids)
        if self._echoes is None:
            return matches
        return np.hstack([matches, self._echoes.advance(ids, given)])

    def keep(self, rows: Ids) -> None:
        """Continue with these tunes only, in this order."""
        self._matches.keep(rows)
        if self._echoes is not None:
            self._echoes.keep(rows)
