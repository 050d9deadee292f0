"""The parts of a MIDI file, which of them is the melody, and the lines in a part.

A part is what one track plays on one channel; channel 10, drums, is none. The melody is, in this
order: the part that was asked for; a part whose name says so; the part that has the words; of the
parts that mostly play one note at a time and have at least a quarter as many notes as the fullest,
the highest on average; of all parts, the highest. Parts that are basses or chords by name come
last. Of a part with chords it is the skyline: the highest note at any time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from musicgen.errors import ConfigError, ParseError
from musicgen.formats.midi.smf import Ints, MidiFile

DRUM_CHANNEL = 9
SINGLE_LINE_SHARE = 0.8
FULLEST_SHARE = 0.25
ROLL = 1 / 20  # of a quarter, between the notes of a rolled chord
FEWEST_ROLLED = 1 / 20  # of a part's notes; fewer are no chords but a line played unevenly
MAX_LINES = 8  # that sound at the same time in one part
# A note that sounds on into the next by less than this share of it is played legato.
LEGATO_SHARE = 0.5
_MELODY_NAMES = re.compile(
    r"\b(melod\w*|tune|theme|lead|vocals?|vox|voice|singer|sopran\w*|canto|cantus|chant|gesang|"
    r"solo|fiddle)\b",
    re.IGNORECASE,
)
_NO_MELODY_NAMES = re.compile(r"\b(back\w*|bass|chords?|alto|tenor|harmon\w*|accomp\w*)\b", re.I)

Strike = tuple[int, int, tuple[int, ...]]  # onset and end in ticks, MIDI pitches struck together


@dataclass(frozen=True)
class MidiPart:
    """What a track plays on a channel. `track` counts all tracks of the file from 1, `channel`
    from 1 to 16; `notes` are rows of onset, end (in ticks) and pitch, by onset."""

    track: int
    channel: int
    name: str
    program: int | None
    notes: Ints
    lyrics: Sequence[tuple[int, str]]

    @property
    def single_line(self) -> bool:
        """Whether notes are mostly struck one at a time."""
        n_onsets = 1 + int(np.count_nonzero(np.diff(self.notes[:, 0])))
        return n_onsets >= SINGLE_LINE_SHARE * len(self.notes)

    @cached_property
    def mean_pitch(self) -> float:
        """Average MIDI pitch of the notes."""
        return float(self.notes[:, 2].mean())

    def __str__(self) -> str:
        return f"{self.track} '{self.name}'" if self.name else f"{self.track}"


def parts_of(file: MidiFile, warnings: list[str]) -> list[MidiPart]:
    """Every part with notes that last, drums aside; what is left out is counted."""
    parts: list[MidiPart] = []
    n_empty = n_drums = 0
    for number, track in enumerate(file.tracks, 1):
        notes = track.notes
        lasting = notes[:, 1] > notes[:, 0]
        if not lasting.all():
            n_empty += int((~lasting).sum())
            notes = notes[lasting]
        if not len(notes):
            continue
        channels = notes[:, 4]
        several = len(notes) > 1 and bool((channels != channels[0]).any())
        for channel in np.unique(channels).tolist() if several else [int(channels[0])]:
            own = notes[channels == channel] if several else notes
            if channel == DRUM_CHANNEL:
                n_drums += len(own)
                continue
            program = track.programs.get(channel)
            parts.append(
                MidiPart(number, channel + 1, track.name, program, own[:, :3], track.lyrics)
            )
    if n_empty:
        warnings.append(f"notes of no duration, left out: {n_empty}")
    if not parts and n_drums:
        raise ParseError("holds no notes other than drums; is it the right file?")
    if not parts:
        only = "only notes of no duration" if n_empty else "no notes"
        raise ParseError(f"holds {only}; export it again")
    if n_drums:
        warnings.append(f"drums (channel 10), left out: {n_drums} notes")
    return parts


def select(parts: list[MidiPart], track: str, channel: int | None) -> list[MidiPart]:
    """The parts of a track, by its number or a part of its name, and of a channel.

    Raises:
        ConfigError: there is none.
    """
    chosen = parts
    if track:
        chosen = [p for p in parts if track.isdecimal() and p.track == int(track)]
        if not chosen:
            chosen = [p for p in parts if track.casefold() in p.name.casefold()]
        if not chosen:
            there = ", ".join(dict.fromkeys(str(p) for p in parts[:12]))
            raise ConfigError(f"track {track[:40]}: has no notes; tracks with notes are {there}")
    if channel is not None:
        there = ", ".join(map(str, sorted({p.channel for p in chosen})))
        chosen = [p for p in chosen if p.channel == channel]
        if not chosen:
            raise ConfigError(f"channel {channel}: has no notes; channels with notes are {there}")
    return chosen


def unrolled(part: MidiPart, ticks_per_quarter: int, warnings: list[str]) -> MidiPart:
    """The part with the notes of each rolled chord put together, on the onset of its first.

    They are rolled when they begin within `ROLL` of the one before, and both sound on together for
    longer than the rest of either.
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
        # One note after the other, now and then too soon; but nobody ends them at the same tick.
        near &= ends[1:] == ends[:-1]
        if not near.any():
            return part
    joined = near | (gap == 0)
    starts = np.concatenate([[True], ~joined])
    first = np.maximum.accumulate(np.where(starts, np.arange(len(notes)), 0))
    put = onsets[first]
    n_moved = int((put != onsets).sum())
    if n_moved:
        warnings.append(f"notes of rolled chords, put together: {n_moved}")
        notes = np.column_stack([put, ends, notes[:, 2]])
        notes = notes[np.lexsort((notes[:, 1], notes[:, 0]))]
    return replace(part, notes=notes)


