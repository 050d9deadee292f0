"""An unfinished tune as a prompt for a model, and the finished one put together again.

The model hears the melody; the musician's own bars, with every ornament and chord, are what the
finished tune begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from musicgen.errors import ControlError, InvalidTuneError
from musicgen.grammar import State, advance, start
from musicgen.theory import Key
from musicgen.tokenizer import Vocabulary
from musicgen.tokenizer.melody import decode, encode_bars, encode_header, melody
from musicgen.tokenizer.tokens import Token, parse_token
from musicgen.tune import Bar, Tune


@dataclass(frozen=True, slots=True)
class Prompt:
    """`tune` is the one given, `tokens` its melody up to where the new music begins.

    `n_bars` counts its bars that hold music; `is_open` says that the last of them goes on.
    """

    tune: Tune
    tokens: tuple[str, ...]
    n_bars: int
    is_open: bool = False

    @staticmethod
    def read(tune: Tune, smallest: Fraction) -> Prompt:
        """Understand an unfinished tune; `smallest` is the shortest length the model writes, in
        units.

        Raises:
            ControlError: it is no single line of music in one key and one meter.
        """
        try:
            reduced = melody(tune).tune
            last = tune.bars[-1].barline
            bars = reduced.bars
            first_is_pickup = len(bars) > 1 or last == "|"
            header = encode_header(reduced)
            if first_is_pickup and len(bars) == 1:
                header[-1] = f"up:{_short(bars[0], reduced)}"
            *body, close = encode_bars(reduced, bars, unfinished=True)
        except InvalidTuneError as error:
            raise ControlError(f"cannot be continued: {error}; give a single-line melody") from None
        state = _follow([*header, *body])
        if close == ":|":
            return Prompt(tune, (*header, *body, ":|"), len(bars))
        complete = state.pickup if state.in_pickup else state.full
        if last in ("||", "|]") and state.position == state.full - state.pickup:
            return Prompt(tune, (*header, *body, "||"), len(bars))
        if state.tuplet is None and (
            state.position >= complete or (last == "|" and state.in_pickup)
        ):
            return Prompt(tune, (*header, *body, "|"), len(bars))
        fill = _fill(state, complete, smallest)
        return Prompt(tune, (*header, *body, *fill), len(bars), is_open=True)

    def complete(self, new_tokens: Sequence[str]) -> Tune:
        """The finished tune: the bars given, then those that `new_tokens` add."""
        whole = decode([*self.tokens, *new_tokens]).bars
        given = list(self.tune.bars)
        holding = [i for i, bar in enumerate(given) if any(True for _ in bar.timed)]
        last = holding[-1]
        if self.is_open:
            continued = whole[self.n_bars - 1]
            kept = given[last]
            n_melody = len(list(kept.timed))
            added = continued.events[n_melody:]
            given[last] = replace(
                kept,
                events=(*kept.events, *added),
                barline=continued.barline,
                repeat_end=continued.repeat_end,
                span=None,
            )
        elif given[last].barline in ("", "|]"):
            closing = whole[self.n_bars - 1].barline
            given[last] = replace(given[last], barline=closing)
        del given[last + 1 :]  # bars without music after the end
        voice = replace(self.tune.voices[0], bars=(*given, *whole[self.n_bars :]))
        return replace(self.tune, voices=(voice,), source=None)


def heard_as(tokens: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """The tokens as a model can hear them: what it has never seen becomes the nearest it has."""
    return [t if t in vocabulary.ids else _nearest(parse_token(t), vocabulary) for t in tokens]


def _follow(tokens: Sequence[str]) -> State:
    state = start()
    for text in tokens:
        state = advance(state, parse_token(text))
    return state


def _short(bar: Bar, tune: Tune) -> Fraction:
    full = tune.meter.bar_duration
    return bar.duration if full is not None and bar.duration < full else Fraction(0)


def _fill(state: State, complete: Fraction, smallest: Fraction) -> list[str]:
    """A rest up to the grid that the model writes on, where the music breaks off beside it."""
    if state.tuplet is not None:
        return []
    over = (complete - state.position) % (smallest * state.unit)
    return [f"*{over / state.unit}", "z"] if over else []


def _nearest(token: Token, vocabulary: Vocabulary) -> str:
    """The token of the same kind that is closest in meaning; `<unk>` where closeness means
    nothing."""
    known = [
        (text, parsed.value)
        for text in vocabulary.tokens
        if (parsed := parse_token(text)).kind == token.kind
    ]
    distances = [(_distance(token, value), text) for text, value in known]
    return min(distances)[1] if distances else "<unk>"


def _distance(token: Token, value: Any) -> float:
    """How far a known value of the same kind is from the token's, in the kind's own measure."""
    match token.kind:
        case "length" | "unit" | "pickup":
            return abs(float(value - token.value))
        case "pitch":
            return float(abs(value[0] - token.value[0]) * 12 + abs(value[1] - token.value[1]))
        case "tonic":
            apart = (Key(value).tonic_pitch_class - Key(token.value).tonic_pitch_class) % 12
            return float(min(apart, 12 - apart))
        case "meter":
            if value.bar_duration == token.value.bar_duration:
                return 0
            return 1.0 + (value.compound is not token.value.compound)
    return 0 if value in ("", "major") else 1
