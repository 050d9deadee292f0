"""Words as tokens: only unknown words of a text are lost; models of words are complete."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen.composer import TextComposer
from musicgen.composer.sampling import SamplingConfig
from musicgen.corpus.preparation import prepare
from musicgen.corpus.tokenset import UNK_ID
from musicgen.errors import ConfigError
from musicgen.evaluation.likelihood import rates
from musicgen.models import checkpoint as checkpoints
from musicgen.models.scoring import score_tunes
from musicgen.tokens import word
from musicgen.tokens.languages import LANGUAGES, text_code
from musicgen.tokens.vocabulary import BOS, EOS, SPECIALS, UNKNOWN, Vocabulary
from musicgen.training import TuneDataModule
from tests.checkpoints import untrained_of
from tests.commands import run

CODE = text_code("word")
assert CODE is not None


def prose(n: int, seed: int = 0) -> str:
    """Paragraphs of about 90 words that have nothing to do with one another."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdefghij"), 4)) for _ in range(60)]
    ends = [", ", " ", " ", " ", ". "]
    return "\n\n".join(
        "".join(str(rng.choice(words)) + str(rng.choice(ends)) for _ in range(90)).strip()
        for _ in range(n)
    )


@given(st.text() | st.text(alphabet="aB1_ '\u2019.,-([ \n\t\"<\u201c\ufffd", max_size=30))
@settings(deadline=None)
def test_every_text_is_given_back(text: str) -> None:
    assert CODE.decode([BOS, *CODE.encode(text), EOS]) == text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("Well, it's late.\n", ["Well", ",", "it's", "late", ".", "\n"]),
     ("(so he\tsaid)", ["(", "so", "he", "\t", "said", ")"]),
     ("a , b", ["a", " ", ",", "b"]),
     ("3.14", ["3", ".", word.JOIN, "14"]),
     ("two  blanks ", ["two", " ", " ", "blanks", " "]),
     ("<join>", ["<", word.JOIN, "join", word.JOIN, ">"])],
)  # fmt: skip
def test_only_unusual_blanks_are_tokens(text: str, tokens: list[str]) -> None:
    assert CODE.encode(text) == tokens
    assert word.n_words(text) == sum(map(word.is_word, tokens))


