"""The outlines of the training tunes: what a new tune with the same heading may look like."""

from __future__ import annotations

from collections import Counter

from musicgen.corpus.tokenset import TokenSet
from musicgen.models.checkpoint import Opening, Outlines
from musicgen.tokens.lookback.features import can_echo
from musicgen.tokens.melody.grammar import Outline, outline_of

MIN_TUNES = 3  # that share an outline, or it is one tune's own way


def outlines_of(tokens: TokenSet, openings: tuple[Opening, ...]) -> tuple[Outlines, ...]:
    """For each of the openings the outlines of the training tunes that begin so, with counts, most
    frequent first; () where the features of these tokens do not tell parts."""
    if not can_echo(tokens.feature_sizes):
        return ()
    train = tokens.splits["train"]
    tunes = [train.tune(i) for i in range(len(train))]
    found = [outline_of(f, [tokens.vocab[i] for i in ids.tolist()]) for ids, f in tunes]
    common = {outline for outline, n in Counter(found).items() if outline and n >= MIN_TUNES}
    counts: dict[tuple[int, ...], Counter[Outline]] = {ids: Counter() for ids, _ in openings}
    for (ids, _), outline in zip(tunes, found, strict=True):
        heading = tuple(ids[1 : 1 + tokens.n_header].tolist())
        if outline in common and heading in counts:
            counts[heading][outline] += 1
    return tuple(tuple(counts[ids].most_common()) for ids, _ in openings)
