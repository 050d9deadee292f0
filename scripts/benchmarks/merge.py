"""The merge of a large corpus: seconds, memory and disk for each size, and what more would take.

    python scripts/benchmarks/merge.py --tunes 250000 500000 1000000 --folder /tmp/merge

The corpora are made of a bundled one, always the same ones: a shard of it is read, and of its tunes
shards of new tunes are put together, bar by bar. A new tune has the heading, bar lines and repeats
of a bundled one, and each of its full bars is one of that tune or of another with the same heading.
Families have the sizes of those in the bundled corpus, where members differ in a bar or two, and
there are as many exact duplicates. In the melodies a quarter of the notes is moved, the same ones
in a family, so that families do not grow by chance into each other: digests, shingles and novelty
index are of these melodies, tokens of the bars as they were. Lookback columns stay those of the
bars' old places, since the merge only renumbers them.

Each merge runs in a process of its own. Memory is its largest resident set. The times are CPU
seconds; a straight line through the smallest and the largest says what more tunes would take.
"""

from __future__ import annotations

import hashlib
import json
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from musicgen.cli.progress import available_cores
from musicgen.corpus.loading import load
from musicgen.corpus.preparation import merge, prepare_shard
from musicgen.corpus.reading import Entry, Facts, ReadTune
from musicgen.corpus.shards import Shard, ShardPlan, ShardWriter, facts_of, folder_of
from musicgen.music.similarity import Melody
from musicgen.music.similarity.families import SHINGLE_INTERVALS, interval_runs
from musicgen.system.temporary import replacing_folder
from musicgen.tokens.language import SEPARATOR, Encoded
from musicgen.tokens.lookback.features import Lookback
from musicgen.tokens.melody.grammar import FEATURE_SIZES

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

SOURCE = "celtic"
N_SHARDS = 16
SIGNS = {"|", "||", ":|", "|]", "|:"}
MARKS = {*SIGNS, "[1", "[2", "<eos>"}
HEADING = ("rhythm", "meter", "unit", "key", "mode", "pickup")
MOVED, MOST_MOVED = 0.3, 32  # chance of a note to be moved, with its like in a long bar
OTHER_BAR = 0.5  # chance of a bar of another tune with the same heading
MILLION = 1_000_000


@dataclass(frozen=True, eq=False)
class BarPart:
    """A full bar: its tokens with features, its notes as pitches and ticks, and its ticks."""

    tokens: tuple[str, ...]
    features: NDArray[np.uint16]
    pitches: NDArray[np.uint8]
    lengths: NDArray[np.uint16]
    ticks: int


@dataclass(frozen=True, eq=False)
class Template:
    """A bundled tune, cut at its bar lines; a part that is no full bar stays as it is."""

    facts: Facts
    heading: tuple[str, ...]
    parts: tuple[BarPart, ...]
    replaceable: tuple[int, ...]
    lead: int
    beat: int
    units: int


def templates_of(shard: Shard) -> list[Template]:
    """The tunes of a shard whose tokens have as many bars as their melodies."""
    found = []
    columns = "ids", "features", "pitches", "lengths", "bars", "timing", "about", "digest"
    for ids, values, pitches, lengths, bars, timing, about, digest in shard.tunes(*columns):
        if not len(ids):
            continue
        tokens = [shard.tokens[i] for i in ids.tolist()]
        table = values.reshape(len(ids), -1)
        cuts = [0, *bar_ends(tokens)]
        if len(cuts) - 1 != len(bars) or len(bars) < 4:
            continue
        onsets = timing[0] + np.cumsum(lengths, dtype=np.int64) - lengths
        places = np.searchsorted(onsets, [0, *np.cumsum(bars, dtype=np.int64)])
        places[-1] = len(pitches)
        parts = tuple(
            BarPart(
                tuple(tokens[a:b]), table[a:b], pitches[c:d], lengths[c:d], int(ticks)
            )
            for a, b, c, d, ticks in zip(
                cuts, cuts[1:], places.tolist(), places[1:].tolist(), bars.tolist(), strict=False
            )
        )  # fmt: skip
        full = Counter(bars.tolist()).most_common(1)[0][0]
        whole = tuple(
            k
            for k, part in enumerate(parts[1:-1], 1)
            if part.ticks == full and len(part.pitches) and not MARKS & set(part.tokens[:-1])
            and part.tokens[-1] == "|" and len(set(part.features[:, 2].tolist())) == 1
        )  # fmt: skip
        facts = facts_of(about, digest)
        if len(whole) >= 4:
            found.append(
                Template(
                    facts.entry.facts,
                    tuple(tokens[2 : len(HEADING)]),
                    parts,
                    whole,
                    int(timing[0]),
                    int(timing[1]),
                    facts.units,
                )
            )
    return found


