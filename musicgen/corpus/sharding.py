"""Prepare a corpus in shards: which files each one has, and how it is read.

    job = Job.of(["tunes/"], None)
    write_shard(job.task(3, 16), Path("parts"))

Shard k of n has the files from number (k - 1) N // n up to k N // n of all N, so that the shards
in order are the corpus in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path

import numpy as np

from musicgen.corpus.choice import asked_for, choose
from musicgen.corpus.reading import Opened, Progress, ReadingSettings, read_files
from musicgen.corpus.shards import Encoding, Shard, ShardPlan, ShardWriter, folder_of
from musicgen.corpus.sources import CorpusFile, Listing
from musicgen.errors import CorpusError, MusicgenError, ParseError, printable
from musicgen.music.similarity import Melody
from musicgen.music.tune import Tune
from musicgen.system.files import read_bytes
from musicgen.system.temporary import replacing_folder
from musicgen.tokens.language import SEPARATOR, Encoded, Language
from musicgen.tokens.languages import LANGUAGES, text_code
from musicgen.tokens.lookback.features import Lookback

_CODE = ("corpus", "formats", "music", "tokens")  # packages that decide the tokens


@dataclass(frozen=True, kw_only=True)
class ShardTask:
    """One shard to read: what it belongs to, which one it is, and its files in order."""

    plan: ShardPlan
    number: int
    total: int
    files: tuple[CorpusFile, ...] | Listing

    @property
    def content(self) -> str:
        """A digest of the names and sizes of the files."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.label}\0{file.size}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()


