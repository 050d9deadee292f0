"""Token files: a round trip through the disk, and refusal of what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musicgen.corpus.tokenset import SPLITS, UNK_ID, TokenSet, build_tokenset
from musicgen.errors import CorpusError
from musicgen.tokens.lookback.match import match_features
from musicgen.tokens.vocabulary import SPECIALS

VOCAB = (*SPECIALS, "C", "D", "E")
TUNES = [
    ("train", "a", [1, 4, 5, 4, 5, 2], 4),
    ("train", "b", [1, 6, 2], 1),
    ("val", "c", [1, 4, 6, 2], 2),
]


def build(tunes: list[tuple[str, str, list[int], int]] = TUNES, **change: Any) -> TokenSet:
    rows = [
        (split, name, np.array(ids), np.arange(len(ids))[:, None] % 3, notes)
        for split, name, ids, notes in tunes
    ]
    settings = {"vocab": VOCAB, "feature_sizes": {"beat": 3}, "tokenizer": "toy", "n_header": 1}
    return build_tokenset(rows, **settings | change)


def test_a_tune_has_its_ids_its_features_and_the_match_columns() -> None:
    tokens = build()
    ids, features = tokens.splits["train"].tune(0)
    assert ids.tolist() == [1, 4, 5, 4, 5, 2]
    assert features[:, 0].tolist() == [0, 1, 2, 0, 1, 2]
    np.testing.assert_array_equal(features[:, 1:], match_features(ids))
    assert list(tokens.feature_sizes.items()) == [
        ("beat", 3),
        ("match_next", 7),
        ("match_length", 12),
    ]


def test_what_was_saved_is_loaded_as_mapped_files(tmp_path: Path) -> None:
    saved = build()
    saved.save(tmp_path / "t")
    loaded = TokenSet.load(tmp_path / "t")
    for name in ("vocab", "feature_sizes", "tokenizer", "fingerprint", "n_header"):
        assert getattr(loaded, name) == getattr(saved, name)
    for split in SPLITS:
        for array in ("ids", "features", "offsets", "notes"):
            mine, other = getattr(loaded.splits[split], array), getattr(saved.splits[split], array)
            np.testing.assert_array_equal(mine, other)
        assert loaded.splits[split].names == saved.splits[split].names


def test_a_set_built_in_a_folder_is_the_one_built_in_memory(tmp_path: Path) -> None:
    built = build(folder=tmp_path / "t")
    assert built.fingerprint == build().fingerprint
    assert TokenSet.load(tmp_path / "t").splits["val"].names == ["c"]
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


def test_rows_that_cannot_be_leave_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="unknown split"):
        build([*TUNES, ("dev", "a", [1, 2], 1)], folder=tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_large_arrays_stay_on_disk(tmp_path: Path) -> None:
    build([("train", "a", [1, *[4, 5] * 200, 2], 9)]).save(tmp_path / "t")
    assert isinstance(TokenSet.load(tmp_path / "t").splits["train"].ids, np.memmap)


def test_saving_replaces_tokens_but_nothing_else(tmp_path: Path) -> None:
    build().save(tmp_path / "t")
    build(TUNES[:1]).save(tmp_path / "t")
    assert len(TokenSet.load(tmp_path / "t").splits["train"]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["t"]
    with pytest.raises(CorpusError, match="exists and is not a token folder"):
        build().save(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"tokenizer": "other"}, {"vocab": (*VOCAB, "F")}, {"feature_sizes": {"pulse": 3}}],
)
def test_the_fingerprint_tells_corpora_apart(change: dict[str, Any]) -> None:
    assert build().fingerprint == build().fingerprint
    assert build(**change).fingerprint != build().fingerprint
    assert build(TUNES[::-1]).fingerprint != build().fingerprint


def test_openings_count_the_headings_that_are_known() -> None:
    tunes = [
        ("train", str(i), [1, head, 5, 2], 1) for i, head in enumerate([4, 6, 6, UNK_ID, 6, 4])
    ]
    assert build(tunes).openings() == (((6,), 3), ((4,), 2))
    assert build(tunes, n_header=0).openings() == ()


@pytest.mark.parametrize(
    ("tunes", "change", "message"),
    [
        (
            [("train", "a", [1, 7, 2], 1)],
            {},
            "toy: split 'train' holds an id outside the vocabulary",
        ),
        (
            TUNES,
            {"feature_sizes": {"beat": 2}},
            "toy: feature 'beat' of 'train' is outside its range",
        ),
        ([("dev", "a", [1, 2], 1)], {}, "a: unknown split 'dev'; use train, val, test"),
        (TUNES[2:], {}, "toy: has no tune to train on"),
        (
            TUNES,
            {"vocab": ("C", *VOCAB)},
            "the vocabulary must start with <pad> <bos> <eos> <unk>, no repeats",
        ),
    ],
)
def test_rows_that_cannot_be_are_refused(
    tunes: list[Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        build(tunes, **change)
    assert str(caught.value) == message


def damage_meta(folder: Path, **change: Any) -> None:
    meta = json.loads((folder / "meta.json").read_text()) | change
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "val.ids.npy").unlink(), "has no val.ids.npy; prepare the corpus again"),
        (lambda f: (f / "meta.json").unlink(), "has no meta.json; prepare the corpus again"),
        (lambda f: (f / "meta.json").write_text("{"), "meta.json: cannot be read: it is not JSON"),
        (lambda f: (f / "val.ids.npy").write_bytes(b"x"), "is damaged; prepare the corpus again"),
        (lambda f: damage_meta(f, vocab=VOCAB[:5]), "meta.json: was changed or damaged"),
        (lambda f: damage_meta(f, format="tokens-0"), "is of format 'tokens-0'; prepare it again"),
        (
            lambda f: np.save(f / "train.offsets.npy", np.array([0, 3, 6])),
            "arrays of split 'train' do not fit; prepare it again",
        ),
        (
            lambda f: np.save(f / "train.ids.npy", np.array([object()]), allow_pickle=True),
            "is damaged; prepare the corpus again",
        ),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path: Path, damage: Any, message: str) -> None:
    build().save(tmp_path / "t")
    damage(tmp_path / "t")
    with pytest.raises(CorpusError) as caught:
        TokenSet.load(tmp_path / "t")
    assert message in str(caught.value)


def test_a_name_that_was_changed_is_noticed_but_in_older_folders(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    build().save(folder)
    meta = json.loads((folder / "meta.json").read_text())
    meta["names"]["train"][0] += "!"
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(CorpusError, match=r"meta\.json: was changed or damaged; prepare"):
        TokenSet.load(folder)
    digest = meta.pop("sha256")
    (folder / "meta.json").write_text(json.dumps(meta))
    assert TokenSet.load(folder).splits["train"].names[0].endswith("!")
    (folder / "meta.json").write_text(json.dumps({**meta, "sha257": digest}))
    with pytest.raises(CorpusError, match="was changed or damaged"):
        TokenSet.load(folder)