def choose_melody(
    parts: list[MidiPart], n_parts: int, warnings: list[str], *, singer: MidiPart | None = None
) -> MidiPart:
    """The part that has the melody; where there were `n_parts` to choose from, it is said. `singer`
    is who has the words of the file."""
    fullest = max(len(part.notes) for part in parts)
    likely = [p for p in parts if not _NO_MELODY_NAMES.search(p.name)] or parts
    named = [p for p in likely if _MELODY_NAMES.search(p.name)]
    if len(parts) > 1 and len({p.name for p in parts}) == 1:
        named = []  # all of a track, or of a file that gives its tracks its own name
    singing = [p for p in likely if p is singer]
    wanted = named or singing or likely
    lines = [p for p in wanted if p.single_line] or wanted
    full = [p for p in lines if len(p.notes) >= FULLEST_SHARE * fullest] or lines
    chosen = max(full, key=lambda part: part.mean_pitch)
    if n_parts > 1:
        channel = f", channel {chosen.channel}" if _same_track(parts, chosen) else ""
        if len(parts) == 1:
            reason = "as asked for"
        elif named:
            reason = "by its name"
        elif singing:
            reason = "by its words"
        elif lines is likely:
            reason = "the highest"
        else:
            reason = "the highest line with many notes"
        warnings.append(
            f"melody taken from track {chosen}{channel}, {reason}; {n_parts - 1} other parts are "
            "left out"
        )
    return chosen


def _same_track(parts: list[MidiPart], chosen: MidiPart) -> bool:
    return any(p.track == chosen.track and p is not chosen for p in parts)


def single_line(part: MidiPart, warnings: list[str]) -> list[Strike]:
    """At most one note or double stop at a time.

    In a part that is a single line, notes that begin and end together stay together, and a note
    ends with the next. Else the highest of those struck together stays, and the skyline goes on
    with a note below the one that sounds only where that ends soon.
    """
    notes = part.notes
    onsets, ends = notes[:, 0], notes[:, 1]
    rows = notes.tolist()
    if (onsets[1:] >= ends[:-1]).all():
        return [(onset, end, (pitch,)) for onset, end, pitch in rows]
    is_line = part.single_line
    line: list[Strike] = []
    n_dropped = n_below = n_trimmed = 0
    for onset, end, pitch in sorted(rows):
        before = line[-1] if line else (-1, -1, ())
        if before[0] == onset:
            if is_line and before[1] == end and pitch not in before[2]:
                line[-1] = (onset, end, (pitch, *before[2]))
                continue
            n_dropped += 1
            line[-1] = max(before, (onset, end, (pitch,)), key=lambda strike: strike[2][0])
            continue
        if before[1] > onset:
            if not is_line and pitch < before[2][0] and _covers(before, onset, end):
                n_below += 1
                continue
            n_trimmed += 1
            line[-1] = (before[0], onset, before[2])
        line.append((onset, end, (pitch,)))
    for n, what in (
        (n_dropped, "notes struck together with a higher one, left out"),
        (n_below, "notes under one that sounds on, left out"),
        (n_trimmed, "notes that sounded on, shortened to the next"),
    ):
        if n:
            warnings.append(f"{what}: {n}")
    return line


def _covers(before: Strike, onset: int, end: int) -> bool:
    return before[1] - onset > LEGATO_SHARE * (end - onset)


def chord_lines(part: MidiPart, warnings: list[str]) -> list[list[Strike]]:
    """A part as lines of notes and chords that do not overlap, the highest first.

    Notes with the same onset and end are a chord. Each strike joins the line it is nearest to in
    pitch among those that are free; past `MAX_LINES` one is cut short.
    """
    strikes: dict[tuple[int, int], list[int]] = {}
    n_twice = n_trimmed = 0
    for onset, end, pitch in part.notes.tolist():
        together = strikes.setdefault((onset, end), [])
        if pitch in together:
            n_twice += 1
        else:
            together.append(pitch)
    if n_twice:
        warnings.append(f"notes struck twice at once, left out once: {n_twice}")
    lines: list[list[Strike]] = []
    ordered = sorted(strikes.items(), key=lambda item: (item[0][0], -max(item[1])))
    for (onset, end), pitches in ordered:
        strike = (onset, end, tuple(sorted(pitches, reverse=True)))
        free = [line for line in lines if line[-1][1] <= onset]
        if free:
            first = lines[0] in free and len(free) == len(lines)
            near = lines[0] if first else min(free, key=lambda line: _apart(line[-1], strike))
            near.append(strike)
        elif len(lines) < MAX_LINES:
            lines.append([strike])
        else:
            oldest = min(lines, key=lambda line: line[-1][0])
            before = oldest[-1]
            n_trimmed += 1
            if before[0] == onset:
                continue
            oldest[-1] = (before[0], onset, before[2])
            oldest.append(strike)
    if n_trimmed:
        warnings.append(f"notes beyond {MAX_LINES} lines at a time, cut short: {n_trimmed}")
    return lines


def _apart(before: Strike, strike: Strike) -> int:
    return abs(before[2][0] - strike[2][0])
