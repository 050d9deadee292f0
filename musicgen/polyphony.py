"""Which remi token may come next: positions that rise, voices in range, pieces that end together.

    follower = Follower()                         # one piece
    follower.advance(token)
    constraint = PieceConstraint(vocabulary, n)   # a batch, as the sampler wants it

What MidiTok declares of its language (after a Program a Pitch, after a Pitch a Duration ...) is the
frame; inside it, time only moves on, a bar has exactly the positions of its meter, a part of one
line strikes only when it is free, nothing sounds past the end, and the last bar makes up for the
pickup. So every sequence decodes, and the piece that it makes adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.theory import Key, Meter
from musicgen.tokenizer import BOS, EOS, PAD, Vocabulary
from musicgen.tokenizer.parts import CHOIR, FIFTH, MAX_PARTS, OCTAVE, ROLES, plain_meter
from musicgen.tokenizer.remi import HEADER_KINDS, Token, key_shift, parse_token

GRAINS = 96  # times are counted in so many to a quarter note: all of MidiTok's are whole
_COARSE = 8  # grains of a step in the features
_MOST = 96  # steps that features tell apart
_BARS_TOLD = 16
N_VOICES_TOLD = 4

Mask = NDArray[np.bool_]

FEATURE_SIZES = {
    "position": _MOST + 1,
    "left": _MOST + 1,
    "to_go": _BARS_TOLD + 1,
    "part": MAX_PARTS + 1,
    "own": 129,
    "next_end": _MOST + 1,
    **{f"voice_{k}": 257 for k in range(N_VOICES_TOLD)},
}
FREE = -1


class Follower:
    """Where a piece stands, token by token. Times are in grains from the first bar line.

    `kind` is that of the last token. `ends` and `pitches` say of each part where its last note
    ends and what it is (as in the tokens, in the key of C), `before` the one before that, `struck`
    when it last struck.
    """

    def __init__(self) -> None:
        self.kind = BOS
        self.header: dict[str, Token] = {}
        self.roles: list[str] = []
        self.ends: list[int] = []
        self.before: list[int] = []
        self.pitches: list[int] = []
        self.struck: list[int] = []
        self.bar, self.bar_start, self.bar_length = -1, 0, 0
        self.beat = GRAINS
        self.now = 0
        self.part = FREE

    def advance(self, token: Token) -> None:
        """Follow a token. Total: an irregular piece is followed as well as can be."""
        value = token.value
        match token.kind:
            case "part":
                self.roles.append(value[0])
                self.ends.append(0)
                self.pitches.append(FREE)
                self.before.append(FREE)
                self.struck.append(FREE)
            case "bar":
                self.bar += 1
                self.bar_start += self.bar_length
                self.now, self.part = self.bar_start, FREE
            case "signature":
                self._set_meter(value)
            case "position":
                self.now = self.bar_start + int(value * self.beat)
                self.part = FREE
            case "program":
                self.part = min(value, len(self.roles) - 1)
            case "pitch":
                self.before[self.part] = self.pitches[self.part]
                self.pitches[self.part] = value
                self.struck[self.part] = self.now
            case "duration":
                end = self.now + int(value * self.beat)
                self.ends[self.part] = max(self.ends[self.part], end)
            case _ if token.kind in HEADER_KINDS:
                self.header[token.kind] = token
        self.kind = token.kind

    def _set_meter(self, meter: Meter) -> None:
        self.beat = 4 * GRAINS // meter.unit
        self.bar_length = meter.beats[0] * self.beat

    @property
    def n_bars(self) -> int:
        """Bars of the whole piece, as its heading says; 0 before that is known."""
        if "ones" not in self.header:
            return 0
        return int(self.header["tens"].value * 10 + self.header["ones"].value)

    @property
    def pickup(self) -> int:
        """Length of the incomplete first bar, 0 for none."""
        return int(self.header["pickup"].value * GRAINS) if "pickup" in self.header else 0

    @property
    def end(self) -> int:
        """Where the last note must have ended: the last bar makes up for the pickup."""
        bars_left = max(self.n_bars - self.bar, 1)
        return (
            self.bar_start + bars_left * self.bar_length - (self.pickup if self.n_bars > 1 else 0)
        )

    @property
    def meter(self) -> Meter:
        """The meter of the heading, as the tokens of bars have it."""
        return plain_meter(self.header["meter"].value)

    @property
    def shift(self) -> int:
        """Semitones from sounding pitches to those of the tokens."""
        return key_shift(Key(self.header["tonic"].value, self.header["mode"].value))

    @property
    def done(self) -> bool:
        """Whether the piece has ended."""
        return self.kind == EOS

    def features(self) -> tuple[int, ...]:
        """The state as small integers, in the order of `FEATURE_SIZES` and below them.

        position, left: steps (12 a quarter) since the bar line and to the next, or to the end of
        the piece. to_go: bars left,
        this one included. part: 1 + the part in hand. own: 1 + its last pitch. next_end: steps
        until the next note ends. voice_k: of part k, 1 + the pitch that sounds, 129 + the pitch
        that sounded last, 0 for none.
        """
        place = min((self.now - self.bar_start) // _COARSE, _MOST)
        stop = min(self.bar_start + self.bar_length, self.end) if self.bar >= 0 else 0
        left = min(max(stop - self.now, 0) // _COARSE, _MOST)
        to_go = min(max(self.n_bars - self.bar, 0), _BARS_TOLD) if self.bar >= 0 else 0
        own = self.pitches[self.part] + 1 if self.part >= 0 else 0
        waits = [end - self.now for end in self.ends if end > self.now]
        voices = [0] * N_VOICES_TOLD
        for k, (pitch, end) in enumerate(zip(self.pitches, self.ends, strict=True)):
            if k < N_VOICES_TOLD and pitch >= 0:
                voices[k] = pitch + (1 if end > self.now else 129)
        wait = min(min(waits, default=0) // _COARSE, _MOST)
        return place, left, to_go, self.part + 1, own, wait, *voices


def trace(tokens: Sequence[str]) -> tuple[NDArray[np.uint16], bool]:
    """Features after each token of a piece, `<bos>` included, (T, F), and whether the piece is
    irregular: a part of one line strikes while it sounds, or music goes on past the end."""
    follower = Follower()
    rows = []
    irregular = False
    for text in tokens:
        token = parse_token(text)
        if token.kind == "program" and ROLES[follower.roles[token.value]].single:
            irregular = irregular or follower.ends[token.value] > follower.now
        follower.advance(token)
        rows.append(follower.features())
    past = max(follower.ends, default=0) > follower.bar_start + follower.bar_length
    return np.array(rows, np.uint16), irregular or past


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
                room = (row.end - row.now) * GRAINS // row.beat
                return (words.lengths > 0) & (words.lengths <= room)
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
        words = self.words
        free_from = min(
            row.ends[number] if ROLES[row.roles[number]].single else 0
            for number in self._players(row)
        )
        free_from = max(free_from, self.begin)
        onsets = row.bar_start + words.places * row.beat // GRAINS
        shortest = words.lengths[words.lengths > 0].min() * row.beat // GRAINS
        stop = min(row.bar_start + row.bar_length, row.end - shortest + 1)
        allowed: Mask = (words.places >= 0) & (onsets >= free_from) & (onsets < stop)
        if row.kind == "duration":
            allowed &= onsets > row.now
        first = row.bar_length - row.pickup if row.bar == 0 and row.pickup else 0
        at_once: Mask = allowed & (onsets == max(first, self.begin))
        return at_once if at_once.any() else allowed

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
        return allowed

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
        if self.parallels or role.program != CHOIR:
            return allowed
        well_led = allowed & ~self._parallel(row, part)
        return well_led if well_led.any() else allowed

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


def _ends_well(row: Follower) -> bool:
    """Whether all singers, or else some part, hold their last note to the end."""
    end = row.end
    choir = [e for role, e in zip(row.roles, row.ends, strict=True) if ROLES[role].program == CHOIR]
    return all(e == end for e in choir) if choir else max(row.ends) == end
