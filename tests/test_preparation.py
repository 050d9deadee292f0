"""Preparation: from tunes to token files, with an account of what was left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musicgen import corpus
from musicgen.errors import CorpusError
from musicgen.grammar import FEATURE_SIZES
from musicgen.preparation import prepare
from musicgen.tokenizer import Vocabulary
from musicgen.tokenizer.melody import decode, encode, melody

BOOK = """X:1
R:reel
M:2/4
K:G
GABc dedB|~GABc d4:|

X:2
M:3/4
K:Am
A2B2c2|d2e2|

X:3
M:2/4
K:D
DEFG ABcd|[M:3/4]d6|
"""


@pytest.fixture
def book(tmp_path: Path) -> corpus.Corpus:
    (tmp_path / "book.abc").write_text(BOOK)
    return corpus.load([tmp_path / "book.abc"], val=0, test=0)


def test_every_tune_is_encoded_or_accounted_for(book: corpus.Corpus) -> None:
    prepared = prepare(book)
    train = prepared.tokens.splits["train"]
    assert [omitted.reason for omitted in prepared.omitted] == ["meter change inside the tune"]
    assert train.names == [entry.id for entry in book.entries[:2]]
    assert train.notes.tolist() == [13, 5]
    assert prepared.dropped == {"decorations": 1}
    assert prepared.irregular == (book.entries[1].id,)


def test_ids_say_the_tune_and_features_follow_the_grammar(tmp_path: Path) -> None:
    text = "X:1\nM:2/4\nK:G\nGABc dedB|GABc d4:|\nGABc dedB|GABc d4:|\nGABc dedB|GABc d4:|"
    (tmp_path / "one.abc").write_text(text)
    loaded = corpus.load([tmp_path], val=0, test=0)
    tokens = prepare(loaded).tokens
    ids, features = tokens.splits["train"].tune(0)
    reduced = melody(loaded.entries[0].tune).tune
    # Tokens that occur fewer than three times are unknown: here all of the header.
    said = Vocabulary(tokens.vocab).decode(ids)
    assert said[1:7] == ["<unk>"] * 6
    assert said[7:-1] == encode(reduced)[6:]
    assert decode([*encode(reduced)[:6], *said[7:-1]]) == reduced
    assert list(tokens.feature_sizes)[: len(FEATURE_SIZES)] == list(FEATURE_SIZES)
    position = features[:, 0]
    assert (np.diff(position.astype(int))[8:14] == 6).all()  # sixteenths, at 24 ticks a quarter


def test_a_corpus_without_melodies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "free.abc").write_text("X:1\nM:none\nK:G\nGABc|")
    with pytest.raises(CorpusError) as error:
        prepare(corpus.load([tmp_path]))
    assert str(error.value).startswith("no tune of the corpus is a single-line melody (first: ")
    assert str(error.value).endswith("no meter)")
