"""Lines of sounds to voices of bars: gaps filled, tuplets grouped, melismas extended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from musicgen.formats.musicxml.reading.barlines import MeasureFrame
from musicgen.formats.musicxml.reading.part import LineName, PartMusic, Placed
from musicgen.formats.musicxml.reading.sounds import SoundingEvent
from musicgen.music.tune import Bar, Event, Note, Tuplet

OWN_VOICE_SHARE = 0.5  # of the bars of a staff that a second line plays in to be a voice itself


@dataclass(slots=True)
class VoiceLine:
    """A line of music by number of measure."""

    name: LineName
    staff: str
    bars: dict[int, list[SoundingEvent]]

    @property
    def n_bars(self) -> int:
        """Bars with notes."""
        return sum(any(sound.notes for sound in bar) for bar in self.bars.values())


def staves(music: PartMusic) -> list[list[VoiceLine]]:
    """The lines of a part, those of each staff together, the main one first.

    A voice that wanders between staves is one line of the staff that it plays on most.
    """
    by_staff: dict[str, list[VoiceLine]] = {}
    for line in sorted(_joined_voices(music), key=lambda line: _order(line.name)):
        by_staff.setdefault(line.staff, []).append(line)
    for lines in by_staff.values():
        most = max(line.n_bars for line in lines)
        main = next(line for line in lines if 2 * line.n_bars >= most)
        lines.sort(key=lambda line: line is not main)
    return [by_staff[staff] for staff in sorted(by_staff, key=_number_first)]


def _order(name: LineName) -> tuple[tuple[int, str], tuple[int, str], int]:
    voice, staff, number = name
    return _number_first(staff), _number_first(voice), number


def _number_first(text: str) -> tuple[int, str]:
    """A sort key: numbers in order, before names."""
    return (int(text), "") if text.isdecimal() and len(text) < 9 else (10**9, text)


def _joined_voices(music: PartMusic) -> list[VoiceLine]:
    """The lines of a part; those of a voice on several staves are one, unless they overlap."""
    by_voice: dict[tuple[str, int], list[VoiceLine]] = {}
    for name, bars in music.lines.items():
        by_voice.setdefault((name[0], name[2]), []).append(VoiceLine(name, name[1], bars))
    voices: list[VoiceLine] = []
    for lines in by_voice.values():
        joined = _join(lines)
        pairs = (pair for sounds in joined.bars.values() for pair in pairwise(sounds))
        voices += lines if any(a.end > b.onset for a, b in pairs) else [joined]
    return voices


def _join(lines: Sequence[VoiceLine]) -> VoiceLine:
    main = max(lines, key=lambda line: line.n_bars)
    bars: dict[int, list[SoundingEvent]] = {}
    for line in lines:
        for index, sounds in line.bars.items():
            bars.setdefault(index, []).extend(sounds)
    for sounds in bars.values():
        sounds.sort(key=lambda sound: sound.onset)
    return VoiceLine(main.name, main.staff, bars)


class VoiceBuilder:
    """Makes voices of the lines of one staff. `placed` are the changes that concern it.

    `exact` is for scores of our own, in which nothing is missing: no gap at the end of a bar is
    filled, and further lines stay beside the main one.
    """

    def __init__(
        self, frames: Sequence[MeasureFrame | None], placed: Sequence[Placed], *, exact: bool
    ) -> None:
        self.frames = [(index, frame) for index, frame in enumerate(frames) if frame is not None]
        self.exact = exact
        self.changes: dict[int, list[Placed]] = {}
        for change in placed:
            self.changes.setdefault(change.measure, []).append(change)

    def voices(self, lines: Sequence[VoiceLine]) -> list[tuple[Bar, ...]]:
        """The bars of each voice of a staff. A line that plays in less than half of the bars that
        the main one plays in becomes overlays of it."""
        main, *others = lines
        enough = max(OWN_VOICE_SHARE * main.n_bars, 1)
        apart = [] if self.exact else [line for line in others if line.n_bars >= enough]
        beside = [line for line in others if line not in apart and line.n_bars]
        for line in (main, *others):
            _draw_out_syllables(line, words_run_on=not self.exact)
        return [self._bars(main, beside), *(self._bars(line, ()) for line in apart)]

    def _bars(self, line: VoiceLine, beside: Sequence[VoiceLine]) -> tuple[Bar, ...]:
        return tuple(self._bar(index, frame, line, beside) for index, frame in self.frames)

    def _bar(
        self, index: int, frame: MeasureFrame, line: VoiceLine, beside: Sequence[VoiceLine]
    ) -> Bar:
        overlays = [other.bars[index] for other in beside if index in other.bars]
        return Bar(
            events=tuple(self._events(index, frame, line.bars.get(index, []))),
            overlays=tuple(tuple(self._overlay(sounds)) for sounds in overlays),
            repeat_start=frame.repeat_start,
            volta=frame.volta,
            repeat_end=frame.repeat_end,
            barline=frame.barline,
        )

    def _events(self, index: int, frame: MeasureFrame, sounds: list[SoundingEvent]) -> list[Event]:
        sounds = _joined(sounds)
        for sound in sounds:
            whole = self.exact or sound.duration == (frame.full or sound.duration)
            sound.full_bar = sound.full_bar and whole and len(sounds) == 1
        end = sounds[-1].end if sounds else Fraction(0)
        if not self.exact and end < frame.length:
            rest = SoundingEvent(end, frame.length - end, visible=False)
            rest.full_bar = not sounds and rest.duration == frame.full
            sounds = [*sounds, rest]
        waiting = sorted(self.changes.get(index, ()), key=lambda placed: placed.onset)
        events: list[Event] = []
        for sound, tuplet in _with_tuplets(_filled(sounds)):
            while waiting and waiting[0].onset <= sound.onset:
                events.append(waiting.pop(0).change)
            events.append(sound.event(tuplet))
        return [*events, *(placed.change for placed in waiting)]

    def _overlay(self, sounds: list[SoundingEvent]) -> list[Event]:
        for sound in sounds:
            sound.full_bar = False
        return [sound.event(tuplet) for sound, tuplet in _with_tuplets(_filled(_joined(sounds)))]


def _joined(sounds: list[SoundingEvent]) -> list[SoundingEvent]:
    """The sounds, those that were written as several note values as one."""
    joined: list[SoundingEvent] = []
    for sound in sounds:
        if not joined or not joined[-1].goes_on:
            joined.append(sound)
            continue
        first = joined[-1]
        first.duration += sound.duration
        first.notes = [
            Note(n.pitch, n.duration + o.duration, o.tie, None, n.marks)
            for n, o in zip(first.notes, sound.notes, strict=False)
        ]
        first.closed += sound.closed
        first.opened += sound.opened
        first.goes_on = sound.goes_on
        first.tuplet_stops = first.tuplet_stops or sound.tuplet_stops
    return joined


def _filled(sounds: Sequence[SoundingEvent]) -> list[SoundingEvent]:
    """The sounds with invisible rests in the gaps; a rest within a tuplet is a member of it."""
    filled: list[SoundingEvent] = []
    end, ratio = Fraction(0), (1, 1)
    for sound in sounds:
        if sound.onset > end:
            gap = SoundingEvent(end, sound.onset - end, visible=False)
            if gap.duration.denominator & (gap.duration.denominator - 1):
                gap.ratio = ratio if ratio != (1, 1) else sound.ratio
            filled.append(gap)
        filled.append(sound)
        end, ratio = sound.end, sound.ratio
    return filled


def _with_tuplets(sounds: Sequence[SoundingEvent]) -> list[tuple[SoundingEvent, Tuplet | None]]:
    pairs: list[tuple[SoundingEvent, Tuplet | None]] = []
    start = 0
    while start < len(sounds):
        stop, ratio = _group_end(sounds, start), sounds[start].ratio
        pairs += [
            (sound, None if ratio == (1, 1) else _tuplet(*ratio, stop - start, index))
            for index, sound in enumerate(sounds[start:stop])
        ]
        start = stop
    return pairs


_tuplet = lru_cache(maxsize=4096)(Tuplet)


def _group_end(sounds: Sequence[SoundingEvent], start: int) -> int:
    """The end of the tuplet that begins at `start`: at its bracket, or when it fills whole notes.

    A sound outside tuplets is a group of one.
    """
    ratio = sounds[start].ratio
    if ratio == (1, 1):
        return start + 1
    bracketed = sounds[start].tuplet_starts
    total, denominator = Fraction(0), 1  # of the note values; the largest denominator
    for stop in range(start, len(sounds)):
        sound = sounds[stop]
        if sound.ratio != ratio or (stop > start and sound.tuplet_starts):
            return stop
        written = sound.duration * ratio[0] / ratio[1]
        total += written
        denominator = max(denominator, written.denominator)
        full = not bracketed and (total * denominator) % ratio[0] == 0
        if sound.tuplet_stops or full:
            return stop + 1
    return len(sounds)


def _draw_out_syllables(line: VoiceLine, *, words_run_on: bool) -> None:
    """Give "_" to the notes that hold a syllable: those on its extender line and, with
    `words_run_on`, those within a word."""
    sounds = [sound for index in sorted(line.bars) for sound in line.bars[index]]
    for verse in {verse for sound in sounds for verse in sound.lyrics}:
        held = False
        for sound in sounds:
            syllable = sound.lyrics.get(verse, "")
            if syllable or not sound.notes:
                inside = words_run_on and syllable.endswith("-")
                held = bool(sound.notes) and (verse in sound.extended or inside)
            elif held:
                sound.lyrics[verse] = "_"