def test_the_vocabulary_is_that_of_the_training_part(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(prose(120) + "\n\nhapax legomenon " + "filler " * 80)
    found = prepare(path, tokenizer="word")
    train = found.tokens.splits["train"]
    everything = prepare(path, tokenizer="word", every_token=True).tokens
    assert not any((split.ids == UNK_ID).any() for split in everything.splits.values())
    counts: Counter[str] = Counter()
    for i in range(len(train)):
        counts.update(Vocabulary(everything.vocab).decode(everything.splits["train"].tune(i)[0]))
    kept = {t for t, n in counts.items() if n >= 2} - set(SPECIALS)
    assert set(found.tokens.vocab) == kept | set(SPECIALS)
    frequencies = [counts[token] for token in found.tokens.vocab[len(SPECIALS) :]]
    assert frequencies == sorted(frequencies, reverse=True)
    small = prepare(path, tokenizer="word", most_tokens=20, min_count=3).tokens
    assert small.vocab[len(SPECIALS) :] == found.tokens.vocab[len(SPECIALS) :][:20]
    assert found.tokens.unit == "word"
    with pytest.raises(ConfigError, match=r"^min_count: 0 is not at least 1$"):
        prepare(path, tokenizer="word", min_count=0)
    with pytest.raises(ConfigError, match=r"^most_tokens: the model to start from has its vocab"):
        prepare(path, tokenizer="word", most_tokens=9, vocabulary=Vocabulary(small.vocab))


def test_the_data_module_takes_the_limits_of_a_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(prose(60))
    data = TuneDataModule(
        tmp_path / "a.txt", tokenizer="word", most_tokens=9, cache=tmp_path / "cache"
    )
    data.prepare_data()
    assert len(data.tokens.vocab) == len(SPECIALS) + 9
    assert data.tokens.unit == "word"


def test_an_unknown_word_costs_its_spelling(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(prose(60))
    model = untrained_of(prepare(path, tokenizer="word", most_tokens=30).tokens)
    tokens = prepare(path, tokenizer="word", every_token=True).tokens
    found = rates(model, tokens)
    by_unit = {rate.unit: rate for rate in found.rates}
    assert list(by_unit) == ["word", "character"]
    assert found.own  # although these have a larger vocabulary
    code, split = LANGUAGES["word"].text, tokens.splits["test"]
    assert code is not None
    texts = [Vocabulary(tokens.vocab).decode(split.tune(i)[0]) for i in range(len(split))]
    assert by_unit["character"].n == sum(len(code.decode(text)) for text in texts)
    assert by_unit["word"].n == sum(map(word.n_words, map(code.decode, texts)))
    spell = word.spelling(model.vocab)
    unknown = [t for text in texts for t in text[1:-1] if t not in model.vocab]
    in_vocabulary = prepare(path, tokenizer="word", vocabulary=Vocabulary(model.vocab)).tokens
    plain = score_tunes(model.network, in_vocabulary.splits["test"]).sum()
    total = by_unit["character"].bits * by_unit["character"].n
    assert total == pytest.approx(plain + sum(map(spell, unknown)), rel=1e-5)
    assert found.n_unknown == len(unknown) > 0


def test_the_spelling_of_all_words_is_a_code() -> None:
    spell = word.spelling([*SPECIALS, "ab", "a", ","])
    # Frequencies of 6: a 2, b 1, the end 2, any other letter 1.
    assert spell("ab") == pytest.approx(math.log2(6 / 2 * 6 / 1 * 6 / 2))
    assert spell("x") == pytest.approx(math.log2(6) + math.log2(0x110000) + math.log2(6 / 2))
    assert spell(UNKNOWN) == 0


def test_text_is_written_without_the_unknown_word(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(prose(60))
    composer = TextComposer(untrained_of(prepare(path, tokenizer="word", most_tokens=30).tokens))
    known = composer.vocabulary.tokens[4:]
    written = list(
        composer.texts(4, SamplingConfig(seed=1, max_tokens=40), prompt="Strange (word ")
    )
    assert all(text.text.startswith("Strange (word") for text in written)
    assert {t for text in written for t in CODE.encode(text.text)} <= {
        *known, "Strange", "(", "word", " ", word.JOIN
    }  # fmt: skip
    assert composer.read_prompt("Strange (word ").unknown == ("Strange", "(", "word")
    assert composer.write(seed=1) == composer.write(seed=1) != composer.write(seed=2)


def test_a_model_of_words_through_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(prose(60))
    Path("more.md").write_text(prose(30, seed=5))
    small = ["--network", "rnn", "--set", "model.d_model=8", "--set", "data.batch_tokens=4096"]
    for words in (
        ["--corpus", "a.txt", "--tokenizer", "word", "--most-tokens", "40", *small],
        ["--corpus", "more.md", "--from", "run1"],
    ):
        number = 2 if "--from" in words else 1
        code, _, err = run(capsys, "train", *words, "--epochs", "1", "--out", f"run{number}")
        assert code == 0, err
        assert "40 tokens in the vocabulary; " in err
    assert checkpoints.load("run1").vocab == checkpoints.load("run2").vocab
    assert json.loads(Path("run1/run.json").read_text())["origin"]["most_tokens"] == 40
    code, out, err = run(capsys, "generate", "-c", "run2", "--prompt", "Ho ho, ", "--seed", "3")
    assert code == 0
    assert out.startswith("Ho ho,")
    assert "read as unknown: Ho, ho" in err
    assert "bits per character" in err
    Path("half.txt").write_text("A half told story\n")
    code, out, err = run(capsys, "continue", "half.txt", "-c", "run1", "--seed", "3")
    assert code == 0
    assert out.startswith("A half told story")
    assert len(out) > len("A half told story\n\n")
    code, _, err = run(capsys, "continue", "half.txt", "-c", "run1", "--bars", "3")
    assert (code, err) == (1, "error: --bars: this model writes plain text, which has no bars\n")
    code, out, err = run(capsys, "evaluate", "-c", "run1", "--corpus", "a.txt")
    assert code == 0
    assert " bits per word " in out
    assert " bits per character " in out
    assert "tokens are unknown to the model; each costs its spelling, too" in err
    assert "may know some" not in err
    code, _, err = run(capsys, "evaluate", "-n", "20", "-c", "run1")
    assert (code, err) == (
        1,
        "error: this model reads 'word' tokens and cannot compose; train one with the 'melody' "
        "tokenizer\n",
    )
    code, _, err = run(capsys, "train", "--tokens", "x", "--min-count", "2", "--out", "run3")
    assert code == 1
    assert "--min-count and --tokens: token files have theirs; drop --min-count" in err
