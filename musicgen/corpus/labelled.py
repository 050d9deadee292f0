"""A corpus with a label for each tune or text, encoded and split by family, to learn the labels.

    corpus = read_labelled(["celtic"], labels_from("R"), tokenizer="melody")
    corpus.classes                                   # ("air", "hornpipe", "jig", ...)

Nothing is left out in silence: `omitted` names every tune, row and class with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from musicgen.corpus.labels import (
    FieldLabels,
    FolderLabels,
    Labels,
    counted_labels,
    heading_field,
)
from musicgen.corpus.loading import TEST, VAL, Corpus, load
from musicgen.corpus.reading import Entry, Progress
from musicgen.corpus.splits import split_families
from musicgen.corpus.tokenset import SPLITS
from musicgen.errors import ConfigError, CorpusError, printable
from musicgen.music.tune import Tune
from musicgen.tokens.language import SEPARATOR, Encoded
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.sequences import IdSequence, encode_sequence, reads_text, to_ids
from musicgen.tokens.vocabulary import Vocabulary

MAX_TOKENS = 2048  # of a longer sequence the first ones
MIN_TUNES = 3  # of a class: one for each split
MIN_COUNT, SMALL = 3, 200  # rarer tokens are unknown, but for fewer training sequences
MOST_LISTED = 20  # lines of a summary about what is left out


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSplit:
    """The sequences of one split with their labels (n,), from 1, and the families of their
    tunes."""

    sequences: tuple[IdSequence, ...]
    labels: NDArray[np.int64]
    families: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sequences)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledCorpus:
    """`question` is what the labels are called; label i of a split is `classes[i - 1]`. `omitted`
    are lines for a person."""

    question: str
    classes: tuple[str, ...]
    tokenizer: str
    vocabulary: Vocabulary
    splits: dict[str, LabelledSplit]
    omitted: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many training sequences each class has."""
        n = np.bincount(self.splits["train"].labels, minlength=1 + len(self.classes))
        return dict(zip(self.classes, n[1:].tolist(), strict=True))

    def summary(self) -> list[str]:
        """Lines for a person: how many of each label and split there are, and what is left out."""
        counts = ", ".join(f"{label} {n}" for label, n in self.counts.items())
        sizes = ", ".join(f"{len(self.splits[name])} {name}" for name in SPLITS)
        lines = [f"labels ({self.question}) to train on: {counts}", f"sequences: {sizes}"]
        kinds = Counter(line.partition(":")[0] for line in self.omitted)
        lines += [f"left out: {line}" for line in self.omitted[:MOST_LISTED]]
        if len(self.omitted) > MOST_LISTED:
            lines.append(f"left out: {len(self.omitted) - MOST_LISTED} more")
        if kinds:
            lines.append(
                "left out in all: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items())
            )
        return lines

    @property
    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of everything that is learned from."""
        names = [self.question, self.classes, self.tokenizer, self.vocabulary.tokens]
        digest = hashlib.sha256(json.dumps(names).encode())
        for split in SPLITS:
            for ids, features in self.splits[split].sequences:
                digest.update(ids.tobytes() + features.tobytes())
            digest.update(self.splits[split].labels.tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Labelled:
    """An entry that can be learned from."""

    entry: Entry
    encoded: Encoded
    label: str


def read_labelled(
    sources: Sequence[str],
    labels: Labels,
    *,
    tokenizer: str,
    vocabulary: Vocabulary | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> LabelledCorpus:
    """Read a corpus (see `corpus.load`), encode what has a label, and split it by family.

    `vocabulary` is that of a model that is to be evaluated (default: that of the training split).

    Raises:
        CorpusError: nothing can be read, or there are fewer than two classes to tell apart.
        ConfigError: labels that the tokens would show.
    """
    language = LANGUAGES[tokenizer]
    letter = labels.letter if isinstance(labels, FieldLabels) else ""
    if letter and reads_text(language):
        raise ConfigError(
            f"--labels {letter}: a text holds its {letter}: line, so there is nothing to learn; "
            "drop --tokenizer"
        )
    found: list[tuple[Encoded | str, str]] = []
    corpus = load(
        sources,
        workers=workers,
        extract=partial(_extract, tokenizer, letter),
        extract_text=partial(_extract_text, tokenizer) if reads_text(language) else None,
        keep=found.append,
        all_voices=language.all_voices,
        progress=progress,
    )
    if isinstance(labels, FolderLabels):
        labels.prepare(corpus.entries)
    labelled, omitted = _with_labels(corpus, found, labels)
    splits = _split(labelled, {entry.id: entry.digest for entry in corpus.entries})
    classes = sorted({each.label for each in splits["train"]})
    for label in sorted({each.label for each in labelled} - set(classes)):
        omitted.append(f"rare label: '{label}': none of its tunes is left to train on")
    if len(classes) < 2:
        raise CorpusError(
            f"too few tunes or texts that differ ({len(labelled)} with a label): only "
            f"'{', '.join(classes)}' is left to train on; give more of each label"
        )
    train = [each.encoded.tokens.split(SEPARATOR) for each in splits["train"]]
    min_count = 1 if len(train) < SMALL else MIN_COUNT
    vocabulary = vocabulary or Vocabulary.build(train, min_count=min_count)
    return LabelledCorpus(
        question=labels.name,
        classes=tuple(classes),
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        splits={name: _as_ids(each, classes, vocabulary) for name, each in splits.items()},
        omitted=tuple(map(printable, omitted)),
    )


def _extract(tokenizer: str, letter: str, tune: Tune) -> tuple[Encoded | str, str]:
    field = heading_field(tune, letter) if letter else ""
    if letter and not field:  # to encode it would take longer than to read it
        return "no label", ""
    return encode_sequence(tokenizer, tune), field


def _extract_text(tokenizer: str, text: str, _tune: Tune | None) -> tuple[Encoded | str, str]:
    return encode_sequence(tokenizer, text), ""


def _with_labels(
    corpus: Corpus, found: Sequence[tuple[Encoded | str, str]], labels: Labels
) -> tuple[list[_Labelled], list[str]]:
    """What has tokens and a label of which there are enough, and lines about the rest."""
    omitted = [f"unreadable: {o.id}: {o.reason}" for o in corpus.rejected]
    labelled: list[_Labelled] = []
    for entry, (encoded, field) in zip(corpus.entries, found, strict=True):
        label = labels.of(entry, field)
        if not label:
            omitted.append(f"no label: {entry.id}: {entry.facts.title}")
        elif isinstance(encoded, str):
            omitted.append(f"no sequence: {entry.id}: {encoded}")
        else:
            labelled.append(_Labelled(entry, encoded, label))
    omitted += _duplicates(corpus, labelled, labels)
    omitted += [f"no tune or text: {row}" for row in labels.unused()]
    counts = counted_labels([each.label for each in labelled])
    rare = {label: n for label, n in counts.items() if n < MIN_TUNES}
    omitted += [f"rare label: '{label}': {n} of at least {MIN_TUNES}" for label, n in rare.items()]
    kinds = {label: n for label, n in counts.items() if label not in rare}
    if len(kinds) < 2:
        only = f"the only label is '{next(iter(kinds))}'" if kinds else "no label is left"
        why = f"; {omitted[0]}" if omitted else ""
        raise CorpusError(
            f"{only} that {MIN_TUNES} or more tunes or texts have, and two are needed to tell "
            f"apart{why}"
        )
    return [each for each in labelled if each.label not in rare], omitted


def _duplicates(corpus: Corpus, labelled: Sequence[_Labelled], labels: Labels) -> Iterator[str]:
    """A line for each tune or text that occurs twice; of two labels the first one counts."""
    entry_of = {entry.id: entry for entry in corpus.entries}
    label_of = {each.entry.id: each.label for each in labelled}
    for copy in corpus.duplicates:
        first = entry_of[copy.same_as]
        facts = replace(first.facts, title=copy.name)
        other = labels.of(replace(first, id=copy.id, source=copy.source, facts=facts), "")
        kept = label_of.get(copy.same_as, "")
        contrary = (
            f", which is '{kept}', while this is '{other}'" if other not in ("", kept) else ""
        )
        yield f"duplicate: {copy.id} of {copy.same_as}{contrary}"


def _split(
    labelled: Sequence[_Labelled], digests: Mapping[str, bytes]
) -> dict[str, list[_Labelled]]:
    """The families to their splits, by the same hashes as those of a corpus without labels."""
    sizes = Counter(each.entry.family for each in labelled)
    names = list(sizes)
    splits, _ = split_families(
        (digests[name] for name in names), list(sizes.values()), val=VAL, test=TEST
    )
    split_of = dict(zip(names, splits, strict=True))
    return {
        split: [each for each in labelled if split_of[each.entry.family] == split]
        for split in SPLITS
    }


def _as_ids(
    labelled: Sequence[_Labelled], classes: Sequence[str], vocabulary: Vocabulary
) -> LabelledSplit:
    known = [each for each in labelled if each.label in classes]
    return LabelledSplit(
        tuple(to_ids(each.encoded, vocabulary, MAX_TOKENS) for each in known),
        np.array([1 + classes.index(each.label) for each in known], np.int64),
        tuple(each.entry.family for each in known),
    )
