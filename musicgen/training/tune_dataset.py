"""A corpus as a torch Dataset of Tunes.

data = TuneDataset("celtic", split="train")
for tunes in DataLoader(data, batch_size=16, shuffle=True, num_workers=2, collate_fn=list): ...
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from musicgen.config import unknown
from musicgen.corpus import SPLITS, Corpus, Entry, load
from musicgen.errors import ConfigError
from musicgen.formats.plain import from_dict, to_dict
from musicgen.music.tune import Source, Tune


class TuneDataset(Dataset[Tune]):
    """The unique tunes of named corpora, files or folders, or those of one split of them.

    The files are read when a length or tune is first asked for, and kept as compressed JSON, about
    1 kB a tune; each tune is decoded when it is asked for, in 1 ms. Splits are by family, those
    that `musicgen prepare` makes. A dataset can be pickled, so loaders with workers can use it;
    tunes are no tensors, so they need `collate_fn=list` or one of your own.

    `entries` says of each tune where it comes from and which family it belongs to.

    Raises:
        ConfigError: there is no such split.
        CorpusError: when first used: an unknown name, or nothing that can be read.
    """

    def __init__(
        self,
        sources: str | Path | Sequence[str | Path] = "celtic",
        *,
        split: str | None = None,
        workers: int = 1,
    ) -> None:
        if split is not None and split not in SPLITS:
            raise ConfigError(unknown("split", split, SPLITS, kind=f"value '{split}'"))
        self.sources, self.split, self.workers = sources, split, workers

    @cached_property
    def _corpus(self) -> tuple[Corpus, list[bytes]]:
        """The corpus, and each of its tunes packed."""
        packed: list[bytes] = []
        return load(self.sources, workers=self.workers, extract=_pack, keep=packed.append), packed

    @cached_property
    def _numbers(self) -> list[int]:
        """Numbers of the tunes of the split, in the corpus."""
        entries = self._corpus[0].entries
        return [i for i, entry in enumerate(entries) if self.split in (None, entry.split)]

    @property
    def entries(self) -> list[Entry]:
        """The entry of each tune: its id (file and line), source, family and split."""
        return [self._corpus[0].entries[number] for number in self._numbers]

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Tune:
        return _unpack(self._corpus[1][self._numbers[index]])

    def __repr__(self) -> str:
        return f"<TuneDataset {self.sources!r}, split {self.split or 'all'}>"


def _pack(tune: Tune) -> bytes:
    place = tune.source or Source()
    plain: dict[str, Any] = {"tune": to_dict(tune), "path": place.path, "line": place.line}
    return zlib.compress(json.dumps(plain).encode(), level=1)


def _unpack(packed: bytes) -> Tune:
    plain = json.loads(zlib.decompress(packed))
    source = Source(plain["path"], plain["line"])
    return replace(from_dict(plain["tune"]), source=source)
