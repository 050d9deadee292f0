"""The parts of a MIDI file, the choice of the melody, and the lines of a part.

A part is one channel of one track, except channel 10 (drums). The melody is, in this order: the
part that the caller selects; a part with a melody's name; the part with the words; of the parts
that mostly play one note at a time and have at least a quarter as many notes as the fullest, the
highest on average; of all parts, the highest. Parts named as basses or chords come last. The melody
of a part with chords is its skyline: the highest note at any time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from musicgen.errors import ConfigError, ParseError
from musicgen.formats.midi.smf import Ints, MidiFile, warn_count

DRUM_CHANNEL = 9
SINGLE_LINE_SHARE = 0.8
FULLEST_SHARE = 0.25
ROLL = 1 / 20  # of a quarter, between the notes of a rolled chord
FEWEST_ROLLED = 1 / 20  # of a part's notes; fewer are a line played unevenly, not chords
MAX_LINES = 8  # lines of one part at the same time
# A note that overlaps the next by less than this share of it is played legato.
LEGATO_SHARE = 0.5
_MELODY_NAMES = re.compile(
    r"\b(melod\w*|tune|theme|lead|vocals?|vox|voice|singer|sopran\w*|canto|cantus|chant|gesang|"
    r"solo|fiddle)\b",
    re.IGNORECASE,
)
_OTHER_NAMES = re.compile(r"\b(back\w*|bass|chords?|alto|tenor|harmon\w*|accomp\w*)\b", re.I)

GraceNote = tuple[int, Fraction]  # MIDI pitch, written length in quarters
NoteGroup = tuple[int, int, tuple[int, ...]]  # onset and end in ticks, MIDI pitches


@dataclass(frozen=True)
class MidiPart:
    """The notes of a channel of a track. `track` counts all tracks of the file from 1, `channel`
    is 1 to 16; `notes` are rows of onset, end (in ticks) and pitch, by onset; `graces` are those
    before the notes at a tick."""

    track: int
    channel: int
    name: str
    program: int | None
    notes: Ints
    lyrics: Sequence[tuple[int, str]]
    graces: Mapping[int, tuple[GraceNote, ...]] = field(default_factory=dict)

    @property
    def single_line(self) -> bool:
        """Whether most notes begin alone."""
        n_onsets = 1 + int(np.count_nonzero(np.diff(self.notes[:, 0])))
        return n_onsets >= SINGLE_LINE_SHARE * len(self.notes)

    @cached_property
    def mean_pitch(self) -> float:
        """Average MIDI pitch of the notes."""
        return float(self.notes[:, 2].mean())

    def __str__(self) -> str:
        return f"{self.track} '{self.name}'" if self.name else f"{self.track}"


def parts_of(file: MidiFile, warnings: list[str]) -> list[MidiPart]:
    """Every part with notes that last, without drums; warnings count the notes left out."""
    parts: list[MidiPart] = []
    n_empty = n_drums = 0
    for number, track in enumerate(file.tracks, 1):
        notes = track.notes
        lasting = notes[:, 1] > notes[:, 0]
        n_empty += int((~lasting).sum())
        notes = notes[lasting]
        channels = notes[:, 4]
        for channel in np.unique(channels).tolist():
            rows = notes[channels == channel, :3]
            if channel == DRUM_CHANNEL:
                n_drums += len(rows)
                continue
            program = track.programs.get(channel)
            parts.append(MidiPart(number, channel + 1, track.name, program, rows, track.lyrics))
    warn_count(warnings, "notes of no duration, left out", n_empty)
    if not parts and n_drums:
        raise ParseError("holds no notes other than drums; is it the right file?")
    if not parts:
        only = "only notes of no duration" if n_empty else "no notes"
        raise ParseError(f"holds {only}; export it again")
    if n_drums:
        warnings.append(f"drums (channel 10), left out: {n_drums} notes")
    return parts


def select(parts: list[MidiPart], track: str, channel: int | None) -> list[MidiPart]:
    """The parts of a track, by its number or some of its name, and of a channel.

    Raises:
        ConfigError: no part matches.
    """
    chosen = parts
    if track:
        numbered = [p for p in parts if track.isdecimal() and p.track == int(track)]
        chosen = numbered or [p for p in parts if track.casefold() in p.name.casefold()]
        if not chosen:
            known = ", ".join(dict.fromkeys(str(p) for p in parts[:12]))
            raise ConfigError(f"track {track[:40]}: has no notes; tracks with notes are {known}")
    if channel is not None:
        known = ", ".join(map(str, sorted({p.channel for p in chosen})))
        chosen = [p for p in chosen if p.channel == channel]
        if not chosen:
            raise ConfigError(f"channel {channel}: has no notes; channels with notes are {known}")
    return chosen


def unrolled(part: MidiPart, ticks_per_quarter: int, warnings: list[str]) -> MidiPart:
    """The part with all notes of a rolled chord at the onset of its first note.

    Notes are rolled if each begins within `ROLL` of the one before, and both sound together for
    more than half of the longer one.
    """
    gap = np.diff(part.notes[:, 0])
    near = (gap > 0) & (gap <= ticks_per_quarter * ROLL)
    if not near.any():
        return part
    notes = part.notes[np.lexsort((part.notes[:, 1], part.notes[:, 0]))]
    onsets, ends = notes[:, 0], notes[:, 1]
    together = np.minimum(ends[1:], ends[:-1]) - onsets[1:]
    near &= 2 * together > np.maximum(ends[1:] - onsets[1:], ends[:-1] - onsets[:-1])
    if near.sum() < FEWEST_ROLLED * len(notes):
        # A line whose notes sometimes overlap; but notes of a line do not end at the same tick.
        near &= ends[1:] == ends[:-1]
        if not near.any():
            return part
    starts = np.concatenate([[True], ~(near | (gap == 0))])
    first = np.maximum.accumulate(np.where(starts, np.arange(len(notes)), 0))
    moved = np.column_stack([onsets[first], ends, notes[:, 2]])
    warn_count(warnings, "notes of rolled chords, put together", int((moved[:, 0] != onsets).sum()))
    return replace(part, notes=moved[np.lexsort((ends, moved[:, 0]))])


def choose_melody(
    parts: list[MidiPart], n_parts: int, warnings: list[str], *, singer: MidiPart | None = None
) -> MidiPart:
    """The part with the melody; a warning names it if there were other parts (`n_parts` in all).
    `singer` is the part with the words of the file."""
    fullest = max(len(part.notes) for part in parts)
    likely = [p for p in parts if not _OTHER_NAMES.search(p.name)] or parts
    named = [p for p in likely if _MELODY_NAMES.search(p.name)]
    if len(parts) > 1 and len({p.name for p in parts}) == 1:
        named = []  # the parts of one track, or a file whose tracks all have the file's name
    singing = [p for p in likely if p is singer]
    candidates = named or singing or likely
    lines = [p for p in candidates if p.single_line] or candidates
    full = [p for p in lines if len(p.notes) >= FULLEST_SHARE * fullest] or lines
    chosen = max(full, key=lambda part: part.mean_pitch)
    if n_parts > 1:
        same_track = [p for p in parts if p.track == chosen.track]
        channel = f", channel {chosen.channel}" if len(same_track) > 1 else ""
        if len(parts) == 1:
            reason = "as asked for"
        elif named:
            reason = "by its name"
        elif singing:
            reason = "by its words"
        else:
            reason = "the highest" if lines is likely else "the highest line with many notes"
        warnings.append(
            f"melody taken from track {chosen}{channel}, {reason}; {n_parts - 1} other parts are "
            "left out"
        )
    return chosen


def single_line(part: MidiPart, warnings: list[str]) -> list[NoteGroup]:
    """At most one note or double stop at a time.

    In a part that is a single line, notes that begin and end together are kept together, and a note
    ends where the next begins. In any other part the highest of the notes that begin together is
    kept, and a note below the one that sounds is kept only if that one ends soon.
    """
    notes = part.notes
    onsets, ends = notes[:, 0], notes[:, 1]
    rows = notes.tolist()
    if (onsets[1:] >= ends[:-1]).all():
        return [(onset, end, (pitch,)) for onset, end, pitch in rows]
    is_line = part.single_line
    line: list[NoteGroup] = []
    n_dropped = n_below = n_trimmed = 0
    for onset, end, pitch in sorted(rows):
        before = line[-1] if line else (-1, -1, ())
        if before[0] == onset:
            if is_line and before[1] == end and pitch not in before[2]:
                line[-1] = (onset, end, (pitch, *before[2]))
                continue
            n_dropped += 1
            line[-1] = max(before, (onset, end, (pitch,)), key=lambda group: group[2][0])
            continue
        if before[1] > onset:
            covered = before[1] - onset > LEGATO_SHARE * (end - onset)
            if not is_line and pitch < before[2][0] and covered:
                n_below += 1
                continue
            n_trimmed += 1
            line[-1] = (before[0], onset, before[2])
        line.append((onset, end, (pitch,)))
    warn_count(warnings, "notes struck together with a higher one, left out", n_dropped)
    warn_count(warnings, "notes under one that sounds on, left out", n_below)
    warn_count(warnings, "notes that sounded on, shortened to the next", n_trimmed)
    return line


def chord_lines(part: MidiPart, warnings: list[str]) -> list[list[NoteGroup]]:
    """A part as lines of notes and chords that do not overlap, the highest first.

    Notes with the same onset and end are a chord. Each note or chord joins the free line that is
    nearest in pitch; beyond `MAX_LINES` lines another one is cut short.
    """
    chords: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for onset, end, pitch in part.notes.tolist():
        chords[onset, end].add(pitch)
    n_twice = len(part.notes) - sum(map(len, chords.values()))
    warn_count(warnings, "notes struck twice at once, left out once", n_twice)
    lines: list[list[NoteGroup]] = []
    n_trimmed = 0
    for (onset, end), pitches in sorted(
        chords.items(), key=lambda item: (item[0][0], -max(item[1]))
    ):
        top = max(pitches)
        group = (onset, end, tuple(sorted(pitches, reverse=True)))
        free = [line for line in lines if line[-1][1] <= onset]
        if free and len(free) == len(lines):
            lines[0].append(group)
        elif free:
            min(free, key=lambda line: abs(line[-1][2][0] - top)).append(group)
        elif len(lines) < MAX_LINES:
            lines.append([group])
        else:
            oldest = min(lines, key=lambda line: line[-1][0])
            before = oldest[-1]
            n_trimmed += 1
            if before[0] < onset:
                oldest[-1] = (before[0], onset, before[2])
                oldest.append(group)
    warn_count(warnings, f"notes beyond {MAX_LINES} lines at a time, cut short", n_trimmed)
    return lines
