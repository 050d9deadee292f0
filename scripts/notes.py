"""Notes of tunes and of MIDI files, in quarters, so that they can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from musicgen.music.playback import timeline
from musicgen.music.transposition import at_concert_pitch
from musicgen.music.tune import Change, Chord, Event, Tune, notes_of

Played = dict[tuple[Fraction, int], Fraction]  # (onset, MIDI pitch) -> duration
Written = Counter[tuple[Fraction, int, Fraction]]  # onset on paper, MIDI pitch, duration


def played_notes(tune: Tune) -> Played:
    """Notes that we play; of those of one pitch struck together the longest."""
    found: Played = {}
    for note in timeline(tune).notes:
        place = note.onset, note.midi
        found[place] = max(found.get(place, note.duration), note.duration)
    return found


def midi_notes(path: Path) -> Played:
    """Notes of a MIDI file, as mido reads it."""
    import mido

    file = mido.MidiFile(path)
    found: Played = {}
    for track in file.tracks:
        now, sounding = 0, {}
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity:
                sounding[message.channel, message.note] = now
            elif message.type in ("note_on", "note_off"):
                start = sounding.pop((message.channel, message.note), None)
                if start is not None:
                    place = Fraction(start, file.ticks_per_beat), message.note
                    length = Fraction(now - start, file.ticks_per_beat)
                    found[place] = max(found.get(place, length), length)
    return found


def notes_of_line(events: Iterable[Event]) -> Iterator[tuple[Fraction, Fraction, int, bool]]:
    """Onset, duration, pitch and whether it is tied to the next, of every note of a line."""
    at = Fraction(0)
    for event in events:
        if isinstance(event, Change):
            continue
        for note in notes_of(event):
            length = note.duration if isinstance(event, Chord) else event.duration
            yield at, length, note.midi, note.tie
        at += event.duration


def joined(
    notes: Iterable[tuple[Fraction, Fraction, int, bool]],
) -> Iterator[tuple[Fraction, int, Fraction]]:
    """Onset, pitch and duration; tied notes are one."""
    tied: dict[tuple[Fraction, int], Fraction] = {}  # place that a tie leads to -> onset
    for onset, length, pitch, ties in sorted(notes, key=lambda note: note[0]):
        start = tied.pop((onset, pitch), onset)
        if ties:
            tied[onset + length, pitch] = start
        else:
            yield start, pitch, onset + length - start
    for (stop, pitch), start in tied.items():
        yield start, pitch, stop - start


def written_notes(tune: Tune) -> Written:
    """Every note as it stands on paper, repeats and jumps aside, ties joined."""
    found: Written = Counter()
    for voice in at_concert_pitch(tune).voices:
        notes, start = [], Fraction(0)
        for bar in voice.bars:
            for line in bar.lines:
                notes += [(start + at, *others) for at, *others in notes_of_line(line)]
            start += bar.duration
        found.update(joined(notes))
    return found