def bar_ends(tokens: Sequence[str]) -> list[int]:
    """Where bars end: after the signs that follow notes, and the last one after `<eos>`."""
    ends, has_notes = [], False
    for i, token in enumerate(tokens):
        if token in SIGNS:
            if has_notes:
                ends.append(i + 1)
            elif ends and ends[-1] == i:  # another sign at the same place
                ends[-1] = i + 1
            has_notes = False
        elif i > len(HEADING) and token not in MARKS:
            has_notes = True
    if not has_notes and ends:
        ends.pop()
    return [*ends, len(tokens)]


class Recombination:
    """New tunes of the same make, in the order of their numbers."""

    def __init__(self, templates: Sequence[Template], family_sizes: Sequence[int], copies: float):
        self._templates, self._family_sizes, self._copies = templates, family_sizes, copies
        self._bars: dict[tuple[str, ...], list[BarPart]] = defaultdict(list)
        for template in templates:
            self._bars[template.heading] += [template.parts[k] for k in template.replaceable]

    def tunes(self, seed: int, n: int) -> Iterator[ReadTune]:
        """`n` tunes."""
        rng = random.Random(seed)
        made = 0
        while True:
            template = rng.choice(self._templates)
            bars = self._drawn(template, template.parts, template.replaceable, OTHER_BAR, rng)
            moves = random_moves(len(bars), rng.getrandbits(64))
            for member in range(rng.choice(self._family_sizes)):
                if member:
                    few = rng.sample(template.replaceable, rng.randint(1, 2))
                    bars = self._drawn(template, bars, few, 1.0, rng)
                for _ in range(2 if rng.random() < self._copies else 1):
                    yield assembled(template, bars, moves, f"made/{seed:04}.abc:{made + 1}")
                    made += 1
                    if made == n:
                        return

    def _drawn(
        self,
        template: Template,
        bars: Sequence[BarPart],
        places: Sequence[int],
        other: float,
        rng: random.Random,
    ) -> tuple[BarPart, ...]:
        drawn, pool = list(bars), self._bars[template.heading]
        for k in places:
            own = template.parts[rng.choice(template.replaceable)]
            drawn[k] = rng.choice(pool) if rng.random() < other else own
        return tuple(drawn)


def random_moves(n_bars: int, seed: int) -> NDArray[np.int16]:
    """Semitones by which notes of each bar are moved, most by none."""
    rng = np.random.Generator(np.random.SFC64(seed))
    moves = rng.integers(-2, 3, (n_bars, MOST_MOVED), np.int16)
    moves[rng.random((n_bars, MOST_MOVED), np.float32) >= MOVED] = 0
    return moves


def assembled(
    template: Template, bars: Sequence[BarPart], moves: NDArray[np.int16], name: str
) -> ReadTune:
    """A tune of these bars, as if it had been read."""
    tables = []
    for bar, old in zip(bars, template.parts, strict=True):
        table = bar.features
        if bar is not old:  # numbers of the bar and part are those of the place
            table = table.copy()
            table[:, 1:3] = old.features[0, 1:3]
            table[-1, 1] = old.features[-1, 1]
        tables.append(table)
    counts = np.array([len(bar.pitches) for bar in bars])
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    moved = moves[np.repeat(np.arange(len(bars)), counts), within % MOST_MOVED]
    pitches = np.concatenate([bar.pitches for bar in bars]).astype(np.int16) + moved
    pitches = pitches.clip(0, 127).astype(np.uint8)
    lengths = np.concatenate([bar.lengths for bar in bars])
    tokens = tuple(token for bar in bars for token in bar.tokens)
    melody = Melody(
        pitches=pitches,
        lengths=lengths,
        bars=np.array([bar.ticks for bar in bars], np.uint16),
        lead=template.lead,
        beat=template.beat,
        title=name,
    )
    features = np.concatenate(tables)
    n_tokens = len(set(tokens))
    features[:, PREDICTIONS] %= n_tokens + 1  # numbers of this tune's tokens
    encoded = Encoded(SEPARATOR.join(tokens), features, template.units, False, Counter())
    digest = hashlib.sha256(pitches.tobytes() + lengths.tobytes()).digest()
    facts = replace(template.facts, title=f"{template.facts.title} {name[5:]}")
    runs = interval_runs(np.diff(pitches), SHINGLE_INTERVALS)
    return ReadTune(Entry(name, "made", digest, facts), np.unique(runs), (encoded, melody))


