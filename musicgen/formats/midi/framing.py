"""What a MIDI file says about meter, key and tempo, and what it should be taken to mean.

A first meter that lasts for one bar shorter than the next is a pickup. A file in which every bar
is a beat long (1/4, as programs write that know no bars) says nothing about its meter. Nor does C
major where a fifth of the music lies outside it: sequencers write that when nobody chose a key.
What is missing is estimated; what is asked for comes first; all of it is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

from musicgen.formats.midi.smf import MidiFile
from musicgen.music.estimation import FEWEST_NOTES, NoteLine, estimate_key, estimate_meter
from musicgen.music.notation.bars import Frame, Sound
from musicgen.music.notation.rhythms import UNITS
from musicgen.music.theory import C_MAJOR, Key, Meter
from musicgen.music.tune import Tempo

MAX_TEMPOS = 64
SHORTEST_QUARTER = 40_000  # microseconds
LONGEST_BAR = 32  # quarters; nobody means a longer one
BEAT_BARS_SHARE = 0.9  # of the music in bars of a beat: then nobody meant a meter
FOREIGN_SHARE, FITTING_SHARE = 0.2, 0.08  # of the time outside a key that is wrong, that is right

MAJOR_TONICS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
MINOR_TONICS = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")


_Hear = Callable[[], NoteLine]  # the notes as they are heard, worked out where they are needed


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a caller says about the music; None is what the file says, or an estimate. `pickup` is
    in quarter notes."""

    key: Key | None = None
    meter: Meter | None = None
    pickup: Fraction | None = None


def frame_of(
    file: MidiFile, sounds: Sequence[Sound], wanted: Wanted, warnings: list[str], *, played: bool
) -> Frame:
    """Meters, keys, tempos and pickup for some sounds, in units.

    `played` says that bar lines of the file are not to be trusted, since its notes follow a beat
    of their own.
    """
    hear = cache(lambda: NoteLine.of(((on, end, max(p)) for on, end, p in sounds), UNITS))
    end = max(end for _, end, _ in sounds)
    meters, pickup = _meters(file, hear, end, wanted, warnings, played=played)
    return Frame(
        meters=meters,
        keys=_keys(file, hear, wanted, warnings, played=played),
        tempos=_tempos(file, warnings),
        pickup=pickup,
    )


def _meters(
    file: MidiFile, hear: _Hear, end: int, wanted: Wanted, warnings: list[str], *, played: bool
) -> tuple[list[tuple[int, Meter]], int]:
    """Meters in order, the first at 0, and the pickup, in units."""
    meters = [] if wanted.meter is not None else _written_meters(file, warnings)
    if meters and _mean_nothing(meters, end):
        warnings.append(f"bars of {meters[0][1]} throughout, read as no meter")
        meters = []
    if played and len(meters) > 1:
        warnings.append(f"changes of meter off the player's beat, left out: {len(meters) - 1}")
        meters = meters[1:2] if _written_pickup(meters) else meters[:1]
    if wanted.pickup is None and meters and not played:
        pickup = _written_pickup(meters)
        if pickup:
            return [(0, meters[1][1]), *meters[2:]], pickup
        return meters, 0
    given = wanted.meter or (meters[0][1] if meters else None)
    heard = hear()
    estimate = estimate_meter(heard, meter=given, pickup=wanted.pickup)
    if given is None:
        few = len(heard.notes) < FEWEST_NOTES
        fits = f"read as {estimate.meter}" if few else f"{estimate.meter} fits the rhythm best"
        warnings.append(f"no time signature; {fits}")
    if wanted.pickup is None and estimate.pickup:
        beats = float(estimate.pickup)
        warnings.append(f"a pickup of {beats:g} quarter notes fits the rhythm best")
    pickup = int(estimate.pickup * UNITS)
    if wanted.meter is None and len(meters) > 1:  # the rest of the bars stays as it was
        later = [(at, meter) for at, meter in meters[1:] if at > pickup]
        return [(0, estimate.meter), *later], pickup
    return [(0, estimate.meter)], pickup


