"""Pieces of several parts to remi tokens and back, through MidiTok.

    >>> encode(piece_of(tune)[0])
    ['M:4/4', 'K:G', 'mode:major', 'up:1', 'tens:1', 'ones:2', 'Part_soprano.52', ...,
     'Bar_None', 'TimeSig_4/4', 'Position_72', 'Program_0', 'Pitch_67', 'Duration_1.0.24', ...]

A heading of ours (meter, key, pickup, number of bars), one token for each part, then the stream of
MidiTok's REMI: Huang and Yang, "Pop Music Transformer", 2020, in its form for several instruments,
von Rütte et al., "FIGARO", 2023. Its Program tokens are numbers of parts, so that voices of the
same instrument stay apart. Pitches are moved so that the tonic is C: a piece is the same sequence
in every key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from musicgen.errors import InvalidTuneError
from musicgen.music.theory import Key, Meter, parse_meter
from musicgen.tokens.melody.table import tonic_distance
from musicgen.tokens.remi.pieces import (
    MAX_PARTS,
    MAX_QUARTERS,
    ROLES,
    TICKS,
    Piece,
    PiecePart,
    TimedNote,
    bar_lines,
    plain_meter,
)

NAME = "remi"
HEADER_KINDS = ("meter", "tonic", "mode", "pickup", "tens", "ones")


@dataclass(frozen=True, slots=True)
class RemiToken:
    """A parsed token. `kind` is one of `HEADER_KINDS`, "part", "bar", "signature", "position",
    "program", "pitch", "duration", or the special token itself.

    Values are a Meter ("meter", "signature"), text ("tonic", "mode"), a Fraction of a quarter
    ("pickup"), a number ("tens", "ones", "program", "pitch"), (role, program) ("part"), a
    Fraction of a beat ("position", "duration").
    """

    kind: str
    value: Any = None


def _meter(value: str) -> Meter:
    meter = parse_meter(value)
    if meter is None or meter.bar_duration is None:
        raise ValueError(value)
    return meter


def _part(value: str) -> tuple[str, int | None]:
    role, _, program = value.partition(".")
    if role not in ROLES:
        raise ValueError(value)
    return role, int(program) if program else None


def _position(value: str) -> Fraction:
    return Fraction(int(value), TICKS)


def _duration(value: str) -> Fraction:
    beats, places, resolution = map(int, value.split("."))
    return beats + Fraction(places, resolution)


def _no_value(value: str) -> None:
    return None


# Prefix of a token -> its kind, and the reader of its value.
_KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "M:": ("meter", _meter),
    "K:": ("tonic", str),
    "mode:": ("mode", str),
    "up:": ("pickup", Fraction),
    "tens:": ("tens", int),
    "ones:": ("ones", int),
    "Part_": ("part", _part),
    "Bar_": ("bar", _no_value),
    "TimeSig_": ("signature", parse_meter),
    "Position_": ("position", _position),
    "Program_": ("program", int),
    "Pitch_": ("pitch", int),
    "Duration_": ("duration", _duration),
}
_PREFIX = re.compile(r"[A-Za-z]+[:_]")


@lru_cache(maxsize=8192)
def parse_token(text: str) -> RemiToken:
    """Read a token.

    Raises:
        InvalidTuneError: it is no remi token.
    """
    if text.startswith("<") and text.endswith(">"):
        return RemiToken(text)
    prefix = _PREFIX.match(text)
    try:
        kind, read = _KINDS[prefix[0] if prefix else ""]
        return RemiToken(kind, read(text[len(prefix[0]) :] if prefix else ""))
    except (KeyError, ValueError, ZeroDivisionError, AttributeError):
        raise InvalidTuneError(f"'{text[:40]}' is no {NAME} token") from None


def part_token(part: PiecePart) -> str:
    """The token that announces a part."""
    return f"Part_{part.role}" + ("" if part.program is None else f".{part.program}")


def header_tokens(piece: Piece) -> list[str]:
    """The heading, in the order of `HEADER_KINDS`."""
    return [
        f"M:{piece.meters[0][1]}",
        f"K:{piece.key.tonic}",
        f"mode:{piece.key.mode}",
        f"up:{Fraction(piece.pickup, TICKS)}",
        *bars_tokens(piece.n_bars),
    ]


def bars_tokens(n_bars: int) -> tuple[str, str]:
    """How many bars a piece has, as two tokens."""
    return f"tens:{n_bars // 10}", f"ones:{n_bars % 10}"


def key_shift(key: Key) -> int:
    """Semitones from sounding pitches to those of tokens, -6 to 5."""
    return (6 - key.tonic_pitch_class) % 12 - 6


def in_key(piece: Piece, key: Key) -> Piece:
    """The same tokens read in another key: every pitch moved from tonic to tonic."""
    shift = key_shift(piece.key) - key_shift(key)
    parts = tuple(
        replace(
            part, notes=tuple((at, duration, midi + shift) for at, duration, midi in part.notes)
        )
        for part in piece.parts
    )
    return replace(piece, key=key, parts=parts)


def token_distance(text: str, known: str) -> float | None:
    """How far a known token is from another one, in the unit of their kind (see
    `vocabulary.Distance`)."""
    token, other = parse_token(text), parse_token(known)
    if token.kind != other.kind:
        return None
    match token.kind:
        case "position" | "duration" | "pickup" | "tens" | "ones" | "program":
            return float(abs(other.value - token.value))
        case "pitch":  # the same note in another octave comes first
            return float(abs(other.value - token.value) % 12 * 12 + abs(other.value - token.value))
        case "tonic":
            return tonic_distance(other.value, token.value)
        case "meter":
            return 0.0 if plain_meter(other.value) == plain_meter(token.value) else 1.0
    return 0.0 if other.value in ("major", "minor") else 1.0


# --- encoding ---------------------------------------------------------------------------------


def encode(piece: Piece) -> list[str]:
    """Tokens of a piece, without `<bos>` and `<eos>`; MidiTok is imported.

    Raises:
        InvalidTuneError: a pitch that leaves MIDI's range in the key of C.
    """
    parts = [part_token(part) for part in piece.parts]
    return [*header_tokens(piece), *parts, *encode_notes(piece)]


def encode_notes(piece: Piece) -> list[str]:
    """The stream of MidiTok, from the first bar to the last; trailing silence included."""
    stream: list[str] = list(_miditok().encode(_score(piece)).tokens)
    # MidiTok stops with the last onset, so the later bars of a held last note are missing.
    for onset in bar_lines(piece)[stream.count("Bar_None") : piece.n_bars]:
        meter = next(m for at, m in reversed(piece.meters) if at <= onset)
        stream += ["Bar_None", f"TimeSig_{plain_meter(meter)}"]
    return stream


def _score(piece: Piece) -> Any:
    from symusic import Note, Score, TimeSignature, Track

    score: Any = Score(TICKS)
    for onset, meter in piece.meters:
        plain = plain_meter(meter)
        score.time_signatures.append(TimeSignature(onset, plain.beats[0], plain.unit))
    shift = key_shift(piece.key)
    for number, part in enumerate(piece.parts):
        track: Any = Track(program=number)
        for onset, duration, midi in part.notes:
            if not 0 <= midi + shift <= 127:
                raise InvalidTuneError(f"pitch {midi}, too far from the middle")
            track.notes.append(Note(onset, duration, midi + shift, 64))
        score.tracks.append(track)
    return score


@lru_cache(maxsize=1)
def _miditok() -> Any:
    from miditok import REMI, TokenizerConfig

    return REMI(
        TokenizerConfig(
            pitch_range=(0, 127),
            beat_res={(0, 4 * MAX_QUARTERS): TICKS},  # beats may be sixteenths
            special_tokens=["PAD"],
            use_velocities=False,
            use_programs=True,
            one_token_stream_for_programs=True,
            programs=list(range(MAX_PARTS)),
            use_time_signatures=True,
            time_signature_range={unit: list(range(1, 33)) for unit in (4, 8, 16)},
            use_pitchdrum_tokens=False,
        )
    )


# --- decoding ---------------------------------------------------------------------------------


def decode(tokens: Sequence[str]) -> Piece:
    """The piece of the tokens, without special tokens.

    Raises:
        InvalidTuneError: tokens that are no piece (never for what the grammar allows).
    """
    texts = [text for text in tokens if not parse_token(text).kind.startswith("<")]
    header = [parse_token(text) for text in texts[: len(HEADER_KINDS)]]
    if tuple(token.kind for token in header) != HEADER_KINDS:
        raise InvalidTuneError(f"the first tokens must be {', '.join(HEADER_KINDS)}")
    meter, tonic, mode, pickup, *_ = (token.value for token in header)
    body = texts[len(HEADER_KINDS) :]
    roles = [parse_token(text).value for text in body if parse_token(text).kind == "part"]
    stream = body[len(roles) :]
    if not roles or any(parse_token(text).kind == "part" for text in stream):
        raise InvalidTuneError("the parts must come after the heading and before the music")
    notes, meters = decode_notes(stream, meter, key_shift(Key(tonic, mode)))
    if any(number >= len(roles) for number in notes):
        raise InvalidTuneError("a note of a part that was not announced")
    parts = [PiecePart(role, program, notes.get(i, ())) for i, (role, program) in enumerate(roles)]
    n_bars = sum(text.startswith("Bar_") for text in stream)
    return Piece(meters, Key(tonic, mode), int(pickup * TICKS), n_bars, tuple(parts))


def decode_notes(
    stream: Sequence[str], meter: Meter, shift: int
) -> tuple[dict[int, tuple[TimedNote, ...]], tuple[tuple[int, Meter], ...]]:
    """Notes of each part and the meters that MidiTok finds in its own tokens; `shift` as from
    `key_shift`."""
    from miditok import TokSequence

    kinds = [parse_token(text).kind for text in stream]
    if kinds[:2] != ["bar", "signature"] or any(kind in HEADER_KINDS for kind in kinds):
        raise InvalidTuneError("the music must start with a bar and its meter")
    score = _miditok().decode(TokSequence(tokens=list(stream)))
    factor, rest = divmod(score.ticks_per_quarter, TICKS)
    if rest:
        raise InvalidTuneError("times that are no whole ticks")
    notes = {
        track.program: tuple(
            sorted(
                ((n.time // factor, n.duration // factor, n.pitch - shift) for n in track.notes),
                key=lambda note: (note[0], note[2]),
            )
        )
        for track in score.tracks
    }
    written = {plain_meter(meter): meter}  # as the heading has it
    signatures = [
        (signature.time // factor, Meter((signature.numerator,), signature.denominator))
        for signature in score.time_signatures
    ]
    return notes, tuple((onset, written.get(plain, plain)) for onset, plain in signatures)
