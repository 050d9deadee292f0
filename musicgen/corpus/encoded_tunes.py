"""Encoded tunes that wait on disk for their splits and for the vocabulary."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from musicgen.corpus.loading import Corpus, Entry, Omitted, Progress
from musicgen.corpus.tokenset import TokenRow
from musicgen.music.similarity import Collector, Melody
from musicgen.tokens.language import SEPARATOR, Encoded, Language
from musicgen.tokens.vocabulary import Vocabulary


class EncodedTunes:
    """Encoded tunes in a file, as tables (T, 1 + F) of int32: a preliminary id, in the order of
    first occurrence, and the features. Lengths and reasons are in memory, and the melodies for an
    index. Without a file tables and melodies are discarded. `account` holds the first fields
    of `Examined`, once the corpus has been read."""

    def __init__(self, file: IO[bytes] | None, language: Language) -> None:
        self.language = language
        self._n_columns = 1 + len(language.feature_sizes)
        self.ids: dict[str, int] = {}
        self.lengths, self.units = array("I"), array("I")
        self.refused: list[tuple[int, str]] = []
        self.irregular: list[int] = []
        self.dropped: Counter[str] = Counter()
        self._file = file
        self.melodies: Collector | None = None
        if file is not None:
            file.seek(0)
            file.truncate()
            self.melodies = Collector()

    def append(self, extracted: tuple[Encoded | str, Melody | None]) -> bool:
        """Add the tune of the next entry, encoded, and its melody; whether it could be encoded."""
        number = len(self.lengths)
        encoded, melody = extracted
        if self.melodies is not None and melody is not None:
            self.melodies.append(melody)
        if isinstance(encoded, str):
            self.refused.append((number, encoded))
            self.lengths.append(0)
            self.units.append(0)
            return False
        ids = [self.ids.setdefault(t, len(self.ids)) for t in encoded.tokens.split(SEPARATOR)]
        if self._file is not None:
            self._file.write(np.column_stack([ids, encoded.features]).astype(np.int32).tobytes())
        self.lengths.append(len(ids))
        self.units.append(encoded.units)
        self.dropped += encoded.dropped
        if encoded.irregular:
            self.irregular.append(number)
        return True

    def finish(self, corpus: Corpus) -> None:
        """Set `account`, after the last tune."""
        entries = corpus.entries
        omitted = tuple(
            Omitted(entries[i].id, entries[i].facts.title, reason) for i, reason in self.refused
        )
        self.account = (
            *(corpus, omitted, self.dropped),
            tuple(entries[i].id for i in self.irregular),
        )

    def _tables(self) -> Iterator[NDArray[np.int32]]:
        assert self._file is not None
        self._file.seek(0)
        for length in self.lengths:
            data = self._file.read(length * self._n_columns * np.dtype(np.int32).itemsize)
            yield np.frombuffer(data, np.int32).reshape(length, self._n_columns)

    def vocabulary(
        self, entries: Sequence[Entry], min_count: int | None, most_tokens: int | None
    ) -> Vocabulary:
        """The tokens that are not too rare in the training split."""
        language = self.language
        in_train = [entry.split == "train" for entry in entries]
        counts = np.zeros(len(self.ids), np.int64)
        for table, counted in zip(self._tables(), in_train, strict=True):
            if counted:
                counts += np.bincount(table[:, 0], minlength=len(counts))
        if min_count is None:
            min_count = 1 if sum(in_train) < language.small else language.min_count
        return Vocabulary.of_counts(
            dict(zip(self.ids, counts.tolist(), strict=True)),
            min_count=min_count,
            most=language.most_tokens if most_tokens is None else most_tokens,
        )

    def rows(
        self, entries: Sequence[Entry], vocabulary: Vocabulary, progress: Progress | None
    ) -> Iterator[TokenRow]:
        """The tunes as rows of a token set."""
        final = np.array(vocabulary.encode(self.ids))
        tunes = zip(entries, self._tables(), self.units, strict=True)
        for done, (entry, table, notes) in enumerate(tunes, 1):
            if len(table):
                yield entry.split, entry.id, final[table[:, 0]], table[:, 1:], notes
            if progress is not None and (done % 100 == 0 or done == len(entries)):
                progress("writing tokens", done, len(entries))