def _written_meters(file: MidiFile, warnings: list[str]) -> list[tuple[int, Meter]]:
    """Meters in order, the first at 0; none where the file has none."""
    meters: list[tuple[int, Meter]] = []
    for tick, beats, unit in sorted(file.meters, key=lambda item: item[0]):
        if not 0 < beats <= LONGEST_BAR * unit // 4 or unit > 64:
            warnings.append(f"a meter of {beats}/{unit} left out")
            continue
        onset = tick * UNITS // file.ticks_per_quarter if meters else 0
        if meters and meters[-1][0] == onset:
            meters.pop()
        meter = _meter(beats, unit)
        if not meters or meters[-1][1] != meter:
            meters.append((onset, meter))
    return meters


@cache
def _meter(beats: int, unit: int) -> Meter:
    return Meter((beats,), unit)


def _mean_nothing(meters: Sequence[tuple[int, Meter]], end: int) -> bool:
    """Whether nearly all of the music is in bars of one beat, a quarter or less."""
    stops = [at for at, _ in meters[1:]] + [max(end, meters[-1][0] + 1)]
    beats = sum(
        stop - at
        for (at, meter), stop in zip(meters, stops, strict=True)
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
    file: MidiFile, hear: _Hear, wanted: Wanted, warnings: list[str], *, played: bool
) -> list[tuple[int, Key]]:
    """Keys in order, the first at 0."""
    if wanted.key is not None:
        return [(0, wanted.key)]
    keys = _written_keys(file)
    if played and len(keys) > 1:
        warnings.append(f"changes of key off the player's beat, left out: {len(keys) - 1}")
        keys = keys[:1]
    if keys and keys[0][0] == 0 and not (keys == [(0, C_MAJOR)] and _is_foreign(hear(), C_MAJOR)):
        return keys
    heard = hear()
    estimated = estimate_key(heard)
    if not keys or keys[0][0] > 0:
        warnings.append(f"no key signature; {estimated} fits the notes best")
        return [(0, estimated), *keys]
    if _is_foreign(heard, estimated, FITTING_SHARE):
        return keys
    warnings.append(f"the key signature of C major does not fit the notes; {estimated} does")
    return [(0, estimated)]


def _written_keys(file: MidiFile) -> list[tuple[int, Key]]:
    keys: list[tuple[int, Key]] = []
    for tick, sharps, minor in sorted(file.keys, key=lambda item: item[0]):
        if not -7 <= sharps <= 7:
            continue
        tonic = (MINOR_TONICS if minor else MAJOR_TONICS)[sharps + 7]
        key = Key(tonic, "minor" if minor else "major")
        onset = tick * UNITS // file.ticks_per_quarter
        if keys and keys[-1][0] == onset:
            keys.pop()
        if not keys or keys[-1][1] != key:
            keys.append((onset, key))
    return keys


def _is_foreign(heard: NoteLine, key: Key, share: float = FOREIGN_SHARE) -> bool:
    """Whether more than a share of the time is spent outside the scale of a key."""
    tonic = (7 * key.fifths) % 12
    scale = {(tonic + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)}
    times = heard.pitch_classes()
    return bool(sum(t for pc, t in enumerate(times) if pc not in scale) > share * sum(times))


def _tempos(file: MidiFile, warnings: list[str]) -> list[tuple[int, Tempo]]:
    tempos: list[tuple[int, Tempo]] = []
    n_senseless = sum(mspq < SHORTEST_QUARTER for _, mspq in file.tempos)
    if n_senseless:
        warnings.append(f"tempos too fast for anyone, left out: {n_senseless}")
    for tick, mspq in sorted(file.tempos):
        if mspq < SHORTEST_QUARTER:
            continue
        tempo = _tempo(mspq)
        onset = tick * UNITS // file.ticks_per_quarter
        if tempos and tempos[-1][0] == onset:
            tempos.pop()
        if not tempos or tempos[-1][1] != tempo:
            tempos.append((onset, tempo))
    if len(tempos) > MAX_TEMPOS:
        warnings.append(f"{len(tempos)} tempo changes left out, as those of a performance")
        return tempos[:1]
    return tempos


@lru_cache(maxsize=1024)
def _tempo(mspq: int) -> Tempo:
    """Microseconds round what was a whole or simple number of quarters a minute."""
    return Tempo(Fraction(round(Fraction(60_000_000, mspq), 2)).limit_denominator(100))
