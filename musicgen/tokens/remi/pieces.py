"""Pieces: tunes of several voices as parts of timed notes, which `remi` tokens encode.

    piece, dropped = piece_of(tune)      # Piece: key, meters, parts; what was left out
    tune_of(piece)                       # notated again: bars, ties, chords

Times are whole ticks, `TICKS` a quarter note. Written music is taken bar by bar, each bar once.
Time 0 is a bar line: a pickup stands at the end of the bar that it begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from musicgen.errors import InvalidTuneError
from musicgen.music.playback import PlayedNote, Timeline, separate, timeline
from musicgen.music.theory import Key, Meter
from musicgen.music.transposition import at_concert_pitch
from musicgen.music.tune import Change, Chord, Note, Tune, Voice, marks_of
from musicgen.tokens.melody.encoding import marks_left_out

TICKS = 24  # a quarter note
MAX_PARTS = 16
MAX_BARS = 999
MAX_QUARTERS = 32  # of a note


@dataclass(frozen=True, slots=True)
class Role:
    """The role of a part in its ensemble: its names, its clef and its range.

    `names` are what scores call it, in lower case. A `single` part has one note at a time.
    """

    name: str = ""
    clef: str = ""
    names: tuple[str, ...] = ()
    program: int | None = None
    lowest: int = 0
    highest: int = 127
    single: bool = True


FIFTH, OCTAVE = 7, 0  # semitones, octaves taken away
CHOIR = 52  # General MIDI "Choir Aahs", counted from 0
# Ranges are the lowest and the highest note of each voice in Bach's four-part chorales.
ROLES = {
    "soprano": Role("Soprano", "treble", ("soprano", "sopran", "cantus", "s"), CHOIR, 57, 81),
    "alto": Role("Alto", "treble", ("alto", "alt", "altus", "a"), CHOIR, 53, 74),
    "tenor": Role("Tenor", "treble-8", ("tenor", "t"), CHOIR, 48, 69),
    "bass": Role("Bass", "bass", ("bass", "bassus", "b"), CHOIR, 36, 64),
    "line": Role(),
    "chords": Role(single=False),
}
LINE, CHORDS = "line", "chords"

TimedNote = tuple[int, int, int]  # onset and duration in ticks, MIDI pitch


@dataclass(frozen=True, slots=True)
class PiecePart:
    """One voice: its role (a key of `ROLES`), General MIDI program, notes by onset and pitch."""

    role: str
    program: int | None
    notes: tuple[TimedNote, ...]

    @property
    def end(self) -> int:
        """Where its last note ends, in ticks."""
        return max((onset + duration for onset, duration, _ in self.notes), default=0)


@dataclass(frozen=True, slots=True)
class Piece:
    """Music of one or several parts. `meters` have their onsets in ticks, all on bar lines, the
    first at 0; `pickup` is the length of an incomplete first bar; `n_bars` counts that bar."""

    meters: tuple[tuple[int, Meter], ...]
    key: Key
    pickup: int
    n_bars: int
    parts: tuple[PiecePart, ...]

    @property
    def n_notes(self) -> int:
        """Notes of all parts."""
        return sum(len(part.notes) for part in self.parts)

    @property
    def before_music(self) -> int:
        """Ticks from the first bar line to the first note of a pickup; 0 without one."""
        return bar_ticks(self.meters[0][1]) - self.pickup if self.pickup else 0


def bar_ticks(meter: Meter) -> int:
    """Length of a full bar."""
    duration = meter.bar_duration
    assert duration is not None  # free meter is refused where a piece is made
    return int(duration * TICKS)


def bar_lines(piece: Piece) -> list[int]:
    """The onset of each bar, and the end of the last."""
    lines, n_meters = [0], 0
    for _ in range(piece.n_bars):
        while n_meters < len(piece.meters) and piece.meters[n_meters][0] <= lines[-1]:
            n_meters += 1
        lines.append(lines[-1] + bar_ticks(piece.meters[n_meters - 1][1]))
    return lines


def end_of_writing(tune: Tune, piece: Piece) -> int:
    """Where a tune's bars end, rests included, in ticks from the first bar line of its piece."""
    return _ticks(timeline(_once_through(tune, Counter())).duration) + piece.before_music


# --- from a tune ------------------------------------------------------------------------------


