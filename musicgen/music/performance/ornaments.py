"""Grace notes, rolls, trills, mordents and turns, played out as short notes in seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from musicgen.music.theory import STEP_SEMITONES, Key
from musicgen.music.tune import Marks

CUT_S = 0.055  # a grace note or the short note of an ornament
MAX_SHARE = 0.5  # of a note, for grace notes before it
MIN_ORNAMENTED_S = 0.16  # shorter notes are played plain
TRILL_S = 0.075

# Steps of the scale from the main note. Short notes last `CUT_S`, long ones share what is left.
_SHORT, _LONG = "short", "long"
ORNAMENTS: dict[str, tuple[tuple[int, str], ...]] = {
    "roll": ((0, _LONG), (1, _SHORT), (0, _LONG), (-1, _SHORT), (0, _LONG)),
    "lowermordent": ((0, _SHORT), (-1, _SHORT), (0, _LONG)),
    "mordent": ((0, _SHORT), (-1, _SHORT), (0, _LONG)),
    "uppermordent": ((0, _SHORT), (1, _SHORT), (0, _LONG)),
    "pralltriller": ((0, _SHORT), (1, _SHORT), (0, _LONG)),
    "turn": ((1, _SHORT), (0, _SHORT), (-1, _SHORT), (0, _LONG)),
}


@dataclass(frozen=True, slots=True)
class OrnamentNote:
    """A sounding note: onset and duration in seconds, MIDI pitch."""

    onset_s: float
    duration_s: float
    midi: int


def play_out(sound: OrnamentNote, marks: Marks, key: Key) -> list[OrnamentNote]:
    """The notes of an ornamented note, within its own time.

    `key` gives the neighbours of the scale.
    """
    if marks.grace is None or sound.duration_s <= 0:
        return _ornamented(sound, marks.decorations, key)
    graces = marks.grace.notes
    cut = min(CUT_S, MAX_SHARE * sound.duration_s / max(len(graces), 1))
    taken = cut * len(graces)
    main = OrnamentNote(sound.onset_s + taken, sound.duration_s - taken, sound.midi)
    return [
        *(OrnamentNote(sound.onset_s + i * cut, cut, note.midi) for i, note in enumerate(graces)),
        *_ornamented(main, marks.decorations, key),
    ]


def _ornamented(sound: OrnamentNote, decorations: Iterable[str], key: Key) -> list[OrnamentNote]:
    if sound.duration_s < MIN_ORNAMENTED_S:
        return [sound]
    for name in decorations:
        if name == "trill":
            return _trill(sound, key)
        if name in ORNAMENTS:
            return _figure(sound, ORNAMENTS[name], key)
    return [sound]


def _trill(sound: OrnamentNote, key: Key) -> list[OrnamentNote]:
    """Main and upper note in turn, an odd number of them, so that it ends where it began."""
    count = max(int(sound.duration_s / TRILL_S) // 2 * 2 + 1, 3)
    length = sound.duration_s / count
    upper = _neighbour(sound.midi, 1, key)
    return [
        OrnamentNote(sound.onset_s + i * length, length, upper if i % 2 else sound.midi)
        for i in range(count)
    ]


def _figure(
    sound: OrnamentNote, figure: tuple[tuple[int, str], ...], key: Key
) -> list[OrnamentNote]:
    n_short = sum(length == _SHORT for _, length in figure)
    short = min(CUT_S, sound.duration_s / (2 * len(figure)))
    long = (sound.duration_s - n_short * short) / (len(figure) - n_short)
    sounds, onset = [], sound.onset_s
    for steps, kind in figure:
        length = short if kind == _SHORT else long
        sounds.append(OrnamentNote(onset, length, _neighbour(sound.midi, steps, key)))
        onset += length
    return sounds


def _neighbour(midi: int, steps: int, key: Key) -> int:
    """The next note of the scale above (1) or below (-1), or the note itself (0)."""
    if steps == 0:
        return midi
    scale = {(STEP_SEMITONES[step] + alter) % 12 for step, alter in key.signature.items()}
    return next(m for m in range(midi + steps, midi + 4 * steps, steps) if m % 12 in scale)
