"""Corpora in shards: the same bytes in any number of parts; whatever is wrong with one is named."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pytest

from musicgen.corpus import shard_source, shards
from musicgen.corpus.preparation import merge, prepare, prepare_folder, prepare_shard
from musicgen.corpus.sharding import ShardTask
from musicgen.corpus.shards import MANIFEST, folder_of
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import ConfigError, CorpusError, MusicgenError
from musicgen.system import partitions
from musicgen.system.executors import WorkerProcesses, open_executor, run_in_order
from tests import ROOT
from tests.commands import run


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tunes with duplicates, variants, rare tokens, and files that hold none."""
    random, folder = Random(0), tmp_path_factory.mktemp("shelf")
    (folder / "deep").mkdir()
    for number in range(40):
        bars = ["".join(random.choices("DEFGABcde", k=8)) for _ in range(8)]
        rare = f"{random.choice('CDEFGAB')}{random.randint(2, 7)}|" if number % 3 == 0 else ""
        tune = f"X:{number}\nT:Nummer {number} ä\nR:reel\nM:C|\nL:1/8\nK:G\n"
        tunes = [tune + rare + "|".join(bars) + "|]"]
        if number % 4 == 0:
            tunes += [tune + "|".join([*bars[:7], "G8"]) + "|]", tunes[0]]
        place = folder / ("deep" if number % 5 == 0 else "") / f"{number:02}.abc"
        place.write_text("\n\n".join(tunes) + "\n")
    (folder / "bad.mid").write_bytes(b"nothing")
    (folder / "free.abc").write_text("X:1\nM:none\nK:G\nGABc|")
    return folder


@pytest.fixture(scope="module")
def plain(shelf: Path) -> Path:
    prepare_folder(shelf, shelf.parent / "plain")
    return shelf.parent / "plain"


@pytest.fixture(scope="module")
def three(shelf: Path) -> Path:
    for number in (2, 3, 1):
        prepare_shard(shelf, number, 3, shelf.parent / "three")
    return shelf.parent / "three"


