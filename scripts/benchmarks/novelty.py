"""Does the novelty index find disguised copies, and does it leave unrelated tunes alone?

    python scripts/benchmarks/novelty.py --split val
    python scripts/benchmarks/novelty.py --generated book.abc

Thresholds were chosen on the validation families; what is reported is measured on the test
families, which are the default. With --generated new tunes are held against real ones.

The index holds every bundled tune (Essen included) outside the held-out families. Planted copies
are made of tunes that it holds, note by note, and count as found when the verdict is "copy" and
the original is among the three nearest. Alarms are verdicts "copy":

- on held-out tunes as they are. Many are settings of an indexed tune that the families, which
  compare eight successive intervals, do not know of;
- on held-out tunes that are unrelated by other evidence: no indexed tune has a word of five
  letters of the title in common with the alarm, or a twentieth of its runs of eight intervals;
- on held-out tunes played backwards, which are copies of nothing.
"""

from __future__ import annotations

import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from musicgen import corpus, formats
from musicgen.cli.progress import available_cores
from musicgen.music.playback import melody
from musicgen.music.similarity import COPY, Melody, Novelty, NoveltyIndex
from musicgen.music.similarity.families import shingles
from musicgen.music.theory import Meter, spell
from musicgen.music.transposition import transpose
from musicgen.music.tune import Bar, Note, Timed, Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

SOURCES = ["celtic", "essenFolksong"]
LITTLE_IN_COMMON = 0.05
Disguise = Callable[[Tune, random.Random], Tune]


def transposed(tune: Tune, rng: random.Random) -> Tune:
    """Up or down by up to nine semitones."""
    return transpose(tune, f"{rng.choice([n for n in range(-9, 10) if n]):+d}")


def rebarred(tune: Tune, rng: random.Random) -> Tune:
    """Half or double bars, bar lines a beat later, or all values twice or half as long."""
    line = list(tune.voices[0].events)
    bar = tune.meter.bar_duration or Fraction(4)
    pickup = tune.bars[0].duration
    how = rng.randrange(5)
    if how == 0:
        return in_bars(tune, line, bar / 2, pickup % (bar / 2))
    if how == 1:
        return in_bars(tune, line, bar * 2, pickup)
    if how == 2:
        beat = next(iter(tune.meter.beat_durations), Fraction(1))
        return in_bars(tune, line, bar, (pickup + beat) % bar)
    factor = Fraction(2) if how == 3 else Fraction(1, 2)
    return in_bars(tune, [scaled(e, factor) for e in line], bar * factor, pickup * factor)


def scaled(event: Timed, factor: Fraction) -> Timed:
    """The event with another length."""
    return replace(event, duration=event.duration * factor)


