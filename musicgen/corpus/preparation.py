"""A corpus prepared for training: tokens, grammar features and splits, and the omitted tunes.

    prepare(["celtic"]).tokens                        # in memory
    prepare(["my_tunes/"], folder="tokens").tokens    # on disk, memory-mapped

Every file is read once: a tune becomes a table of integers where it is read, and the tables wait
in a temporary file until families, splits and the vocabulary are known.
"""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from musicgen import formats
from musicgen.config import unknown
from musicgen.corpus.loading import Corpus, Entry, Omitted, Opened, Progress, load, names_of
from musicgen.corpus.sources import CORPORA, find_files
from musicgen.corpus.tokenset import TokenRow, TokenSet, build_tokenset, require_replaceable
from musicgen.errors import ConfigError, CorpusError, MusicgenError, printable
from musicgen.music.similarity import FILE_NAME, Collector, Melody, NoveltyIndex
from musicgen.music.tune import Rejected, Tune
from musicgen.tokens import melody, remi
from musicgen.tokens.language import SEPARATOR, Encoded, Language
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.remi.pieces import is_polyphonic
from musicgen.tokens.vocabulary import Vocabulary

MOST_LISTED = 500  # unreadable tunes in a summary
_SAMPLED_FILES = 60
_SAMPLED_TUNES = 20  # of a file
_MAX_OPENED = 16 << 20  # bytes of files that stay open after the sample

# Tokens that occur more rarely in the training split are read as unknown.
MIN_COUNT = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """A key of `LANGUAGES`, and the reason for it."""

    name: str
    reason: str


def choose(
    sources: Sequence[str],
    tokenizer: str | None = None,
    *,
    workers: int = 1,
    opened: Opened | None = None,
) -> Choice:
    """The language `tokenizer`, or else the one that fits a corpus: `remi` if at least half of the
    tunes in a sample from the whole corpus have several voices or chords.

    Files that the sample leaves open for `load` are put into `opened`: those without more tunes,
    and while `workers` is 1 also longer ones. Reading them on gives the same tunes.

    Raises:
        ConfigError: there is no such language.
        CorpusError: the corpus cannot be found.
    """
    if tokenizer is not None:
        if tokenizer not in LANGUAGES:
            raise ConfigError(unknown(tokenizer, tokenizer, LANGUAGES, kind="tokenizer"))
        return Choice(tokenizer, "asked for")
    opened = {} if opened is None else opened
    polyphonic = [is_polyphonic(tune) for tune in _sample(sources, workers, opened)]
    n = sum(polyphonic)
    if polyphonic and 2 * n >= len(polyphonic):
        return Choice(remi.NAME, f"{n} of {len(polyphonic)} tunes looked at have voices or chords")
    for file in [f for f in opened if "voices" in formats.reading_options(f.path.suffix)]:
        del opened[file]  # it was read with all voices
    return Choice(
        melody.NAME, f"{len(polyphonic) - n} of {len(polyphonic)} tunes looked at are single lines"
    )


