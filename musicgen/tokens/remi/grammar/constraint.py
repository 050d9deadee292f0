"""What may come next in a batch of pieces in parts."""

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
from musicgen.tokens.remi.grammar.following import FREE, GRAINS, Follower
from musicgen.tokens.remi.pieces import CHOIR, FIFTH, MAX_PARTS, OCTAVE, ROLES
from musicgen.tokens.vocabulary import BOS, EOS, PAD, Vocabulary

MAJOR_THIRD, MINOR_OR_PICARDY = frozenset({4}), frozenset({3, 4})  # semitones
_MAJOR = ("major", "mixolydian", "lydian")

Mask = NDArray[np.bool_]


@lru_cache(maxsize=4)
def _words(vocabulary: Vocabulary) -> _Words:
    return _Words(vocabulary)


class _Words:
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
    """Follows `n` pieces at once and says what may come next in each.

    The first ids of every row stand for the tokens of `script`, after `<bos>`: a prompt may say
    what the vocabulary cannot, and its time is still counted exactly. Only the parts of `playing`
    (all by default) go on after it, from `begin` on, in quarters; `ranges` are the lowest and
    highest sounding pitch of parts, where they are not those of their roles; `key` is the key that
    the piece will be in, where the vocabulary cannot say it. Singers of a choir do not move in
    parallel fifths or octaves, unless `parallels` are allowed.
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
        self.words = _words(vocabulary)
        self.script = [parse_token(text) for text in (BOS, *script)] if script else []
        self.playing = playing
        self.begin = int(begin * GRAINS)
        self.ranges = ranges
        self.key = key
        self.parallels = parallels
        self.rows = [Follower() for _ in range(n)]
        self.steps = 0

    def advance(self, ids: NDArray[np.integer]) -> None:
        """Follow one token in every row; ids (B,)."""
        told = self.script[self.steps] if self.steps < len(self.script) else None
        self.steps += 1
        for row, token_id in zip(self.rows, ids.tolist(), strict=True):
            if told is not None:
                row.advance(told)
            elif token_id != self.words.pad:
                row.advance(self.words.tokens[token_id])

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Go on with these rows only, in this order."""
        self.rows = [self.rows[row] for row in rows.tolist()]

    def features(self) -> NDArray[np.integer]:
        """(B, F): the columns of `FEATURE_SIZES`."""
        return np.array([row.features() for row in self.rows], np.int64)

    def mask(self) -> Mask:
        """(B, V): which tokens may come next; only `<pad>` once a row is done."""
        return np.stack([self._allowed(row) for row in self.rows])

    def _allowed(self, row: Follower) -> Mask:
        words = self.words
        match row.kind:
            case "bar":
                return words.one(words.signatures[row.meter])
            case "position":
                return self._free_parts(row)
            case "program":
                return self._singable(row)
            case "pitch":
                return self._holdable(row)
            case "signature" | "duration":
                allowed = self._later(row)
                if row.kind == "duration":
                    allowed = allowed | self._free_parts(row)
                return allowed | self._ways_out(row, allowed)
            case kind if kind == EOS:
                return words.one(words.pad)
        return self._heading(row)

    def _heading(self, row: Follower) -> Mask:
        words = self.words
        if len(row.header) < len(HEADER_KINDS):
            allowed = words.kind(HEADER_KINDS[len(row.header)]).copy()
            if row.kind == "tens" and row.header["tens"].value == 0:
                allowed &= np.array([t.value != 0 for t in words.tokens])
            return allowed
        n_most = min(MAX_PARTS, int(words.programs.max()) + 1)
        allowed = words.kind("part") if len(row.roles) < n_most else words.nothing
        return allowed | words.kind("bar") if row.roles else allowed

    def _later(self, row: Follower) -> Mask:
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

    def _onsets(self, row: Follower) -> tuple[NDArray[np.int64], Mask]:
        """The time of each position in the bar, and which are positions with room for a note."""
        words = self.words
        onsets = row.bar_start + words.places * row.beat // GRAINS
        shortest = words.lengths[words.lengths > 0].min() * row.beat // GRAINS
        stop = min(row.bar_start + row.bar_length, row.end - shortest + 1)
        return onsets, (words.places >= 0) & (onsets < stop)

    def _players(self, row: Follower) -> Iterable[int]:
        return range(len(row.roles)) if self.playing is None else self.playing

    def _free_parts(self, row: Follower) -> Mask:
        """Parts that may strike now, in the order in which MidiTok writes them."""
        words = self.words
        allowed = words.nothing.copy()
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
            allowed |= words.programs == number
            if _sings(row, number) and row.ends[number] < row.end and self._is_last_chance(row):
                break  # of this singer to end with the others
        return allowed

    def _is_last_chance(self, row: Follower) -> bool:
        onsets, within = self._onsets(row)
        return row.bar + 1 >= row.n_bars and not (within & (onsets > row.now)).any()

    def _singable(self, row: Follower) -> Mask:
        return self._pitches_of(row, row.part)

    def _pitches_of(self, row: Follower, part: int) -> Mask:
        """Pitches in a part's range, above what it struck at this moment already."""
        words = self.words
        role = ROLES[row.roles[part]]
        low, high = self.ranges.get(part, (role.lowest, role.highest))
        shift = row.shift if self.key is None else key_shift(self.key)
        allowed = (words.pitches >= low + shift) & (words.pitches <= high + shift)
        if row.struck[part] == row.now:
            allowed &= words.pitches > row.pitches[part]
        allowed &= words.kind("pitch")
        if row.end - row.now <= GRAINS and _sings(row, part):
            settled = allowed & np.isin(words.pitches % 12, list(last_tones(row, part)))
            allowed = settled if settled.any() else allowed
        if self.parallels or role.program != CHOIR:
            return allowed
        well_led = allowed & ~self._parallel(row, part)
        return well_led if well_led.any() else allowed

    def _holdable(self, row: Follower) -> Mask:
        """Durations that have room; what the piece cannot end on leaves a quarter for its end."""
        words = self.words
        room = row.end - row.now
        if _sings(row, row.part) and row.pitches[row.part] % 12 not in last_tones(row, row.part):
            room = room - GRAINS if room > GRAINS else room
        allowed: Mask = (words.lengths > 0) & (words.lengths <= room * GRAINS // row.beat)
        return allowed if allowed.any() else words.lengths > 0

    def _parallel(self, row: Follower, part: int) -> Mask:
        """Pitches with which a singer would move in fifths or octaves with one who moves now."""
        words = self.words
        mine = row.pitches[part]
        found = words.nothing.copy()
        for other, role in enumerate(row.roles):
            theirs, now = row.before[other], row.pitches[other]
            moves = other != part and row.struck[other] == row.now and theirs not in (FREE, now)
            if not moves or mine == FREE or ROLES[role].program != CHOIR:
                continue
            kind = abs(theirs - mine) % 12
            if kind in (FIFTH, OCTAVE):
                same_way = words.pitches > mine if now > theirs else words.pitches < mine
                found |= same_way & (np.abs(words.pitches - now) % 12 == kind)
        return found

    def _ways_out(self, row: Follower, further: Mask) -> Mask:
        """The next bar, or the end of the piece; as soon as the bar holds music."""
        words = self.words
        bar_end = row.bar_start + row.bar_length
        begun = row.kind == "duration" and row.now >= self.begin
        if not begun and max(row.ends) < bar_end and further.any():
            return words.nothing
        if row.bar + 1 < row.n_bars:
            return words.kind("bar")
        if further.any() and not _ends_well(row):
            return words.nothing
        return words.one(words.eos)


def _sings(row: Follower, part: int) -> bool:
    return ROLES[row.roles[part]].program == CHOIR


def last_tones(row: Follower, part: int) -> frozenset[int]:
    """On which tones, in semitones from the tonic, a singer may end, as far as others have ended:
    the tonic's triad with its third, the lowest voice on the tonic. Minor may end in major."""
    thirds = MAJOR_THIRD if row.header["mode"].value in _MAJOR else MINOR_OR_PICARDY
    singers = [k for k in range(len(row.roles)) if _sings(row, k)]
    if part == singers[-1] and len(singers) > 1:
        return frozenset({0})
    ended = {row.pitches[k] % 12 for k in singers if k != part and row.ends[k] == row.end}
    if ended & thirds:
        return frozenset(ended & thirds) | {0, 7}
    waiting = sum(row.ends[k] < row.end for k in singers[:-1] if k != part)
    return thirds if not waiting else thirds | {0, 7}


def _ends_well(row: Follower) -> bool:
    """Whether all singers, or else some part, hold their last note to the end."""
    end = row.end
    choir = [e for role, e in zip(row.roles, row.ends, strict=True) if ROLES[role].program == CHOIR]
    return all(e == end for e in choir) if choir else max(row.ends) == end
