"""The tokens that may come next in a batch of pieces in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.music.theory import Key
from musicgen.tokens.remi.encoding import HEADER_KINDS, key_shift, parse_token
from musicgen.tokens.remi.grammar.state import FREE, GRAINS, PieceState
from musicgen.tokens.remi.pieces import CHOIR, FIFTH, MAX_PARTS, OCTAVE, ROLES
from musicgen.tokens.vocabulary import BOS, EOS, PAD, Vocabulary

MAJOR_THIRD, MINOR_OR_PICARDY = frozenset({4}), frozenset({3, 4})  # semitones
_MAJOR = ("major", "mixolydian", "lydian")

Mask = NDArray[np.bool_]


@lru_cache(maxsize=4)
def _table_of(vocabulary: Vocabulary) -> _TokenTable:
    return _TokenTable(vocabulary)


class _TokenTable:
    """A vocabulary as arrays: the kind of each token, and its number where it has one."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.tokens = [parse_token(text) for text in vocabulary.tokens]
        self.size = len(self.tokens)
        kinds = {token.kind for token in self.tokens}
        self.of_kind = {k: np.array([token.kind == k for token in self.tokens]) for k in kinds}
        self.nothing = np.zeros(self.size, np.bool_)
        # Positions and durations in parts of a beat that are whole grains in every meter.
        self.places = self._numbers("position", lambda value: value * GRAINS)
        self.lengths = self._numbers("duration", lambda value: value * GRAINS)
        self.pitches = self._numbers("pitch", lambda value: value)
        self.programs = self._numbers("program", lambda value: value)
        self.signatures = {t.value: i for i, t in enumerate(self.tokens) if t.kind == "signature"}
        self.pad, self.eos = vocabulary.ids[PAD], vocabulary.ids[EOS]

    def _numbers(self, kind: str, read: Callable[[Any], Any]) -> NDArray[np.int64]:
        """The value of each token of a kind, -1 for the others."""
        return np.array([int(read(t.value)) if t.kind == kind else -1 for t in self.tokens])

    def kind(self, name: str) -> Mask:
        """Which tokens are of a kind."""
        return self.of_kind.get(name, self.nothing)

    def one(self, index: int) -> Mask:
        """One token alone."""
        mask = self.nothing.copy()
        mask[index] = True
        return mask


