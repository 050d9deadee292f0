"""The grammar for a whole batch: every state's mask and features are computed once.

The states of a tune form a graph that is explored during sampling: states get numbers, and masks,
features and transitions are tables that a step of a whole batch looks up by number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from threading import Lock, RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.music.theory import Key
from musicgen.tokens.melody.encoding import well_spelled
from musicgen.tokens.melody.grammar import (
    FEATURE_SIZES,
    UNLIMITED,
    Limits,
    Options,
    State,
    advance,
    allowed,
    count_bars,
    features,
    is_tonic,
    leaving_open,
    permits,
    start,
)
from musicgen.tokens.melody.table import parse_token
from musicgen.tokens.vocabulary import BOS, PAD, Vocabulary

Numbers = NDArray[np.integer]
UNKNOWN = -1  # in a table of transitions: not computed yet
NO_PITCH = -1


class Automaton:
    """The grammar over one vocabulary, as tables that grow while they are used.

    Row s of every table belongs to state number s. A transition that has not been computed yet
    is UNKNOWN; `step` and `hurried` compute it.

    Several threads may use it at once. Entries are computed under a lock and a number is published
    only when its rows are complete, so a look-up of what is known takes no lock.
    """

    def __init__(self, vocabulary: Vocabulary, limits: Limits | None = None) -> None:
        self.tokens = [parse_token(text) for text in vocabulary.tokens]
        limits = limits or Limits()
        self.smallest = limits.smallest or shortest_length(vocabulary)
        self.is_pitch = np.array([token.kind == "pitch" for token in self.tokens])
        self._has_tonic = any(t.kind == "pitch" and is_tonic(t) for t in self.tokens)
        self.limits = self._possible(limits)
        self._column_of: dict[Limits, int] = {self.limits: 0}
        self.pad_id = vocabulary.ids[PAD]
        self.states: list[State] = []
        self.numbers: dict[State, int] = {}
        self.masks = np.zeros((0, len(self.tokens)), np.bool_)  # one row for each set of options
        self._mask_of: dict[Options, int] = {}
        self._mask_numbers = np.zeros((0, 1), np.int32)  # a column for each of the limits
        self.features = np.zeros((0, len(FEATURE_SIZES)), np.int64)
        self.ties = np.zeros(0, np.bool_)  # whether a pitch must be repeated
        self._next = np.zeros((0, len(self.tokens)), np.int32)
        self._hurried = np.zeros(0, np.int32)
        self._spelled: dict[Key, NDArray[np.bool_]] = {}
        self._lock = RLock()

    def __getstate__(self) -> dict[str, Any]:
        """The tables as they are now: other threads may go on to fill them, and a lock is not
        pickled."""
        with self._lock:
            return {
                name: value.copy() if isinstance(value, list | dict | np.ndarray) else value
                for name, value in vars(self).items()
                if name != "_lock"
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=RLock())

    def number(self, state: State) -> int:
        """Number of a state, entering it into the tables when it is new."""
        number = self.numbers.get(state)
        if number is not None:
            return number
        with self._lock:
            number = self.numbers.get(state, len(self.states))
            if number == len(self.states):
                if number == len(self.ties):
                    self._grow(max(64, 2 * number))
                self.features[number] = features(state)
                self.ties[number] = state.tie
                self.states.append(state)
                self.numbers[state] = number  # last: from here on others use it
            return number

    def _grow(self, size: int) -> None:
        self._mask_numbers = _enlarged(self._mask_numbers, size)
        self.features = _enlarged(self.features, size)
        self.ties = _enlarged(self.ties, size)
        self._next = _enlarged(self._next, size)
        self._hurried = _enlarged(self._hurried, size)

    def step(self, numbers: Numbers, ids: Numbers) -> Numbers:
        """Numbers of the states after one token each: (B,), (B,) -> (B,)."""
        after = self._next[numbers, ids]
        for row in np.flatnonzero(after == UNKNOWN).tolist():
            after[row] = self.after(int(numbers[row]), int(ids[row]))
        return after

    def after(self, number: int, token_id: int) -> int:
        """Number of the state after one token."""
        known = int(self._next[number, token_id])
        if known != UNKNOWN:
            return known
        with self._lock:
            known = self.number(self._reduced(advance(self.states[number], self.tokens[token_id])))
            self._next[number, token_id] = known
            return known

    def _reduced(self, state: State) -> State:
        """The state without bars that the limits do not count, so that more states are equal."""
        if not state.before or self.limits.total_bars is not None:
            return state
        return replace(state, before=0)

    def hurried(self, numbers: Numbers) -> Numbers:
        """The same states with `hurry`, which end as soon as they may: (B,) -> (B,)."""
        after = self._hurried[numbers]
        for row in np.flatnonzero(after == UNKNOWN).tolist():
            number = int(numbers[row])
            state = self.states[number]
            with self._lock:
                hurries = self.may_hurry(state)
                reached = self.number(replace(state, hurry=True)) if hurries else number
                after[row] = self._hurried[number] = reached
        return after

    def may_hurry(self, state: State) -> bool:
        """Whether a tune can be made to end soon: at a bar line (inside a bar a tie may already
        prevent it), and if the limits fix neither form nor bars."""
        return not (state.hurry or state.position > 0 or state.done or self.limits.bounded)

    def held_to(self, limits: Limits) -> int:
        """The number of other limits that some tunes are held to; 0 is that of the automaton's own.
        They may not count the bars of all parts together (`total_bars`)."""
        limits = self._possible(limits)
        with self._lock:
            number = self._column_of.setdefault(limits, len(self._column_of))
            if number == self._mask_numbers.shape[1]:
                column = np.full((len(self._mask_numbers), 1), UNKNOWN, np.int32)
                self._mask_numbers = np.hstack([self._mask_numbers, column])
            return number

    def _possible(self, limits: Limits) -> Limits:
        """The limits with the vocabulary's shortest length, and without a tonic that it lacks."""
        form = limits.form if self._has_tonic else leaving_open(limits.form)
        return replace(limits, smallest=self.smallest, form=form)

    def mask(self, number: int) -> NDArray[np.bool_]:
        """Which tokens may come next in a state, under the automaton's own limits: (V,)."""
        return self.masks_of(np.array([number]), np.zeros(1, np.int64))[0]

    def spelled_in(self, key: Key) -> NDArray[np.bool_]:
        """`encoding.well_spelled` of the vocabulary: (V,)."""
        if key not in self._spelled:
            self._spelled[key] = well_spelled(self.tokens, key)
        return self._spelled[key]

    def masks_of(self, numbers: Numbers, limits: Numbers) -> NDArray[np.bool_]:
        """Which tokens may come next in states under `held_to` limits: (B,), (B,) -> (B, V)."""
        indices = self._mask_numbers[numbers, limits]
        for row in np.flatnonzero(indices == UNKNOWN).tolist():
            number, column = int(numbers[row]), int(limits[row])
            with self._lock:
                indices[row] = self._mask_number(number, column)
                self._mask_numbers[number, column] = indices[row]
        return self.masks[indices]

    def _mask_number(self, number: int, column: int) -> int:
        state = self.states[number]
        options = allowed(state, list(self._column_of)[column])
        known = self._mask_of.get(options)
        if known is None:
            mask = np.fromiter((permits(options, t) for t in self.tokens), bool, len(self.tokens))
            mask[self.pad_id] = state.done  # a finished row is fed padding
            known = len(self._mask_of)
            if known == len(self.masks):
                self.masks = _enlarged(self.masks, max(64, 2 * known))
            self.masks[known] = mask
            self._mask_of[options] = known
        return known


