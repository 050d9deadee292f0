"""Which token language fits a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from musicgen import formats
from musicgen.config import unknown
from musicgen.corpus.reading import Opened
from musicgen.corpus.sources import Listing
from musicgen.errors import ConfigError, MusicgenError
from musicgen.music.tune import Rejected, Tune
from musicgen.tokens import melody, remi
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.remi.pieces import is_polyphonic

_SAMPLED_FILES = 60
_SAMPLED_TUNES = 20  # of a file
_MAX_OPENED = 16 << 20  # bytes of files that stay open after the sample


@dataclass(frozen=True, slots=True)
class Choice:
    """A key of `LANGUAGES`, and the reason for it."""

    name: str
    reason: str


def asked_for(tokenizer: str) -> Choice:
    """The language `tokenizer`.

    Raises:
        ConfigError: there is no such language.
    """
    if tokenizer not in LANGUAGES:
        raise ConfigError(unknown(tokenizer, tokenizer, LANGUAGES, kind="tokenizer"))
    return Choice(tokenizer, "asked for")


def choose(files: Listing, *, workers: int = 1, opened: Opened | None = None) -> Choice:
    """The language that fits a corpus: `remi` if at least half of the tunes in a sample from the
    whole corpus have several voices or chords.

    Files that the sample leaves open for `read_files` are put into `opened`: those without more
    tunes, and while `workers` is 1 also longer ones. Reading them on gives the same tunes.
    """
    opened = {} if opened is None else opened
    polyphonic = [is_polyphonic(tune) for tune in _sample(files, workers, opened)]
    n = sum(polyphonic)
    if polyphonic and 2 * n >= len(polyphonic):
        return Choice(remi.NAME, f"{n} of {len(polyphonic)} tunes looked at have voices or chords")
    for file in [f for f in opened if "voices" in formats.reading_options(f.path.suffix)]:
        del opened[file]  # it was read with all voices
    return Choice(
        melody.NAME, f"{len(polyphonic) - n} of {len(polyphonic)} tunes looked at are single lines"
    )


def _sample(files: Listing, workers: int, opened: Opened) -> Iterator[Tune]:
    """The first tunes of files from the whole corpus, evenly spaced."""
    n_opened = 0  # bytes of the files left open
    for file in islice(files, 0, None, -(-len(files) // _SAMPLED_FILES)):
        first: list[Tune | Rejected] = []
        try:
            tunes = file.scan(all_voices=True)
            first += islice(tunes, _SAMPLED_TUNES)
            size = n_opened + file.size
            if len(first) < _SAMPLED_TUNES or (workers <= 1 and size <= _MAX_OPENED):
                opened[file], n_opened = chain(first, tunes), size
        except MusicgenError:
            pass  # it is read again and listed with the reason
        yield from (tune for tune in first if isinstance(tune, Tune))