class PieceConstraint:
    """The grammar of pieces for `n` rows at once.

    The first ids of every row stand for the tokens of `script`, after `<bos>`: a prompt may hold
    tokens that the vocabulary lacks, and its time is still counted exactly. Only the parts of
    `playing` (all by default) continue after it, from `begin` on, in quarters; `ranges` are the
    lowest and highest sounding pitch of parts, where they are not those of their roles; `key` is
    the key of the piece, where the vocabulary has no token for it. Singers of a choir do not move
    in parallel fifths or octaves, unless `parallels` are allowed.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        n: int,
        *,
        script: Sequence[str] = (),
        playing: frozenset[int] | None = None,
        begin: Fraction = Fraction(0),
        ranges: Mapping[int, tuple[int, int]] = MappingProxyType({}),
        key: Key | None = None,
        parallels: bool = False,
    ) -> None:
        self.table = _table_of(vocabulary)
        self.script = [parse_token(text) for text in (BOS, *script)] if script else []
        self.playing = playing
        self.begin = int(begin * GRAINS)
        self.ranges = ranges
        self.key = key
        self.parallels = parallels
        self.rows = [PieceState() for _ in range(n)]
        self.steps = 0

    def advance(self, ids: NDArray[np.integer]) -> None:
        """Follow one token in every row; ids (B,)."""
        scripted = self.script[self.steps] if self.steps < len(self.script) else None
        self.steps += 1
        for row, token_id in zip(self.rows, ids.tolist(), strict=True):
            if scripted is not None:
                row.advance(scripted)
            elif token_id != self.table.pad:
                row.advance(self.table.tokens[token_id])

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Continue with these rows only, in this order."""
        self.rows = [self.rows[row] for row in rows.tolist()]

    def features(self) -> NDArray[np.integer]:
        """(B, F): the columns of `FEATURE_SIZES`."""
        return np.array([row.features() for row in self.rows], np.int64)

    def mask(self) -> Mask:
        """(B, V): which tokens may come next; only `<pad>` once a row is done."""
        return np.stack([self._allowed(row) for row in self.rows])

    def _allowed(self, row: PieceState) -> Mask:
        match row.kind:
            case "bar":
                return self.table.one(self.table.signatures[row.meter])
            case "position":
                return self._free_parts(row)
            case "program":
                return self._pitches_of(row, row.part)
            case "pitch":
                return self._durations(row)
            case "signature" | "duration":
                allowed = self._later(row)
                if row.kind == "duration":
                    allowed = allowed | self._free_parts(row)
                return allowed | self._endings(row, allowed)
            case kind if kind == EOS:
                return self.table.one(self.table.pad)
        return self._heading(row)

    def _heading(self, row: PieceState) -> Mask:
        if len(row.header) < len(HEADER_KINDS):
            allowed = self.table.kind(HEADER_KINDS[len(row.header)]).copy()
            if row.kind == "tens" and row.header["tens"].value == 0:
                allowed &= np.array([t.value != 0 for t in self.table.tokens])
            return allowed
        n_most = min(MAX_PARTS, int(self.table.programs.max()) + 1)
        allowed = self.table.kind("part") if len(row.roles) < n_most else self.table.nothing
        return allowed | self.table.kind("bar") if row.roles else allowed

    def _later(self, row: PieceState) -> Mask:
        """Positions after the present one at which some part is free and some note has room."""
        free_from = min(
            row.ends[number] if ROLES[row.roles[number]].single else 0
            for number in self._players(row)
        )
        free_from = max(free_from, self.begin)
        onsets, within = self._onsets(row)
        allowed: Mask = within & (onsets >= free_from)
        if row.kind == "duration":
            allowed &= onsets > row.now
        first = row.bar_length - row.pickup if row.bar == 0 and row.pickup else 0
        at_once: Mask = allowed & (onsets == max(first, self.begin))
        return at_once if at_once.any() else allowed

    def _onsets(self, row: PieceState) -> tuple[NDArray[np.int64], Mask]:
        """The time of each position in the bar, and which are positions with room for a note."""
        onsets = row.bar_start + self.table.places * row.beat // GRAINS
        shortest = self.table.lengths[self.table.lengths > 0].min() * row.beat // GRAINS
        stop = min(row.bar_start + row.bar_length, row.end - shortest + 1)
        return onsets, (self.table.places >= 0) & (onsets < stop)

    def _players(self, row: PieceState) -> Iterable[int]:
        return range(len(row.roles)) if self.playing is None else self.playing

    def _free_parts(self, row: PieceState) -> Mask:
        """Parts that may strike now, in the order in which MidiTok writes them."""
        allowed = self.table.nothing.copy()
        if row.now < self.begin:
            return allowed
        for number in self._players(row):
            role = row.roles[number]
            if row.part > number or (row.part == number and ROLES[role].single):
                continue
            if ROLES[role].single and row.ends[number] > row.now:
                continue
            if row.part == number and not self._pitches_of(row, number).any():
                continue
            allowed |= self.table.programs == number
            if _is_singer(row, number) and row.ends[number] < row.end and self._is_last_chance(row):
                break  # of this singer to end with the others
        return allowed

    def _is_last_chance(self, row: PieceState) -> bool:
        onsets, within = self._onsets(row)
        return row.bar + 1 >= row.n_bars and not (within & (onsets > row.now)).any()

    def _pitches_of(self, row: PieceState, part: int) -> Mask:
        """Pitches in a part's range, above what it struck at this moment already."""
        role = ROLES[row.roles[part]]
        low, high = self.ranges.get(part, (role.lowest, role.highest))
        shift = row.shift if self.key is None else key_shift(self.key)
        allowed = (self.table.pitches >= low + shift) & (self.table.pitches <= high + shift)
        if row.struck[part] == row.now:
            allowed &= self.table.pitches > row.pitches[part]
        allowed &= self.table.kind("pitch")
        if row.end - row.now <= GRAINS and _is_singer(row, part):
            settled = allowed & np.isin(self.table.pitches % 12, list(last_tones(row, part)))
            allowed = settled if settled.any() else allowed
        if self.parallels or role.program != CHOIR:
            return allowed
        well_led = allowed & ~self._parallel(row, part)
        return well_led if well_led.any() else allowed

    def _durations(self, row: PieceState) -> Mask:
        """Durations that fit; a pitch that cannot end the piece leaves a quarter for its end."""
        room, part = row.end - row.now, row.part
        unsettled = _is_singer(row, part) and row.pitches[part] % 12 not in last_tones(row, part)
        if unsettled and room > GRAINS:
            room -= GRAINS
        allowed: Mask = (self.table.lengths > 0) & (self.table.lengths <= room * GRAINS // row.beat)
        return allowed if allowed.any() else self.table.lengths > 0

    def _parallel(self, row: PieceState, part: int) -> Mask:
        """Pitches with which a singer would move in fifths or octaves with one who moves now."""
        mine = row.pitches[part]
        parallel = self.table.nothing.copy()
        for other, role in enumerate(row.roles):
            theirs, now = row.before[other], row.pitches[other]
            moves = other != part and row.struck[other] == row.now and theirs not in (FREE, now)
            if not moves or mine == FREE or ROLES[role].program != CHOIR:
                continue
            kind = abs(theirs - mine) % 12
            if kind in (FIFTH, OCTAVE):
                same_way = self.table.pitches > mine if now > theirs else self.table.pitches < mine
                parallel |= same_way & (np.abs(self.table.pitches - now) % 12 == kind)
        return parallel

    def _endings(self, row: PieceState, further: Mask) -> Mask:
        """The next bar, or the end of the piece; as soon as the bar holds music."""
        bar_end = row.bar_start + row.bar_length
        begun = row.kind == "duration" and row.now >= self.begin
        if not begun and max(row.ends) < bar_end and further.any():
            return self.table.nothing
        if row.bar + 1 < row.n_bars:
            return self.table.kind("bar")
        if further.any() and not _ends_well(row):
            return self.table.nothing
        return self.table.one(self.table.eos)


def _is_singer(row: PieceState, part: int) -> bool:
    return ROLES[row.roles[part]].program == CHOIR


def last_tones(row: PieceState, part: int) -> frozenset[int]:
    """On which tones, in semitones from the tonic, a singer may end, as far as others have ended:
    the tonic's triad with its third, the lowest voice on the tonic. Minor may end in major."""
    thirds = MAJOR_THIRD if row.header["mode"].value in _MAJOR else MINOR_OR_PICARDY
    singers = [k for k in range(len(row.roles)) if _is_singer(row, k)]
    if part == singers[-1] and len(singers) > 1:
        return frozenset({0})
    ended = {row.pitches[k] % 12 for k in singers if k != part and row.ends[k] == row.end}
    if ended & thirds:
        return frozenset(ended & thirds) | {0, 7}
    waiting = sum(row.ends[k] < row.end for k in singers[:-1] if k != part)
    return thirds if not waiting else thirds | {0, 7}


def _ends_well(row: PieceState) -> bool:
    """Whether all singers, or else some part, hold their last note to the end."""
    end = row.end
    choir = [e for role, e in zip(row.roles, row.ends, strict=True) if ROLES[role].program == CHOIR]
    return all(e == end for e in choir) if choir else max(row.ends) == end
