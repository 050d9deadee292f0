"""The state of a piece in parts, token by token, and the feature columns of networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from musicgen.music.theory import Key, Meter
from musicgen.tokens.remi.encoding import HEADER_KINDS, RemiToken, key_shift, parse_token
from musicgen.tokens.remi.pieces import MAX_PARTS, ROLES, plain_meter
from musicgen.tokens.vocabulary import BOS

GRAINS = 96  # units of time a quarter note, in which all times of MidiTok are whole
_COARSE = 8  # grains in a step of the features
_MOST = 96  # steps that features distinguish
_MAX_BARS = 16
N_VOICES = 4

FEATURE_SIZES = {
    "position": _MOST + 1,
    "left": _MOST + 1,
    "to_go": _MAX_BARS + 1,
    "part": MAX_PARTS + 1,
    "own": 129,
    "next_end": _MOST + 1,
    **{f"voice_{k}": 257 for k in range(N_VOICES)},
}
FREE = -1


class PieceState:
    """The state of a piece after some tokens. Times are in grains from the first bar line.

    `kind` is that of the last token. Of each part `pitches` holds the last pitch (as in the tokens,
    in the key of C), `before` the one before that, `struck` its onset and `ends` its end.
    """

    def __init__(self) -> None:
        self.kind = BOS
        self.header: dict[str, RemiToken] = {}
        self.roles: list[str] = []
        self.ends: list[int] = []
        self.before: list[int] = []
        self.pitches: list[int] = []
        self.struck: list[int] = []
        self.bar, self.bar_start, self.bar_length = -1, 0, 0
        self.beat = GRAINS
        self.now = 0
        self.part = FREE

    def advance(self, token: RemiToken) -> None:
        """Read a token. Total: every token of an irregular piece changes the state in some way."""
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
        """Bars of the whole piece, from its heading; 0 before that is read."""
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

    def features(self) -> tuple[int, ...]:
        """The state as small integers, in the order of `FEATURE_SIZES` and below them.

        position, left: steps (12 a quarter) since the bar line and to the next, or to the end of
        the piece. to_go: bars left, this one included. part: 1 + the current part. own: 1 + its
        last pitch. next_end: steps
        until the next note ends. voice_k: of part k, 1 + the pitch that sounds, 129 + the pitch
        that sounded last, 0 for none.
        """
        place = min((self.now - self.bar_start) // _COARSE, _MOST)
        stop = min(self.bar_start + self.bar_length, self.end) if self.bar >= 0 else 0
        left = min(max(stop - self.now, 0) // _COARSE, _MOST)
        to_go = min(max(self.n_bars - self.bar, 0), _MAX_BARS) if self.bar >= 0 else 0
        own = self.pitches[self.part] + 1 if self.part >= 0 else 0
        waits = [end - self.now for end in self.ends if end > self.now]
        voices = [0] * N_VOICES
        for k, (pitch, end) in enumerate(zip(self.pitches, self.ends, strict=True)):
            if k < N_VOICES and pitch >= 0:
                voices[k] = pitch + (1 if end > self.now else 129)
        wait = min(min(waits, default=0) // _COARSE, _MOST)
        return place, left, to_go, self.part + 1, own, wait, *voices


def trace(tokens: Sequence[str]) -> tuple[NDArray[np.uint16], bool]:
    """Features after each token of a piece, `<bos>` included, (T, F), and whether the piece is
    irregular: a part of one line strikes while it sounds, or notes last beyond the end."""
    state = PieceState()
    rows = []
    irregular = False
    for text in tokens:
        token = parse_token(text)
        if token.kind == "program" and ROLES[state.roles[token.value]].single:
            irregular = irregular or state.ends[token.value] > state.now
        state.advance(token)
        rows.append(state.features())
    past = max(state.ends, default=0) > state.bar_start + state.bar_length
    return np.array(rows, np.uint16), irregular or past
