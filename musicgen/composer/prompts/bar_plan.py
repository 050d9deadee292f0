"""Bar plans: bars of given lengths and bar lines, which a model fills with notes.

`BarPlanConstraint` is a `Constraint` for the sampler. `GrammarConstraint` leaves the form to the
model; a bar plan fixes every bar, its length, its bar line and given notes beforehand, so that the
music ends at its planned place and only the notes are free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from musicgen.composer.prompts.tokens import in_signature
from musicgen.music.theory import Key
from musicgen.tokens.melody.encoding import pitch_of, well_spelled
from musicgen.tokens.melody.grammar import Options, State, advance, features, may_be_last, permits
from musicgen.tokens.melody.table import HEADER_KINDS, parse_token, token_distance
from musicgen.tokens.vocabulary import EOS, PAD, Vocabulary, nearest

Bools = NDArray[np.bool_]
Ints = NDArray[np.integer]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBar:
    """One bar to come.

    The model writes up to `length` quarters into the bar, after the fixed tokens `head` (with the
    opening signs) and before the fixed tokens `tail`. `close` is the token of its bar line.
    `copy_of` is the number, from 0, of a given bar that it repeats. `keys` are the key of its
    tokens and the written one, where that has signs of its own, to which the model keeps.
    """

    length: Fraction
    head: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    close: str = "|"
    copy_of: int | None = None
    keys: tuple[Key, Key] | None = None


@dataclass(frozen=True, slots=True)
class BarPlan:
    """The bars to come (`measures`) after a prompt of `tokens`, heading included, which lead to the
    grammar's `state`. `opening` are the last of the tokens, those that belong to the first of these
    bars. With `ends_on_tonic` the note that fills the last bar is the tonic."""

    tokens: tuple[str, ...]
    state: State
    measures: tuple[PlannedBar, ...]
    opening: tuple[str, ...] = ()
    ends_on_tonic: bool = False


@dataclass(frozen=True, slots=True)
class _Node:
    """A state of the plan: the grammar's state, the bar's number, the tokens that must come."""

    state: State
    measure: int
    fixed: tuple[str, ...]


class BarPlanTables:
    """The states of one plan over one vocabulary, as tables that grow with use.

    `smallest` is the shortest length that the model writes, in units.
    """

    def __init__(self, plan: BarPlan, vocabulary: Vocabulary, smallest: Fraction) -> None:
        self.plan = plan
        self.vocabulary = vocabulary
        self.tokens = [parse_token(text) for text in vocabulary.tokens]
        self.is_pitch = np.array([token.kind == "pitch" for token in self.tokens])
        self.smallest = smallest
        self.nodes: list[_Node] = []
        self.masks: list[Bools] = []
        self.features: list[tuple[int, ...]] = []
        self._numbers: dict[_Node, int] = {}
        self._steps: dict[tuple[int, str], int] = {}
        self._mask_of: dict[Options, Bools] = {}
        self._signatures: dict[tuple[Key, Key], Bools] = {}
        self.spelled = self._spelled()
        head = plan.measures[0].head if plan.measures else ()
        self.first = self._number(_Node(plan.state, 0, head))

    def _spelled(self) -> Bools:
        """Tokens but pitches that are not well spelled in the key, unless the given music has them:
        (V,)."""
        heading = {t.kind: t.value for t in map(parse_token, self.plan.tokens[: len(HEADER_KINDS)])}
        given = np.array([text in self.plan.tokens for text in self.vocabulary.tokens])
        return given | well_spelled(self.tokens, Key(heading["tonic"], heading["mode"]))

    def id_of(self, text: str) -> int:
        """The id of the nearest known token."""
        return self.vocabulary.ids[nearest(text, self.vocabulary.tokens, token_distance)]

    def step(self, number: int, text: str) -> int:
        """Number of the node after a token."""
        if (number, text) not in self._steps:
            self._steps[number, text] = self._number(self._after(self.nodes[number], text))
        return self._steps[number, text]

    def _number(self, node: _Node) -> int:
        node = self._with_forced_tokens(node)
        if node not in self._numbers:
            self._numbers[node] = len(self.nodes)
            self.nodes.append(node)
            self.masks.append(self._mask(node))
            self.features.append(features(node.state))
        return self._numbers[node]

    def _after(self, node: _Node, text: str) -> _Node:
        token = parse_token(text)
        state = advance(node.state, token)
        if token.kind != "close":
            return _Node(state, node.measure, node.fixed[1:])
        number = node.measure + 1
        measures = self.plan.measures
        return _Node(state, number, measures[number].head if number < len(measures) else ())

    def _with_forced_tokens(self, node: _Node) -> _Node:
        """The node with the tokens that must come where the model's part of the bar is full, or
        its position lies beside the model's grid of lengths."""
        state = node.state
        done = node.fixed or node.measure >= len(self.plan.measures) or state.done
        if done or state.tuplet is not None or state.length is not None:
            return node
        measure = self.plan.measures[node.measure]
        left = measure.length - state.position
        over = left % (self.smallest * state.unit)
        if left > 0 and over:  # only where what was given stops there
            sign = _last_pitch(self.plan.tokens) if state.tie else "z"
            length = () if over == state.unit else (f"*{over / state.unit}",)
            return replace(node, fixed=(*length, sign))
        if left <= 0 and not self._may_tie(node, left):
            return replace(node, fixed=(*measure.tail, measure.close))
        return node

    def _may_tie(self, node: _Node, left: Fraction) -> bool:
        if not node.state.after_note or node.state.tuplet is not None:
            return False
        measure, *following = self.plan.measures[node.measure :]
        continues = measure.close == "|" and not measure.tail and following
        return left > 0 or bool(continues and not following[0].head)

    def _mask(self, node: _Node) -> Bools:
        state, mask = node.state, np.zeros(len(self.tokens), np.bool_)
        if state.done:
            mask[self.vocabulary.ids[PAD]] = True
        elif node.fixed:
            mask[self.id_of(node.fixed[0])] = True
        elif node.measure >= len(self.plan.measures):
            mask[self.vocabulary.ids[EOS]] = True
        else:
            return self._free(node)
        return mask

    def _free(self, node: _Node) -> Bools:
        """Tokens that the model may write at a node, from the remaining time of the bar."""
        state, measure = node.state, self.plan.measures[node.measure]
        left = measure.length - state.position
        waiting = state.length is not None or state.tuplet is not None
        is_last = node.measure + 1 == len(self.plan.measures) and not measure.tail
        options = Options(
            room=max(left, Fraction(0)),
            unit=state.unit,
            smallest=self.smallest,
            length=state.length,
            tuplet=state.tuplet,
            rest=not (state.tie or state.tuplet or state.after_tuplet or measure.close == "|]"),
            tuplets=not state.tie,
            tie=self._may_tie(node, left),
            closes=frozenset((measure.close,)) if left <= 0 and not waiting else frozenset(),
            ends_on_tonic=True
            if self.plan.ends_on_tonic and is_last and may_be_last(state, left)
            else None,
        )
        if options not in self._mask_of:
            mask = np.fromiter((permits(options, t) for t in self.tokens), bool, len(self.tokens))
            if not mask.any():  # a given start of a tuplet that no length completes
                mask = self.is_pitch.copy()
            self._mask_of[options] = mask
        mask = self._mask_of[options] & self.spelled
        return mask if measure.keys is None else self._in_signature(mask, *measure.keys)

    def _in_signature(self, mask: Bools, key: Key, written: Key) -> Bools:
        """Those of the tokens whose pitches are in the written signature; all, where none is."""
        if (key, written) not in self._signatures:
            self._signatures[key, written] = np.array(
                [t.kind != "pitch" or in_signature(pitch_of(t, key), written) for t in self.tokens]
            )
        kept = mask & self._signatures[key, written]
        return kept if kept.any() else mask