def _sample(sources: Sequence[str], workers: int, opened: Opened) -> Iterator[Tune]:
    """The first tunes of files from the whole corpus, evenly spaced."""
    files = find_files(sources)
    n_opened = 0  # bytes of the files left open
    for file in files[:: -(-len(files) // _SAMPLED_FILES)]:
        first: list[Tune | Rejected] = []
        try:
            tunes = formats.scan_each(file.path, all_voices=True, **file.options)
            first += islice(tunes, _SAMPLED_TUNES)
            size = n_opened + file.path.stat().st_size
            if len(first) < _SAMPLED_TUNES or (workers <= 1 and size <= _MAX_OPENED):
                opened[file], n_opened = chain(first, tunes), size
        except MusicgenError:
            pass  # `load` reads it again and lists it with the reason
        yield from (tune for tune in first if isinstance(tune, Tune))


@dataclass(frozen=True, slots=True)
class Examined:
    """A corpus, tune by tune. `omitted` are tunes that tokens cannot represent, with the reason;
    `dropped` counts what the tokens of the others leave out (ornaments, text); `irregular` are the
    ids of tunes that are kept although their bars or repeats do not add up; `choice` names the
    token language."""

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
    """A corpus, its tokens, and the novelty index of all its tunes: those of every split, and those
    that tokens cannot represent."""

    tokens: TokenSet
    novelty: NoveltyIndex

    def summary(self) -> list[str]:
        """Lines for a person: the tokens chosen, notices, what was left out and why, counts."""
        loaded, train = self.corpus, self.tokens.splits["train"]
        lines = [f"{self.choice.name} tokens: {self.choice.reason}"]
        lines += [f"note: {notice}" for notice in loaded.notices]
        lines += [
            f"left out: {printable(omitted.id)}: {omitted.reason}"
            for omitted in loaded.rejected[:MOST_LISTED]
        ]
        if (more := len(loaded.rejected) - MOST_LISTED) > 0:
            lines.append(f"left out: {more} more; musicgen corpus --rejected lists them")
        items = "tunes" if self.tokens.unit == "note" else "tunes or paragraphs"
        lines.append(
            f"{len(loaded.entries)} {items}, {len(loaded.rejected)} unreadable, "
            f"{len(self.omitted)} that are no {self.language.what}, "
            f"{len(loaded.duplicates)} duplicates; {len(train)} to train on with "
            f"{int(train.notes.sum()):,} {self.tokens.unit}s"
        )
        return lines

    def about(self) -> str:
        """Where the music is from and its licences, as Markdown for the model's card."""
        sources = self.corpus.sources
        lines = [f"- {name}: {CORPORA[name].about}" for name in sources if name in CORPORA]
        lines += [f"- {name}" for name in sources if name not in CORPORA]
        return "\n".join([*lines, *(f"- {notice}" for notice in self.corpus.notices)])


def examine(
    sources: str | Path | Sequence[str | Path],
    *,
    workers: int = 1,
    progress: Progress | None = None,
    tokenizer: str | None = None,
) -> Examined:
    """Read a corpus (see `corpus.load`) and find out which of its tunes can be encoded, in the
    language of `tokenizer` or the one that fits it (see `choose`).

    Raises:
        CorpusError: nothing can be read.
    """
    encoded = _read(sources, None, None, tokenizer, workers=workers, progress=progress)
    return Examined(*encoded.account)


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

    The vocabulary is that of the training split alone, or the one given, so that its model can be
    fine-tuned; tokens that are not in it are unknown. With a `folder` the token files are written
    there and stay on disk, and the index beside them; older token files in it are replaced.

    Raises:
        CorpusError: nothing can be read or encoded, or the folder cannot be written.
    """
    if folder is not None:
        require_replaceable(folder)
    melodies = Collector()
    with tempfile.TemporaryFile() as file:
        encoded = _read(
            sources,
            file,
            melodies,
            tokenizer,
            val=val,
            test=test,
            workers=workers,
            progress=progress,
        )
        corpus, omitted, *_ = encoded.account
        language = encoded.language
        if not any(encoded.lengths):
            first = omitted[0]
            raise CorpusError(
                f"no tune of the corpus is a {language.what} (first: {first.id}: {first.reason})"
            )
        vocabulary = vocabulary or encoded.vocabulary([e.split == "train" for e in corpus.entries])
        tokens = build_tokenset(
            encoded.rows(corpus.entries, vocabulary, progress),
            vocab=vocabulary.tokens,
            feature_sizes=language.feature_sizes,
            tokenizer=language.name,
            n_header=language.n_header,
            unit=language.unit,
            folder=folder,
        )
    index = melodies.index([entry.id for entry in corpus.entries])
    if folder is not None:
        index.save(Path(folder) / FILE_NAME)
    return Prepared(*encoded.account, tokens, index)


def _read(
    sources: str | Path | Sequence[str | Path],
    file: IO[bytes] | None,
    melodies: Collector | None,
    tokenizer: str | None,
    *,
    workers: int,
    **reading: Any,
) -> _EncodedTunes:
    """Choose a language, read a corpus and encode its tunes, into `file` and for an index."""
    names, opened = names_of(sources), Opened()
    choice = choose(names, tokenizer, workers=workers, opened=opened)
    language = LANGUAGES[choice.name]
    encoded = _EncodedTunes(file, language)

    def keep(extracted: tuple[Encoded | str, Melody | None]) -> bool:
        encoded.append(extracted[0])
        if melodies is not None and extracted[1] is not None:
            melodies.append(extracted[1])
        return not isinstance(extracted[0], str)

    indexed = melodies is not None
    corpus = load(
        names,
        workers=workers,
        extract=partial(_encode, language, indexed),
        all_voices=language.all_voices,
        extract_text=language.encode_text and partial(_encode_text, language, indexed),
        keep=keep,
        opened=opened,
        **reading,
    )
    encoded.finish(corpus, choice)
    return encoded


def index_corpus(
    sources: str | Path | Sequence[str | Path],
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> NoveltyIndex:
    """The novelty index of a corpus (see `corpus.load`), without its tokens.

    Raises:
        CorpusError: nothing can be read.
    """
    melodies = Collector()
    corpus = load(sources, workers=workers, extract=_index, keep=melodies.append, progress=progress)
    return melodies.index([entry.id for entry in corpus.entries])


def _encode(language: Language, indexed: bool, tune: Tune) -> tuple[Encoded | str, Melody | None]:
    return language.encode(tune), _index(tune) if indexed else None


def _encode_text(
    language: Language, indexed: bool, text: str, tune: Tune | None
) -> tuple[Encoded, Melody | None]:
    assert language.encode_text is not None
    return language.encode_text(text), _index(tune or Tune()) if indexed else None


def _index(tune: Tune) -> Melody:
    return Melody.of(tune, place="")


class _EncodedTunes:
    """Encoded tunes in a file, as tables (T, 1 + F) of int32: a preliminary id, in the order of
    first occurrence, and the features. Lengths and reasons are in memory. Without a file the tables
    are discarded. `account` holds the fields of `Examined`, once the corpus has been read."""

    def __init__(self, file: IO[bytes] | None, language: Language) -> None:
        self.language = language
        self._n_columns = 1 + len(language.feature_sizes)
        self.ids: dict[str, int] = {}
        self.lengths, self.units = array("I"), array("I")
        self.refused: list[tuple[int, str]] = []
        self.irregular: list[int] = []
        self.dropped: Counter[str] = Counter()
        self._file = file

    def append(self, encoded: Encoded | str) -> None:
        """Add the tune of the next entry."""
        number = len(self.lengths)
        if isinstance(encoded, str):
            self.refused.append((number, encoded))
            self.lengths.append(0)
            self.units.append(0)
            return
        ids = [self.ids.setdefault(t, len(self.ids)) for t in encoded.tokens.split(SEPARATOR)]
        if self._file is not None:
            self._file.write(np.column_stack([ids, encoded.features]).astype(np.int32).tobytes())
        self.lengths.append(len(ids))
        self.units.append(encoded.units)
        self.dropped += encoded.dropped
        if encoded.irregular:
            self.irregular.append(number)

    def finish(self, corpus: Corpus, choice: Choice) -> None:
        """Set `account`, after the last tune."""
        entries = corpus.entries
        omitted = tuple(
            Omitted(entries[i].id, entries[i].facts.title, reason) for i, reason in self.refused
        )
        self.account = (
            *(corpus, omitted, self.dropped),
            tuple(entries[i].id for i in self.irregular),
            choice,
        )

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
        small = sum(in_train) < self.language.small
        return Vocabulary.of_counts(
            dict(zip(self.ids, counts.tolist(), strict=True)), min_count=1 if small else MIN_COUNT
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
