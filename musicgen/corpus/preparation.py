"""A corpus made ready for training: tokens, grammar features and splits, with what was left out.

    prepare(["celtic"]).tokens                        # in memory
    prepare(["my_tunes/"], folder="tokens").tokens    # on disk, memory-mapped

Either way every file is read once: a tune becomes a table of integers where it is read, and the
tables wait in a temporary file until families, splits and the vocabulary are known.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from musicgen import corpus as corpora
from musicgen import formats
from musicgen.config import unknown
from musicgen.corpus import Corpus, Entry, Omitted, Progress, find_files
from musicgen.corpus.tokenset import TokenRow, TokenSet, build_tokenset, require_replaceable
from musicgen.errors import ConfigError, CorpusError, MusicgenError
from musicgen.music.similarity import FILE_NAME, Collector, Melody, NoveltyIndex
from musicgen.music.tune import Tune
from musicgen.tokens import melody, remi
from musicgen.tokens.languages import LANGUAGES, SEPARATOR, Encoded, Language
from musicgen.tokens.remi.pieces import is_polyphonic
from musicgen.tokens.vocabulary import UNKNOWN, Vocabulary

_FILES_LOOKED_AT = 60
_TUNES_OF_A_FILE = 20

# Tokens that occur more rarely in the training split are read as unknown.
MIN_COUNT = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """A key of `LANGUAGES`, and why that one."""

    name: str
    reason: str


def choose(sources: Sequence[str], asked: str | None = None) -> Choice:
    """The language that is `asked` for, or else the one that fits a corpus: `remi` where at least
    half of its tunes have several voices or chords. A sample is looked at, from all over it.

    Raises:
        ConfigError: there is no such language.
        CorpusError: the corpus cannot be found.
    """
    if asked is not None:
        if asked not in LANGUAGES:
            raise ConfigError(unknown(asked, asked, LANGUAGES, kind="tokenizer"))
        return Choice(asked, "asked for")
    several = [is_polyphonic(tune) for tune in _sample(sources)]
    n = sum(several)
    if several and 2 * n >= len(several):
        return Choice(remi.NAME, f"{n} of {len(several)} tunes looked at have voices or chords")
    single = f"{len(several) - n} of {len(several)} tunes looked at are single lines"
    return Choice(melody.NAME, single)


def _sample(sources: Sequence[str]) -> Iterable[Tune]:
    files = find_files(sources)
    for file in files[:: -(-len(files) // _FILES_LOOKED_AT)]:
        try:
            for tune in islice(formats.scan_each(file.path, all_voices=True), _TUNES_OF_A_FILE):
                if isinstance(tune, Tune):
                    yield tune
        except MusicgenError:
            continue  # the full reading will list it with its reason


@dataclass(frozen=True, slots=True)
class Examined:
    """A corpus, tune by tune. `omitted` are tunes that its tokens cannot say, with the reason;
    `dropped` counts what would be left out of the others (ornaments, text); `irregular` are the
    ids of tunes that are kept although their bars or repeats do not add up; `choice` says in which
    language all that is meant."""

    corpus: Corpus
    omitted: tuple[Omitted, ...]
    dropped: Counter[str]
    irregular: tuple[str, ...]
    choice: Choice

    @property
    def language(self) -> Language:
        """The token language that was chosen."""
        return LANGUAGES[self.choice.name]


@dataclass(frozen=True, slots=True)
class Prepared(Examined):
    """A corpus, its tokens, and the index that says how close a tune comes to any of its tunes,
    those of all splits and those that are no melodies for tokens included."""

    tokens: TokenSet
    novelty: NoveltyIndex


def _names(sources: str | Path | Sequence[str | Path]) -> list[str]:
    several = [sources] if isinstance(sources, str | Path) else sources
    return [str(name) for name in several]


def examine(
    sources: str | Path | Sequence[str | Path],
    *,
    workers: int = 1,
    progress: Progress | None = None,
    tokenizer: str | None = None,
) -> Examined:
    """Read a corpus (see `corpus.load`) and see what of it can be learned, in the language of
    `tokenizer` or the one that fits it (see `choose`).

    Raises:
        CorpusError: nothing can be read.
    """
    names = _names(sources)
    choice = choose(names, tokenizer)
    language = LANGUAGES[choice.name]
    waiting = _Waiting(None, language)
    corpus = corpora.load(
        names,
        workers=workers,
        extract=language.encode,
        all_voices=language.all_voices,
        extract_text=language.encode_text and partial(_encode_text, language),
        keep=waiting.append,
        progress=progress,
    )
    return Examined(*waiting.account(corpus), choice)


def prepare(
    sources: str | Path | Sequence[str | Path],
    *,
    folder: str | Path | None = None,
    val: float = 0.1,
    test: float = 0.1,
    workers: int = 1,
    progress: Progress | None = None,
    tokenizer: str | None = None,
    vocabulary: Vocabulary | None = None,
) -> Prepared:
    """Read a corpus (see `corpus.load`) and encode every tune of it, with `tokenizer` or the one
    that fits it (see `choose`).

    The vocabulary is that of the training split alone, or the one given, whose model then can be
    trained on; tokens that are not in it are unknown. With a `folder` the token files are
    written there and stay on disk, and the index beside them; it may hold older token files,
    which are replaced.

    Raises:
        CorpusError: nothing can be read or encoded, or the folder cannot be written.
    """
    if folder is not None:
        require_replaceable(folder)
    names = _names(sources)
    choice = choose(names, tokenizer)
    language = LANGUAGES[choice.name]
    with tempfile.TemporaryFile() as file:
        waiting, melodies = _Waiting(file, language), Collector()

        def keep(extracted: tuple[Encoded | str, Melody]) -> None:
            waiting.append(extracted[0])
            melodies.append(extracted[1])

        corpus = corpora.load(
            names,
            val=val,
            test=test,
            workers=workers,
            extract=partial(_encode_and_index, language),
            all_voices=language.all_voices,
            extract_text=language.encode_text and partial(_encode_text_and_index, language),
            keep=keep,
            progress=progress,
        )
        account = waiting.account(corpus)
        if not any(waiting.lengths):
            first = account[1][0]
            raise CorpusError(
                f"no tune of the corpus is a {language.what} (first: {first.id}: {first.reason})"
            )
        spoken = vocabulary or waiting.vocabulary(
            [entry.split == "train" for entry in corpus.entries]
        )
        tokens = build_tokenset(
            waiting.rows(corpus.entries, spoken, progress),
            vocab=spoken.tokens,
            feature_sizes=language.feature_sizes,
            tokenizer=language.name,
            n_header=language.n_header,
            unit=language.unit,
            folder=folder,
        )
    index = melodies.index([entry.id for entry in corpus.entries])
    if folder is not None:
        index.save(Path(folder) / FILE_NAME)
    return Prepared(*account, choice, tokens, index)


def index_corpus(
    sources: str | Path | Sequence[str | Path],
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> NoveltyIndex:
    """The index alone of a corpus (see `corpus.load`).

    Raises:
        CorpusError: nothing can be read.
    """
    melodies = Collector()
    corpus = corpora.load(
        sources, workers=workers, extract=_index, keep=melodies.append, progress=progress
    )
    return melodies.index([entry.id for entry in corpus.entries])


def _encode_and_index(language: Language, tune: Tune) -> tuple[Encoded | str, Melody]:
    return language.encode(tune), _index(tune)


def _encode_text(language: Language, text: str, _tune: Tune | None) -> Encoded:
    assert language.encode_text is not None
    return language.encode_text(text)


def _encode_text_and_index(
    language: Language, text: str, tune: Tune | None
) -> tuple[Encoded, Melody]:
    return _encode_text(language, text, tune), _index(tune or Tune())


def _index(tune: Tune) -> Melody:
    return Melody.of(tune, place="")


class _Waiting:
    """Encoded tunes in a file, as tables (T, 1 + F) of int32: a preliminary id, numbered as tokens
    are met, and the features. The rest of what is known of them is in memory. Without a file the
    tables are thrown away."""

    def __init__(self, file: IO[bytes] | None, language: Language) -> None:
        self._language = language
        self._n_columns = 1 + len(language.feature_sizes)
        self.ids: dict[str, int] = {}
        self.lengths, self.units = array("I"), array("I")
        self.refused: list[tuple[int, str]] = []
        self.irregular: list[int] = []
        self.dropped: Counter[str] = Counter()
        self._file = file

    def append(self, encoded: Encoded | str) -> None:
        """Take the next entry's tune."""
        number = len(self.lengths)
        if isinstance(encoded, str):
            self.refused.append((number, encoded))
            self.lengths.append(0)
            self.units.append(0)
            return
        ids = [self.ids.setdefault(t, len(self.ids)) for t in encoded.tokens.split(SEPARATOR)]
        if self._file is not None:
            table = np.column_stack([ids, encoded.features]).astype(np.int32)
            self._file.write(table.tobytes())
        self.lengths.append(len(ids))
        self.units.append(encoded.units)
        self.dropped += encoded.dropped
        if encoded.irregular:
            self.irregular.append(number)

    def account(
        self, corpus: Corpus
    ) -> tuple[Corpus, tuple[Omitted, ...], Counter[str], tuple[str, ...]]:
        """The first fields of `Examined`."""
        entries = corpus.entries
        omitted = (
            Omitted(entries[i].id, entries[i].facts.title, reason) for i, reason in self.refused
        )
        irregular = (entries[i].id for i in self.irregular)
        return corpus, tuple(omitted), self.dropped, tuple(irregular)

    def _tables(self) -> Iterator[NDArray[np.int32]]:
        assert self._file is not None
        self._file.seek(0)
        for length in self.lengths:
            data = self._file.read(length * self._n_columns * np.dtype(np.int32).itemsize)
            yield np.frombuffer(data, np.int32).reshape(length, self._n_columns)

    def vocabulary(self, in_train: Sequence[bool]) -> Vocabulary:
        """The tokens that are not too rare in the training split."""
        counts = np.zeros(len(self.ids), np.int64)
        for table, counted in zip(self._tables(), in_train, strict=True):
            if counted:
                counts += np.bincount(table[:, 0], minlength=len(counts))
        of_token = dict(zip(self.ids, counts.tolist(), strict=True))
        small = sum(in_train) < self._language.small
        return Vocabulary.of_counts(of_token, min_count=1 if small else MIN_COUNT)

    def rows(
        self, entries: Sequence[Entry], vocabulary: Vocabulary, progress: Progress | None
    ) -> Iterator[TokenRow]:
        """The tunes as a token set takes them."""
        unknown = vocabulary.ids[UNKNOWN]
        final = np.array([vocabulary.ids.get(token, unknown) for token in self.ids])
        known = zip(entries, self._tables(), self.units, strict=True)
        for done, (entry, table, notes) in enumerate(known, 1):
            if len(table):
                yield entry.split, entry.id, final[table[:, 0]], table[:, 1:], notes
            if progress is not None and (done % 100 == 0 or done == len(entries)):
                progress("writing tokens", done, len(entries))
