"""A corpus as a torch Dataset of Tunes."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path
from random import Random

import pytest
from torch.utils.data import DataLoader, random_split

import musicgen
from musicgen import corpus
from musicgen.errors import ConfigError, CorpusError
from musicgen.training import tune_dataset

TUNE = "X:{0}\nT:Tune {0}\nM:4/4\nL:1/8\nK:D\n{1}|\n\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty tunes in two files, no two alike."""
    path = tmp_path_factory.mktemp("tunes")
    draw = Random(1)
    bars = [
        "|".join("".join(draw.choices("DEFGABcdefg", k=8)) for _ in range(8)) for _ in range(40)
    ]
    texts = [TUNE.format(number, music) for number, music in enumerate(bars)]
    (path / "a.abc").write_text("".join(texts[:30]))
    (path / "b.abc").write_text("".join(texts[30:]))
    return path


def test_it_has_the_tunes_of_the_corpus_in_their_order(folder: Path) -> None:
    data = musicgen.dataset(folder)
    tunes = [tune for name in ("a.abc", "b.abc") for tune in musicgen.read(folder / name)]
    assert len(data) == len(tunes) == 40
    assert list(data) == tunes  # type: ignore[call-overload]
    assert data[-1] == tunes[-1]
    assert data[3].source is not None
    assert (data[3].source.path, data[3].source.line) == (str(folder / "a.abc"), 22)
    assert data.entries[3].id == f"{folder}/a.abc:22"
    with pytest.raises(IndexError):
        data[40]


def test_splits_are_those_of_the_corpus(folder: Path) -> None:
    every = corpus.load(folder)
    sizes = []
    for split in corpus.SPLITS:
        data = musicgen.dataset(folder, split=split)  # type: ignore[arg-type]
        assert [e.id for e in data.entries] == [e.id for e in every.split(split)]
        assert [t.title for t in data] == [e.facts.title for e in every.split(split)]  # type: ignore[attr-defined]
        sizes.append(len(data))
    assert sum(sizes) == 40
    assert max(sizes) < 40


def test_nothing_is_read_before_it_is_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = musicgen.dataset(folder, split="train")
    assert len(pickle.dumps(data)) < 1000
    n = len(data)
    monkeypatch.setattr(tune_dataset, "load", None)  # would fail now
    again = pickle.loads(pickle.dumps(data))
    assert (len(again), again[0]) == (n, data[0])


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_loader_with_workers_gives_all_tunes(folder: Path, start: str) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {start}")
    data = musicgen.dataset(folder)
    loader = DataLoader(
        data, batch_size=7, num_workers=2, collate_fn=list, multiprocessing_context=start
    )
    assert [tune for batch in loader for tune in batch] == list(data)  # type: ignore[call-overload]


def test_it_can_be_divided(folder: Path) -> None:
    parts = random_split(musicgen.dataset(folder), [0.5, 0.5])
    assert [len(part) for part in parts] == [20, 20]


def test_wrong_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown value 'tran'; did you mean 'train'"):
        musicgen.dataset("celtic", split="tran")  # type: ignore[arg-type]
    with pytest.raises(CorpusError, match=r"celtik: no such .* did you mean 'celtic'"):
        len(musicgen.dataset("celtik"))
