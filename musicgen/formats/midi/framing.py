"""Meter, key, tempo and pickup of a MIDI file: from the caller, the file, or an estimate.

The caller's choice comes first, then the file, then an estimate, and warnings say which it is. A
first meter that lasts for one bar shorter than the next is a pickup. Two kinds of headings are
ignored: bars of one beat throughout (1/4, written by programs without bars), and C major where a
fifth of the music lies outside it (the default of sequencers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from operator import itemgetter
from typing import TypeVar

from musicgen.formats.midi.smf import MidiFile, warn_count
from musicgen.music.estimation import FEWEST_NOTES, NoteLine, estimate_key, estimate_meter
from musicgen.music.notation.bars import ConductorTrack, TimedChord
from musicgen.music.notation.rhythms import UNITS
from musicgen.music.theory import C_MAJOR, Key, Meter
from musicgen.music.tune import Tempo

MAX_TEMPOS = 64
SHORTEST_QUARTER = 40_000  # microseconds
LONGEST_BAR = 32  # quarters; a longer one is no meter
BEAT_BARS_SHARE = 0.9  # of the music in bars of a beat, from which these are no meter
FOREIGN_SHARE, FITTING_SHARE = 0.2, 0.08  # of the time outside a wrong key, outside a right one

Value = TypeVar("Value")
_LazyLine = Callable[[], NoteLine]  # the highest notes, computed when first used


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Headings that the caller chooses; None for those of the file, or an estimate. `pickup` is in
    quarter notes."""

    key: Key | None = None
    meter: Meter | None = None
    pickup: Fraction | None = None


def frame_of(
    file: MidiFile,
    sounds: Sequence[TimedChord],
    wanted: Wanted,
    warnings: list[str],
    *,
    played: bool,
) -> ConductorTrack:
    """Meters, keys, tempos and pickup for some sounds, in units.

    With `played`, the notes follow a beat of their own, and the bar lines of the file are ignored.
    """
    line = cache(lambda: NoteLine.of(((on, end, max(p)) for on, end, p in sounds), UNITS))
    end = max(end for _, end, _ in sounds)
    meters, pickup = _meters(file, line, end, wanted, warnings, played=played)
    return ConductorTrack(
        meters=meters,
        keys=_keys(file, line, wanted, warnings, played=played),
        tempos=_tempos(file, warnings),
        pickup=pickup,
    )


def _meters(
    file: MidiFile, line: _LazyLine, end: int, wanted: Wanted, warnings: list[str], *, played: bool
) -> tuple[list[tuple[int, Meter]], int]:
    """Meters in order, the first at 0, and the pickup, in units."""
    meters = [] if wanted.meter is not None else _written_meters(file, warnings)
    if meters and _are_beats(meters, end):
        warnings.append(f"bars of {meters[0][1]} throughout, read as no meter")
        meters = []
    if played and len(meters) > 1:
        warnings.append(f"changes of meter off the player's beat, left out: {len(meters) - 1}")
        meters = meters[1:2] if _written_pickup(meters) else meters[:1]
    if wanted.pickup is None and meters and not played:
        pickup = _written_pickup(meters)
        return [(0, meters[1][1]), *meters[2:]] if pickup else meters, pickup
    known = wanted.meter or (meters[0][1] if meters else None)
    estimate = estimate_meter(line(), meter=known, pickup=wanted.pickup)
    if known is None:
        few = len(line().notes) < FEWEST_NOTES
        fits = f"read as {estimate.meter}" if few else f"{estimate.meter} fits the rhythm best"
        warnings.append(f"no time signature; {fits}")
    if wanted.pickup is None and estimate.pickup:
        warnings.append(
            f"a pickup of {float(estimate.pickup):g} quarter notes fits the rhythm best"
        )
    pickup = int(estimate.pickup * UNITS)
    later = [(onset, meter) for onset, meter in meters[1:] if onset > pickup]
    return [(0, estimate.meter), *later], pickup


def _written_meters(file: MidiFile, warnings: list[str]) -> list[tuple[int, Meter]]:
    """Meters in order, the first at 0; none where the file has none."""
    meters: list[tuple[int, Meter]] = []
    for tick, beats, unit in sorted(file.meters, key=itemgetter(0)):
        if not 0 < beats <= LONGEST_BAR * unit // 4 or unit > 64:
            warnings.append(f"a meter of {beats}/{unit} left out")
        else:
            onset = tick * UNITS // file.ticks_per_quarter if meters else 0
            _add_change(meters, onset, _meter(beats, unit))
    return meters


