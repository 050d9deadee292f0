"""Tunes to token sequences and back; ids are positions in a `Vocabulary`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

PAD, BOS, EOS, UNKNOWN = SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")


@dataclass(frozen=True)
class Vocabulary:
    """The tokens a model knows, in the order of their ids; the four `SPECIALS` come first."""

    tokens: tuple[str, ...]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Id of each token."""
        return {token: i for i, token in enumerate(self.tokens)}

    @classmethod
    def build(cls, sequences: Iterable[Sequence[str]], *, min_count: int = 1) -> Vocabulary:
        """Vocabulary of the tokens that occur at least `min_count` times, in a stable order."""
        counts = Counter(token for tokens in sequences for token in tokens)
        return cls.of_counts(counts, min_count=min_count)

    @classmethod
    def of_counts(cls, counts: Mapping[str, int], *, min_count: int = 1) -> Vocabulary:
        """The same, of tokens that are counted already."""
        kept = sorted(t for t, n in counts.items() if n >= min_count and t not in SPECIALS)
        return cls((*SPECIALS, *kept))

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Ids of tokens; unknown ones become the id of `UNKNOWN`."""
        unknown = self.ids[UNKNOWN]
        return [self.ids.get(token, unknown) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Tokens of ids."""
        return [self.tokens[i] for i in ids]

    def __len__(self) -> int:
        return len(self.tokens)
