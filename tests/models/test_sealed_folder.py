"""Sealed folders: all or nothing, and nothing that was changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from musicgen.errors import CheckpointError
from musicgen.models.sealed_folder import arrays_from, arrays_to, seal, unseal

KIND = "test-1"


def test_what_was_sealed_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    seal(folder, {"a.json": b"{}", "b.md": b"text"}, kind=KIND)
    seal(folder, {"a.json": b"[]", "b.md": b"text"}, kind=KIND)  # in place of the first
    assert unseal(folder, ("a.json", "b.md"), kind=KIND) == {"a.json": b"[]", "b.md": b"text"}
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError) as caught:
        seal(tmp_path, {"a": b""}, kind=KIND)
    assert str(caught.value) == f"{tmp_path}: exists and is not a model; choose another place"
    assert (tmp_path / "notes.txt").read_text() == "mine"


def _missing(folder: Path) -> str:
    (folder / "a.json").unlink()
    return f"{folder}/a.json: is missing; is this a model folder?"


def _changed(folder: Path) -> str:
    (folder / "a.json").write_bytes(b"[]")
    return f"{folder}/a.json: was changed or damaged; get the model again"


def _other_kind(folder: Path) -> str:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": "test-2"}))
    return f"{folder}: is of format 'test-2', newer than 'test-1'; update musicgen"


def _no_manifest(folder: Path) -> str:
    (folder / "manifest.json").write_text("[")
    return (
        f"{folder}/manifest.json: cannot be read: it is not JSON: Expecting value: line 1 column 2 "
        "(char 1); get the model again"
    )


def _other_names(folder: Path) -> str:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = {"b.json": manifest["sha256"]["a.json"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return f"{folder}/manifest.json: lists other files; get the model again"


def _strange_version(folder: Path) -> str:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"format": "test-0"}))
    return f"{folder}: is of format 'test-0', not 'test-1'; get another folder"


def test_earlier_versions_are_read_and_later_ones_refused(tmp_path: Path) -> None:
    seal(tmp_path / "m", {"a.json": b"{}"}, kind="test-2")
    for kind in ("test-2", "test-3", "test-10"):
        assert unseal(tmp_path / "m", ("a.json",), kind=kind) == {"a.json": b"{}"}
    for kind in ("test-1", "other-2", "test-two-2", "test"):
        with pytest.raises(CheckpointError, match="is of format 'test-2'"):
            unseal(tmp_path / "m", ("a.json",), kind=kind)


@pytest.mark.parametrize(
    "spoil", [_missing, _changed, _other_kind, _strange_version, _no_manifest, _other_names]
)
def test_a_spoilt_folder_says_what_is_wrong(tmp_path: Path, spoil: object) -> None:
    seal(tmp_path / "m", {"a.json": b"{}"}, kind=KIND)
    message = spoil(tmp_path / "m")  # type: ignore[operator]
    with pytest.raises(CheckpointError) as caught:
        unseal(tmp_path / "m", ("a.json",), kind=KIND)
    assert str(caught.value) == message


def test_weights_are_checked_for_name_shape_and_value() -> None:
    data = arrays_to({"w": np.ones((2, 3), np.float32)})
    assert arrays_from(data, {"w": (2, 3)}, "m")["w"].tolist() == [[1, 1, 1]] * 2
    out_of_range = "m: tensor 'w' holds values that are not finite or beyond 1,000,000; get the "
    cases = [
        (b"no weights", {"w": (2, 3)}, "m: is not a safetensors file; get the model again"),
        (data, {"v": (2, 3)}, "m: does not fit config.json (tensor 'v')"),
        (data, {"w": (3, 2)}, "m: tensor 'w' does not fit config.json"),
    ]
    for value in (np.nan, np.inf, 1e30, -1.1e6):
        bad = arrays_to({"w": np.array([0, value], np.float32)})
        cases.append((bad, {"w": (2,)}, f"{out_of_range}model again"))
    # Converted to float32, these would be infinite.
    wide = safetensors.numpy.save({"w": np.full(2, 1e300)})
    cases.append((wide, {"w": (2,)}, f"{out_of_range}model again"))
    for given, shapes, message in cases:
        with pytest.raises(CheckpointError) as caught:
            arrays_from(given, shapes, "m")
        assert str(caught.value) == message