def _add_change(changes: list[tuple[int, Value]], onset: int, value: Value) -> None:
    """Add a heading, in place of one at the same onset, unless it repeats the one before."""
    if changes and changes[-1][0] == onset:
        changes.pop()
    if not changes or changes[-1][1] != value:
        changes.append((onset, value))


@cache
def _meter(beats: int, unit: int) -> Meter:
    return Meter((beats,), unit)


def _are_beats(meters: Sequence[tuple[int, Meter]], end: int) -> bool:
    """Whether nearly all of the music is in bars of one beat, a quarter or less."""
    stops = [onset for onset, _ in meters[1:]] + [max(end, meters[-1][0] + 1)]
    beats = sum(
        stop - onset
        for (onset, meter), stop in zip(meters, stops, strict=True)
        if (meter.bar_duration or 0) <= 1
    )
    return beats >= BEAT_BARS_SHARE * stops[-1]


def _written_pickup(meters: Sequence[tuple[int, Meter]]) -> int:
    """Length of a first meter that lasts for one bar shorter than the next, else 0; in units."""
    if len(meters) < 2:
        return 0
    (start, first), (stop, second) = meters[:2]
    short, full = first.bar_duration, second.bar_duration
    assert short is not None
    assert full is not None
    return stop - start if stop - start == short * UNITS and short < full else 0


def _keys(
    file: MidiFile, line: _LazyLine, wanted: Wanted, warnings: list[str], *, played: bool
) -> list[tuple[int, Key]]:
    """Keys in order, the first at 0."""
    if wanted.key is not None:
        return [(0, wanted.key)]
    keys = _written_keys(file)
    if played and len(keys) > 1:
        warnings.append(f"changes of key off the player's beat, left out: {len(keys) - 1}")
        keys = keys[:1]
    if keys and keys[0][0] == 0 and not (keys == [(0, C_MAJOR)] and _is_foreign(line(), C_MAJOR)):
        return keys
    estimated = estimate_key(line())
    if not keys or keys[0][0] > 0:
        warnings.append(f"no key signature; {estimated} fits the notes best")
        return [(0, estimated), *keys]
    if _is_foreign(line(), estimated, FITTING_SHARE):
        return keys
    warnings.append(f"the key signature of C major does not fit the notes; {estimated} does")
    return [(0, estimated)]


def _written_keys(file: MidiFile) -> list[tuple[int, Key]]:
    keys: list[tuple[int, Key]] = []
    for tick, sharps, minor in sorted(file.keys, key=itemgetter(0)):
        if -7 <= sharps <= 7:
            key = Key.of_signature(sharps, "minor" if minor else "major")
            _add_change(keys, tick * UNITS // file.ticks_per_quarter, key)
    return keys


def _is_foreign(line: NoteLine, key: Key, share: float = FOREIGN_SHARE) -> bool:
    """Whether more than a share of the time is spent outside the scale of a key."""
    scale = {(7 * key.fifths + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)}
    times = line.pitch_classes()
    return bool(sum(t for pc, t in enumerate(times) if pc not in scale) > share * sum(times))


def _tempos(file: MidiFile, warnings: list[str]) -> list[tuple[int, Tempo]]:
    tempos: list[tuple[int, Tempo]] = []
    n_senseless = sum(mspq < SHORTEST_QUARTER for _, mspq in file.tempos)
    warn_count(warnings, "tempos too fast for anyone, left out", n_senseless)
    for tick, mspq in sorted(file.tempos):
        if mspq >= SHORTEST_QUARTER:
            _add_change(tempos, tick * UNITS // file.ticks_per_quarter, _tempo(mspq))
    if len(tempos) > MAX_TEMPOS:
        warnings.append(f"{len(tempos)} tempo changes left out, as those of a performance")
        del tempos[1:]
    return tempos


@lru_cache(maxsize=1024)
def _tempo(mspq: int) -> Tempo:
    """The tempo of microseconds a quarter, which round a whole or simple number a minute."""
    return Tempo(Fraction(round(Fraction(60_000_000, mspq), 2)).limit_denominator(100))
