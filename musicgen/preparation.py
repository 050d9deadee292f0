"""A corpus made ready for training: tokens, grammar features and splits, with what was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from musicgen.constraint import Automaton
from musicgen.corpus import Corpus, Omitted
from musicgen.errors import CorpusError, InvalidTuneError
from musicgen.grammar import FEATURE_SIZES, UNLIMITED
from musicgen.tokenizer import BOS, EOS, Vocabulary
from musicgen.tokenizer.melody import NAME, encode, melody
from musicgen.tokenizer.tokens import HEADER_KINDS
from musicgen.tokenset import TokenRow, TokenSet, build_tokenset

# Tokens that occur more rarely in the training split are read as unknown.
MIN_COUNT = 3


@dataclass(frozen=True, slots=True)
class Prepared:
    """Token files in memory. `omitted` are tunes that melody tokens cannot say, with the reason;
    `dropped` counts what was left out of the others (ornaments, text); `irregular` are the ids of
    tunes that were kept although their bars or repeats do not add up."""

    tokens: TokenSet
    omitted: tuple[Omitted, ...]
    dropped: Counter[str]
    irregular: tuple[str, ...]


def prepare(corpus: Corpus) -> Prepared:
    """Encode every tune of a corpus. The vocabulary is that of the training split alone.

    Raises:
        CorpusError: no tune can be encoded.
    """
    encoded: list[tuple[str, str, list[str], int]] = []
    omitted: list[Omitted] = []
    dropped: Counter[str] = Counter()
    for entry in corpus.entries:
        try:
            reduced = melody(entry.tune)
            tokens = encode(reduced.tune)
        except InvalidTuneError as error:
            omitted.append(Omitted(entry.id, entry.tune.title, str(error)))
            continue
        dropped += reduced.dropped
        encoded.append((entry.split, entry.id, tokens, reduced.tune.n_notes))
    if not encoded:
        first = f" (first: {omitted[0].id}: {omitted[0].reason})" if omitted else ""
        raise CorpusError(f"no tune of the corpus is a single-line melody{first}")
    vocabulary = Vocabulary.build(
        (tokens for split, _, tokens, _ in encoded if split == "train"), min_count=MIN_COUNT
    )
    everything = Vocabulary.build(tokens for _, _, tokens, _ in encoded)
    automaton = Automaton(everything, UNLIMITED)
    rows: list[TokenRow] = []
    irregular: list[str] = []
    for split, name, tokens, n_notes in encoded:
        sequence = (BOS, *tokens, EOS)
        features, first_wrong = automaton.trace(everything.encode(sequence))
        rows.append((split, name, np.array(vocabulary.encode(sequence)), features, n_notes))
        if first_wrong is not None:
            irregular.append(name)
    token_set = build_tokenset(
        rows,
        vocab=vocabulary.tokens,
        feature_sizes=FEATURE_SIZES,
        tokenizer=NAME,
        n_header=len(HEADER_KINDS),
    )
    return Prepared(token_set, tuple(omitted), dropped, tuple(irregular))
