"""Where the shards of a corpus come from: a folder that has them, processes here, an executor."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from musicgen.corpus.loading import TEST, VAL, require_shares
from musicgen.corpus.merging import Merge
from musicgen.corpus.reading import Progress
from musicgen.corpus.sharding import Job, ShardTask, code_version, write_shard, writing_to
from musicgen.corpus.shards import Shard, find_shards, folder_of
from musicgen.corpus.texts import FEWEST_CHARACTERS
from musicgen.errors import CorpusError, printable
from musicgen.system.executors import run_in_order
from musicgen.system.temporary import needing_room, temporary_folder

if TYPE_CHECKING:
    from concurrent.futures import Executor

_BYTES_A_SHARD = 16 << 20  # of files, for an executor
_FEWEST_SHARDS, _MOST_SHARDS = 16, 4096


@dataclass(frozen=True)
class ShardSource:
    """Where the shards of a corpus come from: `shards` that are there, or its files, read by
    `workers` processes or an `executor`; `beside` is the folder for what is temporary."""

    names: list[str]
    tokenizer: str | None
    val: float = VAL
    test: float = TEST
    workers: int = 1
    executor: Executor | None = None
    n_shards: int | None = None
    progress: Progress | None = None
    beside: Path | None = None
    shards: list[Shard] | None = None
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def merged(self) -> Iterator[Merge]:
        """The corpus. A text without a document for every split is read again, in pieces.

        Raises:
            CorpusError: nothing can be read, or there is too little text.
        """
        require_shares(val=self.val, test=self.test)
        place = self.beside or Path(tempfile.gettempdir())
        with needing_room("the encoded tunes", self.beside), temporary_folder(place) as temporary:
            job = None
            shards = self.shards
            if shards is None:
                job = Job.of(self.names, self.tokenizer, workers=self.workers)
                shards = self._read(job, temporary / "documents")
            merge = self._merge(shards, temporary)
            if merge.language.text and not merge.plan.in_pieces and self._lacks_split(merge):
                job = job or Job.of(self.names, self.tokenizer, workers=self.workers)
                shards = self._read(job.in_pieces(), temporary / "pieces")
                merge = self._merge(shards, temporary)
                merge.notices += (_pieces_notice(self.names, merge.counts["tunes"]),)
            yield merge

    def _merge(self, shards: list[Shard], temporary: Path) -> Merge:
        return Merge(shards, temporary, val=self.val, test=self.test, progress=self.progress)

    def _lacks_split(self, merge: Merge) -> bool:
        """Whether there is no text for a split; of tunes two are enough, to train and validate."""
        missing = {"val": self.val, "test": self.test}.keys() - set(merge.splits)
        missing -= {name for name in missing if getattr(self, name) == 0}
        return "val" in missing or ("test" in missing and not merge.has_tunes())

    def _read(self, job: Job, parts: Path) -> list[Shard]:
        parts.mkdir()
        if self.executor is None:
            write_shard(
                job.whole(),
                parts,
                workers=self.workers,
                opened=job.opened,
                progress=self.progress,
            )
            return [Shard(folder_of(parts, 1, 1))]
        total = self.n_shards or _n_shards(job)
        tasks = job.tasks(total)
        work = partial(_write_there, parts=parts.absolute())
        done = run_in_order(self.executor, work, tasks, failed=self._note_failure)
        for number, _ in enumerate(done, 1):
            if self.progress is not None:
                self.progress("reading shards", number, total)
        return find_shards(parts)

    def _note_failure(self, task: ShardTask, reason: str) -> None:
        self.failures.append(f"shard {task.number}/{task.total} was read again: {reason}")


def _n_shards(job: Job) -> int:
    """How many shards an executor gets: of some megabytes, but enough for many workers."""
    by_size = sum(file.size for file in job.files) // _BYTES_A_SHARD
    return min(len(job.files), _MOST_SHARDS, max(_FEWEST_SHARDS, by_size))


def _write_there(task: ShardTask, parts: Path) -> None:
    """Write a shard where an executor runs this.

    Raises:
        CorpusError: another musicgen is installed there, or the folder is not there.
    """
    if code_version() != task.plan.musicgen:
        raise CorpusError(
            f"a worker has another musicgen ({code_version()}, not {task.plan.musicgen}); install "
            "the same one everywhere"
        )
    if not parts.is_dir():
        raise CorpusError(
            f"{printable(str(parts))}: a worker has no such folder; choose an --out on a disk that "
            "all workers share"
        )
    with writing_to(parts):
        write_shard(task, parts)


def _pieces_notice(names: Sequence[str], n_pieces: int) -> str:
    """What to know about a text that was cut.

    Raises:
        CorpusError: there is too little of it.
    """
    if n_pieces < FEWEST_CHARACTERS:
        raise CorpusError(
            f"{', '.join(names)}: {n_pieces} character is too little to train on; give "
            f"{FEWEST_CHARACTERS} or more"
        )
    return (
        f"too little text, or too much alike: it is cut into {n_pieces} pieces, and those to "
        "validate with may be like those to train on"
    )
