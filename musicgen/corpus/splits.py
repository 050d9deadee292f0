"""Families of tunes to train, val and test: each by its own hash, and none of the three left empty.

The hash decides alone where it gives every split a family, so a corpus that is added later moves
none. In a small corpus it may leave a split empty. Then one family is moved there: the first,
second of those that it can be taken from, in the order of the corpus. Families added at the end do
not change which; it moves back once the hash gives the split a family of its own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

# Splits by how much they are needed, with the place among the families of another split of the one
# that is moved: different ones, so that no two of them ask for the same.
_PLACES = {"train": -1, "val": 0, "test": 1}


def split_families(
    digests: Iterable[bytes], sizes: Sequence[int], *, val: float, test: float
) -> tuple[list[str], dict[int, str]]:
    """The split of each family, and by number of those alone that are not where their hash puts
    them.

    A family without a tune that can be used counts for nothing. A family of more than half of the
    tunes of its split is moved to train if to any. With fewer than three families train comes
    before val, and val before test.

    Args:
        digests: of the first tune of each family, in the order of the corpus.
        sizes: how many tunes of each family can be used.
        val: the fraction for validation; 0 leaves it empty on purpose.
        test: the fraction for the test; 0 leaves it empty on purpose.
    """
    splits = [_split_of(digest, val=val, test=test) for digest in digests]
    left = Counter(split for split, size in zip(splits, sizes, strict=True) if size)
    moved: dict[int, str] = {}
    wanted = [s for s in _PLACES if {"train": 1.0, "val": val, "test": test}[s] > 0]
    for n, split in enumerate(wanted):
        # From one that has two, or the only family of one that is needed less.
        donors = [s for s in _PLACES if left[s] > 1] or [s for s in wanted[:n:-1] if left[s]]
        if left[split] or not donors:
            continue
        pool = [i for i, hashed in enumerate(splits) if hashed == donors[0] and sizes[i]]
        half = sum(sizes[i] for i in pool) / 2
        preferred = [i for i in pool if (sizes[i] > half) == (split == "train")] or pool
        moved[preferred[min(_PLACES[split], len(preferred) - 1)]] = split
        left[donors[0]] -= 1
        left[split] += 1
    for i, split in moved.items():
        splits[i] = split
    return splits, moved


def _split_of(digest: bytes, *, val: float, test: float) -> str:
    place = int.from_bytes(hashlib.sha256(b"split" + digest).digest()[:8]) / 2**64
    return "test" if place < test else "val" if place < test + val else "train"
