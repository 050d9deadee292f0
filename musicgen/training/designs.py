"""The designs of the training tunes: what a new tune with the same heading may look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from musicgen.checkpoint import Opening
from musicgen.grammar import Design, Designs, compass_of, outline_of
from musicgen.guesses import can_echo
from musicgen.tokenset import TokenSet

MIN_TUNES = 3  # that share an outline, or it is one tune's own way


def designs_of(tokens: TokenSet, openings: Sequence[Opening]) -> tuple[Designs, ...]:
    """For each of the openings the designs of the training tunes that begin so, with counts, most
    frequent first; () where the features of these tokens do not tell parts."""
    if not can_echo(tokens.feature_sizes):
        return ()
    found: dict[tuple[int, ...], list[Design]] = {ids: [] for ids, _ in openings}
    every: Counter[object] = Counter()
    train = tokens.splits["train"]
    for index in range(len(train)):
        ids, features = train.tune(index)
        spoken = [tokens.vocab[i] for i in ids.tolist()]
        design = Design(outline_of(features, spoken), compass_of(spoken))
        every[design.outline] += 1
        heading = tuple(ids[1 : 1 + tokens.n_header].tolist())
        if heading in found:
            found[heading].append(design)
    return tuple(
        Designs(
            tuple(
                Counter(
                    d.outline for d in found[ids] if d.outline and every[d.outline] >= MIN_TUNES
                ).most_common()
            ),
            tuple(Counter(d.compass for d in found[ids] if d.compass is not None).most_common()),
        )
        for ids, _ in openings
    )