class BarPlanConstraint:
    """Holds `n_rows` rows to one plan, each from the end of the same prompt; `written[k]` are the
    tokens that row k has added, exactly: they may be tokens that the vocabulary lacks."""

    def __init__(self, tables: BarPlanTables, n_rows: int) -> None:
        self.tables = tables
        self.written: list[list[str]] = [[] for _ in range(n_rows)]
        self._nodes = [tables.first] * n_rows
        self._pitches = [_last_pitch(tables.plan.tokens)] * n_rows
        # The state after the prompt is the plan's, made to fit; see `UnfinishedMelody`.
        self._prompt = [*_prompt_features(tables.plan.tokens)[:-1], tables.features[tables.first]]
        self._time = 0

    def advance(self, ids: Ints) -> None:
        """Read one token in every row: (B,)."""
        self._time += 1
        if self._time > len(self._prompt):
            for row, token_id in enumerate(ids.tolist()):
                self._advance(row, token_id)

    def _advance(self, row: int, token_id: int) -> None:
        node = self.tables.nodes[self._nodes[row]]
        if node.state.done:
            return
        text = self.tables.vocabulary.tokens[token_id]
        if node.fixed:
            text = node.fixed[0]
        elif node.state.tie and self.tables.is_pitch[token_id]:
            text = self._pitches[row]
        if parse_token(text).kind == "pitch":
            self._pitches[row] = text
        if text != EOS:
            self.written[row].append(text)
        self._nodes[row] = self.tables.step(self._nodes[row], text)

    def mask(self) -> Bools:
        """(B, V): which tokens may come next; only `<pad>` in a row that is done."""
        mask = np.stack([self.tables.masks[number] for number in self._nodes])
        is_pitch = self.tables.is_pitch
        for row, number in enumerate(self._nodes):
            node = self.tables.nodes[number]
            if node.state.tie and not node.fixed and self._pitches[row]:
                fits = (mask[row] & is_pitch).any()
                mask[row] &= ~is_pitch
                mask[row, self.tables.id_of(self._pitches[row])] = fits
        return mask

    def features(self) -> Ints:
        """(B, F): the grammar features of each row."""
        if self._time <= len(self._prompt):
            return np.array([self._prompt[self._time - 1]] * len(self._nodes), np.int64)
        return np.array([self.tables.features[number] for number in self._nodes], np.int64)


def _last_pitch(tokens: Sequence[str]) -> str:
    return next((text for text in reversed(tokens) if parse_token(text).kind == "pitch"), "")


def _prompt_features(tokens: Sequence[str]) -> list[tuple[int, ...]]:
    """The features after `<bos>` and after each token of a prompt."""
    states = accumulate(map(parse_token, tokens), advance, initial=State())
    return [features(state) for state in states]
