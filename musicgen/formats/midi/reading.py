"""Read MIDI as written music: one melody, or all parts as voices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import PurePath

from musicgen.errors import ConfigError, ParseError
from musicgen.formats.midi.beat import Effort
from musicgen.formats.midi.cleaning import cleaned, opening_graces
from musicgen.formats.midi.framing import Wanted, frame_of
from musicgen.formats.midi.parts import (
    GraceNote,
    MidiPart,
    NoteGroup,
    choose_melody,
    chord_lines,
    parts_of,
    select,
    single_line,
    unrolled,
)
from musicgen.formats.midi.quantising import Quantised, quantise
from musicgen.formats.midi.smf import USUAL_MSPQ, MidiFile, parse_file
from musicgen.formats.midi.words import Words, sung_shares, syllables, take_karaoke
from musicgen.music.notation.bars import ConductorTrack, TimedChord, write_bars
from musicgen.music.notation.rhythms import UNITS
from musicgen.music.theory import Key, Meter, parse_fraction, parse_key, parse_meter, spell
from musicgen.music.tune import (
    NO_MARKS,
    Bar,
    FileContent,
    Grace,
    Marks,
    Note,
    Reading,
    ReadWarning,
    Rejected,
    Rest,
    Source,
    Tune,
    Voice,
)

VOICES = ("melody", "all")
SUNG_SHARE = 0.5  # of a file's words that fall on the notes of the part that sings them
# Resolutions for a quarter that is no whole number of SMPTE ticks.
SMPTE_TICKS = (480, 240, 120, 96, 48, 24, 12)


def parse(
    data: bytes,
    path: str = "",
    *,
    voices: str = "melody",
    track: str = "",
    channel: int | None = None,
    key: str | Key = "",
    meter: str | Meter = "",
    pickup: str | Fraction | None = None,
) -> Reading:
    """Read a MIDI file of any type and resolution; a type 2 file has a tune in each track.

    The tune's warnings list what was left out, chosen or estimated. Policies:

    - melody: `parts.choose_melody`; with `voices="all"` every part but drums becomes a voice;
    - notes: sustain pedals do not lengthen them; notes without duration or end are left out; in the
      melody a note ends where the next begins; a line keeps its double stops, a chord its highest
      note;
    - time: a score is kept exactly, a performance is quantised to its beat (`quantising`);
    - SMPTE time: a quarter has the duration of the first tempo, half a second without one;
    - meter, key, pickup: `framing`.

    Args:
        data: the file.
        path: for messages and as a title.
        voices: "melody" or "all".
        track: number of a track, counted from 1, or a part of its name.
        channel: 1 to 16.
        key: such as "Dm" or "A dorian", instead of what the file says.
        meter: such as "6/8".
        pickup: length of the incomplete first bar in quarter notes, such as "1/2"; 0 for none.

    Raises:
        ParseError: the data are not MIDI, or hold no melody.
        ConfigError: an option has no meaning, or no part matches it.
    """
    request = _Request(_wanted(key, meter, pickup), voices, str(track).strip(), channel)
    try:
        file = parse_file(data)
        title, author = take_karaoke(file)
        if file.kind == 2 and len(file.tracks) > 1:
            return _read_patterns(file, request, path)
        tune = _read_file(file, request, path)
        tune = replace(tune, title=title, composer=author) if title else tune
        source = replace(tune.source or Source(), file=FileContent(data))
        is_usual = request == _Request(Wanted(), "all" if len(tune.voices) > 1 else "melody")
        return Reading((tune.read_from(source) if is_usual else replace(tune, source=source),))
    except ParseError as error:
        raise ParseError(error.what, path=path or None) from None


@dataclass(frozen=True, slots=True)
class _Request:
    """Options of reading."""

    wanted: Wanted
    voices: str = "melody"
    track: str = ""
    channel: int | None = None
    effort: Effort = field(default_factory=Effort, compare=False)

    def __post_init__(self) -> None:
        if self.voices not in VOICES:
            raise ConfigError(f"voices '{self.voices[:20]}': use {' or '.join(VOICES)}")
        if self.channel is not None and not 1 <= self.channel <= 16:
            raise ConfigError(f"channel {self.channel}: MIDI has channels 1 to 16")


def _wanted(key: str | Key, meter: str | Meter, pickup: str | Fraction | None) -> Wanted:
    wanted_key = parse_key(key) if isinstance(key, str) else key
    wanted_meter = parse_meter(meter) if isinstance(meter, str) else meter
    if key and wanted_key is None:
        raise ConfigError(f"key '{str(key)[:20]}': is none; write it like D, Em, Ador or Bb")
    if meter and (wanted_meter is None or not wanted_meter.beats):
        raise ConfigError(f"meter '{str(meter)[:20]}': is none; write it like 4/4 or 6/8")
    quarters = None
    if pickup is not None and pickup != "":
        quarters = parse_fraction(str(pickup))
        if quarters is None or quarters > 64 or (UNITS * quarters).denominator != 1:
            raise ConfigError(
                f"pickup '{str(pickup)[:20]}': is no length; write quarter notes, such as 1/2 or 0"
            )
    return Wanted(
        key=wanted_key if key else None, meter=wanted_meter if meter else None, pickup=quarters
    )


def _read_patterns(file: MidiFile, request: _Request, path: str) -> Reading:
    """The tunes of a type 2 file, one in each track."""
    tunes, rejected = [], []
    for number, track in enumerate(file.tracks, 1):
        alone = replace(file, tracks=[track], end=track.end, warnings=list(file.warnings))
        alone.warnings.append(f"pattern {number} of {len(file.tracks)} of a MIDI file of type 2")
        try:
            tunes.append(replace(_read_file(alone, request, path), number=number))
        except ParseError as error:
            rejected.append(Rejected(track.name or f"pattern {number}", error.what))
    if not tunes:
        raise ParseError(rejected[0].reason)
    return Reading(tuple(tunes), tuple(rejected))


def _read_file(file: MidiFile, request: _Request, path: str) -> Tune:
    warnings = list(file.warnings)
    file, quarter_s = _in_quarters(file, warnings)
    per_quarter = file.ticks_per_quarter
    if late := opening_graces(file):
        file = file.rescaled(per_quarter, Fraction(1), -late)
    parts = parts_of(file, warnings)
    chosen = select(parts, request.track, request.channel)
    if request.voices == "melody":
        melody = choose_melody(chosen, len(parts), warnings, singer=_singer(file, chosen))
        chosen = [melody]
    chosen = [unrolled(part, per_quarter, warnings) for part in chosen]
    chosen = cleaned(chosen, per_quarter, warnings)
    if request.voices == "melody":
        lines = [[single_line(chosen[0], warnings)]]
    else:
        lines = [chord_lines(part, warnings) for part in chosen]
    if file.n_sustains:
        warnings.append(f"sustain pedal, not written: pressed {file.n_sustains} times")
    placed = quantise(list(chain.from_iterable(lines)), per_quarter, quarter_s, request.effort)
    warnings += placed.warnings
    return _tune(file, request, chosen, lines, placed, path, warnings)


def _tune(
    file: MidiFile,
    request: _Request,
    parts: Sequence[MidiPart],
    lines: Sequence[Sequence[Sequence[NoteGroup]]],
    placed: Quantised,
    path: str,
    warnings: list[str],
) -> Tune:
    """The tune of some parts; `lines` are theirs in ticks, `placed` all of them in units."""
    sounds: list[TimedChord] = placed.lines[0]
    if len(placed.lines) > 1:
        sounds = sorted(sound for line in placed.lines for sound in line)
    played = placed.beat is not None and not placed.beat.clicked
    frame = frame_of(file, sounds, request.wanted, warnings, played=played)
    if placed.beat is not None and played:
        frame = replace(frame, tempos=[(0, placed.beat.tempo)])
    stop = 0 if placed.beat is not None else file.end * UNITS // file.ticks_per_quarter
    words: Mapping[int, tuple[str, ...]] = {}
    if lyrics := _lyrics(file, parts[0]):
        onset_of = {tick: placed.place_of[tick] for tick, *_ in lines[0][0]}
        words = syllables(lyrics, onset_of, file.ticks_per_quarter, warnings)
    marks = [
        _marks(line, graces, placed.place_of, frame)
        for part, part_lines in zip(parts, lines, strict=True)
        for graces in [dict(part.graces)]
        for line in part_lines
    ]
    for place, sung in words.items():
        marks[0][place] = replace(marks[0].get(place, NO_MARKS), lyrics=sung)
    bars = write_bars(placed.lines, frame, stop, marks)
    name = file.tracks[0].name if file.kind != 0 or len(file.tracks) == 1 else ""
    return Tune(
        title=name or parts[0].name or PurePath(path).stem,
        meter=frame.meters[0][1],
        tempo=frame.tempos[0][1] if frame.tempos and frame.tempos[0][0] == 0 else None,
        key=frame.keys[0][1],
        voices=_voices(parts, lines, bars),
        source=Source(path=path, ticks_per_quarter=0 if placed.beat else file.ticks_per_quarter),
        warnings=tuple(map(ReadWarning, warnings)),
    )


def _marks(
    line: Sequence[NoteGroup],
    graces: dict[int, tuple[GraceNote, ...]],
    place_of: Mapping[int, int],
    frame: ConductorTrack,
) -> dict[int, Marks]:
    """The grace notes of a line by the place of their note; they are taken out of `graces`."""
    marks = {}
    for tick in [tick for tick, *_ in line if tick in graces]:
        key = frame.key_at(place_of[tick])
        notes = (Note(spell(midi, key), length) for midi, length in graces.pop(tick))
        marks[place_of[tick]] = Marks(grace=Grace(tuple(notes)))
    return marks


def _lyrics(file: MidiFile, part: MidiPart) -> Sequence[tuple[int, str]]:
    """The lyrics of the part's track, or of another whose words mostly fall on the part's notes."""
    if part.lyrics:
        return part.lyrics
    others = (track.lyrics for track in file.tracks if track.lyrics)
    return max((w for w in others if _shares(part, w, file)[0] > SUNG_SHARE), key=len, default=())


def _singer(file: MidiFile, parts: Sequence[MidiPart]) -> MidiPart | None:
    """The part whose notes most of the file's words fall on; of several, the one with fewest notes
    without words; None if several tracks have words."""
    sung = [track.lyrics for track in file.tracks if track.lyrics]
    if len(sung) != 1:
        return None
    shares = [(part, *_shares(part, sung[0], file)) for part in parts]
    singing = [(of_notes, part) for part, of_words, of_notes in shares if of_words > SUNG_SHARE]
    return max(singing, key=lambda item: item[0], default=(0.0, None))[1]


def _shares(part: MidiPart, words: Words, file: MidiFile) -> tuple[float, float]:
    return sung_shares(words, set(part.notes[:, 0].tolist()), file.ticks_per_quarter)


def _voices(
    parts: Sequence[MidiPart], lines: Sequence[Sequence[object]], bars: Sequence[tuple[Bar, ...]]
) -> tuple[Voice, ...]:
    """A voice for each part, its lines but the first as overlays."""
    if len(parts) == 1 and len(bars) == 1:
        return (Voice(program=parts[0].program, bars=bars[0]),)
    remaining = iter(bars)
    voices = []
    for number, (part, part_lines) in enumerate(zip(parts, lines, strict=True), 1):
        voice = Voice(program=part.program, bars=_overlaid([*islice(remaining, len(part_lines))]))
        if len(parts) > 1:
            clef = "bass" if part.mean_pitch < 57 else ""
            voice = replace(voice, id=str(number), name=part.name, clef=clef)
        voices.append(voice)
    return tuple(voices)


def _overlaid(lines: Sequence[tuple[Bar, ...]]) -> tuple[Bar, ...]:
    """The bars of the first line, with those of the other lines that have notes as overlays."""
    if len(lines) == 1:
        return lines[0]
    bars = []
    for first, *others in zip(*lines, strict=True):
        overlays = (tuple(bar.timed) for bar in others)
        sounding = (line for line in overlays if any(not isinstance(e, Rest) for e in line))
        bars.append(replace(first, overlays=tuple(sounding)))
    return tuple(bars)


def _in_quarters(file: MidiFile, warnings: list[str]) -> tuple[MidiFile, float]:
    """The file with its ticks in quarters, and the duration of the first quarter in seconds."""
    first = min((t for t in file.tempos if t[1] > 0), default=(0, USUAL_MSPQ))[1]
    if file.ticks_per_second is None:
        return file, first / 1e6
    warnings.append(f"time in SMPTE frames; a quarter note taken as {first / 1e6:g} s")
    exact = file.ticks_per_second * first / 1_000_000
    coarser = (ticks for ticks in SMPTE_TICKS if exact.denominator > 1 and 2 * ticks < exact)
    per_quarter = next(coarser, max(round(exact), 1))
    return file.rescaled(per_quarter, Fraction(per_quarter) / exact), first / 1e6
