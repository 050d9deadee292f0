"""Families of tunes to train, val and test: each by its own hash, and none of the three left empty.

The hash decides alone where it gives every split a family, so a corpus that is added later moves
none. In a small corpus it may leave a split empty. Then one family is moved there: the first,
second of those that it can be taken from, in the order of the corpus. Families added at the end do
not change which; it moves back once the hash gives the split a family of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

# Splits by how much they are needed, with the place among the families of another split of the one
# that is moved: different ones, so that no two of them ask for the same.
_PLACES = {"train": -1, "val": 0, "test": 1}


@dataclass(frozen=True, slots=True)
class Family:
    """Related tunes: the digest of the first one, and how many of them can be used."""

    digest: bytes
    size: int


def split_families(
    families: Mapping[int, Family], *, val: float, test: float
) -> tuple[dict[int, str], dict[int, str]]:
    """The split of each family, and of those alone that are not where their hash puts them.

    A family without a tune that can be used counts for nothing. A family of more than half of the
    tunes of its split is moved to train if to any. With fewer than three families train comes
    before val, and val before test.

    Args:
        families: by number, in the order of the corpus.
        val: the fraction for validation; 0 leaves it empty on purpose.
        test: the fraction for the test; 0 leaves it empty on purpose.
    """
    hashed = {i: _split_of(family.digest, val=val, test=test) for i, family in families.items()}
    pools: dict[str, list[int]] = {split: [] for split in _PLACES}
    for i, split in hashed.items():
        if families[i].size:
            pools[split].append(i)
    left = {split: len(pool) for split, pool in pools.items()}
    moved: dict[int, str] = {}
    wanted = [s for s in _PLACES if {"train": 1.0, "val": val, "test": test}[s] > 0]
    for n, split in enumerate(wanted):
        # From one that has two, or the only family of one that is needed less.
        donors = [s for s in _PLACES if left[s] > 1] or [s for s in wanted[:n:-1] if left[s]]
        if left[split] or not donors:
            continue
        pool = pools[donors[0]]
        half = sum(families[i].size for i in pool) / 2
        preferred = [i for i in pool if (families[i].size > half) == (split == "train")] or pool
        moved[preferred[min(_PLACES[split], len(preferred) - 1)]] = split
        left[donors[0]] -= 1
        left[split] += 1
    return hashed | moved, moved


def _split_of(digest: bytes, *, val: float, test: float) -> str:
    place = int.from_bytes(hashlib.sha256(b"split" + digest).digest()[:8]) / 2**64
    return "test" if place < test else "val" if place < test + val else "train"
