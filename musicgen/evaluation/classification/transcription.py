"""A tune by ear: its pitches and lengths notated anew, nothing of its own heading or bar lines.

What is asked must not be told, and the heading, the bar lines and even the spelling of a written
tune tell its key, meter and type. So a tune is listened to: `estimation` says in which key and
meter its notes are likeliest, our MIDI notation writes them down, and the type of tune is left
open, as half of the corpus leaves it. A tune from MIDI is heard as the same tune from ABC is.
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

MAX_QUARTERS = 400  # what comes later in a longer tune is not listened to


@dataclass(frozen=True, slots=True)
class Transcription:
    """`sounds` are onset and end of each note in `UNITS` of a quarter with its pitch, ties joined;
    `line` is the same for `estimation`."""

    sounds: tuple[TimedChord, ...]
    line: NoteLine

    def notated(self, *, meter: Meter | None = None, key: Key | None = None) -> Tune:
        """The notes written down, in the meter and key that are given or else the likeliest."""
        found = estimate_meter(self.line, meter=meter)
        key = key or estimate_key(self.line)
        pickup = round(found.pickup * UNITS)
        frame = ConductorTrack([(0, found.meter)], [(0, key)], pickup=pickup)
        (bars,) = write_bars([self.sounds], frame, 0)
        unit = default_unit(found.meter)
        return Tune(meter=found.meter, unit=unit, key=key, voices=(Voice(bars=bars),))


def transcribe(tune: Tune) -> Transcription:
    """What is heard of a tune as it is written, repeats not played.

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
