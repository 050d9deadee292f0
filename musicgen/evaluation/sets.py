"""Sets of tunes to evaluate, from files or a model, and the reference corpus to compare with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from musicgen import corpus as corpora
from musicgen import formats
from musicgen.errors import CorpusError, InvalidTuneError, MusicgenError
from musicgen.music.metrics.baselines import MarkovChain
from musicgen.music.metrics.features import DistanceFloors, Features
from musicgen.music.metrics.note_arrays import Ints, NoteArrays
from musicgen.music.tune import Rejected, Tune
from musicgen.music.validation import validate
from musicgen.tokens.melody.encoding import melody

Report = Callable[[str, int, int], None]

MIN_REFERENCE = 150  # tunes; a smaller test split is not enough to compare with
MAX_REFERENCE = 1000  # tunes; more would only take longer
MAX_POOL = 1200
# Music known to be worse, and the order of the Markov chain that makes it.
CEILINGS = {"Markov chain": 3, "shuffled notes": 0}


def silent(what: str, done: int, total: int) -> None:
    """No progress bar."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A tune or file with a fault. `what` is the first reason."""

    name: str
    what: str


@dataclass(frozen=True, eq=False)
class TuneSet:
    """Tunes to be judged, reduced to their melody, and the faults of those that cannot be.

    `tunes`, `notes` and `names` go together. `invalid` are tunes whose bars or repeats do not add
    up (they are judged all the same), `unreadable` are files and tunes that could not be read, and
    `set_aside` those that are no single melody in one key and meter.
    """

    name: str
    tunes: tuple[Tune, ...]
    notes: tuple[NoteArrays, ...]
    names: tuple[str, ...]
    n_found: int
    invalid: tuple[Fault, ...] = ()
    unreadable: tuple[Fault, ...] = ()
    set_aside: tuple[Fault, ...] = ()
    groups: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.tunes)

    @property
    def families(self) -> tuple[str, ...]:
        """The family of each tune; without `groups` every tune is one of its own."""
        return self.groups or tuple(map(str, range(len(self))))

    def take(self, rows: Ints) -> TuneSet:
        """The tunes in these rows, without faults: (m,) integers."""
        chosen = rows.tolist()
        columns = (self.tunes, self.notes, self.names, self.families)
        tunes, notes, names, groups = (tuple(column[i] for i in chosen) for column in columns)
        return TuneSet(self.name, tunes, notes, names, len(chosen), groups=groups)

    def features(self, report: Report = silent) -> Features:
        """Counts and measures of every tune."""
        return Features.of(
            self.notes,
            self.families,
            lambda done: report(f"measuring {self.name}", done, len(self)),
        )


def collect(
    name: str, labelled: Iterator[tuple[str, Tune | Rejected]], progress: Callable[[int], None]
) -> TuneSet:
    """Sort tunes with their labels into a set as they come."""
    tunes, notes, names = [], [], []
    invalid, unreadable, aside = [], [], []
    n_found = 0
    for n_found, (label, tune) in enumerate(labelled, 1):
        progress(n_found)
        if isinstance(tune, Rejected):
            unreadable.append(Fault(label, tune.reason))
            continue
        problems = validate(tune)
        if problems:
            invalid.append(Fault(label, str(problems[0])))
        try:
            reduced = replace(melody(tune).tune, title=tune.title, number=tune.number)
            notes.append(NoteArrays.of(reduced))
        except InvalidTuneError as error:
            aside.append(Fault(label, str(error)))
            continue
        tunes.append(reduced)
        names.append(label)
    return TuneSet(
        name,
        tuple(tunes),
        tuple(notes),
        tuple(names),
        n_found,
        tuple(invalid),
        tuple(unreadable),
        tuple(aside),
    )


def read_set(
    sources: Sequence[str | Path],
    report: Report = silent,
    reading: Mapping[str, Any] = MappingProxyType({}),
) -> TuneSet:
    """All tunes of files and folders, as they are: nothing is deduplicated or repaired. `reading`
    are options of readers, used where they apply (see `formats.options_for`).

    Raises:
        CorpusError: a name that is neither a file nor a folder, or no tune to judge.
    """
    names = list(map(str, sources))
    files, name = corpora.find_files(names), ", ".join(names)

    def tunes() -> Iterator[tuple[str, Tune | Rejected]]:
        for done, file in enumerate(files, 1):
            report(f"reading {name}", done, len(files))
            number = 0
            try:
                options = formats.options_for(file.path, reading)
                for number, tune in enumerate(formats.scan_each(file.path, **options), 1):
                    yield f"{file.label}#{number}", tune
                if not number:
                    yield file.label, Rejected("", "holds no tune")
            except MusicgenError as error:
                yield file.label, Rejected("", getattr(error, "what", str(error)))

    collected = collect(name, tunes(), lambda done: None)
    if not collected.tunes:
        faults = (*collected.unreadable, *collected.set_aside)
        why = f" (first: {faults[0].name}: {faults[0].what})" if faults else ""
        raise CorpusError(f"{name}: no melody to judge in {len(files)} files{why}")
    return collected


def set_of(name: str, tunes: Sequence[Tune], report: Report = silent) -> TuneSet:
    """A set of tunes in memory, such as a model's."""
    labelled = ((tune.title or str(number), tune) for number, tune in enumerate(tunes, 1))
    return collect(name, labelled, lambda done: report(f"listening to {name}", done, len(tunes)))


