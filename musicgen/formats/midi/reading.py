"""MIDI bytes to one written melody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import PurePath
from typing import Any

from musicgen.errors import ParseError
from musicgen.formats.midi.envelope import Envelope, check
from musicgen.formats.midi.notating import Frame, Sound, pickup_meter, write_bars
from musicgen.formats.midi.quantising import TickNote, quantise
from musicgen.theory import Key, Meter, estimate_key
from musicgen.tune import Reading, ReadWarning, Source, Tempo, Tune, Voice

SINGLE_LINE_SHARE = 0.8
FULLEST_SHARE = 0.25
MAX_TEMPOS = 64

_MAJOR_TONICS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINOR_TONICS = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")


@dataclass(frozen=True, slots=True)
class _Part:
    """The notes of one track and channel: (onset, end, pitch) in ticks, sorted."""

    name: str
    program: int
    notes: list[TickNote]

    @property
    def single_line(self) -> bool:
        """Whether notes are mostly struck one at a time."""
        onsets = {onset for onset, _, _ in self.notes}
        return len(onsets) >= SINGLE_LINE_SHARE * len(self.notes)

    @property
    def mean_pitch(self) -> float:
        return sum(pitch for _, _, pitch in self.notes) / len(self.notes)


def parse(data: bytes, path: str = "") -> Reading:
    """Read the melody of a MIDI file, as one tune.

    Of several tracks the melody is the highest on average of those that mostly play one note at a
    time and have at least a quarter as many notes as the fullest; drums never are. Where notes
    overlap, the line goes on with the newer, and the highest of those struck together.

    A first meter that lasts for one short bar is a pickup. Places that are not simple fractions of
    a quarter are moved to the nearest thirty-second or sixteenth triplet. All this is told in
    the tune's warnings.

    Raises:
        ParseError: these bytes are not MIDI, or hold no melody.
    """
    from symusic import Score  # read only once the bytes are known to be sound

    envelope = check(data, path)
    try:
        score = Score.from_midi(data)
    except (RuntimeError, ValueError) as error:
        raise ParseError(
            f"cannot be read as MIDI ({error}); export it again", path=path or None
        ) from None
    try:
        return Reading((_read_score(score, envelope, path),))
    except ParseError as error:
        raise ParseError(error.what, path=path or None) from None


def _read_score(score: Any, envelope: Envelope, path: str) -> Tune:
    warnings = list(envelope.warnings)
    part = _choose_part(_parts(score), warnings)
    line = _single_line(part.notes, warnings)
    sounds, moves = quantise(line, envelope.ticks_per_quarter)
    warnings += moves
    key_signatures = _keys(score, envelope.ticks_per_quarter)
    if not key_signatures or key_signatures[0][0] > 0:
        key_signatures.insert(0, (Fraction(0), _estimate(sounds)))
        warnings.append(f"no key signature; {key_signatures[0][1]} fits the notes best")
    frame = Frame(
        meters=_meters(score, envelope.ticks_per_quarter, warnings),
        keys=key_signatures,
        tempos=_tempos(score, envelope.ticks_per_quarter, warnings),
    )
    meter = frame.meters[1 if pickup_meter(frame) is not None else 0][1]
    stop = Fraction(envelope.end, envelope.ticks_per_quarter)
    bars = write_bars(sounds, frame, stop)
    return Tune(
        title=envelope.title or part.name or PurePath(path).stem,
        meter=meter,
        tempo=frame.tempos[0][1] if frame.tempos and frame.tempos[0][0] == 0 else None,
        key=key_signatures[0][1],
        voices=(Voice(program=part.program, bars=bars),),
        source=Source(path=path),
        warnings=tuple(ReadWarning(what) for what in warnings),
    )


def _parts(score: Any) -> list[_Part]:
    parts = []
    for track in score.tracks:
        if track.is_drum or not len(track.notes):
            continue
        notes = track.notes.numpy()
        rows = zip(
            notes["time"].tolist(), notes["duration"].tolist(), notes["pitch"].tolist(), strict=True
        )
        sorted_notes = sorted((time, time + duration, pitch) for time, duration, pitch in rows)
        parts.append(_Part(" ".join(track.name.split()), track.program, sorted_notes))
    return parts


def _choose_part(parts: list[_Part], warnings: list[str]) -> _Part:
    if not parts:
        raise ParseError("holds no notes other than drums; is it the right file?")
    fullest = max(len(part.notes) for part in parts)
    lines = [p for p in parts if p.single_line] or parts
    full = [p for p in lines if len(p.notes) >= FULLEST_SHARE * fullest] or lines
    chosen = max(full, key=lambda part: part.mean_pitch)
    if len(parts) > 1:
        name = f" '{chosen.name}'" if chosen.name else ""
        warnings.append(
            f"melody taken from track {parts.index(chosen) + 1} of {len(parts)}{name}, the highest "
            "line with many notes; the others are left out"
        )
    return chosen


def _single_line(notes: list[TickNote], warnings: list[str]) -> list[TickNote]:
    """At most one note at a time: the highest of a chord, each ended by the next."""
    line: list[TickNote] = []
    n_dropped = n_trimmed = n_empty = 0
    for onset, end, pitch in notes:
        if end <= onset:
            n_empty += 1
        elif line and line[-1][0] == onset:
            n_dropped += 1
            line[-1] = max(line[-1], (onset, end, pitch), key=lambda note: note[2])
        else:
            if line and line[-1][1] > onset:
                n_trimmed += 1
                line[-1] = (line[-1][0], onset, line[-1][2])
            line.append((onset, end, pitch))
    if not line:
        raise ParseError("holds only notes of no duration; export it again")
    for n, what in (
        (n_empty, "notes of no duration, left out"),
        (n_dropped, "notes struck together with a higher one, left out"),
        (n_trimmed, "notes that sounded on, shortened to the next"),
    ):
        if n:
            warnings.append(f"{what}: {n}")
    return line


def _meters(
    score: Any, ticks_per_quarter: int, warnings: list[str]
) -> list[tuple[Fraction, Meter]]:
    """Meters in order, the first at 0; 4/4 where there is none."""
    meters: list[tuple[Fraction, Meter]] = []
    for signature in sorted(score.time_signatures, key=lambda s: s.time):
        beats, unit = signature.numerator, signature.denominator
        if not 0 < beats <= 255 or unit not in (1, 2, 4, 8, 16, 32, 64):
            warnings.append(f"a meter of {beats}/{unit} left out")
            continue
        onset = Fraction(signature.time, ticks_per_quarter) if meters else Fraction(0)
        if meters and meters[-1][0] == onset:
            meters.pop()
        if not meters or meters[-1][1] != Meter((beats,), unit):
            meters.append((onset, Meter((beats,), unit)))
    if not meters:
        warnings.append("no time signature; read as 4/4")
        return [(Fraction(0), Meter((4,), 4))]
    return meters


def _keys(score: Any, ticks_per_quarter: int) -> list[tuple[Fraction, Key]]:
    keys: list[tuple[Fraction, Key]] = []
    for signature in sorted(score.key_signatures, key=lambda s: s.time):
        if not -7 <= signature.key <= 7:
            continue
        minor = bool(signature.tonality)
        tonic = (_MINOR_TONICS if minor else _MAJOR_TONICS)[signature.key + 7]
        key = Key(tonic, "minor" if minor else "major")
        onset = Fraction(signature.time, ticks_per_quarter)
        if keys and keys[-1][0] == onset:
            keys.pop()
        if not keys or keys[-1][1] != key:
            keys.append((onset, key))
    return keys


def _tempos(
    score: Any, ticks_per_quarter: int, warnings: list[str]
) -> list[tuple[Fraction, Tempo]]:
    tempos: list[tuple[Fraction, Tempo]] = []
    for event in sorted(score.tempos, key=lambda t: t.time):
        if event.mspq <= 0:
            continue
        # Microseconds round what was a whole or simple number of quarters a minute.
        tempo = Tempo(Fraction(round(Fraction(60_000_000, event.mspq), 2)).limit_denominator(100))
        onset = Fraction(event.time, ticks_per_quarter)
        if tempos and tempos[-1][0] == onset:
            tempos.pop()
        if not tempos or tempos[-1][1] != tempo:
            tempos.append((onset, tempo))
    if len(tempos) > MAX_TEMPOS:
        warnings.append(f"{len(tempos)} tempo changes left out, as those of a performance")
        return tempos[:1]
    return tempos


def _estimate(sounds: Sequence[Sound]) -> Key:
    durations = [Fraction(0)] * 12
    for sound in sounds:
        durations[sound.midi % 12] += sound.end - sound.onset
    return estimate_key(durations)