def in_bars(tune: Tune, line: Sequence[Timed], length: Fraction, pickup: Fraction) -> Tune:
    """The line anew in bars of one length, notes tied over the bar lines, without repeats."""
    bars: list[Bar] = []
    events: list[Timed] = []
    room = pickup or length
    for event in line:
        while event.duration > room:
            left = replace(event, duration=event.duration - room)
            part = replace(event, duration=room)
            events.append(replace(part, tie=True) if isinstance(part, Note) else part)
            bars.append(Bar(events=tuple(events)))
            event, events, room = left, [], length
        events.append(event)
        room -= event.duration
        if not room:
            bars.append(Bar(events=tuple(events)))
            events, room = [], length
    bars += [Bar(events=tuple(events))] if events else []
    numerator, denominator = (length / 4).as_integer_ratio()
    scale = max(1, 4 // denominator)
    meter = Meter((numerator * scale,), denominator * scale)
    return with_bars(replace(tune, meter=meter), bars)


def with_bars(tune: Tune, bars: Sequence[Bar]) -> Tune:
    """The tune with other bars in its first voice."""
    return replace(tune, voices=(replace(tune.voices[0], bars=tuple(bars)), *tune.voices[1:]))


def changed(tune: Tune, rng: random.Random) -> Tune:
    """Every tenth note, chosen at random, moved by one to four semitones."""
    notes = [(b, e) for b, bar in enumerate(tune.bars) for e, x in enumerate(bar.events)
             if isinstance(x, Note)]  # fmt: skip
    chosen = set(rng.sample(notes, max(1, round(len(notes) / 10))))

    def moved(place: tuple[int, int], event: object) -> object:
        if place not in chosen or not isinstance(event, Note):
            return event
        midi = event.midi + rng.choice([-4, -3, -2, -1, 1, 2, 3, 4])
        return replace(event, pitch=spell(midi, tune.key))

    bars = [
        replace(bar, events=tuple(moved((b, e), x) for e, x in enumerate(bar.events)))
        for b, bar in enumerate(tune.bars)
    ]
    return with_bars(tune, bars)


def ornamented(tune: Tune, rng: random.Random) -> Tune:
    """A passing note in every third within a bar: half of the first note's time is its."""
    bars = []
    for bar in tune.bars:
        events = list(bar.events)
        for k in reversed(range(len(events) - 1)):
            one, two = events[k], events[k + 1]
            if not (isinstance(one, Note) and isinstance(two, Note)) or one.tie:
                continue
            step = two.midi - one.midi
            if abs(step) in (3, 4):
                half = replace(one, duration=one.duration / 2)
                between = one.midi + (2 if step > 0 else -2)
                events[k : k + 1] = [half, replace(half, pitch=spell(between, tune.key))]
        bars.append(replace(bar, events=tuple(events)))
    return with_bars(tune, bars)


DISGUISES: dict[str, Disguise] = {
    "transposed": transposed,
    "re-barred": rebarred,
    "10 % of notes changed": changed,
    "passing notes added": ornamented,
}


def backwards(tune: Tune) -> Tune:
    """The tune from its end to its beginning."""
    bars = [replace(bar, events=bar.events[::-1]) for bar in reversed(tune.bars)]
    return with_bars(tune, bars)


def words(title: str) -> set[str]:
    """The long words of a title."""
    return set(re.findall(r"[a-z]{5,}", title.lower())) - {"hornpipe", "strathspey", "march"}


class Kinship:
    """Which indexed tunes have runs of eight intervals in common with a tune."""

    def __init__(self) -> None:
        self.holders: dict[int, list[int]] = defaultdict(list)
        self.sizes: list[int] = []

    def add(self, tune: Tune) -> None:
        """An indexed tune."""
        own = shingles(melody(tune.voices[0])).tolist()
        for run in own:
            self.holders[run].append(len(self.sizes))
        self.sizes.append(len(own))

    def closest(self, tune: Tune) -> float:
        """The highest Jaccard index of the runs of eight intervals with those of any tune."""
        own = shingles(melody(tune.voices[0])).tolist()
        shared = Counter(k for run in own for k in self.holders.get(run, ()))
        return max((n / (len(own) + self.sizes[k] - n) for k, n in shared.items()), default=0.0)


def quantiles(values: Sequence[float]) -> str:
    """Median, nine tenths, maximum."""
    ordered = sorted(values)
    places = (len(ordered) // 2, len(ordered) * 9 // 10, len(ordered) * 98 // 100, -1)
    return "  ".join(f"{ordered[k]:5.2f}" for k in places)


def show(name: str, found: Sequence[Novelty]) -> None:
    """A row about the verdicts on some tunes."""
    verdicts = Counter(novelty.verdict for novelty in found)
    n_copies = verdicts[COPY]
    print(
        f"{name:38} {len(found):5}  {n_copies:5} {100 * n_copies / len(found):5.1f} %  "
        f"{verdicts['related']:5}   {quantiles([f.similarity for f in found])}   "
        f"{quantiles([f.copied_bars for f in found])}"
    )


def time_index(index: NoveltyIndex, queries: Sequence[Tune]) -> None:
    """How long an index of all tunes takes to load and to answer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "all.npz")
        index.save(path)
        begin, cpu = time.perf_counter(), time.process_time()
        loaded = NoveltyIndex.load(path)
        loaded.assess(queries[0])
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
        print(
            f"index of {len(loaded):,} tunes: {path.stat().st_size / 2**20:.2f} MiB; loaded, with "
            f"the first answer, in {wall:.2f} s ({cpu:.2f} CPU-seconds)"
        )
    walls, cpus = [], []
    for tune in queries:
        begin, cpu = time.perf_counter(), time.process_time()
        loaded.assess(tune)
        walls.append(1000 * (time.perf_counter() - begin))
        cpus.append(1000 * (time.process_time() - cpu))
    print(
        f"an answer: median {statistics.median(walls):.1f} ms ({statistics.median(cpus):.1f} ms of "
        f"CPU), nine of ten within {sorted(walls)[len(walls) * 9 // 10]:.1f} ms"
    )


def read_tunes(split: str) -> tuple[list[Tune], list[Tune]]:
    """Single-line tunes to index, and held-out ones."""
    loaded = corpus.load(SOURCES, workers=available_cores())
    indexed: list[Tune] = []
    held_out: list[Tune] = []
    for entry, tune in loaded.tunes():
        tune = replace(tune, source=replace(tune.source, path=entry.id, line=0))
        (held_out if entry.split == split else indexed).append(tune)
    return indexed, held_out


def planted(indexed: Sequence[Tune], index: NoveltyIndex, n: int) -> None:
    """Recall of disguised copies, by disguise."""
    rng = random.Random(0)
    chosen = rng.sample([t for t in indexed if len(Melody.of(t)) >= 16], n)
    print(f"\nplanted copies, {n} tunes{'':14} found   recall")
    for name, disguise in DISGUISES.items():
        n_found = 0
        for tune in chosen:
            found = index.assess(disguise(tune, rng))
            original = tune.source.path if tune.source else ""
            right = any(neighbour.place == original for neighbour in found.neighbours)
            n_found += right and found.verdict == COPY
        print(f"  {name:30} {n_found:5} of {n}   {n_found / n:.3f}")


def alarms(indexed: Sequence[Tune], held_out: Sequence[Tune], index: NoveltyIndex) -> Iterator[str]:
    """Verdicts on held-out tunes; what the alarms on unrelated ones are."""
    kin = Kinship()
    for tune in indexed:
        kin.add(tune)
    found = [index.assess(tune) for tune in held_out]
    unrelated = []
    for tune, novelty in zip(held_out, found, strict=True):
        titles = [words(neighbour.title) for neighbour in novelty.neighbours]
        same_name = novelty.verdict == COPY and any(words(tune.title) & title for title in titles)
        if not same_name and kin.closest(tune) < LITTLE_IN_COMMON:
            unrelated.append(novelty)
            if novelty.verdict == COPY:
                yield f"  {tune.title}: {novelty.line()}"
    print(
        f"\n{'':38} tunes  copies          related   similarity: median 90 98 100 %"
        "   bars: median 90 98 100 %"
    )
    show("held-out families, as they are", found)
    show("  unrelated by other evidence", unrelated)
    show("  played backwards", [index.assess(backwards(tune)) for tune in held_out])


def main(
    *,
    split: Annotated[str, ("val", "test")] = "test",
    planted_: int = 500,
    generated: Annotated[Path | None, "a book of new tunes"] = None,
) -> None:
    """Print the tables."""
    indexed, held_out = read_tunes(split)
    print(f"{len(indexed):,} tunes of {' and '.join(SOURCES)}; {len(held_out):,} held out")
    time_index(NoveltyIndex.build([*indexed, *held_out]), held_out[:300])
    index = NoveltyIndex.build(indexed)
    planted(indexed, index, planted_)
    listed = list(alarms(indexed, held_out, index))
    print("\ncopies among the unrelated:", *listed, sep="\n")
    if generated is not None:
        irish = [t for t in indexed if t.source and not t.source.path.startswith("essen")]
        celtic = NoveltyIndex.build(irish)
        print(f"\nagainst the {len(celtic):,} indexed tunes of celtic")
        real = [t for t in held_out if t.source and not t.source.path.startswith("essen")]
        show("held-out tunes of celtic", [celtic.assess(t) for t in real])
        new = formats.read(generated)
        show("generated tunes", [celtic.assess(t) for t in new])


if __name__ == "__main__":
    command_line.run(main)