def shortest_length(vocabulary: Vocabulary) -> Fraction:
    """The shortest length, in units, that halves of halves of a unit lead to."""
    tokens = map(parse_token, vocabulary.tokens)
    lengths = {token.value for token in tokens if token.kind == "length"}
    shortest = Fraction(1)
    while shortest / 2 in lengths:
        shortest /= 2
    return shortest


def _enlarged(table: NDArray[Any], size: int) -> NDArray[Any]:
    """The table with more rows, UNKNOWN (or True, until they are written) in the new ones."""
    larger = np.full((size, *table.shape[1:]), UNKNOWN, table.dtype)
    larger[: len(table)] = table
    return larger


class Tracer:
    """Features and regularity of written tunes, whatever their tokens, with a cache of steps.

    Without limits the grammar depends on the number of a bar only in whether it is the first, and
    not on the number of a part. So the cached states leave both out, and they are counted beside.
    """

    MAX_STEPS = 200_000  # then the cache is emptied; about 150 MB

    def __init__(self) -> None:
        self._lock = Lock()
        self._clear()

    def _clear(self) -> None:
        self._states = [start()]
        self._rows = [features(start())]
        self._numbers = {start(): 0}
        # (state, token) -> (state after it, bars and parts it adds, whether it is regular)
        self._steps: dict[tuple[int, str], tuple[int, int, int, bool]] = {}

    def trace(self, tokens: Sequence[str]) -> tuple[NDArray[np.uint16], int | None]:
        """Features after each token of a tune, `<bos>` included, (T, F), and the index of the
        first token that is not valid at its place."""
        with self._lock:  # the cache is one for all threads
            return self._trace(tokens)

    def _trace(self, tokens: Sequence[str]) -> tuple[NDArray[np.uint16], int | None]:
        if len(self._steps) > self.MAX_STEPS:
            self._clear()
        number, bar, part, pitch, irregular = 0, 0, 0, "", None
        rows = []
        for i, text in enumerate(tokens):
            is_pitch = parse_token(text).kind == "pitch"
            wrong_tie = is_pitch and text != pitch and self._states[number].tie
            number, bars, parts, fits = self._steps.get((number, text)) or self._step(number, text)
            if irregular is None and (wrong_tie or not fits) and text != BOS:
                irregular = i
            bar, part = (0, part + 1) if parts else (bar + bars, part)
            rows.append(count_bars(self._rows[number], bar=bar, part=part))
            pitch = text if is_pitch else pitch
        return np.array(rows, np.uint16), irregular

    def _step(self, number: int, text: str) -> tuple[int, int, int, bool]:
        state, token = self._states[number], parse_token(text)
        following = advance(state, token)
        reduced = replace(
            following, bar=min(following.bar, 1), part=0, ending_bar=0, first_ending=0, before=0
        )
        after = self._numbers.setdefault(reduced, len(self._states))
        if after == len(self._states):
            self._states.append(reduced)
            self._rows.append(features(replace(reduced, bar=0)))
        fits = permits(allowed(state, UNLIMITED), token)
        self._steps[number, text] = (after, following.bar - state.bar, following.part, fits)
        return self._steps[number, text]


