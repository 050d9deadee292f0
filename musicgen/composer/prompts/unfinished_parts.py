"""An unfinished piece in parts: its tokens as a prompt, and the finished piece joined from both.

The prompt holds the notes of every part up to the beat where new notes begin; the finished piece
starts with the given bars, unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, combinations

from musicgen.composer.prompts.source_file import ticked_note
from musicgen.config import what_is_known
from musicgen.errors import ControlError, InvalidTuneError
from musicgen.formats.midi.splicing import MidiChunks
from musicgen.music.playback import PlayedNote, played_notes
from musicgen.music.transposition import at_concert_pitch
from musicgen.music.tune import (
    Bar,
    Change,
    Chord,
    Event,
    Note,
    Rest,
    Source,
    Tune,
    Voice,
    require_tune,
)
from musicgen.tokens.remi.encoding import (
    decode,
    encode_notes,
    header_tokens,
    parse_token,
    part_token,
    token_distance,
)
from musicgen.tokens.remi.notation import tune_of
from musicgen.tokens.remi.pieces import (
    CHOIR,
    MAX_BARS,
    ROLES,
    TICKS,
    Piece,
    PiecePart,
    bar_lines,
    bar_ticks,
    end_of_writing,
    piece_of,
    plain_meter,
)
from musicgen.tokens.vocabulary import Vocabulary

REACH = 5  # semitones that a part may go beyond what it was given
BARS_ADDED = 8
CHOIR_ROLES = ("soprano", "alto", "tenor", "bass")


@dataclass(frozen=True)
class UnfinishedParts:
    """`tune` is the piece given and `piece` its notes; `slots` are the numbers of its parts among
    those that the model has. `begin` is where new music starts, in quarters from the first bar
    line. `tokens` encode all that; `known_tokens` are the nearest tokens of the model's
    vocabulary."""

    tune: Tune
    piece: Piece
    slots: tuple[int, ...]
    begin: Fraction
    tokens: tuple[str, ...]
    known_tokens: tuple[str, ...]
    ranges: Mapping[int, tuple[int, int]]

    @staticmethod
    def read(tune: Tune, bars: int | None, vocabulary: Vocabulary) -> UnfinishedParts:
        """Understand an unfinished piece; `bars` are the full bars that the whole is to have.

        Raises:
            ControlError: the model cannot follow it, or it has as many bars already.
        """
        tune = at_concert_pitch(require_tune(tune))
        try:
            given, _ = piece_of(tune, finished=False)
        except InvalidTuneError as error:
            raise ControlError(f"cannot be continued: {error}") from None
        if len(given.meters) > 1:
            raise ControlError("cannot be continued: the meter changes; give a part in one meter")
        meter = given.meters[0][1]
        if f"TimeSig_{plain_meter(meter)}" not in vocabulary.ids:
            known = [t.removeprefix("TimeSig_") for t in vocabulary.tokens if t[:8] == "TimeSig_"]
            raise ControlError(f"the model knows no {meter}; {what_is_known(known)}")
        begin = _next_beat(tune, given)
        full = bar_ticks(meter)
        n_given = -(-begin // full) - (given.pickup > 0)
        wanted = _usual_length(n_given) if bars is None else bars
        if wanted <= n_given - (begin % full > 0) or wanted > MAX_BARS - 1:
            raise ControlError(f"bars {wanted}: the piece has {n_given}; ask for more")
        slots, announced = _slots(given, vocabulary)
        parts = [PiecePart(role, program, ()) for role, program in announced]
        for slot, part in zip(slots, given.parts, strict=True):
            parts[slot] = part
        piece = replace(given, parts=tuple(parts), n_bars=begin // full + 1)
        heading = header_tokens(replace(piece, n_bars=wanted + (given.pickup > 0)))
        body = encode_notes(piece)
        tokens = (*heading, *map(part_token, parts), *body)
        known_tokens = (
            *vocabulary.replace_unknown(heading, token_distance),
            *(part_token(PiecePart(role, program, ())) for role, program in announced),
            *vocabulary.replace_unknown(body, token_distance),
        )
        begin_quarters = Fraction(begin, TICKS)
        return UnfinishedParts(
            tune, piece, tuple(slots), begin_quarters, tokens, known_tokens, _ranges(parts)
        )

    def complete(self, new_tokens: Sequence[str]) -> Tune:
        """The finished piece: the bars given, then what `new_tokens` add."""
        piece = decode([*self.tokens, *new_tokens])
        parts = tuple(piece.parts[slot] for slot in self.slots)
        written = tune_of(replace(piece, key=self.piece.key, parts=parts))
        sounding = iter(written.voices)
        silent = _silence(written.voices[0])
        begin = self.begin - Fraction(self.piece.before_music, TICKS)
        voices = tuple(
            replace(
                voice,
                bars=_joined(voice.bars, next(sounding).bars if _sounds(voice) else silent, begin),
            )
            for voice in self.tune.voices
        )
        given = self.tune.source
        source = None if given is None else Source(ticks_per_quarter=given.ticks_per_quarter)
        return replace(self.tune, voices=voices, source=source)


def _sounds(voice: Voice) -> bool:
    if voice.percussion is not None:
        return False
    overlays = (event for bar in voice.bars for line in bar.overlays for event in line)
    return any(isinstance(event, Note | Chord) for event in (*voice.events, *overlays))


def _silence(voice: Voice) -> tuple[Bar, ...]:
    """Bars as long as those of a voice, without notes."""
    return tuple(
        Bar(events=(Rest(bar.duration, full_bar=True),), barline=bar.barline) for bar in voice.bars
    )


# --- what the model is told -------------------------------------------------------------------


def _next_beat(tune: Tune, given: Piece) -> int:
    """Where new music begins, in ticks: the bar line where the last bar is written to its end,
    else the next beat."""
    end = max(part.end for part in given.parts)
    lines = bar_lines(given)
    start, stop = lines[-2], lines[-1]
    if end_of_writing(tune, given) >= stop:
        return stop
    beat = start
    for duration in given.meters[0][1].beat_durations:
        if beat >= end:
            break
        beat += int(duration * TICKS)
    return min(beat, stop)


def _usual_length(n_given: int) -> int:
    """Full bars of a whole piece that has so many: whole phrases of four."""
    return max(12, -(-(n_given + BARS_ADDED) // 4) * 4)


def _slots(given: Piece, vocabulary: Vocabulary) -> tuple[list[int], list[tuple[str, int | None]]]:
    """Which of the model's parts each given part is, and all parts as the model is told them.

    Parts that the model knows are what they are. Others are encoded as voices of the choir, where
    the model knows that, as their registers have it.
    """
    n_most = 1 + max(t.value for t in map(parse_token, vocabulary.tokens) if t.kind == "program")
    if len(given.parts) > n_most:
        raise ControlError(f"it has {len(given.parts)} parts; the model knows at most {n_most}")
    kinds = [(part.role, part.program) for part in given.parts]
    if all(part_token(part) in vocabulary.ids for part in given.parts):
        return list(range(len(kinds))), kinds
    choir: list[tuple[str, int | None]] = [(role, CHOIR) for role in CHOIR_ROLES]
    if len(kinds) > len(choir) or any(
        part_token(PiecePart(*c, ())) not in vocabulary.ids for c in choir
    ):
        tokens = map(parse_token, vocabulary.tokens)
        known = [token.value for token in tokens if token.kind == "part"]
        return list(range(len(kinds))), [_nearest_kind(kind, known) for kind in kinds]
    heights = [sum(n[2] for n in part.notes) / len(part.notes) for part in given.parts]
    downwards = sorted(range(len(kinds)), key=lambda i: -heights[i])

    def distance(slots: tuple[int, ...]) -> float:
        middles = [ROLES[CHOIR_ROLES[s]].lowest + ROLES[CHOIR_ROLES[s]].highest for s in slots]
        return sum(abs(heights[i] - m / 2) for i, m in zip(downwards, middles, strict=True))

    best = min(combinations(range(len(choir)), len(kinds)), key=distance)
    slot_of = dict(zip(downwards, best, strict=True))
    return [slot_of[i] for i in range(len(kinds))], choir


def _nearest_kind(
    kind: tuple[str, int | None], known: Sequence[tuple[str, int | None]]
) -> tuple[str, int | None]:
    role, program = kind
    return min(
        known, key=lambda k: (k != kind, k[0] != role, abs((k[1] or 0) - (program or 0)), k[0])
    )


def _ranges(parts: Sequence[PiecePart]) -> dict[int, tuple[int, int]]:
    """Lowest and highest pitch of each part that was given something: its role's, or what it was
    given and a little more."""
    ranges = {}
    for slot, part in enumerate(parts):
        pitches = [midi for _, _, midi in part.notes]
        if pitches:
            low, high = max(min(pitches) - REACH, 0), min(max(pitches) + REACH, 127)
            role = ROLES[part.role]
            named = bool(role.name)
            ranges[slot] = (
                min(role.lowest, *pitches) if named else low,
                max(role.highest, *pitches) if named else high,
            )
    return ranges


# --- joining ----------------------------------------------------------------------------------


def _joined(given: Sequence[Bar], written: Sequence[Bar], begin: Fraction) -> tuple[Bar, ...]:
    """Given bars up to `begin`, in quarters from the first note, then what is written after."""
    starts = _starts(given)
    kept = [bar for bar, start in zip(given, starts[:-1], strict=True) if start < begin]
    end = starts[len(kept)]
    if end > begin:
        kept[-1] = replace(kept[-1], events=_without_tail(kept[-1].events, end - begin))
        end = starts[len(kept) - 1] + kept[-1].duration
    lines = _starts(written)
    first = next(i for i in range(len(written)) if lines[i + 1] > end)
    if lines[first] < end or not kept:
        inside = end - lines[first]
        new = written[first]
        if kept:
            last = kept.pop()
            beside = [_tail(line, inside) for line in new.overlays]
            waiting = Rest(last.duration, visible=False)
            overlays = [
                (waiting, *line)
                for line in beside
                if not all(isinstance(event, Rest) for event in line)
            ]
            new = replace(
                last,
                events=(*last.events, *_tail(new.events, inside)),
                overlays=(*last.overlays, *overlays),
                barline=new.barline,
                span=None,
            )
        kept.append(new)
        first += 1
    elif kept[-1].barline in ("", "|]"):
        kept[-1] = replace(kept[-1], barline="|")
    return (*kept, *written[first:])


def _starts(bars: Sequence[Bar]) -> list[Fraction]:
    """The onset of each bar, and the end of the last."""
    return list(accumulate((bar.duration for bar in bars), initial=Fraction(0)))


def _without_tail(events: Sequence[Event], excess: Fraction) -> tuple[Event, ...]:
    """Events without the rests that fill the last `excess` quarters."""
    kept = list(events)
    while excess > 0 and kept and isinstance(kept[-1], Rest):
        last = kept.pop()
        assert isinstance(last, Rest)
        if last.duration > excess:
            kept.append(replace(last, duration=last.duration - excess, full_bar=False))
        excess -= last.duration
    return tuple(kept)


def _tail(events: Sequence[Event], begin: Fraction) -> tuple[Event, ...]:
    """The events after `begin`, in quarters from the start of the bar; a rest across it is cut."""
    position = Fraction(0)
    tail: list[Event] = []
    for event in events:
        end = position if isinstance(event, Change) else position + event.duration
        if position >= begin:
            tail.append(event)
        elif end > begin and isinstance(event, Rest):
            tail.append(Rest(end - begin))
        position = end
    return tuple(tail)


# --- in the MIDI file ---------------------------------------------------------------------------


def spliced(given: Tune, finished: Tune, midi: bytes) -> bytes:
    """A MIDI file with the new notes of every part on that part's own track and channel; the rest
    is unchanged: ticks, velocities, drums, tempos, controllers.

    Args:
        given: the piece as it was read from the file, a voice for each part.
        finished: the piece finished, in the same voices.
        midi: the file.

    Returns:
        b"" where the notes of the file keep to no beat, so that their ticks are unknown.
    """
    chunks = MidiChunks.read(midi)
    taken: set[tuple[int, int]] = set()
    before, after = _by_voice(given), _by_voice(finished)
    for number, notes in before.items():
        ticked = [ticked_note(note, chunks.ticks_per_quarter) for note in notes]
        line = chunks.line_of(ticked, taken=taken)
        if not chunks.is_on_time(line, ticked):
            return b""
        taken.add((line.track, line.channel))
        places = {(note.onset, note.midi) for note in notes}
        added = [
            ticked_note(note, chunks.ticks_per_quarter)
            for note in after.get(number, ())
            if (note.onset, note.midi) not in places
        ]
        chunks = MidiChunks.read(chunks.replace(line, added=added))
    return chunks.data


def _by_voice(tune: Tune) -> dict[int, list[PlayedNote]]:
    voices: dict[int, list[PlayedNote]] = {}
    for note in played_notes(tune):
        voices.setdefault(note.voice, []).append(note)
    return voices
