"""Transcription: the pitches and lengths of a tune notated anew, without its heading and bar lines.

The heading, the bar lines and even the spelling of a written tune tell its key, meter and type,
which are to be classified. So only the notes are used: `estimation` finds the likeliest key and
meter, `notation` writes the bars, and the type of tune is left open, as half of the corpus leaves
it. A tune from MIDI gives the same transcription as from ABC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from musicgen.errors import InvalidTuneError
from musicgen.music.estimation import NoteLine, estimate_key, estimate_meter
from musicgen.music.notation.bars import ConductorTrack, TimedChord, write_bars
from musicgen.music.notation.rhythms import UNITS
from musicgen.music.theory import Key, Meter, default_unit
from musicgen.music.tune import Note, Tune, Voice
from musicgen.tokens.melody.encoding import melody

MAX_QUARTERS = 400  # the rest of a longer tune is not used


@dataclass(frozen=True, slots=True)
class Transcription:
    """`sounds` are onset and end of each note in `UNITS` of a quarter with its pitch, ties joined;
    `line` is the same for `estimation`."""

    sounds: tuple[TimedChord, ...]
    line: NoteLine

    def notated(self, *, meter: Meter | None = None, key: Key | None = None) -> Tune:
        """The notes written down, in the meter and key that are given or else the likeliest."""
        estimate = estimate_meter(self.line, meter=meter)
        meter, key = estimate.meter, key or estimate_key(self.line)
        pickup = round(estimate.pickup * UNITS)
        frame = ConductorTrack([(0, meter)], [(0, key)], pickup=pickup)
        (bars,) = write_bars([self.sounds], frame, 0)
        return Tune(meter=meter, unit=default_unit(meter), key=key, voices=(Voice(bars=bars),))


def transcribe(tune: Tune) -> Transcription:
    """The transcription of a tune as it is written, repeats not played.

    Raises:
        InvalidTuneError: it is not a single line in one key and one meter.
    """
    reduced = melody(tune).tune
    sounds = tuple(s for s in _sounds(reduced) if s[1] <= MAX_QUARTERS * UNITS)
    if not sounds:
        raise InvalidTuneError("no notes")
    first = sounds[0][0]  # silence before the music says nothing
    sounds = tuple((onset - first, end - first, pitches) for onset, end, pitches in sounds)
    line = NoteLine.of(((onset, end, pitches[0]) for onset, end, pitches in sounds), UNITS)
    return Transcription(sounds, line)


def _sounds(tune: Tune) -> Iterator[TimedChord]:
    held: tuple[int, int] | None = None  # onset and pitch of a note that is tied on
    for onset, event in tune.voices[0].placed:
        begin, end = round(onset * UNITS), round((onset + event.duration) * UNITS)
        if not isinstance(event, Note):
            continue
        if held is not None and held[1] == event.midi:
            begin = held[0]
        held = (begin, event.midi) if event.tie else None
        if held is None and end > begin:
            yield begin, end, (event.midi,)
