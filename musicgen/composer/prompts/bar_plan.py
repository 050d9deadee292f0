"""The course that new music takes: measures of given lengths and bar lines, filled by a model.

A `Constraint` for the sampler. Where `constraint.GrammarConstraint` leaves the form to the model,
here every bar, its length, its lines and what of it is fixed are laid down beforehand, so that
the music ends exactly where it has to, and only the notes are free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from musicgen.tokens.melody.grammar import Options, State, advance, features, may_be_last, permits
from musicgen.tokens.melody.table import parse_token, token_distance
from musicgen.tokens.vocabulary import EOS, PAD, Vocabulary, nearest

Bools = NDArray[np.bool_]
Ints = NDArray[np.integer]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBar:
    """One bar to come.

    The model's part ends `length` quarters into the bar. `head` are tokens fixed before it, the
    opening signs among them, `tail` those after it. `close` is the token of its bar line.
    `copy_of` says that it repeats a given bar of that number, from 0.
    """

    length: Fraction
    head: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    close: str = "|"
    copy_of: int | None = None


@dataclass(frozen=True, slots=True)
class BarPlan:
    """All that is to come: `tokens` are what is heard before it, the heading included, `state`
    where they lead; `measures` the bars to come. `opening` are those last of the tokens that belong
    to the first of these bars. `home`: the note that fills the last bar is to be the tonic."""

    tokens: tuple[str, ...]
    state: State
    measures: tuple[PlannedBar, ...]
    opening: tuple[str, ...] = ()
    home: bool = False


@dataclass(frozen=True, slots=True)
class _Node:
    """A place on the course: the grammar's state, the number of the measure, what must come."""

    state: State
    measure: int
    fixed: tuple[str, ...]


class BarPlanTables:
    """The nodes of one plan over one vocabulary, as tables that grow while they are used.

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
        head = plan.measures[0].head if plan.measures else ()
        self.first = self._number(_Node(plan.state, 0, head))

    def id_of(self, text: str) -> int:
        """The id under which a token is heard."""
        return self.vocabulary.ids[nearest(text, self.vocabulary.tokens, token_distance)]

    def step(self, number: int, text: str) -> int:
        """Number of the node after a token."""
        after = self._steps.get((number, text))
        if after is None:
            after = self._steps[number, text] = self._number(self._after(self.nodes[number], text))
        return after

    def _number(self, node: _Node) -> int:
        node = self._settled(node)
        known = self._numbers.get(node)
        if known is not None:
            return known
        self.nodes.append(node)
        self.masks.append(self._mask(node))
        self.features.append(features(node.state))
        self._numbers[node] = len(self.nodes) - 1
        return self._numbers[node]

    def _after(self, node: _Node, text: str) -> _Node:
        token = parse_token(text)
        state = advance(node.state, token)
        if token.kind != "close":
            return _Node(state, node.measure, node.fixed[1:])
        number = node.measure + 1
        measures = self.plan.measures
        return _Node(state, number, measures[number].head if number < len(measures) else ())

    def _settled(self, node: _Node) -> _Node:
        """The node with what must come now that the model's part of the bar is full, or stands
        beside the grid that the model writes on."""
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
        measures, number = self.plan.measures, node.measure
        goes_on = (
            measures[number].close == "|"
            and not measures[number].tail
            and number + 1 < len(measures)
            and not measures[number + 1].head
        )
        return left > 0 or goes_on

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
        """What the model may write at a node, from the measure's room."""
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
            home=True if self.plan.home and is_last and may_be_last(state, left) else None,
        )
        mask = self._mask_of.get(options)
        if mask is None:
            mask = np.fromiter((permits(options, t) for t in self.tokens), bool, len(self.tokens))
            if not mask.any():  # a beginning that leaves no way: whatever completes the group
                mask = self.is_pitch.copy()
            self._mask_of[options] = mask
        return mask


class BarPlanConstraint:
    """Follows one course a row, each through its own prompt; `written[k]` is what row k has added,
    in exact tokens, which may say what the vocabulary cannot."""

    def __init__(self, courses: Sequence[BarPlanTables]) -> None:
        self.courses = courses
        self.written: list[list[str]] = [[] for _ in courses]
        self._at = [course.first for course in courses]
        self._pitch = [_last_pitch(course.plan.tokens) for course in courses]
        self._heard = [
            [*_prompt_features(course.plan.tokens)[:-1], course.features[course.first]]
            for course in courses
        ]
        self._time = 0

    def advance(self, ids: Ints) -> None:
        """Follow one token in every row: (B,)."""
        self._time += 1
        for row, (course, chosen) in enumerate(zip(self.courses, ids.tolist(), strict=True)):
            if self._time > len(self._heard[row]):
                self._advance(row, course, chosen)

    def _advance(self, row: int, course: BarPlanTables, chosen: int) -> None:
        node = course.nodes[self._at[row]]
        if node.state.done:
            return
        text = course.vocabulary.tokens[chosen]
        if node.fixed:
            text = node.fixed[0]
        elif node.state.tie and course.is_pitch[chosen]:
            text = self._pitch[row]
        if parse_token(text).kind == "pitch":
            self._pitch[row] = text
        if text != EOS:
            self.written[row].append(text)
        self._at[row] = course.step(self._at[row], text)

    def mask(self) -> Bools:
        """(B, V): which tokens may come next; only `<pad>` in a row that is done."""
        mask = np.stack([c.masks[at] for c, at in zip(self.courses, self._at, strict=True)])
        for row, (course, at) in enumerate(zip(self.courses, self._at, strict=True)):
            node = course.nodes[at]
            if node.state.tie and not node.fixed and self._pitch[row]:
                same = course.id_of(self._pitch[row])
                fits = mask[row] & course.is_pitch
                mask[row] &= ~course.is_pitch
                mask[row, same] = fits.any()
        return mask

    def features(self) -> Ints:
        """(B, F): the grammar features of each row."""
        rows = [
            heard[self._time - 1] if self._time <= len(heard) else course.features[at]
            for course, at, heard in zip(self.courses, self._at, self._heard, strict=True)
        ]
        return np.array(rows, np.int64)


def _last_pitch(tokens: Sequence[str]) -> str:
    return next((text for text in reversed(tokens) if parse_token(text).kind == "pitch"), "")


def _prompt_features(tokens: Sequence[str]) -> list[tuple[int, ...]]:
    """The features after `<bos>` and after each token of a prompt."""
    state = State()
    rows: list[tuple[int, ...]] = [features(state)]
    for text in tokens:
        state = advance(state, parse_token(text))
        rows.append(features(state))
    return rows
