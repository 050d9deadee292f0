"""Parts that go on in the very MIDI file that they came from."""

from __future__ import annotations

from musicgen.formats.midi.splicing import MidiChunks, TickedNote
from musicgen.music.playback import PlayedNote, played_notes
from musicgen.music.tune import Tune


def spliced(given: Tune, whole: Tune, midi: bytes) -> bytes:
    """A MIDI file with the new notes of every part on that part's own track and channel; all that
    was there stays: ticks, velocities, drums, tempos, controllers.

    Args:
        given: the piece as it was read from the file, a voice for each part.
        whole: the piece finished, in the same voices.
        midi: the file.

    Returns:
        b"" where the piece was put on beats of its own, so that its places are not the file's.
    """
    score = MidiChunks.read(midi)
    taken: set[tuple[int, int]] = set()
    before, after = _by_voice(given), _by_voice(whole)
    for number, notes in before.items():
        had = [_ticked(note, score) for note in notes]
        line = score.line_of(had, taken=taken)
        if not score.is_on_time(line, had):
            return b""
        taken.add((line.track, line.channel))
        places = {(note.onset, note.midi) for note in notes}
        new = [n for n in after.get(number, ()) if (n.onset, n.midi) not in places]
        added = [_ticked(note, score) for note in new]
        score = MidiChunks.read(score.replace(line, added=added))
    return score.data


def _by_voice(tune: Tune) -> dict[int, list[PlayedNote]]:
    voices: dict[int, list[PlayedNote]] = {}
    for note in played_notes(tune):
        voices.setdefault(note.voice, []).append(note)
    return voices


def _ticked(note: PlayedNote, score: MidiChunks) -> TickedNote:
    onset, end = (
        round(place * score.ticks_per_quarter) for place in (note.onset, note.onset + note.duration)
    )
    return TickedNote(onset, max(end - onset, 1), note.midi)