@dataclass(frozen=True, eq=False)
class Reference:
    """A corpus to compare with: `held_out` families, and `others` that share none with them.

    `held_out` are the test families (of which a model trained on the corpus has seen none), or,
    where they are few, half of all families. `others` show how much real tunes differ, and what a
    model may have copied from.
    """

    name: str
    split: str
    held_out: TuneSet
    others: TuneSet
    sources: tuple[Tune, ...]  # every tune but the held-out ones
    notices: tuple[str, ...]

    @staticmethod
    def load(
        sources: Sequence[str | Path],
        *,
        split: str = "test",
        seed: int = 0,
        report: Report = silent,
    ) -> Reference:
        """Read a corpus and divide it by family.

        Raises:
            CorpusError: it cannot be read or has too few melodies to divide.
        """
        pairs = _load(sources, report)
        rng = np.random.default_rng(seed)
        melodies = [(entry, tune) for entry, tune in pairs if _is_melody(tune)]
        families = sorted({entry.family for entry, _ in melodies})
        chosen = {entry.family for entry, _ in melodies if entry.split == split}
        n_chosen = sum(entry.family in chosen for entry, _ in melodies)
        name = ", ".join(map(str, sources))
        notices = []
        if len(pairs) > len(melodies):
            notices.append(
                f"{len(pairs) - len(melodies)} tunes of {name} are no single melody in one key "
                "and meter and were set aside"
            )
        if n_chosen < MIN_REFERENCE:
            halves = rng.permutation(len(families))[: (len(families) + 1) // 2]
            chosen = {families[i] for i in halves.tolist()}
            notices.append(
                f"the {split} families of {name} hold {n_chosen} tunes, too few to compare with: "
                "half of all families is held out instead, of which a model trained on the corpus "
                "has seen most"
            )
            split = "half"
        held_out = [(e, t) for e, t in melodies if e.family in chosen]
        rest = [(e, t) for e, t in melodies if e.family not in chosen]
        if len(held_out) < 2 or len(rest) < 2:
            raise CorpusError(f"{name}: {len(melodies)} melodies are too few to compare with")
        reference = _sample(held_out, MAX_REFERENCE, rng)
        pool = _sample([pair for pair in rest if pair[0].split == "train"] or rest, MAX_POOL, rng)
        return Reference(
            name,
            split,
            _as_set("held-out tunes", reference, report),
            _as_set("other tunes", pool, report),
            tuple(tune for _, tune in rest),
            tuple(notices),
        )

    def floors(self, report: Report = silent) -> DistanceFloors:
        """The floors of every distance."""
        return DistanceFloors(self.held_out.features(report), self.others.features(report))

    def ceilings(self, n: int, *, seed: int = 0, report: Report = silent) -> dict[str, TuneSet]:
        """`n` tunes of an order-3 Markov chain and `n` of shuffled notes (order 0), both made from
        the other tunes and in the bars of such as are valid."""
        tunes = self.others.tunes
        models = [tune for tune in tunes if not validate(tune)]
        sets = {}
        for name, order in CEILINGS.items():
            chain = MarkovChain(tunes, order, models or tunes)
            rng = np.random.default_rng([seed, 4, order])
            made = []
            for done in range(1, n + 1):
                made.append(chain.generate(rng))
                report(name, done, n)
            sets[name] = set_of(name, made, report)
        return sets


def measured(sources: Sequence[str | Path], split: str, report: Report = silent) -> Features:
    """Counts and measures of all melodies of one split of a corpus, with their families.

    Raises:
        CorpusError: it cannot be read.
    """
    pairs = [
        (entry, tune)
        for entry, tune in _load(sources, report)
        if entry.split == split and _is_melody(tune)
    ]
    return _as_set(f"{split} tunes", pairs, report).features(report)


def _load(sources: Sequence[str | Path], report: Report) -> list[tuple[corpora.Entry, Tune]]:
    """The tunes of a corpus with their entries."""
    tunes: list[Tune] = []
    corpus = corpora.load(sources, extract=_identity, keep=tunes.append, progress=report)
    return list(zip(corpus.entries, tunes, strict=True))


def _identity(tune: Tune) -> Tune:
    return tune


def _is_melody(tune: Tune) -> bool:
    try:
        melody(tune)
    except InvalidTuneError:
        return False
    return True


def _sample(
    pairs: Sequence[tuple[corpora.Entry, Tune]], most: int, rng: np.random.Generator
) -> list[tuple[corpora.Entry, Tune]]:
    """At most `most` tunes, whole families at random, in their own order."""
    if len(pairs) <= most:
        return list(pairs)
    sizes = Counter(entry.family for entry, _ in pairs)
    families, taken, left = list(sizes), set[str](), most
    for i in rng.permutation(len(families)).tolist():
        if sizes[families[i]] <= left:
            taken.add(families[i])
            left -= sizes[families[i]]
    return [pair for pair in pairs if pair[0].family in taken]


def _as_set(name: str, pairs: Sequence[tuple[corpora.Entry, Tune]], report: Report) -> TuneSet:
    tunes = collect(
        name,
        ((entry.id, tune) for entry, tune in pairs),
        lambda done: report(f"listening to {name}", done, len(pairs)),
    )
    families = {entry.id: entry.family for entry, _ in pairs}
    return replace(tunes, groups=tuple(families[label] for label in tunes.names))
