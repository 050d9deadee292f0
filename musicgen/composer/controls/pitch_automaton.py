"""The grammar with pitches: range, scale, widest interval, a tonic to end on, no dead ends.

    pitches = PitchSet(pitches={id: midi}, rules=NoteRules(max_interval=5))
    automaton = PitchAutomaton(structure, pitches)

A state is a state of the structural automaton with the last pitch. A note is allowed only if enough
notes can still follow it to reach one that may end its part: `PitchSet.steps` away at most, in
steps of at most the widest interval, with the smallest notes that the rest of the part can hold.

With a widest interval, the first and last notes of all parts and endings lie within that interval
of each other. So it holds wherever the music continues: in the next part, at the repeat, in the
second ending after the bar before the first, and in a part that returns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from musicgen.composer.controls.scale import Scale
from musicgen.composer.controls.time_left import TimeLeft, latest_end, motif_bar
from musicgen.tokens.melody.automaton import Automaton
from musicgen.tokens.melody.grammar import Limits, State, ends, in_first_ending, part_length
from musicgen.tokens.melody.table import HEADER_KINDS

Bools = NDArray[np.bool_]
UNREACHABLE = 1 << 30  # notes
_PART_ENDS = ("||", "|]", ":|", ":|1")


@dataclass(frozen=True, kw_only=True)
class NoteRules:
    """The controls of single notes, under the names that they have in the table of controls;
    `range` is the lowest and the highest MIDI number."""

    range: tuple[int, int] | None = None
    scale: Scale | None = None
    end_on_tonic: bool = False
    max_interval: int | None = None


@dataclass(frozen=True, kw_only=True)
class PitchSet:
    """Pitches that a tune may use: `pitches` has their MIDI numbers by token id, `tonics` the ids
    of the tonic, on which a tune ends if the rules say so."""

    pitches: dict[int, int]
    tonics: frozenset[int] = frozenset()
    rules: NoteRules = NoteRules()

    @cached_property
    def ids(self) -> list[int]:
        """Token ids of the pitches."""
        return list(self.pitches)

    @cached_property
    def midi(self) -> NDArray[np.int64]:
        """MIDI numbers, in the order of `ids`: (P,)."""
        return np.array(list(self.pitches.values()), np.int64)

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """Fewest notes from one pitch to another, 0 on the diagonal: (P, P)."""
        near = self.near
        steps = np.where(np.eye(len(near), dtype=np.bool_), 0, UNREACHABLE)
        reached, distance = np.eye(len(near), dtype=np.bool_), 0
        while True:
            distance += 1
            further = (reached @ near) & ~reached
            if not further.any():
                return steps
            steps[further] = distance
            reached |= further

    @cached_property
    def near(self) -> Bools:
        """Which pitches may follow each other: (P, P)."""
        apart = np.abs(self.midi[:, None] - self.midi[None, :])
        widest = self.rules.max_interval
        return apart <= (apart.max() if widest is None else widest)

    @cached_property
    def is_tonic(self) -> Bools:
        """Which pitches the tune may end on: (P,)."""
        return np.array([not self.rules.end_on_tonic or i in self.tonics for i in self.ids])

    @property
    def free(self) -> bool:
        """Whether any pitch may follow any other and end the tune."""
        return replace(self.rules, range=None, scale=None) == NoteRules()

    def connected(self) -> PitchSet:
        """The largest set of pitches that can be reached from each other and holds an end; empty
        where there is none."""
        groups = {tuple(row < UNREACHABLE) for row in self.steps} if self.ids else set()
        groups = {group for group in groups if self.is_tonic[np.array(group)].any()}
        if not groups:
            return replace(self, pitches={})
        best = max(groups, key=lambda group: (sum(group), group))
        kept = {i: self.pitches[i] for i, inside in zip(self.ids, best, strict=True) if inside}
        return replace(self, pitches=kept)


# Number of the structural state, position in `PitchSet.ids` of the last pitch (-1: none), lowest
# and highest of the notes that parts begin and end with, and whether the next note begins one.
MelodicState = tuple[int, int, int, int, bool]
_NO_EDGES = (1 << 10, -(1 << 10))


class PitchAutomaton:
    """An `Automaton` over pitches too; it is used in the same way.

    `tonic_parts` are the parts that end on a tonic though others follow, since they come back as
    the last.
    """

    def __init__(
        self, base: Automaton, pitches: PitchSet, tonic_parts: frozenset[int] = frozenset()
    ) -> None:
        self.base = base
        self.pitches = pitches
        self.tonic_parts = tonic_parts
        self.limits: Limits = base.limits
        self.place = {token_id: i for i, token_id in enumerate(pitches.ids)}
        self.pitch_columns = np.array(pitches.ids, np.int64)
        self.states: list[State] = []
        self.keys: list[MelodicState] = []
        self.masks: list[Bools] = []
        self.features: list[tuple[int, ...]] = []
        self.transitions: list[dict[int, int]] = []
        self._numbers: dict[MelodicState, int] = {}
        self._time_left: dict[int, TimeLeft] = {}
        self.free = pitches.free
        self.widest = pitches.rules.max_interval
        values = [t.value if t.kind == "length" else None for t in base.tokens]
        self.is_length = np.array([value is not None for value in values])
        self.is_rest = np.array([token.kind == "rest" for token in base.tokens])
        self.length_slots = np.array([float((v or 0) / base.smallest) for v in values])
        self._goals: dict[tuple[int, int], NDArray[np.int64]] = {}

    def begin(self, state: State, edge: int | None = None) -> int:
        """Number of the state in which the music of a tune starts; `edge` is a pitch (MIDI) that
        parts must be able to lead to, as they do to each other's first notes."""
        low, high = _NO_EDGES if edge is None else (edge, edge)
        return self._number((self.base.number(state), -1, low, high, True))

    def step(self, number: int, token_id: int) -> int:
        """Number of the state after a token."""
        transitions = self.transitions[number]
        if token_id not in transitions:
            transitions[token_id] = self._number(self._advance(self.keys[number], token_id))
        return transitions[token_id]

    def hurried(self, number: int) -> int:
        """The state told to end as soon as it can; the same where there is no way to."""
        base, last, low, high, fresh = self.keys[number]
        state = self.base.states[base]
        if not self.base.may_hurry(state):
            return number
        key = (self.base.number(replace(state, hurry=True)), last, low, high, fresh)
        fits = self._reaches(key, self._remaining(key[0]).slots(), tied=state.tie)
        return self._number(key) if fits else number

    def _number(self, key: MelodicState) -> int:
        if key not in self._numbers:
            base = key[0]
            self._numbers[key] = len(self.keys)
            self.keys.append(key)
            self.states.append(self.base.states[base])
            self.masks.append(self._mask(key))
            self.features.append(tuple(self.base.features[base].tolist()))
            self.transitions.append({})
        return self._numbers[key]

    # --- following -----------------------------------------------------------------------------

    def _advance(self, key: MelodicState, token_id: int) -> MelodicState:
        base, last, low, high, fresh = key
        after = self.base.after(base, token_id)
        state, token = self.base.states[after], self.base.tokens[token_id]
        if token_id in self.place:
            last = self.place[token_id]
            if fresh:
                low, high = self._widen(last, low, high)
            fresh = False
        elif token.kind == "volta" and not fresh:
            low, high = self._widen(last, low, high)
        elif token.kind == "close" and state.closed in _PART_ENDS:
            if last >= 0:
                low, high = self._widen(last, low, high)
            fresh = True
        if self.free:
            fresh = False
        if self.widest is None:
            low, high = _NO_EDGES
            if last >= 0 and not (state.after_note or state.tie):
                # Only whether it is a tonic matters from here on.
                last = int(np.argmax(self.pitches.is_tonic == self.pitches.is_tonic[last]))
        return after, last, low, high, fresh

    def _widen(self, last: int, low: int, high: int) -> tuple[int, int]:
        pitch = int(self.pitches.midi[last])
        return min(low, pitch), max(high, pitch)

    # --- what may come next --------------------------------------------------------------------

    def _mask(self, key: MelodicState) -> Bools:
        base = key[0]
        mask = self.base.mask(base).copy()
        state = self.base.states[base]
        if state.done or state.header < len(HEADER_KINDS):
            return mask
        pitched = mask[self.pitch_columns]
        mask &= ~self.base.is_pitch
        if pitched.any():
            mask[self.pitch_columns] = pitched & self._pitches(key)
        if self.free:
            return mask
        mask &= ~self.is_length | self._lengths(key)
        for token_id in np.flatnonzero(mask & ~self.is_length).tolist():
            mask[token_id] = self._permits(key, token_id)
        return mask

    def _pitches(self, key: MelodicState) -> Bools:
        """Which pitches may come: (P,)."""
        base, last, low, high, fresh = key
        pitches, state = self.pitches, self.base.states[base]
        near: Bools = np.ones(len(pitches.ids), np.bool_)
        if state.tie:
            near = np.arange(len(pitches.ids)) == last
        elif last >= 0:
            near = pitches.near[last].copy()
        if self.free:
            return near
        to_turn, to_end = self._remaining(base).after_note(state)
        if fresh:  # it may be a tonic at once, or a neighbour of one
            reach = (to_turn >= 0) | (to_end >= 1) | (pitches.is_tonic & (to_end >= 0))
            return near & self._turns(low, high) & reach
        turn, end = self._distances(low, high)
        return near & ((turn <= to_turn) | (end <= to_end))

    def _lengths(self, key: MelodicState) -> Bools:
        """For each token that is a length, whether some note of that length may come: (V,)."""
        base, last, low, high, fresh = key
        state = self.base.states[base]
        to_turn, to_end = self._remaining(base).after_lengths(state, self.length_slots)
        fits: Bools = np.asarray(np.maximum(to_turn, to_end) >= 0)
        if not fresh:
            turn, end = (int(goal[last]) - (not state.tie) for goal in self._distances(low, high))
            fits = np.asarray((max(turn, 0) <= to_turn) | (max(end, 0) <= to_end))
        return fits

    def _permits(self, key: MelodicState, token_id: int) -> bool:
        """Whether a token that is no pitch and no length leaves a way to the end."""
        base, last, low, high, fresh = key
        state, token = self.base.states[base], self.base.tokens[token_id]
        remaining = self._remaining(base)
        match token.kind:
            case "<eos>":
                return not self.pitches.rules.end_on_tonic or (
                    last >= 0 and bool(self.pitches.is_tonic[last])
                )
            case "rest":
                return self._reaches(key, remaining.after_note(state), tied=False)
            case "tie":
                return self._reaches(key, remaining.slots(), tied=True)
            case "tuplet":
                return self._reaches(key, remaining.after_tuplet(token.value[2]), tied=False)
            case "volta" if state.closed != ":|1":
                return not fresh and self._may_turn(last, low, high)
            case "close":
                return self._may_close(key, token_id)
        after = self._advance(key, token_id)
        return self._reaches(after, self._remaining(after[0]).slots(), tied=False)

    def _may_close(self, key: MelodicState, token_id: int) -> bool:
        base, last, low, high, fresh = key
        state = self.base.states[base]
        after = self._advance(key, token_id)
        closed = self.base.states[after[0]].closed
        if closed not in _PART_ENDS:
            if self.limits.motif_comes(state) and not self._may_turn(last, low, high):
                return False
            return self._reaches(after, self._remaining(after[0]).slots(), tied=state.tie)
        if fresh or not self._may_turn(last, low, high):
            return False
        return bool(self.pitches.is_tonic[last]) or not self._must_be_tonic(state, closed)

    def _must_be_tonic(self, state: State, closed: str) -> bool:
        if closed == ":|1":
            return False
        before = state.before + part_length(state)
        follows = self.limits.may_follow(state.part + 1, before) and not state.hurry
        return state.part in self.tonic_parts or closed == "|]" or not follows

    def _reaches(self, key: MelodicState, left: tuple[int, int], *, tied: bool) -> bool:
        """Whether the part or ending can still come to an end that it may have, with so many notes
        left at most."""
        _, last, low, high, fresh = key
        to_turn, to_end = left
        if self.free:
            return True
        if fresh:
            return max(to_turn, to_end) >= 1
        turn, end = self._distances(low, high)
        return bool(turn[last] + tied <= to_turn or end[last] + tied <= to_end)

    # --- distances -----------------------------------------------------------------------------

    def _turns(self, low: int, high: int) -> Bools:
        """Pitches that a part may begin or end with: all such notes lie within the widest
        interval, and so does a tonic: (P,)."""
        pitches = self.pitches
        if self.widest is None:
            return np.ones(len(pitches.ids), np.bool_)
        lows, highs = np.minimum(pitches.midi, low), np.maximum(pitches.midi, high)
        tonics = pitches.midi[pitches.is_tonic][:, None]
        spans = np.maximum(tonics, highs) - np.minimum(tonics, lows)
        return np.asarray((spans <= self.widest).any(axis=0))

    def _may_turn(self, last: int, low: int, high: int) -> bool:
        return last >= 0 and bool(self._turns(low, high)[last])

    def _distances(self, low: int, high: int) -> NDArray[np.int64]:
        """Fewest notes from each pitch to one that a part may end with, and to a tonic that the
        tune may end with: (2, P)."""
        if (low, high) not in self._goals:
            turns = self._turns(low, high)
            self._goals[low, high] = np.stack(
                [
                    self.pitches.steps[:, targets].min(axis=1)
                    for targets in (turns, turns & self.pitches.is_tonic)
                ]
            )
        return self._goals[low, high]

    def _remaining(self, base: int) -> TimeLeft:
        """The time that is left to the part or ending in a state."""
        if base not in self._time_left:
            state = self.base.states[base]
            turn = latest_end(state, self.limits, lambda n: self._kinds(state, n)[0])
            end = latest_end(state, self.limits, lambda n: self._kinds(state, n)[1])
            self._time_left[base] = TimeLeft(turn, end, self.base.smallest)
        return self._time_left[base]

    def _kinds(self, state: State, n: int) -> tuple[bool, bool]:
        """Whether music may follow an end at bar `n`, and whether it may have to be on a tonic."""
        if in_first_ending(state):
            return True, False
        motif_comes = motif_bar(state, self.limits) == n
        if motif_comes and n not in ends(state, self.limits):
            return True, False
        before = state.before + (state.bar - state.ending_bar if state.volta else n)
        follows = self.limits.may_follow(state.part + 1, before) and not state.hurry
        finishes = self.limits.may_finish(state.part + 1, before)
        on_tonic = state.part in self.tonic_parts
        return motif_comes or (follows and not on_tonic), finishes or on_tonic
