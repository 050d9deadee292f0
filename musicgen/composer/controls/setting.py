"""A heading that a model can start from under what was asked: its pitches, and where they sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from musicgen.composer.controls.pitch_automaton import PitchSet
from musicgen.composer.controls.scale import Scale
from musicgen.errors import ControlError
from musicgen.music.theory import Interval, Key, Pitch, transpose_pitch
from musicgen.tokens.melody.encoding import pitch_of
from musicgen.tokens.melody.table import Token

MIN_PITCHES = 3
# Most of a folk fiddler's notes (D4 to B5), where a model writes by habit.
USUAL = (62, 83)


@dataclass(frozen=True, kw_only=True)
class LineControls:
    """What is asked of the notes: `span` is the lowest and the highest MIDI number."""

    span: tuple[int, int] | None = None
    scale: Scale | None = None
    end_on_tonic: bool = False
    widest: int | None = None

    @property
    def asked(self) -> bool:
        """Whether anything is."""
        return self != LineControls()


@dataclass(frozen=True)
class Setting:
    """How music in one key of the model's becomes music in the asked key."""

    interval: Interval
    line: PitchSet


def setting_of(
    controls: LineControls, heard: Key, asked: Key, tokens: Sequence[Token], motif: Sequence[int]
) -> Setting:
    """The notes of a model that are allowed, when what it hears in one key is to sound in another:
    the octave is the one where they are the most usual ones.

    Raises:
        ControlError: too few notes are left for a tune, or the motif needs others.
    """
    near = Interval.between(heard, asked)
    octaves = (0,) if controls.span is None else (0, 1, -1, 2, -2, 3, -3)
    best: Setting | None = None
    best_score, reason = 0, ""
    for octave in octaves:
        interval = Interval(near.steps + 7 * octave, near.semitones + 12 * octave)
        line, why = _line(controls, heard, asked, interval, tokens)
        reason = reason or why
        outside = [i for i in motif if tokens[i].kind == "pitch" and i not in line.pitches]
        if not why and outside:
            pitch = transpose_pitch(pitch_of(tokens[outside[0]], heard), interval)
            reason = f"the motif's {pitch.name} is not among the notes that were asked for"
            continue
        score = sum(
            1 + 9 * (USUAL[0] <= midi - interval.semitones <= USUAL[1])
            for midi in line.pitches.values()
        )
        if not why and score > best_score:
            best, best_score = Setting(interval, line), score
    if best is None:
        raise ControlError(reason)
    return best


def _line(
    controls: LineControls, heard: Key, asked: Key, interval: Interval, tokens: Sequence[Token]
) -> tuple[PitchSet, str]:
    """The notes that are allowed, and why they are too few, if they are."""
    sounding: dict[int, Pitch] = {
        i: transpose_pitch(pitch_of(token, heard), interval)
        for i, token in enumerate(tokens)
        if token.kind == "pitch"
    }
    low, high = controls.span or (0, 127)
    kept = {i: pitch for i, pitch in sounding.items() if low <= pitch.midi <= high}
    if controls.scale is not None:
        permitted = controls.scale.permits(kept.values(), asked)
        kept = {i: pitch for i, pitch in kept.items() if pitch in permitted}
    tonics = frozenset(i for i, p in kept.items() if p.midi % 12 == asked.tonic_pitch_class)
    line = PitchSet(
        pitches={i: pitch.midi for i, pitch in kept.items()},
        tonics=tonics if controls.end_on_tonic else None,
        widest=controls.widest,
    )
    if controls.end_on_tonic and not tonics:
        return replace(line, pitches={}), f"no {asked.tonic} to end on is among the notes allowed"
    connected = line.connected()
    if len(set(connected.pitches.values())) < MIN_PITCHES:
        if len(set(line.pitches.values())) < MIN_PITCHES:
            return connected, f"fewer than {MIN_PITCHES} notes are allowed in {asked}"
        return connected, (
            f"max-interval {controls.widest}: the notes allowed in {asked} lie further apart"
        )
    return connected, ""
