"""A vocabulary of tokens, whose ids are its positions, and the nearest token that it knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

# How far a known token is from another one; None where they are of different kinds.
Distance = Callable[[str, str], float | None]

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
    def of_counts(
        cls, counts: Mapping[str, int], *, min_count: int = 1, most: int | None = None
    ) -> Vocabulary:
        """Vocabulary of counted tokens; see `build`. With `most` at most so many, the most frequent
        ones in falling order."""
        kept = sorted(t for t, n in counts.items() if n >= min_count and t not in SPECIALS)
        if most is not None:
            kept = sorted(kept, key=lambda token: -counts[token])[:most]
        return cls((*SPECIALS, *kept))

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Ids of tokens; unknown ones become the id of `UNKNOWN`."""
        unknown = self.ids[UNKNOWN]
        return [self.ids.get(token, unknown) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Tokens of ids."""
        return [self.tokens[i] for i in ids]

    def replace_unknown(self, tokens: Iterable[str], distance: Distance) -> list[str]:
        """The tokens, each unknown one replaced by the `nearest` known one."""
        return [nearest(token, self.tokens, distance) for token in tokens]

    def __len__(self) -> int:
        return len(self.tokens)


@lru_cache(maxsize=8192)
def nearest(token: str, vocabulary: tuple[str, ...], distance: Distance) -> str:
    """The token itself where it is known, else the known one of its kind at the least distance;
    `UNKNOWN` where there is none."""
    if token in vocabulary:
        return token
    distances = [(d, text) for text in vocabulary if (d := distance(token, text)) is not None]
    return min(distances)[1] if distances else UNKNOWN