@pytest.fixture
def parts(three: Path, tmp_path: Path) -> Path:
    """Shards to be damaged."""
    return Path(shutil.copytree(three, tmp_path / "parts"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(parts: Path) -> str:
    with pytest.raises(CorpusError) as error:
        merge(parts, parts.parent / "tokens")
    assert not (parts.parent / "tokens").exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_shards_in_any_order_give_the_bytes_of_one_run(
    plain: Path, three: Path, tmp_path: Path
) -> None:
    account = merge(three, tmp_path / "tokens")
    assert content(tmp_path / "tokens") == content(plain)
    assert account.counts["duplicates"] == 10
    assert account.counts["unreadable"] == 1
    assert account.counts["omitted"] == 1
    assert [omitted.reason for omitted in account.rejected] == [
        "not a MIDI file (no MThd at its start); export it again"
    ]


def test_blocks_of_a_few_records_give_the_same(
    plain: Path, three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "BLOCK", 64)
    monkeypatch.setattr(shards, "_BLOCK_TUNES", 3)
    merge(three, tmp_path / "tokens")
    assert content(tmp_path / "tokens") == content(plain)


def test_more_shards_than_files_are_empty_and_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "one.abc").write_text("X:1\nM:C\nL:1/8\nK:G\nGABc dedB|dedB dedB|]\n")
    for number in (1, 2):
        prepare_shard(tmp_path / "one.abc", number, 2, tmp_path / "parts")
    merge(tmp_path / "parts", tmp_path / "tokens")
    prepare_folder(tmp_path / "one.abc", tmp_path / "plain")
    assert content(tmp_path / "tokens") == content(tmp_path / "plain")


def test_a_short_text_is_cut_into_pieces_after_the_merge_as_in_one_run(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.txt").write_text("the same words again and again\n")
    texts = [str(tmp_path / f"{number}.txt") for number in range(2)]
    for number in (1, 2):
        prepare_shard(texts, number, 2, tmp_path / "parts", tokenizer="char")
    merged = merge(tmp_path / "parts", tmp_path / "tokens")
    alone = prepare_folder(texts, tmp_path / "plain", tokenizer="char")
    assert content(tmp_path / "tokens") == content(tmp_path / "plain")
    assert merged.notices == alone.notices
    assert "it is cut into" in merged.notices[-1]


def test_predictions_are_those_of_the_final_tokens_where_several_are_unknown(plain: Path) -> None:
    tokens = TokenSet.load(plain)
    train = tokens.splits["train"]
    lookback = tokens.lookback
    assert lookback is not None
    n_unknown = [len(set(np.flatnonzero(train.tune(i)[0] == 3))) for i in range(len(train))]
    assert max(n_unknown) > 1
    for i in range(len(train)):
        ids, features = train.tune(i)
        expected = lookback.features(ids, features[:, :4])
        np.testing.assert_array_equal(features[:, 4:], expected)


def test_meta_is_the_json_that_a_dump_would_write(plain: Path, tmp_path: Path) -> None:
    text = (plain / "meta.json").read_text()
    assert json.dumps(json.loads(text), indent=1) == text
    TokenSet.load(plain).save(tmp_path / "copy")
    names = [name for name in content(plain) if name != "novelty.npz"]
    assert content(tmp_path / "copy") == {name: (plain / name).read_bytes() for name in names}


# --- again, damaged, foreign ---------------------------------------------------------------------


def test_a_complete_shard_stays_and_a_damaged_one_is_made_anew(shelf: Path, parts: Path) -> None:
    folder = folder_of(parts, 2, 3)
    before = (folder / MANIFEST).stat().st_mtime_ns
    assert not prepare_shard(shelf, 2, 3, parts)[1]
    assert (folder / MANIFEST).stat().st_mtime_ns == before
    (folder / "ids.bin").write_bytes(b"")
    assert prepare_shard(shelf, 2, 3, parts)[1]
    assert prepare_shard(shelf, 2, 3, parts, force=True)[1]


def test_a_shard_of_a_file_that_has_changed_is_made_anew(tmp_path: Path) -> None:
    book = tmp_path / "book.abc"
    book.write_text("X:1\nM:C\nL:1/8\nK:G\nGABc dedB|dedB dedB|]\n")
    assert prepare_shard(book, 1, 1, tmp_path / "parts")[1]
    book.write_text("X:1\nM:C\nL:1/8\nK:G\nGABc dedB|dedB dedB|dedB dedB|]\n")
    assert prepare_shard(book, 1, 1, tmp_path / "parts")[1]
    assert not prepare_shard(book, 1, 1, tmp_path / "parts")[1]


def test_a_shard_in_place_of_another_is_refused_without_force(shelf: Path, parts: Path) -> None:
    with pytest.raises(CorpusError, match="shard-2-of-3: holds a shard of another corpus, or"):
        prepare_shard(shelf, 2, 3, parts, tokenizer="remi")
    assert prepare_shard(shelf, 2, 3, parts, tokenizer="remi", force=True)[1]
    told = refusal(parts)
    assert "shard-2-of-3: was made with another tokenizer than the other shards (remi, not " in told


def test_a_missing_shard_is_named(parts: Path) -> None:
    shutil.rmtree(folder_of(parts, 1, 3))
    assert refusal(parts) == f"{parts}: lacks shard 1/3; prepare it with --shard 1/3"
    assert "holds no shard" in refusal(parts.parent / "nothing")


def test_a_shard_without_its_marker_is_not_complete(parts: Path) -> None:
    (folder_of(parts, 3, 3) / MANIFEST).unlink()
    told = refusal(parts)
    assert told == f"{folder_of(parts, 3, 3)}: is not complete; prepare that shard again"


@pytest.mark.parametrize("name", ["features.bin", "sizes.bin", "rejected.jsonl", MANIFEST])
def test_a_damaged_file_is_named(parts: Path, name: str) -> None:
    file = folder_of(parts, 3, 3) / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    told = refusal(parts)
    assert told.startswith(f"{file}: ")
    assert "prepare that shard again with --force" in told


@pytest.mark.parametrize(
    ("field", "value", "meaning"),
    [
        ("musicgen", "0" * 16, "version of musicgen"),
        ("files", "0" * 64, "list of files"),
        ("n_files", 7, "number of files"),
        ("corpus", ["elsewhere"], "corpus"),
    ],
)
def test_a_foreign_shard_is_named(parts: Path, field: str, value: object, meaning: str) -> None:
    file = folder_of(parts, 2, 3) / MANIFEST
    manifest = json.loads(file.read_text())
    del manifest["sha256"]
    manifest["plan"][field] = value
    manifest["sha256"] = shards._digest_of(manifest)
    file.write_text(json.dumps(manifest))
    told = refusal(parts)
    assert f"shard-2-of-3: was made with another {meaning} than the other shards" in told


def test_a_shard_of_another_number_of_shards_is_named(shelf: Path, parts: Path) -> None:
    prepare_shard(shelf, 1, 4, parts)
    assert refusal(parts).startswith(f"{folder_of(parts, 1, 4)}: is one of 4 shards, while others")


def test_another_format_is_told(parts: Path) -> None:
    file = folder_of(parts, 1, 3) / MANIFEST
    file.write_text(file.read_text().replace(shards.FORMAT, "musicgen-shard-9"))
    assert "is of format 'musicgen-shard-9'" in refusal(parts)


def test_a_vocabulary_of_another_language_is_refused(parts: Path) -> None:
    with pytest.raises(CorpusError, match="these shards are of melody tokens, not remi"):
        merge(parts, parts.parent / "tokens", tokenizer="remi")


# --- the command ---------------------------------------------------------------------------------


def test_the_command_prepares_in_shards_and_merges(
    shelf: Path, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts, out = str(tmp_path / "parts"), str(tmp_path / "tokens")
    for number in (2, 1, 2):
        shard = ["prepare", "--corpus", str(shelf), "--shard", f"{number}/2", "--out", parts]
        code, _, err = run(capsys, *shard, "--workers", "1")
        assert code == 0
    told = err.splitlines()
    assert told[0].endswith("; complete already, so nothing was read")
    assert told[1] == f"next, when all 2 are there: musicgen prepare --merge {parts} --out tokens/"
    assert run(capsys, "prepare", "--merge", parts, "--out", out)[0] == 0
    assert content(tmp_path / "tokens") == content(plain)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--shard", "3"], "--shard 3: give K/N with K from 1 to N, such as 3/16"),
        (["--shard", "0/4"], "--shard 0/4: give K/N"),
        (["--shard", "5/4"], "--shard 5/4: give K/N"),
        (["--shard", "1/4", "--min-count", "2"], "--min-count: is for --merge, not --shard"),
        (["--shard", "1/4", "--executor", "mpi"], "--executor: is for --merge, not --shard"),
        (["--merge", "parts"], "--corpus: the shards were made with it already; drop it"),
        (["--executor", "processes:0"], "--executor processes:0: give a number, processes:8"),
        (["--executor", "ray"], "--executor ray: is none of processes, dask, mpi"),
        (["--executor", "os:getcwd"], "--executor os:getcwd: gave no executor"),
        (["--executor", "dask://127.0.0.1:1"], "no Dask scheduler answers there"),
    ],
)
def test_impossible_options_are_refused_in_one_line(
    shelf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    if "dask" in arguments[-1]:
        pytest.importorskip("distributed")
        monkeypatch.setattr("musicgen.system.executors._CONNECT_S", 0.5)
    whole = ["prepare", "--corpus", str(shelf), "--out", str(tmp_path / "out"), *arguments]
    code, _, err = run(capsys, *whole)
    assert code in (1, 2)
    assert told in err


def test_without_corpus_or_shards_there_is_nothing_to_prepare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "prepare", "--out", str(tmp_path / "out"))
    assert code == 1
    assert "--corpus: name what to prepare" in err


# --- executors -----------------------------------------------------------------------------------


def test_any_executor_gives_the_same_bytes(shelf: Path, plain: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as executor:
        prepared = prepare(shelf, folder=tmp_path / "tokens", executor=executor, shards=5)
    assert content(tmp_path / "tokens") == content(plain)
    assert prepared.corpus == prepare(shelf).corpus


def die_once(item: tuple[Path, int]) -> int:
    """Kill the process that works on number 3, but the first time only."""
    place, number = item
    if number == 3 and not (place / "died").exists():
        (place / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


@pytest.mark.parametrize(
    "kind", ["ours", pytest.param("a pool that breaks", marks=pytest.mark.slow)]
)
def test_a_dead_worker_costs_its_item_only_and_is_told_of(tmp_path: Path, kind: str) -> None:
    executor = (
        WorkerProcesses(2)
        if kind == "ours"
        else ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    )
    failures: list[int] = []
    with executor:
        items = [(tmp_path, number) for number in range(8)]
        squares = run_in_order(
            executor, die_once, items, failed=lambda item, reason: failures.append(item[1])
        )
        assert list(squares) == [number * number for number in range(8)]
    assert 3 in failures
    assert kind != "ours" or failures == [3]


def fail(item: int) -> int:
    raise ZeroDivisionError(f"item {item}")


def test_what_fails_each_time_ends_in_one_line(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(MusicgenError) as error:
        list(run_in_order(executor, fail, [1]))
    assert str(error.value).startswith("a part of the work failed 3 times (ZeroDivisionError: item")


def test_a_shard_that_was_read_again_is_listed(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = iter([True])
    write = shard_source._write_there

    def write_at_last(task: ShardTask, parts: Path) -> None:
        if next(failing, False):
            raise ConnectionError("worker lost")
        write(task, parts)

    monkeypatch.setattr(shard_source, "_write_there", write_at_last)
    with ThreadPoolExecutor(1) as executor:
        account = prepare_folder(shelf, tmp_path / "tokens", executor=executor, shards=3)
    told = "note: shard 1/3 was read again: ConnectionError: worker lost"
    assert told in account.summary()


def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2)


def test_a_function_of_the_users_names_an_executor() -> None:
    with open_executor(f"{__name__}:threads") as executor:
        assert executor.submit(max, 1, 2).result() == 2
    with pytest.raises(ConfigError, match="is none of processes, dask, mpi, and no function"):
        open_executor(f"{__name__}:nothing").__enter__()


@pytest.mark.slow
def test_the_adapter_of_the_documentation_gives_the_same_bytes(
    shelf: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = (ROOT / "docs" / "cluster.md").read_text()
    (adapter,) = re.findall(r"```python\n(from concurrent.+?)```", document, re.DOTALL)
    (tmp_path / "my_cluster.py").write_text(adapter)
    monkeypatch.syspath_prepend(tmp_path)
    with open_executor("my_cluster:executor") as executor:
        prepare_folder(shelf, tmp_path / "tokens", executor=executor, shards=3)
    assert content(tmp_path / "tokens") == content(plain)


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_bytes(shelf: Path, plain: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor()
        prepare_folder(shelf, tmp_path / "tokens", executor=executor, shards=5)
    assert content(tmp_path / "tokens") == content(plain)
