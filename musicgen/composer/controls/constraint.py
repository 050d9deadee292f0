"""The constraint of a batch of tunes: returning parts, a motif, parts and bars that must differ."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from musicgen.composer.controls.form import Form
from musicgen.composer.controls.pitch_automaton import PitchAutomaton
from musicgen.tokens.melody.grammar import State
from musicgen.tokens.vocabulary import PAD


@dataclass(frozen=True, eq=False)
class TakePlan:
    """The plan of one take: `header` are the numbers of the automaton's states while the heading is
    read, the last where the music begins; `motif` are token ids, () for none; `max_repeats` is how
    often the same bar may follow itself (0: any number)."""

    automaton: PitchAutomaton
    header: tuple[int, ...]
    form: Form | None = None
    motif: tuple[int, ...] = ()
    max_repeats: int = 0


@dataclass(slots=True)
class _Bars:
    """The bars of a tune as token ids, and how often the last one was repeated in a row."""

    current: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    in_a_row: int = 0

    def add(self, token_id: int, *, closes: bool) -> None:
        if not closes:
            self.current.append(token_id)
            return
        self.in_a_row = self.in_a_row + 1 if self.current == self.last else 1
        self.last, self.current = self.current, []


class _Row:
    """One tune: its state, the tokens that are forced on it, and its music so far."""

    def __init__(self, plan: TakePlan) -> None:
        self.plan = plan
        self.tokens = plan.automaton.base.tokens
        self.number = plan.header[0]
        self.forced: deque[int] = deque()
        self.no_tie = False  # the motif has ended with its last note
        self.rested = False  # the last event is a rest
        self.body: list[int] = []  # of the current part, without its opening and closing signs
        self.bodies: dict[str, list[int]] = {}
        self.rivals: list[list[int]] = []  # earlier parts that begin with the current one
        self.bars = _Bars()

    @property
    def state(self) -> State:
        return self.plan.automaton.states[self.number]

    def advance(self, token_id: int) -> None:
        """Follow one token of the music."""
        before = self.state
        self.number = self.plan.automaton.step(self.number, token_id)
        state, token = self.state, self.tokens[token_id]
        if token.kind in ("pitch", "rest"):
            self.rested = token.kind == "rest"
        was_forced = bool(self.forced)
        if was_forced:
            self.forced.popleft()
        self.no_tie = was_forced and not self.forced and token.kind == "pitch" and not state.part
        if state.part > before.part:
            self.bars = _Bars()
            self._end_part(before)
            self.begin_part(state.part)
            return
        if token.kind == "repeat":
            return
        if not self.body and self._awaits_motif(before) and token_id == self.plan.motif[0]:
            self.forced.extend(self.plan.motif[1:])
        self.rivals = [
            rival
            for rival in self.rivals
            if len(rival) > len(self.body) and rival[len(self.body)] == token_id
        ]
        self.body.append(token_id)
        if token.kind != "volta":  # two endings may be the same bar too
            self.bars.add(token_id, closes=token.kind == "close")
        returns = self.plan.motif and self.plan.automaton.limits.motif_comes(before)
        if token.kind == "close" and returns:
            self.forced.extend(self._motif_without_pickup())

    def restrict(self, mask: NDArray[np.bool_]) -> None:
        """Remove the tokens that this tune may not use from a mask; at least one always stays."""
        state = self.state
        if self.forced:
            self._only(mask, {self.forced[0]})
            return
        if self._awaits_motif(state) and not self.body:
            opens = {i for i in np.flatnonzero(mask).tolist() if self.tokens[i].kind == "repeat"}
            first = self.plan.motif[0]
            self._only(mask, opens | {first} if mask[first] or not opens else opens)
            return
        if self.no_tie:
            self._avoid(mask, next(i for i, t in enumerate(self.tokens) if t.kind == "tie"))
        # If its likely notes are not allowed, a model would write one rest after another.
        if self.rested and (mask & self.plan.automaton.base.is_pitch).any():
            mask &= ~self.plan.automaton.is_rest
        for rival in self.rivals:
            if len(rival) > len(self.body) >= len(rival) // 2:
                self._avoid(mask, rival[len(self.body)])
        bars, most = self.bars, self.plan.max_repeats
        place = len(bars.current)
        again = most and bars.in_a_row >= most and bars.current == bars.last[:place]
        if again and len(bars.last) // 2 <= place < len(bars.last):
            self._avoid(mask, bars.last[place])

    @staticmethod
    def _only(mask: NDArray[np.bool_], ids: set[int]) -> None:
        mask[:] = False
        mask[list(ids)] = True

    @staticmethod
    def _avoid(mask: NDArray[np.bool_], token_id: int) -> None:
        if mask[token_id] and mask.sum() > 1:
            mask[token_id] = False

    # --- parts ---------------------------------------------------------------------------------

    def begin_part(self, number: int) -> None:
        """A part begins: force its tokens where its letter returns, else keep it different."""
        form = self.plan.form
        self.body, self.rivals = [], []
        if form is None or number >= len(form.letters):
            return
        known = self.bodies.get(form.letters[number])
        if known is None:
            self.rivals = list(self.bodies.values())
            return
        closes_again = any(self.tokens[i].value == ":|" for i in known)  # it has endings
        last = number + 1 == len(form.letters)
        sign = ":|" if form.repeated[number] and not closes_again else "|]" if last else "||"
        opening = ["|:"] if form.repeated[number] else []
        self.forced.extend([*map(self._sign, opening), *known, self._sign(sign)])

    def _end_part(self, before: State) -> None:
        form = self.plan.form
        if form is not None and before.part < len(form.letters):
            self.bodies.setdefault(form.letters[before.part], self.body)

    def _sign(self, text: str) -> int:
        """The token id of a bar line."""
        kind = "repeat" if text == "|:" else "close"
        return next(
            i for i, token in enumerate(self.tokens) if (token.kind, token.value) == (kind, text)
        )

    # --- motif ---------------------------------------------------------------------------------

    def _awaits_motif(self, state: State) -> bool:
        """Whether the tune is at the place where its motif opens it."""
        return bool(self.plan.motif) and state.part == 0 and state.bar == 0 and not state.position

    def _motif_without_pickup(self) -> Sequence[int]:
        motif = self.plan.motif
        if not self.plan.automaton.states[self.plan.header[-1]].in_pickup:
            return motif
        close = next(i for i, t in enumerate(motif) if self.tokens[t].kind == "close")
        return motif[close + 1 :]


class ControlledConstraint:
    """Follows a batch of tunes, each under its own `TakePlan`; see `tokens.constraint.Constraint`.

    After `hurry_after` tokens a tune ends at its next valid end, unless the controls state its
    bars.
    """

    def __init__(self, plans: Sequence[TakePlan], *, hurry_after: int) -> None:
        self.rows = [_Row(plan) for plan in plans]
        self.hurry_after = hurry_after
        self.pad_id = next(i for i, t in enumerate(plans[0].automaton.base.tokens) if t.kind == PAD)
        self.steps = 0

    def mask(self) -> NDArray[np.bool_]:
        """(B, V): which tokens may come next in each row; only `<pad>` once a row is done."""
        mask = np.stack([row.plan.automaton.masks[row.number] for row in self.rows])
        for i, row in enumerate(self.rows):
            if not row.state.done:
                row.restrict(mask[i])
        return mask

    def features(self) -> NDArray[np.integer]:
        """(B, F): the grammar features of each row's state."""
        return np.array([r.plan.automaton.features[r.number] for r in self.rows], np.int64)

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Keep only these rows, in this order."""
        self.rows = [self.rows[i] for i in rows.tolist()]

    def advance(self, ids: NDArray[np.integer]) -> None:
        """Follow one token in every row; ids (B,)."""
        for row, token_id in zip(self.rows, ids.tolist(), strict=True):
            header = row.plan.header
            if self.steps < len(header):
                row.number = header[self.steps]
                if self.steps + 1 == len(header):
                    row.begin_part(0)
            elif token_id != self.pad_id:
                row.advance(token_id)
            if self.steps > self.hurry_after:
                row.number = row.plan.automaton.hurried(row.number)
        self.steps += 1
