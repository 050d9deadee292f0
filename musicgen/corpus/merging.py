"""Shards merged into one corpus: duplicates, families, splits, vocabulary, tokens, novelty index.

    with temporary_folder(parent) as temporary:
        merge = Merge(find_shards(parts), temporary, val=0.1, test=0.1)
        write_tokenset(merge.rows(vocabulary), header, folder)

The shards are gone through from the first to the last, once for each question: digests, shingles,
ids, rows, melodies. In memory are some hundred bytes for each tune, none of its music: duplicates
and related tunes are found by joins on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.corpus.loading import (
    Corpus,
    Duplicate,
    assign_splits,
    licences_of,
    nothing_readable,
)
from musicgen.corpus.reading import Omitted, Progress
from musicgen.corpus.shards import Shard, TuneFacts, brief_of, facts_of, rejected_of
from musicgen.corpus.tokenset import UNK_ID, TokenRow
from musicgen.music.similarity.families import group_families
from musicgen.music.similarity.index_file import IndexNames, write_index
from musicgen.system.partitions import Partitions, n_buckets_for
from musicgen.tokens.language import Language
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.lookback.features import Lookback
from musicgen.tokens.vocabulary import Vocabulary

MAX_INDEXED_BYTES = 1_000_000_000  # of melodies and names; a larger index could not be read
_DIGEST = [("digest", np.uint64, 4), ("tune", np.uint32)]


class Merge:
    """The tunes of all shards as one corpus. `splits` has the split of each different tune,
    `notices` what to know about the corpus, `counts` how many there are of what.

    Raises:
        CorpusError: there is no tune.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        folder: Path,
        *,
        val: float,
        test: float,
        progress: Progress | None = None,
    ) -> None:
        self.shards, self._folder, self._progress = shards, folder, progress
        self.plan = shards[0].plan
        self.language: Language = LANGUAGES[self.plan.tokenizer]
        self.counts: Counter[str] = Counter(unreadable=sum(s.n_rejected for s in shards))
        self._firsts = self._find_firsts(sum(shard.n_tunes for shard in shards))
        self._is_first = self._firsts == np.arange(len(self._firsts))
        n = int(self._is_first.sum())
        if not n:
            first = list(self._some_rejected(1))
            is_text = self.language.text is not None
            raise nothing_readable(self.plan.corpus, self.plan.n_files, first, texts=is_text)
        lengths = self._sizes("ids")
        self.counts |= Counter(
            tunes=n, duplicates=len(self._firsts) - n, omitted=int((lengths == 0).sum())
        )
        self._report("families", 0)
        sizes = self._sizes("shingles")
        self._families = group_families(self._values("shingles"), sizes, folder)
        self.splits, notices = assign_splits(
            self._families,
            (lengths > 0).astype(np.uint8),
            self._digests_of,
            self._id_of,
            val=val,
            test=test,
        )
        self.notices = (*licences_of(self.plan.corpus), *notices)

    # --- the shards as one -----------------------------------------------------------------

    def _masks(self) -> Iterator[tuple[Shard, NDArray[np.bool_]]]:
        """Every shard, and which of its tunes are the first of their digest."""
        start = 0
        for shard in self.shards:
            yield shard, self._is_first[start : start + shard.n_tunes]
            start += shard.n_tunes

    def _tunes(self, *names: str) -> Iterator[tuple[NDArray[Any], ...]]:
        """Columns of the different tunes."""
        return chain.from_iterable(
            compress(shard.tunes(*names), mask) for shard, mask in self._masks()
        )

    def _values(self, name: str, most: int | None = None) -> Iterator[NDArray[Any]]:
        """A column of the different tunes, of the first `most`, in blocks end to end."""
        left = len(self._firsts) if most is None else most
        for shard, mask in self._masks():
            start = 0
            for sizes, values in shard.blocks(name):
                wanted = mask[start : start + len(sizes)]
                wanted = wanted & (np.cumsum(wanted) <= left)
                left -= int(wanted.sum())
                start += len(sizes)
                yield values[name][np.repeat(wanted, sizes[:, 0])]

    def _sizes(self, name: str) -> NDArray[np.int64]:
        """How many values each of the different tunes has in a column."""
        return np.concatenate([shard.sizes(name)[mask] for shard, mask in self._masks()])

    def _report(self, what: str, done: int) -> None:
        if self._progress is not None:
            self._progress(what, done, self.counts["tunes"])

    # --- duplicates, families, splits --------------------------------------------------------

    def _find_firsts(self, n: int) -> NDArray[np.int64]:
        """For each tune the number of the first one with its digest."""
        firsts = np.arange(n)
        n_buckets = n_buckets_for(n)
        with Partitions(_DIGEST, n_buckets, self._folder) as parts:
            done = 0
            for shard in self.shards:
                for sizes, values in shard.blocks("digest"):
                    records = np.empty(len(sizes), _DIGEST)
                    records["digest"] = values["digest"].view(np.uint64).reshape(-1, 4)
                    records["tune"] = np.arange(done, done + len(sizes))
                    buckets = records["digest"][:, 0] % np.uint64(n_buckets)
                    parts.append(records, buckets.astype(np.int64))
                    done += len(sizes)
            for records in parts:
                digests = records["digest"]
                order = np.lexsort((records["tune"], *digests.T))
                tunes, digests = records["tune"][order], digests[order]
                begins = np.ones(len(tunes), np.bool_)
                begins[1:] = (digests[1:] != digests[:-1]).any(axis=1)
                firsts[tunes] = tunes[begins][np.cumsum(begins) - 1]
        return firsts

    def _digests_of(self, numbers: NDArray[np.int64]) -> Iterable[bytes]:
        """The digests of different tunes, by their numbers in ascending order."""
        wanted = np.zeros(self.counts["tunes"], np.bool_)
        wanted[numbers] = True
        return (digest.tobytes() for (digest,) in compress(self._tunes("digest"), wanted))

    def _id_of(self, number: int) -> str:
        wanted = np.arange(self.counts["tunes"]) == number
        return next(name for name, *_ in self._briefs(wanted))

    def _briefs(self, wanted: NDArray[np.bool_]) -> Iterator[tuple[str, str, int, int]]:
        """The id, title, number (X:) and units of different tunes."""
        return (brief_of(about) for (about,) in compress(self._tunes("about"), wanted))

    # --- tokens ------------------------------------------------------------------------------

    def vocabulary(
        self, *, min_count: int | None, most_tokens: int | None, every_token: bool
    ) -> Vocabulary:
        """The tokens that are not too rare in the training split, or every one."""
        language, tokens = self.language, self._token_numbers()
        if every_token:
            return Vocabulary.build([list(tokens)])
        in_train = np.array([split == "train" for split in self.splits])
        counts = np.zeros(len(tokens), np.int64)
        start = 0
        for shard, mask in self._masks():
            numbers = np.array([tokens[token] for token in shard.tokens])
            begin = 0
            for sizes, values in shard.blocks("ids"):
                wanted = mask[begin : begin + len(sizes)].copy()
                begin += len(sizes)
                n = int(wanted.sum())
                wanted[wanted] = in_train[start : start + n]
                start += n
                ids = values["ids"][np.repeat(wanted, sizes[:, 0])]
                counts += np.bincount(numbers[ids], minlength=len(counts))
        if min_count is None:
            min_count = 1 if int(in_train.sum()) < language.small else language.min_count
        return Vocabulary.of_counts(
            dict(zip(tokens, counts.tolist(), strict=True)),
            min_count=min_count,
            most=language.most_tokens if most_tokens is None else most_tokens,
        )

    def _token_numbers(self) -> dict[str, int]:
        """A number for each token of any shard."""
        tokens = dict.fromkeys(token for shard in self.shards for token in shard.tokens)
        return {token: number for number, token in enumerate(tokens)}

    def rows(self, vocabulary: Vocabulary) -> Iterator[TokenRow]:
        """The tunes as rows of a token set; `counts` has "train", "units" and, among the "tokens"
        to train on, the "unknown" ones after the last."""
        given = self.language.feature_sizes
        lookback = Lookback.newest(given, vocabulary.tokens)
        tunes = zip(self._rows(vocabulary), self._tunes("features", "about"), self.splits,
                    strict=True)  # fmt: skip
        for done, ((texts, final), (values, about), split) in enumerate(tunes, 1):
            if texts:
                name, _, _, units = brief_of(about)
                features = values.reshape(len(texts), -1)
                features = _renumbered(features, texts, final, vocabulary, lookback)
                if split == "train":
                    unknown = int(np.count_nonzero(final == UNK_ID))
                    self.counts += Counter(train=1, units=units, tokens=len(texts), unknown=unknown)
                yield split, name, final, features, units
            if done % 100 == 0 or done == len(self.splits):
                self._report("writing tokens", done)

    def _rows(self, vocabulary: Vocabulary) -> Iterator[tuple[list[str], NDArray[np.uint16]]]:
        """The tokens of each different tune, and their ids in the vocabulary."""
        for shard, mask in self._masks():
            final = np.array(vocabulary.encode(shard.tokens), np.uint16)
            for (ids,) in compress(shard.tunes("ids"), mask):
                yield [shard.tokens[i] for i in ids.tolist()], final[ids]

    # --- the novelty index -------------------------------------------------------------------

    def write_index(self, path: Path) -> None:
        """Write the novelty index of all tunes, or of so many that it can be read again."""
        n_bytes = 3 * self._sizes("pitches") + 2 * self._sizes("bars") + self._sizes("about") + 16
        most = int(np.searchsorted(np.cumsum(n_bytes), MAX_INDEXED_BYTES, "right"))
        if most < self.counts["tunes"]:
            self.notices += (
                f"the novelty index holds the first {most:,} tunes; more could not be read again",
            )
        indexed = np.arange(self.counts["tunes"]) < most

        def timing(place: int) -> Iterator[NDArray[Any]]:
            return (values[place::2] for values in self._values("timing", most))

        columns: dict[str, Callable[[], Iterable[NDArray[Any]]]] = {
            "pitches": lambda: self._values("pitches", most),
            "lengths": lambda: self._values("lengths", most),
            "sizes": lambda: [self._sizes("pitches")[:most]],
            "leads": lambda: timing(0),
            "beats": lambda: timing(1),
            "bars": lambda: self._values("bars", most),
            "n_bars": lambda: [self._sizes("bars")[:most]],
        }
        names = IndexNames(
            titles=(title for _, title, _, _ in self._briefs(indexed)),
            places=(name for name, _, _, _ in self._briefs(indexed)),
            numbers=(number for _, _, number, _ in self._briefs(indexed)),
        )
        with path.open("wb") as file:
            write_index(file, columns, names, self._folder)

    # --- an account --------------------------------------------------------------------------

    def _some_rejected(self, most: int) -> Iterator[Omitted]:
        return (omitted for omitted, _ in zip(rejected_of(self.shards), range(most), strict=False))

    def rejected(self, most: int) -> list[Omitted]:
        """What could not be read, the first `most`."""
        return list(self._some_rejected(most))

    def first_omitted(self) -> Omitted | None:
        """The first tune that has no tokens."""
        for about, digest, ids in self._tunes("about", "digest", "ids"):
            if not len(ids):
                facts = facts_of(about, digest)
                return Omitted(facts.entry.id, facts.entry.facts.title, facts.reason)
        return None

    def has_tunes(self) -> bool:
        """Whether any document is a tune."""
        return any(
            facts_of(about, digest).entry.facts.notes
            for about, digest in self._tunes("about", "digest")
        )

    def account(self) -> tuple[Corpus, tuple[Omitted, ...], Counter[str], tuple[str, ...]]:
        """The corpus, the tunes without tokens, what the tokens leave out, and the ids of irregular
        tunes: all of it in memory."""
        everything = chain.from_iterable(shard.tunes("about", "digest") for shard in self.shards)
        facts: list[TuneFacts] = []
        copies: list[Duplicate] = []
        numbers = np.cumsum(self._is_first) - 1
        for tune, first in zip(everything, self._firsts.tolist(), strict=True):
            of_tune = facts_of(*tune)
            if self._is_first[len(facts) + len(copies)]:
                facts.append(of_tune)
                continue
            entry, same_as = of_tune.entry, facts[numbers[first]].entry.id
            copies.append(Duplicate(entry.id, entry.source, entry.facts.title, same_as))
        corpus = Corpus(
            sources=self.plan.corpus,
            entries=tuple(
                replace(each.entry, family=facts[first].entry.id, split=split)
                for each, first, split in zip(
                    facts, self._families.tolist(), self.splits, strict=True
                )
            ),
            rejected=tuple(rejected_of(self.shards)),
            duplicates=tuple(copies),
            notices=self.notices,
        )
        omitted = tuple(
            Omitted(each.entry.id, each.entry.facts.title, each.reason)
            for each in facts
            if each.reason
        )
        dropped: Counter[str] = Counter()
        for each in facts:
            dropped.update(each.dropped)
        return corpus, omitted, dropped, tuple(f.entry.id for f in facts if f.irregular)


def _renumbered(
    features: NDArray[Any],
    texts: Sequence[str],
    final: NDArray[np.uint16],
    vocabulary: Vocabulary,
    lookback: Lookback,
) -> NDArray[Any]:
    """The features of a tune with its predictions as ids of the vocabulary, found anew where a
    token has become the unknown one."""
    n = len(lookback.sizes)
    if np.count_nonzero(final == UNK_ID):
        given = features[:, :-n]
        return np.hstack([given, lookback.features(final, given)])
    own = lookback.own_vocabulary(texts)
    table = np.array([0, *(vocabulary.ids.get(text, 0) for text in own[1:])], np.uint16)
    predictions = [column - n for column in lookback.predictions]
    features = features.copy()
    features[:, predictions] = table[features[:, predictions]]
    return features