def is_polyphonic(tune: Tune) -> bool:
    """Whether a tune is more than a single line: several voices that sound, lines beside the
    first, or chords on more than a tenth of its notes."""
    sounding = [voice for voice in tune.without_drums.voices if any(_strikes(voice))]
    if len(sounding) != 1:
        return len(sounding) > 1
    if any(bar.overlays for bar in sounding[0].bars):
        return True
    strikes = list(_strikes(sounding[0]))
    return sum(isinstance(event, Chord) for event in strikes) > len(strikes) / 10


def _strikes(voice: Voice) -> Iterable[Note | Chord]:
    return (event for event in voice.events if isinstance(event, Note | Chord))


def piece_of(tune: Tune, *, finished: bool = True) -> tuple[Piece, Counter[str]]:
    """The parts of a tune, and how many things of each kind were left out.

    Left out: repeats (every bar is taken once, as written), tempo, ornaments, text, lyrics, chord
    symbols, changes of key; in a `finished` tune the key is the one whose tonic the lowest part
    ends on, where the signature has such a key. Notes are put on a grid of `TICKS` a quarter.

    Raises:
        InvalidTuneError: remi tokens cannot represent it; the message is the reason.
    """
    dropped: Counter[str] = Counter()
    dropped["voices of drums"] = len(tune.voices) - len(tune.without_drums.voices)
    tune = at_concert_pitch(tune.without_drums)
    played = timeline(_once_through(tune, dropped))
    if not played.notes:
        raise InvalidTuneError("no notes")
    meters, pickup = _meters(tune, played, dropped)
    parts = _parts(tune, played, pickup, bar_ticks(meters[0][1]) - pickup if pickup else 0, dropped)
    end = max(part.end for part in parts)
    key = _sounding_key(tune.key, parts) if finished else Key(tune.key.tonic or "C", tune.key.mode)
    piece = Piece(meters, key, pickup, MAX_BARS, parts)
    lines = bar_lines(piece)
    if end > lines[-1]:
        raise InvalidTuneError(f"more than {MAX_BARS} bars")
    n_bars = next(i for i, line in enumerate(lines) if line >= end)
    kept = tuple(item for item in meters if item[0] < end)
    return replace(piece, meters=kept, n_bars=n_bars), dropped


def _once_through(tune: Tune, dropped: Counter[str]) -> Tune:
    """The tune without repeats, and what is written around its notes counted as left out."""
    voices = []
    for voice in tune.voices:
        bars = []
        for bar in voice.bars:
            dropped["repeats"] += bool(bar.repeat_end)
            for event in bar.events:
                dropped.update(marks_left_out(marks_of(event)))
                if isinstance(event, Change) and event.meter is None and event.signs is None:
                    dropped["text, key and tempo changes"] += 1
            events = tuple(
                e
                if isinstance(e, Change)
                else replace(e, marks=replace(e.marks, decorations=()))  # no D.C.
                for e in bar.events
                if not isinstance(e, Change) or e.signs is None
            )
            bars.append(replace(bar, events=events, repeat_start=False, repeat_end=0, volta=()))
        voices.append(replace(voice, bars=tuple(bars)))
    return replace(tune, voices=tuple(voices), parts="")


def _meters(
    tune: Tune, played: Timeline, dropped: Counter[str]
) -> tuple[tuple[tuple[int, Meter], ...], int]:
    """Meters with their onsets from the first bar line, and the length of the pickup."""
    if any(bar.meter.bar_duration is None for bar in played.bars):
        raise InvalidTuneError("no meter")
    bars = [bar for bar in played.bars if bar.duration]
    if not bars:
        raise InvalidTuneError("no notes in its bars")
    first = replace(bars[0], meter=replace(bars[0].meter, symbol=""))
    full = first.meter.bar_duration
    assert full is not None
    short = first.duration < full and len(bars) > 1
    pickup = _ticks(first.duration) if short else 0
    shift = bar_ticks(first.meter) - pickup if short else 0
    meters: list[tuple[int, Meter]] = []
    for bar in bars:
        meter = bar.meter if plain_meter(bar.meter) != plain_meter(first.meter) else first.meter
        if meters and meters[-1][1] == meter:
            continue
        onset = _ticks(bar.onset) + shift if meters else 0
        if meters and (onset - meters[-1][0]) % bar_ticks(meters[-1][1]):
            raise InvalidTuneError("a change of meter inside a bar")
        meters.append((onset, meter if meter == first.meter else plain_meter(meter)))
    return tuple(meters), pickup


