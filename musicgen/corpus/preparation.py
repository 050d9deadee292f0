"""A corpus prepared for training: tokens, grammar features and splits, and the omitted tunes.

    prepare(["celtic"]).tokens                        # in memory
    prepare(["my_tunes/"], folder="tokens").tokens    # on disk, memory-mapped

Every file is read once: a tune becomes a table of integers where it is read, and the tables wait
in a temporary file until families, splits and the vocabulary are known.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO

import numpy as np

from musicgen import formats
from musicgen.config import unknown
from musicgen.corpus.encoded_tunes import EncodedTunes
from musicgen.corpus.loading import Corpus, Omitted, Opened, Progress, load, names_of
from musicgen.corpus.sources import CORPORA, find_files
from musicgen.corpus.texts import FEWEST_CHARACTERS
from musicgen.corpus.tokenset import UNK_ID, TokenSet, build_tokenset, require_replaceable
from musicgen.errors import ConfigError, CorpusError, MusicgenError, printable
from musicgen.music.similarity import FILE_NAME, Collector, Melody, NoveltyIndex
from musicgen.music.tune import Rejected, Tune
from musicgen.system.temporary import needing_room
from musicgen.tokens import melody, remi
from musicgen.tokens.language import Encoded, Language
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.remi.pieces import is_polyphonic
from musicgen.tokens.vocabulary import SPECIALS, Vocabulary

MOST_LISTED = 500  # unreadable tunes in a summary
_SAMPLED_FILES = 60
_SAMPLED_TUNES = 20  # of a file
_MAX_OPENED = 16 << 20  # bytes of files that stay open after the sample


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
        items = "tunes or paragraphs" if self.language.text else "tunes"
        lines.append(
            f"{len(loaded.entries)} {items}, {len(loaded.rejected)} unreadable, "
            f"{len(self.omitted)} that are no {self.language.what}, "
            f"{len(loaded.duplicates)} duplicates; {len(train)} to train on with "
            f"{int(train.notes.sum()):,} {self.tokens.unit}s"
        )
        if self.language.text:
            unknown = np.mean(train.ids == UNK_ID)
            n_known = len(self.tokens.vocab) - len(SPECIALS)
            lines.append(
                f"{n_known:,} tokens in the vocabulary; {unknown:.1%} of those to train on are "
                "rarer ones, read as unknown"
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
    encoded, choice = _read(sources, None, tokenizer, workers=workers, progress=progress)
    return Examined(*encoded.account, choice)


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
    min_count: int | None = None,
    most_tokens: int | None = None,
    every_token: bool = False,
) -> Prepared:
    """Read a corpus (see `corpus.load`) and encode every tune of it, with `tokenizer` or the one
    that fits it (see `choose`).

    The vocabulary is that of the training split alone, or the one given, so that its model can be
    fine-tuned; tokens that are not in it are unknown. So are those with fewer than `min_count`
    occurrences and all but the `most_tokens` most frequent ones (default: those of the language).
    With `every_token` it is that of all splits, and no token is unknown. With a `folder` the token
    files are written there and stay on disk, and the index beside them; older token files in it
    are replaced.

    Raises:
        CorpusError: nothing can be read or encoded, or the folder cannot be written.
        ConfigError: `min_count` or `most_tokens` is less than 1, or of a given vocabulary.
        MusicgenError: there is no room for temporary files.
    """
    _check_limits(vocabulary, min_count=min_count, most_tokens=most_tokens)
    if folder is not None:
        require_replaceable(folder)
    with needing_room("the encoded tunes"), tempfile.TemporaryFile() as file:
        splits = {"val": val, "test": test}
        encoded, choice = _read(
            sources, file, tokenizer, **splits, workers=workers, progress=progress
        )
        corpus, omitted, *_ = encoded.account
        language = encoded.language
        if not any(encoded.lengths):
            first = omitted[0]
            raise CorpusError(
                f"no tune of the corpus is a {language.what} (first: {first.id}: {first.reason})"
            )
        if vocabulary is None:
            every = Vocabulary.build([list(encoded.ids)]) if every_token else None
            vocabulary = every or encoded.vocabulary(corpus.entries, min_count, most_tokens)
        assert encoded.melodies is not None
        index = encoded.melodies.index([entry.id for entry in corpus.entries])
        tokens = build_tokenset(
            encoded.rows(corpus.entries, vocabulary, progress),
            vocab=vocabulary.tokens,
            feature_sizes=language.feature_sizes,
            tokenizer=language.name,
            n_header=language.n_header,
            unit=language.unit,
            folder=folder,
            beside={} if folder is None else {FILE_NAME: index.to_bytes()},
        )
    return Prepared(*encoded.account, choice, tokens, index)


def _check_limits(vocabulary: Vocabulary | None, **limits: int | None) -> None:
    """Raise ConfigError unless the limits are at least 1, and none is given beside a vocabulary."""
    for name, value in limits.items():
        if value is not None and value < 1:
            raise ConfigError(f"{name}: {value} is not at least 1")
        if value is not None and vocabulary is not None:
            raise ConfigError(f"{name}: the model to start from has its vocabulary; drop it")


def _read(
    sources: str | Path | Sequence[str | Path],
    file: IO[bytes] | None,
    tokenizer: str | None,
    *,
    val: float = 0.1,
    test: float = 0.1,
    workers: int,
    progress: Progress | None,
) -> tuple[EncodedTunes, Choice]:
    """Choose a language, read a corpus and encode its tunes, with a `file` into it and for an
    index. A text without a document for every split is read again, in pieces."""
    names, opened = names_of(sources), Opened()
    choice = choose(names, tokenizer, workers=workers, opened=opened)
    language = LANGUAGES[choice.name]

    def read(*, in_pieces: bool) -> tuple[EncodedTunes, Corpus]:
        encoded = EncodedTunes(file, language)
        return encoded, load(
            names,
            val=val,
            test=test,
            workers=workers,
            extract=partial(_encode, language.name, encoded.melodies is not None),
            all_voices=language.all_voices,
            extract_text=partial(_encode_text, language.name) if language.text else None,
            in_pieces=in_pieces,
            keep=encoded.append,
            progress=progress,
            opened=opened,
        )

    encoded, corpus = read(in_pieces=False)
    if language.text and _lacks_split(corpus, val=val, test=test):
        encoded, corpus = read(in_pieces=True)
        n_pieces = len(corpus.entries)
        if n_pieces < FEWEST_CHARACTERS:
            raise CorpusError(
                f"{', '.join(names)}: {n_pieces} character is too little to train on; give "
                f"{FEWEST_CHARACTERS} or more"
            )
        notice = f"too little text, or too much alike: it is cut into {n_pieces} pieces, and those "
        notice += "to validate with may be like those to train on"
        corpus = replace(corpus, notices=(*corpus.notices, notice))
    encoded.finish(corpus)
    return encoded, choice


def _lacks_split(corpus: Corpus, *, val: float, test: float) -> bool:
    """Whether there is no text for a split; of tunes two are enough, to train and to validate."""
    has_tunes = any(entry.facts.notes for entry in corpus.entries)
    wanted = {"val": val, "test": 0.0 if has_tunes else test}
    return any(share > 0 and not corpus.split(name) for name, share in wanted.items())


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


# By the name of a language, whose functions cannot all be sent to another process.
def _encode(name: str, indexed: bool, tune: Tune) -> tuple[Encoded | str, Melody | None]:
    return LANGUAGES[name].encode(tune), _index(tune) if indexed else None


def _encode_text(name: str, text: str, tune: Tune | None) -> tuple[Encoded, Melody]:
    return LANGUAGES[name].encode_text(text), _index(tune or Tune())


def _index(tune: Tune) -> Melody:
    return Melody.of(tune, place="")