class GrammarConstraint:
    """The melody grammar for `n` tunes at once. After `hurry_after` tokens a tune ends at its next
    valid end.

    `limits` gives each tune limits of its own, or those of the automaton (None); `keys` the key in
    whose spelling it is written, where that matters. The first ids of
    every row stand for the tokens of `script`, after `<bos>`: a prompt may hold tokens that the
    vocabulary lacks, and the grammar still counts its time exactly.
    """

    def __init__(
        self,
        automaton: Automaton,
        n: int,
        *,
        hurry_after: int = 1500,
        script: Sequence[str] = (),
        limits: Sequence[Limits | None] = (),
        keys: Sequence[Key] = (),
    ) -> None:
        self.automaton = automaton
        self.limits = np.zeros(n, np.int64)  # index of the limits of each row
        if limits:
            self.limits[:] = [0 if each is None else automaton.held_to(each) for each in limits]
        self.spelled = np.ones((n, 1), np.bool_)
        if keys:
            self.spelled = np.stack([automaton.spelled_in(key) for key in keys])
        self.hurry_after = hurry_after + len(script)
        self.script = [parse_token(text) for text in (BOS, *script)] if script else []
        self.rows = np.full(n, automaton.number(start()))  # state number of each row
        self.pitches = np.full(n, NO_PITCH)  # id of the last pitch, which a tie must repeat
        self.steps = 0

    def mask(self) -> NDArray[np.bool_]:
        """(B, V): which tokens may come next in each row; only `<pad>` once a row is done."""
        automaton = self.automaton
        mask = automaton.masks_of(self.rows, self.limits)
        mask &= self.spelled
        # A prompt may tie a pitch that the vocabulary lacks; then any pitch may follow.
        tied = np.flatnonzero(automaton.ties[self.rows] & (self.pitches != NO_PITCH))
        if len(tied):
            pitches = self.pitches[tied]
            again = mask[tied, pitches]
            mask[tied] &= ~automaton.is_pitch
            mask[tied, pitches] = again
        return mask

    def features(self) -> NDArray[np.integer]:
        """(B, F): the grammar features of each row's state."""
        return self.automaton.features[self.rows]

    def advance(self, ids: NDArray[np.integer]) -> None:
        """Read one token in every row; ids (B,)."""
        automaton = self.automaton
        self.pitches = np.where(automaton.is_pitch[ids], ids, self.pitches)
        if self.steps < len(self.script):
            self.rows = np.full(len(self.rows), self._read_script())
        else:
            self.rows = automaton.step(self.rows, ids)
        self.steps += 1
        if self.steps > self.hurry_after:
            self.rows = np.where(self.limits == 0, automaton.hurried(self.rows), self.rows)

    def _read_script(self) -> int:
        state = advance(self.automaton.states[self.rows[0]], self.script[self.steps])
        if self.steps + 1 == len(self.script) and state.closed == ":|":
            state = replace(state, closed="")  # a continuation must not end at once
        return self.automaton.number(state)

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Continue with these rows only, in this order."""
        self.rows, self.pitches = self.rows[rows], self.pitches[rows]
        self.limits, self.spelled = self.limits[rows], self.spelled[rows]
