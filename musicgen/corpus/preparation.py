"""A corpus prepared for training: tokens, grammar features and splits, and the omitted tunes.

    prepare(["celtic"]).tokens                        # in memory
    prepare(["my_tunes/"], folder="tokens").tokens    # on disk, memory-mapped
    prepare_folder(["my_tunes/"], "tokens")           # on disk, and nothing in memory
    prepare_shard(["my_tunes/"], 3, 16, "parts")      # a part of it, anywhere
    merge("parts", "tokens")                          # the same bytes as `prepare_folder`

Every file is read once: a tune becomes arrays of integers where it is read, and they wait in shards
(`corpus.shards`) until families, splits and the vocabulary are known (`corpus.merging`).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from musicgen.corpus.account import Account
from musicgen.corpus.choice import Choice
from musicgen.corpus.loading import TEST, VAL, Corpus, load, names_of
from musicgen.corpus.merging import Merge
from musicgen.corpus.reading import Omitted, Progress
from musicgen.corpus.shard_source import ShardSource
from musicgen.corpus.sharding import Job, write_shard, writing_to
from musicgen.corpus.shards import Shard, find_shards, folder_of
from musicgen.corpus.tokenset import TokenSet, replacing, require_replaceable, write_tokenset
from musicgen.errors import ConfigError, CorpusError, printable
from musicgen.music.similarity import FILE_NAME, Collector, Melody, NoveltyIndex
from musicgen.music.tune import Tune
from musicgen.system.files import make_folder
from musicgen.system.temporary import temporary_folder
from musicgen.tokens.language import Language
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    from concurrent.futures import Executor


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
    outcome: Account

    def summary(self) -> list[str]:
        """See `Account.summary`."""
        return self.outcome.summary()

    def about(self) -> str:
        """See `Account.about`."""
        return self.outcome.about()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """Which tokens are kept; see `prepare`.

    Raises:
        ConfigError: a limit is less than 1, or given beside a vocabulary.
    """

    vocabulary: Vocabulary | None
    min_count: int | None
    most_tokens: int | None
    every_token: bool = False

    def __post_init__(self) -> None:
        limits = {"min_count": self.min_count, "most_tokens": self.most_tokens}
        for name, value in limits.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name}: {value} is not at least 1")
            if value is not None and self.vocabulary is not None:
                raise ConfigError(f"{name}: the model to start from has its vocabulary; drop it")


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
    source = ShardSource(names_of(sources), tokenizer, workers=workers, progress=progress)
    with source.merged() as merge:
        return Examined(*merge.account(), _choice_of(merge))


def prepare(
    sources: str | Path | Sequence[str | Path],
    *,
    folder: str | Path | None = None,
    val: float = VAL,
    test: float = TEST,
    workers: int = 1,
    executor: Executor | None = None,
    shards: int | None = None,
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
    are replaced. With an `executor` (anything like `concurrent.futures.Executor`) its workers read
    the corpus in `shards` parts and write them beside the folder, on a disk that all share; the
    result is the same.

    Raises:
        CorpusError: nothing can be read or encoded, or the folder cannot be written.
        ConfigError: `min_count` or `most_tokens` is less than 1, or of a given vocabulary.
    """
    chosen = _Tokens(
        vocabulary=vocabulary, min_count=min_count, most_tokens=most_tokens, every_token=every_token
    )
    source = ShardSource(
        names_of(sources),
        tokenizer,
        val=val,
        test=test,
        workers=workers,
        executor=executor,
        n_shards=shards,
        progress=progress,
        beside=None if folder is None else _checked(folder),
    )
    with source.merged() as merge:
        with _new_folder(folder) as new:
            _write(merge, new, chosen)
            novelty = NoveltyIndex.load(new / FILE_NAME)
            in_memory = TokenSet.load(new).in_memory() if folder is None else None
        tokens = in_memory or TokenSet.load(Path(str(folder)))
        outcome = Account.of(merge, len(tokens.vocab), source.failures)
        return Prepared(*merge.account(), _choice_of(merge), tokens, novelty, outcome)


def prepare_folder(
    sources: str | Path | Sequence[str | Path],
    folder: str | Path,
    *,
    val: float = VAL,
    test: float = TEST,
    workers: int = 1,
    executor: Executor | None = None,
    shards: int | None = None,
    progress: Progress | None = None,
    tokenizer: str | None = None,
    vocabulary: Vocabulary | None = None,
    min_count: int | None = None,
    most_tokens: int | None = None,
) -> Account:
    """`prepare` to a folder, for any number of tunes: their list, tokens and index stay on disk."""
    chosen = _Tokens(vocabulary=vocabulary, min_count=min_count, most_tokens=most_tokens)
    source = ShardSource(
        names_of(sources),
        tokenizer,
        val=val,
        test=test,
        workers=workers,
        executor=executor,
        n_shards=shards,
        progress=progress,
        beside=_checked(folder),
    )
    with source.merged() as merge:
        return _write_folder(merge, folder, chosen, source.failures)


