"""Do tunes obey? Random legal combinations of controls, and every property read from the ABC.

    python scripts/checks/controls.py --n 500 --seed 0

Each combination is drawn from the seed; one that contradicts itself must be refused before any
sampling, and is drawn again. The tunes are written as one ABC book, read back with `musicgen.read`,
and measured without the sampler: bars, parts, repeats, notes, intervals as written and as played.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random

import musicgen
from musicgen.composer import Composer
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ControlError
from musicgen.formats.abc_notation import to_abc
from musicgen.music.instruments import RANGES, written_range
from musicgen.music.playback import playing_order
from musicgen.music.theory import Key, canonical_rhythm, parse_key, parse_meter
from musicgen.music.transposition import transpose
from musicgen.music.tune import Bar, Note, Tune
from musicgen.music.validation import validate

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

FORMS = ["AABB", "ABAC", "AAB", "ABA", "AB", "A", "AABBCC", "ABAB"]
FORMS += ["AABA", "AAA", "ABACA", "AABBA", "ABCD", "AA", "ABBA"]
KEYS = ["D", "G", "A", "C", "F", "Bb", "Eb", "E", "B", "Ab", "F#", "Ador", "Edor", "Gmix", "Amix"]
KEYS += ["Dmix", "Em", "Am", "Bm", "F#m", "Gm", "Dm", "C#m"]
METERS = {"jig": "6/8", "reel": "C|", "hornpipe": "C", "slip jig": "9/8", "waltz": "3/4"}
SCALES = ["diatonic", "pentatonic", "major pentatonic", "harmonic minor", "D E F# A B", "G A B D E"]
MOTIF = (
    "X:1\nT:Motif\nR:jig\nM:6/8\nL:1/8\nK:D\nA|dfd AFA|BGB AFD|EFE GFE|FDF A2A|"
    "dfd AFA|BGB AFD|EFE GFE|FDD D2|]\n"
)


def draw(rng: Random, motif: Tune) -> Controls:
    """A random combination, legal or not."""

    def sometimes(share: float, value: object) -> object:
        return value if rng.random() < share else None

    form = sometimes(0.5, rng.choice(FORMS))
    letters = len(set(str(form))) if form else rng.randint(1, 4)
    per_part = [rng.choice([1, 2, 4, 5, 6, 7, 8, 8, 8, 12, 16]) for _ in range(letters)]
    low = rng.choice(["G3", "A3", "C4", "D4", "E4", "F#4", "Bb2", "C5"])
    high = rng.choice(["A4", "C5", "D5", "F5", "G5", "B5", "C#6", "E6"])
    rhythm = rng.choice([*METERS, "air", "strathspey"])
    with_motif = rng.random() < 0.1
    return Controls(
        key=sometimes(0.6, rng.choice(KEYS)),  # type: ignore[arg-type]
        meter=sometimes(0.3, rng.choice(["6/8", "C|", "C", "2/4", "3/4", "9/8", "4/4", "3/8"])),  # type: ignore[arg-type]
        rhythm=sometimes(0.3, rhythm),  # type: ignore[arg-type]
        form=form,  # type: ignore[arg-type]
        bars=sometimes(0.2, rng.choice([8, 12, 16, 20, 24, 30, 32, 48, 7])),  # type: ignore[arg-type]
        part_bars=sometimes(0.4, rng.choice([8, 4, 6, per_part, 3])),  # type: ignore[arg-type]
        pickup=sometimes(0.3, rng.choice(["0", "1/8", "1/4", "3/8", "1/16", "5/8"])),  # type: ignore[arg-type]
        range=sometimes(0.35, f"{low}-{high}"),  # type: ignore[arg-type]
        instrument=sometimes(0.2, rng.choice(list(RANGES))),  # type: ignore[arg-type]
        scale=sometimes(0.3, rng.choice(SCALES)),  # type: ignore[arg-type]
        unit=sometimes(0.2, rng.choice(["1/8", "1/16", "1/4"])),  # type: ignore[arg-type]
        tempo=sometimes(0.2, rng.choice(["96", "3/8=110", "66.5"])),  # type: ignore[arg-type]
        end_on_tonic=rng.random() < 0.5,
        max_interval=sometimes(0.4, rng.choice([2, 3, 4, 5, 7, 9, 12])),  # type: ignore[arg-type]
        motif=motif if with_motif else None,
        motif_bars=rng.choice(["1-2", "1", "3-4"]) if with_motif else "1-2",
        max_repeats=rng.choice([0, 0, 1, 2, 3]),
    )


def parts_of(tune: Tune) -> list[list[Bar]]:
    """Bars of each written part, split at double bars, final bars and the ends of repeats."""
    parts: list[list[Bar]] = [[]]
    for bar, following in zip(tune.bars, [*tune.bars[1:], None], strict=True):
        parts[-1].append(bar)
        second = following is not None and following.volta == (2,)
        if (bar.repeat_end or bar.barline in ("||", "|]")) and not second and following:
            parts.append([])
    return parts


def n_bars(part: list[Bar], pickup: Fraction) -> int:
    """Full bars of a part: the pickup and a second ending aside."""
    count = len(part) - bool(pickup)
    second = next((i for i, bar in enumerate(part) if bar.volta == (2,)), len(part))
    return count - (len(part) - second)


def music(part: list[Bar]) -> list[tuple[object, ...]]:
    """What sounds in a part, bar by bar, and its endings."""
    return [(bar.events, bar.volta) for bar in part]


def disobedience(tune: Tune, controls: Controls) -> Iterator[str]:
    """What in a tune that was read back is not as it was asked."""
    yield from (f"not valid: {problem}" for problem in validate(tune))
    yield from (f"warning: {warning}" for warning in tune.warnings)
    yield from _heading(tune, controls)
    yield from _shape(tune, controls)
    yield from _notes(tune, controls)
    if controls.motif is not None:
        yield from _motif(tune, controls)
    if controls.max_repeats and controls.motif is None:
        yield from _repetitions(tune, controls.max_repeats)


def pickup_of(tune: Tune) -> Fraction:
    """Length of a first bar that is not full, in quarters."""
    full, first = tune.meter.bar_duration, tune.bars[0].duration
    is_pickup = full is not None and first < full and len(tune.bars) > 1
    return first if is_pickup else Fraction(0)


def _heading(tune: Tune, controls: Controls) -> Iterator[str]:
    if controls.key is not None and tune.key != parse_key(controls.key):
        yield f"key {tune.key}"
    if controls.meter is not None and tune.meter != parse_meter(controls.meter):
        yield f"meter {tune.meter}"
    if controls.rhythm is not None and tune.rhythm != canonical_rhythm(controls.rhythm):
        yield f"rhythm {tune.rhythm}"
    if controls.unit is not None and tune.unit / 4 != Fraction(controls.unit):
        yield f"unit {tune.unit}"
    if controls.pickup is not None and pickup_of(tune) / 4 != Fraction(controls.pickup):
        yield f"pickup {pickup_of(tune)}"
    if controls.tempo is not None:
        beat, _, bpm = str(controls.tempo).rpartition("=")
        wanted = (Fraction(bpm), 4 * Fraction(beat) if beat else tune.meter.beat_durations[0])
        if tune.tempo is None or (tune.tempo.bpm, tune.tempo.beat) != wanted:
            yield f"tempo {tune.tempo}"


def _shape(tune: Tune, controls: Controls) -> Iterator[str]:
    parts, pickup = parts_of(tune), pickup_of(tune)
    counts = [n_bars(part, pickup) for part in parts]
    if controls.bars is not None and sum(counts) != controls.bars:
        yield f"bars {counts}"
    lengths = controls.part_bars
    if controls.form is None:
        if isinstance(lengths, int) and any(n != lengths for n in counts):
            yield f"part bars {counts}"
        if isinstance(lengths, list):
            alike = counts == lengths if len(lengths) > 1 else set(counts) == set(lengths)
            if not alike:
                yield f"part bars {counts}"
        return
    played = ""
    known: list[list[tuple[object, ...]]] = []
    for part in parts:
        if music(part) not in known:
            known.append(music(part))
        letter = "ABCDEFGHIJ"[known.index(music(part))]
        played += letter * (2 if any(bar.repeat_end for bar in part) else 1)
        if lengths is not None:
            each = [lengths] if isinstance(lengths, int) else list(lengths)  # type: ignore[arg-type]
            number = "ABCDEFGHIJ".index(letter) if len(each) > 1 else 0
            if n_bars(part, pickup) != each[number]:
                yield f"part bars {counts}"
    if played != controls.form:
        yield f"form {played}"


def sounding(bars: list[Bar]) -> list[Note]:
    """Notes of some bars, rests passed over."""
    return [event for bar in bars for event in bar.timed if isinstance(event, Note)]


def _notes(tune: Tune, controls: Controls) -> Iterator[str]:
    notes = sounding(list(tune.bars))
    if not notes:
        yield "no notes"
        return
    low, high = min(n.midi for n in notes), max(n.midi for n in notes)
    spans = [written_range(controls.instrument)] if controls.instrument is not None else []
    if controls.range is not None:
        names = controls.range.split("-")
        spans.append((_midi(names[0]), _midi(names[1])))
    if any(low < span[0] or high > span[1] for span in spans):
        yield f"range {low}-{high}"
    if controls.scale is not None:
        used = {note.midi % 12 for note in notes}
        if not used <= scale_notes(controls.scale, tune.key):
            yield f"scale {used}"
    if controls.end_on_tonic and notes[-1].midi % 12 != tune.key.tonic_pitch_class:
        yield f"ends on {notes[-1].pitch.name}"
    if controls.max_interval is not None:
        (order,) = playing_order(tune)
        for line in (notes, sounding([tune.bars[i] for i in order])):
            widest = max((abs(a.midi - b.midi) for a, b in pairwise(line)), default=0)
            if widest > controls.max_interval:
                yield f"an interval of {widest}"


def _midi(name: str) -> int:
    key = parse_key(name.rstrip("0123456789-"))
    assert key is not None
    return key.tonic_pitch_class + 12 * (int(name[-1]) + 1)


def scale_notes(scale: str, key: Key) -> set[int]:
    """Pitch classes of the scales that are drawn, by the book."""
    fixed = {
        "major pentatonic": {0, 2, 4, 7, 9},
        "harmonic minor": {0, 2, 3, 5, 7, 8, 11},
    }
    tonic = key.tonic_pitch_class
    if scale in fixed:
        return {(tonic + n) % 12 for n in fixed[scale]}
    if scale == "diatonic":
        return {(_midi(f"{step}4") + alter) % 12 for step, alter in key.signature.items()}
    if scale == "pentatonic":
        major = key.mode in ("major", "mixolydian", "lydian")
        degrees = {0, 2, 4, 7, 9} if major else {0, 3, 5, 7, 10}
        return {(tonic + n) % 12 for n in degrees}
    return {_midi(f"{note}4") % 12 for note in scale.split()}


def _motif(tune: Tune, controls: Controls) -> Iterator[str]:
    given = controls.motif
    assert given is not None
    first, _, last = controls.motif_bars.partition("-")
    bars = given.bars[int(first) : int(last or first) + 1]  # after its pickup bar
    wanted = transpose(replace(given, voices=(replace(given.voices[0], bars=bars),)), str(tune.key))
    skip = bool(pickup_of(tune))
    first_part = parts_of(tune)[0][skip:]

    def line(bars: tuple[Bar, ...] | list[Bar]) -> list[tuple[int, Fraction]]:
        return [(n.midi % 12, n.duration) for n in sounding(list(bars))]

    count = len(bars)
    if line(first_part[:count]) != line(wanted.bars):
        yield "the motif does not open the tune"
    goes_on = n_bars(parts_of(tune)[0], pickup_of(tune)) > 4 + count
    if goes_on and line(first_part[4 : 4 + count]) != line(wanted.bars):
        yield "the motif does not come back"


def _repetitions(tune: Tune, most: int) -> Iterator[str]:
    for part in parts_of(tune):
        row = 1
        for one, other in pairwise(part):
            row = row + 1 if one.events == other.events else 1
            if row > most:
                yield f"a bar {row} times in a row"


def main(
    *, n: int = 500, seed: int = 0, checkpoint: str = "celtic", temperature: float = 1.0
) -> bool:
    """Draw, compose, read back, measure; exit code 1 if anything is not as asked."""
    rng = Random(seed)
    composer = musicgen.load(checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        failures = check(composer, rng, n, Path(folder), temperature)
    return bool(failures)


def check(composer: Composer, rng: Random, n: int, folder: Path, temperature: float) -> int:
    """How many of `n` tunes, each of its own combination, disobey."""
    motif = musicgen.read(_written(folder / "motif.abc", MOTIF))[0]
    asked: list[Controls] = []
    tunes: list[Tune] = []
    refusals: Counter[str] = Counter()
    while len(tunes) < n:
        controls = draw(rng, motif)
        sampling = SamplingConfig(seed=len(tunes), temperature=temperature)
        try:
            takes = composer.takes(1, controls, sampling)
        except ControlError as error:
            refusals[str(error)] += 1
            continue
        tunes += [take.tune for take in takes]
        asked.append(controls)
    book = _written(folder / "book.abc", "\n".join(map(to_abc, tunes)))
    read = musicgen.read(book)
    assert len(read) == n, f"{len(read)} of {n} tunes were read back"
    failures = 0
    for tune, controls in zip(read, asked, strict=True):
        wrong = list(disobedience(tune, controls))
        failures += bool(wrong)
        for text in wrong:
            print(f"{tune.title}: {text}\n  {controls}", file=sys.stderr)
    print(f"{n - failures} of {n} tunes obey; {sum(refusals.values())} combinations refused")
    for text, count in refusals.most_common(400):
        print(f"  {count:4} {text}", file=sys.stderr)
    return failures


def _written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


if __name__ == "__main__":
    command_line.run(main)
