"""The grammar for a whole batch: every state's mask and features are computed once.

A tune's states form a graph that is explored as sampling meets it: states get numbers, and masks,
features and transitions are looked up by number, so a step costs a few dictionary look-ups a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from musicgen.grammar import (
    UNLIMITED,
    Limits,
    Options,
    State,
    advance,
    allowed,
    count_bars,
    features,
    permits,
    start,
)
from musicgen.tokenizer import BOS, PAD, Vocabulary
from musicgen.tokenizer.tokens import parse_token


class Automaton:
    """The grammar over one vocabulary, as tables that grow while they are used."""

    def __init__(self, vocabulary: Vocabulary, limits: Limits | None = None) -> None:
        self.tokens = [parse_token(text) for text in vocabulary.tokens]
        lengths = {t.value for t in self.tokens if t.kind == "length"}
        shortest = Fraction(1)
        while shortest / 2 in lengths:
            shortest /= 2
        limits = limits or Limits()
        self.smallest = limits.smallest or shortest
        self.limits = replace(limits, smallest=self.smallest)
        self.is_pitch = np.array([token.kind == "pitch" for token in self.tokens])
        self.pad_id = vocabulary.ids[PAD]
        self.states: list[State] = []
        self.numbers: dict[State, int] = {}
        self.masks: list[NDArray[np.bool_]] = []
        self.features: list[tuple[int, ...]] = []
        self.transitions: list[dict[int, int]] = []
        self._mask_of: dict[Options, NDArray[np.bool_]] = {}

    def number(self, state: State) -> int:
        """Number of a state, entering it into the tables when it is new."""
        known = self.numbers.get(state)
        if known is not None:
            return known
        self.states.append(state)
        self.masks.append(self._mask(state))
        self.features.append(features(state))
        self.transitions.append({})
        self.numbers[state] = len(self.states) - 1
        return self.numbers[state]

    def step(self, number: int, token_id: int) -> int:
        """Number of the state after a token."""
        after = self.transitions[number].get(token_id)
        if after is None:
            reached = advance(self.states[number], self.tokens[token_id])
            after = self.number(self._told_apart(reached))
            self.transitions[number][token_id] = after
        return after

    def _told_apart(self, state: State) -> State:
        """The state without what these limits do not ask for, so that more states are equal."""
        before = state.before if self.limits.total_bars is not None else 0
        first_ending = state.first_ending if self.limits.counted else 0
        if (before, first_ending) == (state.before, state.first_ending):
            return state
        return replace(state, before=before, first_ending=first_ending)

    def _mask(self, state: State) -> NDArray[np.bool_]:
        options = allowed(state, self.limits)
        mask = self._mask_of.get(options)
        if mask is None:
            mask = np.fromiter((permits(options, t) for t in self.tokens), bool, len(self.tokens))
            mask[self.pad_id] = state.done  # a finished row is fed padding
            self._mask_of[options] = mask
        return mask


class Tracer:
    """Follows written tunes, whatever their tokens; a step it has met it does not work out again.

    Without limits the grammar asks of a bar's number only whether it is the first, and nothing of
    a part's. So states are told apart without them, and the two are counted beside.
    """

    MAX_STEPS = 200_000  # then all is forgotten; about 150 MB

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._states = [start()]
        self._rows = [features(start())]
        self._numbers = {start(): 0}
        # (state, token) -> (state after it, bars and parts it adds, whether it is regular)
        self._steps: dict[tuple[int, str], tuple[int, int, int, bool]] = {}

    def trace(self, tokens: Sequence[str]) -> tuple[NDArray[np.uint16], int | None]:
        """Features after each token of a tune, `<bos>` included, (T, F), and the index of the
        first token that a valid tune would not have there."""
        if len(self._steps) > self.MAX_STEPS:
            self._forget()
        number, bar, part, pitch, irregular = 0, 0, 0, "", None
        rows = []
        for i, text in enumerate(tokens):
            is_pitch = parse_token(text).kind == "pitch"
            wrong_tie = is_pitch and text != pitch and self._states[number].tie
            step = self._steps.get((number, text)) or self._step(number, text)
            number, bars, parts, fits = step
            if irregular is None and (wrong_tie or not fits) and text != BOS:
                irregular = i
            bar, part = (0, part + 1) if parts else (bar + bars, part)
            rows.append(count_bars(self._rows[number], bar=bar, part=part))
            pitch = text if is_pitch else pitch
        return np.array(rows, np.uint16), irregular

    def _step(self, number: int, text: str) -> tuple[int, int, int, bool]:
        state, token = self._states[number], parse_token(text)
        reached = advance(state, token)
        told_apart = replace(
            reached, bar=min(reached.bar, 1), part=0, ending_bar=0, first_ending=0, before=0
        )
        after = self._numbers.setdefault(told_apart, len(self._states))
        if after == len(self._states):
            self._states.append(told_apart)
            self._rows.append(features(replace(told_apart, bar=0)))
        fits = permits(allowed(state, UNLIMITED), token)
        self._steps[number, text] = (after, reached.bar - state.bar, reached.part, fits)
        return self._steps[number, text]


class GrammarConstraint:
    """Follows `n` tunes at once. After `hurry_after` tokens a tune ends at its next valid end.

    The first ids of every row stand for the tokens of `script`, after `<bos>`: a prompt may say
    what the vocabulary cannot, and the grammar still counts its time exactly.
    """

    def __init__(
        self,
        automaton: Automaton,
        n: int,
        *,
        hurry_after: int = 1500,
        script: Sequence[str] = (),
    ) -> None:
        self.automaton = automaton
        self.hurry_after = hurry_after + len(script)
        self.script = [parse_token(text) for text in (BOS, *script)] if script else []
        self.rows = [automaton.number(start())] * n
        self.pitches = np.full(n, -1)  # id of the last pitch of each row, which a tie must repeat
        self.steps = 0

    def mask(self) -> NDArray[np.bool_]:
        """(B, V): which tokens may come next in each row; only `<pad>` once a row is done."""
        masks, states = self.automaton.masks, self.automaton.states
        mask = np.stack([masks[row] for row in self.rows])
        for i, row in enumerate(self.rows):
            # A prompt may tie a pitch that the vocabulary lacks; then any may follow.
            if states[row].tie and self.automaton.is_pitch[self.pitches[i]]:
                mask[i] &= ~self.automaton.is_pitch
                mask[i, self.pitches[i]] = masks[row][self.pitches[i]]
        return mask

    def features(self) -> NDArray[np.integer]:
        """(B, F): the grammar features of each row's state."""
        table = self.automaton.features
        return np.array([table[row] for row in self.rows], np.int64)

    def advance(self, ids: NDArray[np.integer]) -> None:
        """Follow one token in every row; ids (B,)."""
        automaton = self.automaton
        self.pitches = np.where(automaton.is_pitch[ids], ids, self.pitches)
        if self.steps < len(self.script):
            told = self.script[self.steps]
            state = advance(automaton.states[self.rows[0]], told)
            if self.steps + 1 == len(self.script) and state.closed == ":|":
                state = replace(state, closed="")  # what is asked to go on must not end at once
            self.rows = [automaton.number(state)] * len(self.rows)
        else:
            step = automaton.step
            self.rows = [step(row, i) for row, i in zip(self.rows, ids.tolist(), strict=True)]
        self.steps += 1
        if self.steps > self.hurry_after:
            self.rows = [self._hurried(row) for row in self.rows]

    def _hurried(self, row: int) -> int:
        state = self.automaton.states[row]
        # Only at a bar line: inside a bar the way to the end may already be barred, by a tie.
        if state.hurry or state.position > 0 or state.done or self.automaton.limits.bounded:
            return row
        return self.automaton.number(replace(state, hurry=True))
