"""Preparation: from tunes to token files, with an account of what was left out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pytest

from musicgen import formats
from musicgen.corpus import reading
from musicgen.corpus.preparation import examine, prepare
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import CorpusError
from musicgen.music.similarity import NoveltyIndex
from musicgen.tokens.melody.encoding import decode, encode, melody
from musicgen.tokens.melody.grammar import FEATURE_SIZES
from musicgen.tokens.vocabulary import Vocabulary
from tests.processes import refusal_in_child

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
def book(tmp_path: Path) -> Path:
    (tmp_path / "book.abc").write_text(BOOK)
    return tmp_path / "book.abc"


def test_every_tune_is_encoded_or_accounted_for(book: Path) -> None:
    prepared = prepare(book, val=0, test=0)
    entries, train = prepared.corpus.entries, prepared.tokens.splits["train"]
    assert [omitted.reason for omitted in prepared.omitted] == ["meter change inside the tune"]
    assert train.names == [entry.id for entry in entries[:2]]
    assert train.notes.tolist() == [13, 5]
    assert prepared.dropped == {"decorations": 1}
    assert prepared.irregular == (entries[1].id,)


def test_a_corpus_can_be_examined_without_a_tune_to_train_on(book: Path, tmp_path: Path) -> None:
    free = tmp_path / "free.abc"
    free.write_text("X:1\nM:none\nK:G\nGABc|")
    assert [omitted.reason for omitted in examine(free).omitted] == ["no meter"]
    examined, prepared = examine([book, free]), prepare([book, free], val=0, test=0)
    assert examined.omitted == prepared.omitted
    assert examined.dropped == prepared.dropped
    assert examined.irregular == prepared.irregular


def test_ids_say_the_tune_and_features_follow_the_grammar(tmp_path: Path) -> None:
    text = "X:1\nM:2/4\nK:G\nGABc dedB|GABc d4:|\nGABc dedB|GABc d4:|\nGABc dedB|GABc d4:|"
    (tmp_path / "one.abc").write_text(text)
    prepared = prepare(tmp_path, val=0, test=0)
    tokens = prepared.tokens
    ids, features = tokens.splits["train"].tune(0)
    ((_, tune),) = prepared.corpus.tunes()
    reduced = melody(tune).tune
    # Tokens that occur fewer than three times are unknown: here all of the header.
    said = Vocabulary(tokens.vocab).decode(ids)
    assert said[1:7] == ["<unk>"] * 6
    assert said[7:-1] == encode(reduced)[6:]
    assert decode([*encode(reduced)[:6], *said[7:-1]]) == reduced
    assert list(tokens.feature_sizes)[: len(FEATURE_SIZES)] == list(FEATURE_SIZES)
    position = features[:, 0]
    assert (np.diff(position.astype(int))[8:14] == 6).all()  # sixteenths, at 24 ticks a quarter


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Sixty files of a tune each."""
    random, folder = Random(0), tmp_path / "shelf"
    folder.mkdir()
    for number in range(60):
        bars = ["".join(random.choices("DEFGABcde", k=8)) for _ in range(8)]
        text = f"X:{number}\nR:reel\nM:C|\nL:1/8\nK:G\n{'|'.join(bars)}|]\n"
        (folder / f"{number}.abc").write_text(text)
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_tokens_in_a_folder_are_those_in_memory_whoever_read_them(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(reading, "_BYTES_PER_WORKER", 1)
    in_memory = prepare(shelf).tokens
    on_disk = prepare(shelf, folder=shelf.parent / "tokens", workers=workers).tokens
    assert isinstance(on_disk.splits["train"].ids, np.memmap)
    assert not isinstance(in_memory.splits["train"].ids, np.memmap)
    assert on_disk.fingerprint == in_memory.fingerprint
    assert on_disk.splits["test"].names == in_memory.splits["test"].names
    assert TokenSet.load(shelf.parent / "tokens").fingerprint == in_memory.fingerprint


def test_a_folder_of_something_else_is_refused_before_anything_is_read(shelf: Path) -> None:
    with pytest.raises(CorpusError, match="exists and is not a token folder"):
        prepare("no such corpus", folder=shelf)


def test_progress_tells_of_reading_and_of_writing(shelf: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    prepare(shelf, progress=lambda *told: seen.append(told))
    assert seen[0] == ("reading files", 1, 60)
    later = [("reading files", 60, 60), ("families", 0, 60), ("writing tokens", 60, 60)]
    assert seen[-3:] == later


def test_a_corpus_without_melodies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "free.abc").write_text("X:1\nM:none\nK:G\nGABc|")
    with pytest.raises(CorpusError) as error:
        prepare(tmp_path)
    assert str(error.value).startswith("no tune of the corpus is a single-line melody (first: ")
    assert str(error.value).endswith("no meter)")


@pytest.mark.slow
def test_nearly_all_of_the_default_collections_can_be_learned() -> None:
    prepared = prepare("celtic")
    assert len(prepared.omitted) < 0.03 * len(prepared.corpus.entries)
    assert {omitted.reason for omitted in prepared.omitted} == {
        "key change inside the tune",
        "meter change inside the tune",
        "more than one voice",
    }


def test_an_index_of_all_tunes_is_made_and_lies_beside_the_token_files(
    book: Path, tmp_path: Path
) -> None:
    prepared = prepare(book, folder=tmp_path / "tokens", val=0, test=0)
    assert prepared.novelty.places == [entry.id for entry in prepared.corpus.entries]
    assert len(prepared.novelty) == len(prepared.corpus.entries) == 3
    index = NoveltyIndex.load(tmp_path / "tokens" / "novelty.npz")
    assert index.to_bytes() == prepared.novelty.to_bytes()
    nearest = index.assess(formats.read(book)[0]).neighbours[0]
    assert (nearest.similarity, nearest.place) == (1, prepared.corpus.entries[0].id)


def test_a_disk_that_is_full_leaves_no_half_folder(book: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    work = partial(prepare, book, folder=folder, val=0, test=0)
    prepare(book, folder=tmp_path / "whole", val=0, test=0)
    sizes = {path.stat().st_size for path in (tmp_path / "whole").iterdir()}
    for size in sizes:  # each file in turn is the first without room
        message = refusal_in_child(work, most_bytes=size - 1)
        assert message.startswith(str(tmp_path))
        assert "(File too large); make room, or choose another folder" in message
        assert sorted(path.name for path in tmp_path.iterdir()) == ["book.abc", "whole"]
    assert not refusal_in_child(work, most_bytes=max(sizes))
    assert {path.name for path in folder.iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }


@pytest.mark.parametrize("n_tunes", [1, 30])
def test_no_file_is_read_twice_though_a_sample_chooses_the_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_tunes: int
) -> None:
    random = Random(0)
    for number in range(3):
        tunes = [
            f"X:{k}\nM:C|\nL:1/8\nK:G\n"
            + "|".join("".join(random.choices("DEFGABcde", k=8)) for _ in range(4))
            for k in range(n_tunes)
        ]
        (tmp_path / f"{number}.abc").write_text("|]\n\n".join(tunes) + "|]\n")
    opened: list[str] = []
    read_bytes = formats.read_bytes

    def counted(path: str | Path) -> bytes:
        opened.append(Path(path).name)
        return read_bytes(path)

    monkeypatch.setattr(formats, "read_bytes", counted)
    prepared = prepare(tmp_path, val=0, test=0)
    assert sorted(opened) == ["0.abc", "1.abc", "2.abc"]
    assert prepared.choice.name == "melody"
    assert len(prepared.corpus.entries) == 3 * n_tunes
    chosen = prepare(tmp_path, val=0, test=0, tokenizer="melody")
    assert chosen.tokens.fingerprint == prepared.tokens.fingerprint
    assert chosen.corpus.entries == prepared.corpus.entries
