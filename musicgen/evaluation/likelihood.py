"""How likely a model finds held-out tunes: bits per note, bar, word and character, with intervals.

The character is one of canonical ABC, which any tokenizer can be compared by; a model of text is
scored on its own text. There a token that it does not know costs its spelling, too, so that models
of characters and of words can be compared.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from musicgen.corpus import EVERY_SPLIT
from musicgen.corpus.tokenset import UNK_ID, TokenSet, TokenSplit
from musicgen.errors import CheckpointError, CorpusError, InvalidTuneError
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.scoring import score_tunes
from musicgen.tokens import char, word
from musicgen.tokens.char import tune_in
from musicgen.tokens.languages import LANGUAGES, text_code
from musicgen.tokens.lookback.features import Lookback
from musicgen.tokens.vocabulary import SPECIALS, UNKNOWN, Vocabulary

RESAMPLES = 1000
UNITS = ("note", "bar", "word", "character")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Bits of everything that must be known to write the tunes down, per note; lower is better.

    `low` and `high` bound it in 95 % of 1,000 bootstrap samples of the tunes.
    """

    bits_per_note: float
    low: float
    high: float
    n_tunes: int
    n_notes: int


@dataclass(frozen=True, slots=True)
class Rate:
    """The same bits per some other unit of `UNITS`, of which the tunes have `n`. `n_tunes` are
    those that it could be counted in."""

    unit: str
    bits: float
    low: float
    high: float
    n: int
    n_tunes: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Bits by unit. `own` says that the tokens are those that the model was trained on (the same,
    or of the same vocabulary), so that its split holds; `n_unknown` counts tokens, of `n_tokens`,
    that the model does not know."""

    rates: tuple[Rate, ...]
    n_tunes: int
    n_tokens: int
    n_unknown: int
    own: bool


def bits_per_note(checkpoint: Checkpoint, tokens: TokenSet, split: str = "test") -> Likelihood:
    """Score a model on one split of token files.

    Raises:
        CheckpointError: the model was trained on another vocabulary.
        CorpusError: the split is empty.
    """
    if tokens.vocab != checkpoint.vocab:
        raise CheckpointError("the model and the token files have different vocabularies")
    tokens = tokens.with_features(checkpoint.feature_sizes)
    held_out = _tunes_of(tokens, split)
    bits = score_tunes(checkpoint.network, held_out)
    rate = rate_of("note", bits, held_out.notes.astype(np.float64))
    return Likelihood(rate.bits, rate.low, rate.high, rate.n_tunes, rate.n)


def rates(
    checkpoint: Checkpoint,
    tokens: TokenSet,
    split: str = "test",
    *,
    only: Collection[str] | None = None,
) -> Rates:
    """Score a model on one split (`EVERY_SPLIT`: on all) of token files of its language, whatever
    their vocabulary: a token that the model does not know is read as unknown. With `only` a tune
    counts if its name is among these.

    Raises:
        CheckpointError: the model reads other tokens.
        CorpusError: the split is empty.
    """
    if tokens.tokenizer != checkpoint.tokenizer:
        raise CheckpointError(
            f"the model reads '{checkpoint.tokenizer}' tokens and not '{tokens.tokenizer}'"
        )
    tokens = tokens.with_features(checkpoint.feature_sizes)
    held_out = _tunes_of(tokens, split, only)
    same_vocabulary = tokens.vocab == checkpoint.vocab
    scored = held_out if same_vocabulary else _in_vocabulary(held_out, tokens, checkpoint)
    bits = score_tunes(checkpoint.network, scored)
    is_unknown = scored.ids == UNK_ID
    unknown = np.add.reduceat(is_unknown.astype(np.int64), scored.offsets[:-1])
    if (code := text_code(tokens.tokenizer)) is not None:
        costs = np.array([*map(code.spelling(checkpoint.vocab), tokens.vocab)])
        bits += np.add.reduceat(costs[held_out.ids] * is_unknown, scored.offsets[:-1])
    sizes = _sizes(tokens, held_out)
    counted = {
        unit: (bits[known], sizes[known, column])
        for column, unit in enumerate(UNITS)
        if (known := sizes[:, column] > 0).any()
    }
    return Rates(
        tuple(rate_of(unit, *of_tunes) for unit, of_tunes in counted.items()),
        len(held_out),
        len(held_out.ids) - 2 * len(held_out),
        int(unknown.sum()),
        same_vocabulary or _is_own(tokens, checkpoint),
    )


def _is_own(tokens: TokenSet, checkpoint: Checkpoint) -> bool:
    """Whether a model was trained on tokens whose vocabulary is larger than its own, since it knows
    the most frequent ones of the training split."""
    if text_code(tokens.tokenizer) is None:
        return checkpoint.fingerprint == tokens.fingerprint
    counts = np.bincount(tokens.splits["train"].ids, minlength=len(tokens.vocab))
    counted = dict(zip(tokens.vocab, counts.tolist(), strict=True))
    most = len(checkpoint.vocab) - len(SPECIALS)
    return set(Vocabulary.of_counts(counted, most=most).tokens) == set(checkpoint.vocab)


def _tunes_of(tokens: TokenSet, split: str, only: Collection[str] | None = None) -> TokenSplit:
    splits = list(tokens.splits.values()) if split == EVERY_SPLIT else [tokens.splits[split]]
    if split == EVERY_SPLIT or only is not None:
        splits = [_gathered(splits, only)]
    if not len(splits[0]):
        raise CorpusError(f"split '{split}' holds no tune to score; give a larger corpus")
    return splits[0]


def _gathered(splits: list[TokenSplit], only: Collection[str] | None) -> TokenSplit:
    """The tunes of these names of several splits end to end."""
    chosen = [
        (split, i)
        for split in splits
        for i, name in enumerate(split.names)
        if only is None or name in only
    ]
    tunes = [split.tune(i) for split, i in chosen]
    empty = splits[0].ids[:0], splits[0].features[:0]
    ids, features = zip(*tunes, strict=True) if tunes else ([empty[0]], [empty[1]])
    return replace(
        splits[0],
        ids=np.concatenate(ids),
        features=np.concatenate(features),
        offsets=np.cumsum([0, *(len(tune) for tune, _ in tunes)]),
        notes=np.array([split.notes[i] for split, i in chosen], np.int32),
        names=[split.names[i] for split, i in chosen],
    )


def rate_of(unit: str, bits: Floats, sizes: Floats) -> Rate:
    """Bits of all tunes (n,) over the size of all (n,), with the bootstrap over tunes."""
    draws = np.random.default_rng(0).integers(0, len(bits), (RESAMPLES, len(bits)))
    ratios = bits[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    total = sizes.sum()
    return Rate(unit, float(bits.sum() / total), float(low), float(high), int(total), len(bits))


def _sizes(tokens: TokenSet, split: TokenSplit) -> Floats:
    """`UNITS` of each tune, (n, 4); 0 where they cannot be counted, as in a tune with an unknown
    token, whose music is not known any more. Characters of a tune are no words."""
    language, vocabulary = LANGUAGES[tokens.tokenizer], Vocabulary(tokens.vocab)
    sizes = np.zeros((len(split), len(UNITS)))
    sizes[:, UNITS.index(tokens.unit)] = split.notes
    for i in range(len(split)):
        texts = vocabulary.decode(split.tune(i)[0].tolist())
        if language.text is not None:
            text = language.text.decode(texts)
            tune = tune_in(text)
            if tune is not None:
                sizes[i, :2] = tune.n_notes, len(tune.bars)
            elif tokens.unit != word.UNIT:
                sizes[i, 2] = word.n_words(text)
            if UNKNOWN not in texts:
                sizes[i, 3] = len(text)
            continue
        if UNKNOWN in texts:
            continue
        try:
            tune = language.decode(texts)
        except InvalidTuneError:
            continue
        if tune is not None:
            sizes[i, 1], sizes[i, 3] = len(tune.bars), len(char.text_of(tune))
    return sizes


def _in_vocabulary(split: TokenSplit, tokens: TokenSet, checkpoint: Checkpoint) -> TokenSplit:
    """The same tunes in the ids of a model, with new lookback features."""
    table = np.array(Vocabulary(checkpoint.vocab).encode(tokens.vocab), split.ids.dtype)
    table[: len(SPECIALS)] = range(len(SPECIALS))
    ids = table[split.ids]
    features = np.array(split.features)
    lookback = Lookback.of(tokens.feature_sizes, checkpoint.vocab)
    if lookback is not None:
        for first, end in zip(split.offsets[:-1], split.offsets[1:], strict=True):
            rows, n = features[first:end], len(lookback.sizes)
            rows[:, -n:] = lookback.features(ids[first:end], rows[:, :-n])
    return replace(split, ids=ids, features=features)
