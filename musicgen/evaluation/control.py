"""Accuracy of a model's controls, and the quality of its continuations of real tunes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from musicgen.errors import MusicgenError
from musicgen.evaluation.sets import Report, silent
from musicgen.music.metrics.distances import ConfidenceInterval, share
from musicgen.music.metrics.note_arrays import NoteArrays
from musicgen.music.theory import canonical_rhythm, parse_key, parse_meter
from musicgen.music.tune import Tune
from musicgen.music.validation import validate

if TYPE_CHECKING:
    from musicgen.composer import Composer
    from musicgen.composer.sampling import SamplingConfig

MOTIF = 4  # notes: a motif is a run of so many degrees with their lengths


@dataclass(frozen=True, slots=True)
class ControlAccuracy:
    """The share of `n` tunes that are as a control asks."""

    asked: str
    held: ConfidenceInterval
    n: int
    example: str = ""  # the first that is not


@dataclass(frozen=True, slots=True)
class ContinuationScore:
    """Of `n` real tunes cut in half and finished by the model: the share in which every note given
    is kept, that are valid, that end on the tonic; and the share of the motifs of the second half
    that the first half has already, in the model's halves and in the real ones."""

    n: int
    kept: ConfidenceInterval
    valid: ConfidenceInterval
    on_tonic: ConfidenceInterval
    real_on_tonic: ConfidenceInterval
    motifs: float
    real_motifs: float


def control_accuracy(
    composer: Composer,
    models: Sequence[Tune],
    sampling: SamplingConfig,
    *,
    each: int = 2,
    report: Report = silent,
) -> tuple[ControlAccuracy, ...]:
    """Generate tunes with the key, the meter and the type of each of these tunes, and check them.

    The controls are those of real tunes, so that no impossible combination is asked for.
    """
    from musicgen.composer.controls import Controls

    held: dict[str, list[bool]] = {"key": [], "meter": [], "type of tune": []}
    wrong: dict[str, str] = {}
    for done, model in enumerate(models, 1):
        controls = Controls(key=str(model.key), meter=str(model.meter), rhythm=model.rhythm or None)
        try:
            takes = list(composer.takes(each, controls, replace(sampling, seed=done)))
        except MusicgenError:  # the model's corpus has no such tune
            continue
        for take in takes:
            for name, holds in _checks(take.tune, controls.key, controls.meter, controls.rhythm):
                held[name].append(holds)
                if not holds:
                    wrong.setdefault(name, take.tune.title)
        report("asking for keys, meters and types", done, len(models))
    return tuple(
        ControlAccuracy(name, share(values), len(values), wrong.get(name, ""))
        for name, values in held.items()
        if values
    )


def _checks(
    tune: Tune, key: str | None, meter: str | None, rhythm: str | None
) -> Iterator[tuple[str, bool]]:
    wanted = parse_key(key or "")
    yield (
        "key",
        wanted is not None and (tune.key.tonic, tune.key.mode) == (wanted.tonic, wanted.mode),
    )
    bar = parse_meter(meter or "")
    full = None if bar is None else bar.bar_duration
    yield "meter", full == tune.meter.bar_duration and not validate(tune)
    if rhythm is not None:
        yield "type of tune", canonical_rhythm(tune.rhythm) == canonical_rhythm(rhythm)


def continuation(
    composer: Composer, real: Sequence[Tune], sampling: SamplingConfig, *, report: Report = silent
) -> ContinuationScore | None:
    """Cut real tunes at the middle bar and let the model finish them."""
    rows, motifs = [], []
    for done, tune in enumerate(real, 1):
        report("continuing tunes", done, len(real))
        half = _first_half(tune)
        try:
            result = next(composer.continuations(half, 1, replace(sampling, seed=done))).tune
            prompt, made, original = map(played_once, (half, result, tune))
        except MusicgenError:  # such as a heading that the model does not know
            continue
        n = len(prompt.pitches)
        kept = made.pitches[:n].tolist() == prompt.pitches.tolist()
        rows.append((kept, not validate(result), made.degrees[-1] == 0, original.degrees[-1] == 0))
        motifs.append((_reused(made, n), _reused(original, n)))
    if not rows:
        return None
    kept, valid, tonic, real_tonic = (share([bool(v) for v in c]) for c in zip(*rows, strict=True))
    ours, theirs = (sum(values) / len(values) for values in zip(*motifs, strict=True))
    return ContinuationScore(len(rows), kept, valid, tonic, real_tonic, ours, theirs)


def _first_half(tune: Tune) -> Tune:
    voice = tune.voices[0]
    bars = voice.bars[: max(1, len(voice.bars) // 2)]
    return replace(tune, voices=(replace(voice, bars=bars),))


def played_once(tune: Tune) -> NoteArrays:
    """The notes of a tune without its repeats, so that a half is the beginning of the whole."""
    voice = tune.voices[0]
    bars = (replace(bar, repeat_start=False, repeat_end=0, volta=()) for bar in voice.bars)
    return NoteArrays.of(replace(tune, voices=(replace(voice, bars=tuple(bars)),)))


def _reused(tune: NoteArrays, n_given: int) -> float:
    """Share of the motifs after note `n_given` that occur before it."""
    notes = list(zip(tune.degrees.tolist(), tune.durations.tolist(), strict=True))
    motifs = [tuple(notes[i : i + MOTIF]) for i in range(len(notes) - MOTIF + 1)]
    before = set(motifs[: max(0, n_given - MOTIF + 1)])
    after = motifs[n_given:]
    return sum(motif in before for motif in after) / len(after) if after else 0.0