PREDICTIONS = [
    len(FEATURE_SIZES) + i for i in Lookback.newest(FEATURE_SIZES, ()).predictions
]  # columns of melody tokens


def make(folder: Path, n: int) -> None:
    """Shards of `n` tunes, and of `SOURCE` the one that they are made of."""
    source, _ = prepare_shard([SOURCE], 1, 1, folder / "source", workers=available_cores())
    corpus = load(SOURCE)
    sizes = list(Counter(entry.family for entry in corpus.entries).values())
    made = Recombination(templates_of(source), sizes, len(corpus.duplicates) / len(corpus.entries))
    plan = replace(source.plan, corpus=("made",), files=f"{n} made tunes", n_files=n)
    size = max(1, n // N_SHARDS)
    for k in range(1, N_SHARDS + 1):
        make_shard(made, plan, folder / str(n), k, size)


def make_shard(made: Recombination, plan: ShardPlan, parts: Path, number: int, n: int) -> None:
    """Write a shard of `n` tunes, unless it is there."""
    place = folder_of(parts, number, N_SHARDS)
    if not place.exists():
        with replacing_folder(place) as new:
            writer = ShardWriter(new)
            for tune in made.tunes(number, n):
                writer.append(tune)
            writer.finish(plan, number, N_SHARDS, "made")


def measure(parts: Path, folder: Path) -> dict[str, Any]:
    """Merge shards here and now."""
    begin, cpu = time.perf_counter(), time.process_time()
    account = merge(parts, folder)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "tunes": account.counts["tunes"] + account.counts["duplicates"],
        "different": account.counts["tunes"],
        "seconds": seconds,
        "cpu_s": cpu,
        "memory_mb": memory / (2**10 if sys.platform != "darwin" else 2**20),
        "shards_gb": size_of(parts) / 1e9,
        "tokens_gb": size_of(folder) / 1e9,
    }


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def print_row(name: str, row: dict[str, Any]) -> None:
    """One line of the table."""
    print(
        f"| {name} | {row['different']:,.0f} | {row['cpu_s']:,.0f} | {row['memory_mb']:,.0f} "
        f"| {row['shards_gb']:.1f} | {row['tokens_gb']:.1f} |",
        flush=True,
    )


def main(
    *,
    tunes: Annotated[Sequence[int], "sizes of the corpora"] = (50_000, 100_000),
    folder: Annotated[Path | None, "keep the shards here"] = None,
    measure_: Annotated[Sequence[Path], "for the script itself: shards and tokens"] = (),
) -> None:
    """Run the benchmark and print a Markdown table."""
    if measure_:
        print(json.dumps(measure(*measure_)))
        return
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, Python {platform.python_version()}")
    print("\n| read | different | CPU-seconds | MB | GB of shards | GB of tokens |")
    print("|---:|---:|---:|---:|---:|---:|")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        for n in sorted(tunes):
            make(place, n)
            out = place / f"tokens-{n}"
            command = [sys.executable, __file__, "--measure", str(place / str(n)), str(out)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout))
            print_row(f"{n:,}", rows[-1])
            shutil.rmtree(out)
    small, large = rows[0], rows[-1]
    for n in (MILLION, 10 * MILLION, 100 * MILLION) if len(rows) > 1 else ():
        share = (n - small["tunes"]) / (large["tunes"] - small["tunes"])
        print_row(
            f"extrapolated to {n:,}",
            {key: small[key] + share * (large[key] - small[key]) for key in small},
        )


if __name__ == "__main__":
    command_line.run(main)
