"""Prepared corpora in the user's cache folder, so that each is parsed once.

An entry is named by a digest of the content of the corpus files, the options and the code that
parses and tokenizes; it holds the token files, the novelty index and the summary for a person.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_dir

from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import CorpusError, MusicgenError
from musicgen.music.similarity import FILE_NAME, NoveltyIndex
from musicgen.system.files import read_bytes, write_bytes
from musicgen.system.json_content import JsonContent
from musicgen.system.temporary import locked, replacing_folder

if TYPE_CHECKING:
    from musicgen.corpus.reading import Progress

VARIABLE = "MUSICGEN_CACHE"
_DATA, _TOKENS, _SUMMARY = "data", "tokens", "summary.json"


@dataclass(frozen=True, slots=True)
class CachedCorpus:
    """Token files on disk; `about` is Markdown for a model's card, `summary` lines for a person,
    `novelty` the index of all tunes."""

    folder: Path
    tokens: TokenSet
    novelty: NoveltyIndex | None
    about: str
    summary: tuple[str, ...]

    @classmethod
    def of_tokens(cls, folder: Path, *, verify: bool = True) -> CachedCorpus:
        """Token files that `musicgen prepare` wrote; see `TokenSet.load`.

        Raises:
            CorpusError: there are none, or they are damaged.
        """
        index = folder / FILE_NAME
        novelty = NoveltyIndex.load(index) if index.exists() else None
        about = f"Trained on the token files {folder}."
        return cls(folder, TokenSet.load(folder, verify=verify), novelty, about, ())


def cache_folder() -> Path:
    """The folder of prepared corpora: $MUSICGEN_CACHE, or the platform's cache folder. It may be
    deleted at any time."""
    return Path(os.environ.get(VARIABLE) or user_cache_dir("musicgen", appauthor=False))


def prepared(
    sources: str | Path | Sequence[str | Path],
    *,
    tokenizer: str | None = None,
    vocabulary: Sequence[str] | None = None,
    min_count: int | None = None,
    most_tokens: int | None = None,
    cache: str | Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> CachedCorpus:
    """The corpus from the cache, prepared first where it is not there (see `prepare`).

    Of several processes that ask at once one prepares and the others wait.

    Raises:
        CorpusError: nothing can be read or encoded, or the cache cannot be written.
    """
    from musicgen.corpus.loading import names_of  # token files need no reader of music
    from musicgen.corpus.preparation import prepare_folder
    from musicgen.tokens.vocabulary import Vocabulary

    names = names_of(sources)
    limits = {"min_count": min_count, "most_tokens": most_tokens}
    entry = Path(cache or cache_folder()) / _digest(names, tokenizer, vocabulary, limits)
    with suppress(OSError, MusicgenError, ValueError, KeyError):  # not there, or damaged
        return _load(entry / _DATA)
    try:
        entry.mkdir(parents=True, exist_ok=True)
        with _waiting_for(entry):
            with suppress(OSError, MusicgenError, ValueError, KeyError):  # by another process
                return _load(entry / _DATA)
            with replacing_folder(entry / _DATA) as new:
                done = prepare_folder(
                    names,
                    new / _TOKENS,
                    tokenizer=tokenizer,
                    vocabulary=None if vocabulary is None else Vocabulary(tuple(vocabulary)),
                    workers=workers,
                    progress=progress,
                    min_count=min_count,
                    most_tokens=most_tokens,
                )
                facts = {"about": done.about(), "summary": done.summary()}
                write_bytes(new / _SUMMARY, json.dumps(facts).encode())
    except (OSError, MusicgenError) as error:
        cause = error.__cause__ if isinstance(error, MusicgenError) else error
        if not isinstance(cause, OSError):
            raise
        raise CorpusError(
            f"{entry}: the cache cannot be written ({cause.strerror}); "
            f"set {VARIABLE} to a folder that can"
        ) from None
    return _load(entry / _DATA)


@contextmanager
def _waiting_for(entry: Path) -> Iterator[None]:
    """Hold the lock of an entry, once other processes have let go of it."""
    while True:
        with locked(entry) as alone:
            if alone:
                yield
                return
        time.sleep(0.1)


def _load(data: Path) -> CachedCorpus:
    file = data / _SUMMARY
    content = read_bytes(file)
    with JsonContent(content, file, raises=CorpusError, advice="prepare it again") as facts:
        about, summary = str(facts["about"]), tuple(map(str, facts["summary"]))
    return replace(CachedCorpus.of_tokens(data / _TOKENS), about=about, summary=summary)


def _digest(
    names: Sequence[str],
    tokenizer: str | None,
    vocabulary: Iterable[str] | None,
    limits: Mapping[str, int | None],
) -> str:
    """SHA-256 of everything that decides the tokens, as 32 hexadecimal digits."""
    from musicgen.corpus.sharding import code_version
    from musicgen.corpus.sources import each_file
    from musicgen.tokens.languages import text_code

    words = None if vocabulary is None else list(vocabulary)
    options = [names, tokenizer, words, limits, code_version()]
    digest = hashlib.sha256(json.dumps(options).encode())
    for file in each_file(names, texts=text_code(tokenizer or "") is not None):
        digest.update(f"\n{file.label}\n{file.state()}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]