def plain_meter(meter: Meter) -> Meter:
    """The meter in one number over quarters or shorter notes: 2/2 is 4/4, as MIDI grids have it.

    Raises:
        InvalidTuneError: a meter that has no bar of whole ticks.
    """
    beats, unit = sum(meter.beats), meter.unit
    while unit < 4:
        beats, unit = 2 * beats, 2 * unit
    if unit > 16 or not 0 < beats <= 32:
        raise InvalidTuneError(f"a meter of {meter}")
    return Meter((beats,), unit)


def _ticks(quarters: Fraction) -> int:
    return round(quarters * TICKS)


def _parts(
    tune: Tune, played: Timeline, pickup: int, shift: int, dropped: Counter[str]
) -> tuple[PiecePart, ...]:
    of_voice: dict[int, list[PlayedNote]] = {}
    for note in played.notes:
        of_voice.setdefault(note.voice, []).append(note)
    if len(of_voice) > MAX_PARTS:
        raise InvalidTuneError(f"more than {MAX_PARTS} voices that sound")
    return tuple(
        _part(tune.voices[number], _on_grid(notes, shift, dropped), dropped)
        for number, notes in sorted(of_voice.items())
    )


def _on_grid(played: list[PlayedNote], shift: int, dropped: Counter[str]) -> list[TimedNote]:
    notes: dict[tuple[int, int], TimedNote] = {}
    for note in separate(played):
        if not 0 <= note.midi <= 127:
            raise InvalidTuneError(f"pitch {note.midi}, beyond MIDI's 0 to 127")
        onset, end = _ticks(note.onset), _ticks(note.onset + note.duration)
        moved = onset != note.onset * TICKS or end != (note.onset + note.duration) * TICKS
        dropped["notes off the grid of 24 a quarter, moved"] += moved
        if end - onset > MAX_QUARTERS * TICKS:
            dropped[f"notes of more than {MAX_QUARTERS} quarters, shortened"] += 1
            end = onset + MAX_QUARTERS * TICKS
        timed = (onset + shift, max(1, end - onset), note.midi)
        if notes.setdefault((timed[0], note.midi), timed) != timed:
            dropped["notes that another covers"] += 1
    return sorted(notes.values(), key=lambda note: (note[0], note[2]))


def _part(voice: Voice, notes: list[TimedNote], dropped: Counter[str]) -> PiecePart:
    named = {name: role for role, kind in ROLES.items() for name in kind.names}
    role = named.get((voice.name or voice.id).strip().lower().rstrip("."), "")
    single = all(a[0] + a[1] <= b[0] for a, b in pairwise(notes))
    if not role:
        role = LINE if single else CHORDS
    if ROLES[role].single and not single:
        kept = _highest_line(notes)
        dropped["lower notes of a single voice"] += len(notes) - len(kept)
        notes = kept
    program = voice.program if ROLES[role].program is None else ROLES[role].program
    return PiecePart(role, program, tuple(notes))


def _highest_line(notes: list[TimedNote]) -> list[TimedNote]:
    """One note at a time: the highest of those struck together, each ended by the next."""
    line = list({onset: (onset, duration, midi) for onset, duration, midi in notes}.values())
    return [
        (onset, min(duration, after[0] - onset), midi)
        for (onset, duration, midi), after in pairwise([*line, (1 << 40, 0, 0)])
    ]


_MODES = ("major", "minor", "dorian", "mixolydian", "phrygian")


def _sounding_key(key: Key, parts: Sequence[PiecePart]) -> Key:
    """The key of this signature whose tonic is the lowest note at the end, if there is one."""
    last = max(part.end for part in parts)
    final = [n[2] for part in parts for n in part.notes if n[0] + n[1] == last]
    signature = Key(key.tonic or "C", key.mode)
    keys = (Key(tonic, mode) for mode in _MODES for tonic in _TONICS)
    same_signature = (key for key in keys if key.fifths == signature.fifths)
    tonic_class = min(final) % 12
    return next((k for k in same_signature if k.tonic_pitch_class == tonic_class), signature)


_TONICS = [step + accidental for step in "CDEFGAB" for accidental in ("", "#", "b")]