@dataclass(frozen=True)
class Job:
    """A corpus to read: its files and its plan. Files that the choice of the token language left
    open are in `opened`."""

    files: Listing
    plan: ShardPlan
    opened: Opened = field(default_factory=dict)

    @staticmethod
    def of(names: Sequence[str], tokenizer: str | None, *, workers: int = 1) -> Job:
        """List the files of a corpus, and choose a token language unless one is given.

        Raises:
            ConfigError: there is no such language.
            CorpusError: the corpus cannot be found.
        """
        choice, opened = None if tokenizer is None else asked_for(tokenizer), Opened()
        files = Listing(names, texts=text_code(tokenizer or "") is not None)
        choice = choice or choose(files, workers=workers, opened=opened)
        plan = ShardPlan(
            corpus=tuple(names),
            files=files.digest,
            n_files=len(files),
            tokenizer=choice.name,
            reason=choice.reason,
            in_pieces=False,
            musicgen=code_version(),
        )
        return Job(files, plan, opened)

    def in_pieces(self) -> Job:
        """The same, with the texts cut."""
        return Job(self.files, replace(self.plan, in_pieces=True))

    def whole(self) -> ShardTask:
        """The corpus as one shard."""
        return ShardTask(plan=self.plan, number=1, total=1, files=self.files)

    def task(self, number: int, total: int) -> ShardTask:
        """Shard `number`, from 1, of `total`.

        Raises:
            CorpusError: there is no such shard.
        """
        if not 1 <= number <= total:
            raise CorpusError(f"--shard {number}/{total}: shards are numbered from 1 to {total}")
        first, end = ((k * len(self.files)) // total for k in (number - 1, number))
        files = tuple(islice(self.files, first, end))
        return ShardTask(plan=self.plan, number=number, total=total, files=files)

    def tasks(self, total: int) -> Iterator[ShardTask]:
        """All shards in order, for processes elsewhere; the files are listed once."""
        files, first = iter(self.files), 0
        for number in range(1, total + 1):
            end = number * len(self.files) // total
            own = tuple(
                file if file.url else file._replace(path=file.path.absolute())
                for file in islice(files, end - first)
            )
            yield ShardTask(plan=self.plan, number=number, total=total, files=own)
            first = end


def write_shard(
    task: ShardTask,
    parts: Path,
    *,
    workers: int = 1,
    opened: Opened | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> bool:
    """Read and encode the files of a shard, into its folder in `parts`; whether that was to be
    done: a complete shard of the same files stays, unless `force`.

    Raises:
        CorpusError: the folder holds a shard of something else and `force` is False.
        MusicgenError: another process writes the same shard.
        OSError: it cannot be written; see `writing_to`.
    """
    folder = folder_of(parts, task.number, task.total)
    if not force and _is_complete(folder, task):
        return False
    with replacing_folder(folder) as new:
        writer = ShardWriter(new)
        settings = reading_of(task.plan)
        files = read_files(task.files, settings, workers=workers, opened=opened or {})
        for done, (tunes, omitted) in enumerate(files, 1):
            for tune in tunes:
                writer.append(tune)
            for left_out in omitted:
                writer.reject(left_out)
            if progress is not None:
                progress("reading files", done, len(task.files))
        writer.finish(task.plan, task.number, task.total, task.content)
    return True


@contextmanager
def writing_to(parts: Path) -> Iterator[None]:
    """Explain what the system says when a shard cannot be written.

    Raises:
        CorpusError: it cannot.
    """
    try:
        yield
    except OSError as error:
        raise CorpusError(
            f"{printable(str(parts))}: a shard cannot be written ({error.strerror}); make room, or "
            "choose another folder"
        ) from error


def _is_complete(folder: Path, task: ShardTask) -> bool:
    """Whether a folder holds this shard, whole; a damaged one is made anew.

    Raises:
        CorpusError: it holds something else.
    """
    if not folder.exists():
        return False
    try:
        shard = Shard(folder)
        shard.require_whole()
    except MusicgenError:
        return False
    if shard.plan != task.plan:
        raise CorpusError(
            f"{printable(str(folder))}: holds a shard of another corpus, or made with other "
            "settings or another musicgen; use --force to overwrite, or choose another --out"
        )
    return shard.content == task.content


def reading_of(plan: ShardPlan) -> ReadingSettings:
    """How the files of a plan are read."""
    language = LANGUAGES[plan.tokenizer]
    return ReadingSettings(
        extract=partial(_encode, plan.tokenizer),
        all_voices=language.all_voices,
        extract_text=partial(_encode_text, plan.tokenizer) if language.text else None,
        in_pieces=plan.in_pieces,
    )


# By the name of a language, whose functions cannot all be sent to another process.
def _encode(name: str, tune: Tune) -> Encoding:
    language = LANGUAGES[name]
    encoded = language.encode(tune)
    melody = Melody.of(tune, place="")
    return encoded if isinstance(encoded, str) else with_lookback(encoded, language), melody


def _encode_text(name: str, text: str, tune: Tune | None) -> Encoding:
    language = LANGUAGES[name]
    melody = Melody.of(tune or Tune(), place="")
    return with_lookback(language.encode_text(text), language), melody


def with_lookback(encoded: Encoded, language: Language) -> Encoded:
    """The same with the lookback columns, whose predictions are numbers of the tune's
    `own_vocabulary`."""
    tokens = encoded.tokens.split(SEPARATOR)
    lookback = Lookback.newest(language.feature_sizes, ())
    own = lookback.own_vocabulary(tokens)
    numbers = {token: number for number, token in enumerate(own)}
    ids = np.array([numbers[token] for token in tokens], np.uint16)
    columns = replace(lookback, vocabulary=own).features(ids, encoded.features)
    return encoded._replace(features=np.hstack([encoded.features, columns]))


@cache
def code_version() -> str:
    """A digest of the code that decides the tokens, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in code_files():
        digest.update(f"\n{path.name}\n".encode())
        try:
            digest.update(hashlib.sha256(read_bytes(path)).digest())
        except ParseError:
            digest.update(b"unreadable")
    return digest.hexdigest()[:16]


def code_files() -> list[Path]:
    """The modules that decide the tokens."""
    package = Path(__file__).parents[1]
    return sorted(path for part in _CODE for path in (package / part).rglob("*.py"))
