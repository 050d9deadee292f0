"""The setting of a model's pitches in the key of a tune: those that the controls allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from musicgen.composer.controls.pitch_automaton import NoteRules, PitchSet
from musicgen.errors import ControlError
from musicgen.music.theory import Interval, Key, Pitch, is_well_spelled, transpose_pitch
from musicgen.tokens.melody.encoding import pitch_of
from musicgen.tokens.melody.table import Token

MIN_PITCHES = 3
# MIDI numbers of most of a folk fiddler's notes (D4 to B5), which a model writes most.
USUAL = (62, 83)


@dataclass(frozen=True)
class Setting:
    """How music in one of the model's keys becomes music in the key of the tune: moved by
    `interval`, with these pitches."""

    interval: Interval
    pitches: PitchSet


def setting_of(
    rules: NoteRules, model_key: Key, key: Key, tokens: Sequence[Token], motif: Sequence[int]
) -> Setting:
    """The pitches that the rules allow to a model that writes in `model_key` for a tune in `key`,
    in the octave where they are the most usual ones.

    Raises:
        ControlError: too few pitches are left for a tune, or the motif needs others.
    """
    nearest = Interval.between(model_key, key)
    octaves = (0,) if rules.range is None else (0, 1, -1, 2, -2, 3, -3)
    best: Setting | None = None
    best_score, reason = 0, ""
    for octave in octaves:
        interval = Interval(nearest.steps + 7 * octave, nearest.semitones + 12 * octave)
        sounding = {
            i: transpose_pitch(pitch_of(token, model_key), interval)
            for i, token in enumerate(tokens)
            if token.kind == "pitch"
        }
        named = {i: p for i, p in sounding.items() if i in motif or _may_be_named(p, key, rules)}
        pitches, problem = _allowed(rules, key, named)
        reason = reason or problem
        outside = [i for i in motif if i in sounding and i not in pitches.pitches]
        if not problem and outside:
            name = sounding[outside[0]].name
            reason = f"the motif's {name} is not among the notes that were asked for"
            continue
        score = sum(
            1 + 9 * (USUAL[0] <= midi - interval.semitones <= USUAL[1])
            for midi in pitches.pitches.values()
        )
        if not problem and score > best_score:
            best, best_score = Setting(interval, pitches), score
    if best is None:
        raise ControlError(reason)
    return best


def _may_be_named(pitch: Pitch, key: Key, rules: NoteRules) -> bool:
    """Whether a pitch is well spelled, or has a name that was asked for."""
    asked = rules.scale.notes if rules.scale is not None else ()
    return is_well_spelled(pitch, key) or (pitch.step, pitch.alter) in asked


def _allowed(rules: NoteRules, key: Key, sounding: Mapping[int, Pitch]) -> tuple[PitchSet, str]:
    """The pitches that are allowed, and why they are too few, "" if they are not."""
    low, high = rules.range or (0, 127)
    kept = {i: pitch for i, pitch in sounding.items() if low <= pitch.midi <= high}
    if rules.scale is not None:
        permitted = rules.scale.permits(kept.values(), key)
        kept = {i: pitch for i, pitch in kept.items() if pitch in permitted}
    tonics = frozenset(i for i, p in kept.items() if p.midi % 12 == key.tonic_pitch_class)
    allowed = PitchSet(
        pitches={i: pitch.midi for i, pitch in kept.items()}, tonics=tonics, rules=rules
    )
    if rules.end_on_tonic and not tonics:
        return allowed, f"no {key.tonic} to end on is among the notes allowed"
    connected = allowed.connected()
    if len(set(connected.pitches.values())) >= MIN_PITCHES:
        return connected, ""
    if len(set(allowed.pitches.values())) < MIN_PITCHES:
        return connected, f"fewer than {MIN_PITCHES} notes are allowed in {key}"
    return connected, (
        f"max-interval {rules.max_interval}: the notes allowed in {key} lie further apart"
    )