def prepare_shard(
    sources: str | Path | Sequence[str | Path],
    number: int,
    total: int,
    parts: str | Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    tokenizer: str | None = None,
    force: bool = False,
) -> tuple[Shard, bool]:
    """Read shard `number`, from 1, of `total` of a corpus, into a folder of its own in `parts`, and
    whether there was anything to do: one that is complete stays, unless `force`.

    Raises:
        CorpusError: the corpus cannot be found, or the folder is one of something else.
        MusicgenError: another process writes the same shard.
    """
    job = Job.of(names_of(sources), tokenizer, workers=workers)
    task = job.task(number, total)
    make_folder(parts)
    with writing_to(Path(parts)):
        written = write_shard(
            task,
            Path(parts),
            workers=workers,
            opened={file: job.opened[file] for file in task.files if file in job.opened},
            progress=progress,
            force=force,
        )
    return Shard(folder_of(Path(parts), number, total)), written


def merge(
    parts: str | Path,
    folder: str | Path,
    *,
    val: float = VAL,
    test: float = TEST,
    progress: Progress | None = None,
    tokenizer: str | None = None,
    vocabulary: Vocabulary | None = None,
    min_count: int | None = None,
    most_tokens: int | None = None,
) -> Account:
    """The token files of a corpus from its shards, those that `prepare_folder` writes. `tokenizer`
    is the language that they have to have.

    Raises:
        CorpusError: a shard is missing, damaged or of something else, or the folder cannot be
            written.
    """
    chosen = _Tokens(vocabulary=vocabulary, min_count=min_count, most_tokens=most_tokens)
    beside = _checked(folder)
    shards = find_shards(Path(parts))
    plan = shards[0].plan
    if tokenizer not in (None, plan.tokenizer):
        raise CorpusError(
            f"{printable(str(parts))}: these shards are of {plan.tokenizer} tokens, not {tokenizer}"
        )
    source = ShardSource(
        list(plan.corpus),
        plan.tokenizer,
        val=val,
        test=test,
        progress=progress,
        beside=beside,
        shards=shards,
    )
    with source.merged() as merged:
        return _write_folder(merged, folder, chosen, source.failures)


def _checked(folder: str | Path) -> Path:
    """The folder that a token folder is to be made in.

    Raises:
        CorpusError: there is something else in its place.
    """
    require_replaceable(folder)
    parent = Path(folder).absolute().parent
    make_folder(parent)
    return parent


@contextmanager
def _new_folder(folder: str | Path | None) -> Iterator[Path]:
    """A new folder, to take the place of one or, without one, to be deleted."""
    place = (
        temporary_folder(Path(tempfile.gettempdir())) if folder is None else replacing(Path(folder))
    )
    with place as new:
        yield new


def _write_folder(
    merge: Merge, folder: str | Path, chosen: _Tokens, failures: Sequence[str]
) -> Account:
    with _new_folder(folder) as new:
        n_tokens = _write(merge, new, chosen)
    return Account.of(merge, n_tokens, failures)


def _write(merge: Merge, new: Path, chosen: _Tokens) -> int:
    """Write token files and index; the size of the vocabulary."""
    language = merge.language
    if merge.counts["omitted"] == merge.counts["tunes"]:
        first = merge.first_omitted()
        why = f" (first: {first.id}: {first.reason})" if first else ""
        raise CorpusError(f"no tune of the corpus is a {language.what}{why}")
    vocabulary = chosen.vocabulary or merge.vocabulary(
        min_count=chosen.min_count,
        most_tokens=chosen.most_tokens,
        every_token=chosen.every_token,
    )
    header = TokenSet(
        vocabulary.tokens,
        language.feature_sizes,
        language.name,
        "",
        {},
        language.n_header,
        language.unit,
    )
    write_tokenset(merge.rows(vocabulary), header, new)
    merge.write_index(new / FILE_NAME)
    return len(vocabulary)


def _choice_of(merge: Merge) -> Choice:
    return Choice(merge.plan.tokenizer, merge.plan.reason)


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


def _index(tune: Tune) -> Melody:
    return Melody.of(tune, place="")
