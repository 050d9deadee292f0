"""Models on the Hugging Face Hub: a hub on this machine, asked through huggingface_hub."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import ModelCard

from musicgen import load
from musicgen.composer import Composer, PolyphonicComposer, TextComposer
from musicgen.errors import CheckpointError
from musicgen.models import checkpoint, hub
from musicgen.models.card import FRONT_MATTER, without_front_matter
from tests import DATA
from tests.hub import TOKEN, Hub, serving

NAME = "me/rnn"
# huggingface_hub calls its HTTP client in a way that is out of date.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving() as server:
        constants = "huggingface_hub.constants"
        template = huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE
        endpoint = huggingface_hub.constants.ENDPOINT
        for name, value in {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": template.replace(endpoint, server.url),
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HF_HUB_DISABLE_XET": True,  # large files go by the batch API of git LFS
        }.items():
            monkeypatch.setattr(f"{constants}.{name}", value)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


@pytest.fixture
def pushed(served: Hub) -> Hub:
    address = Composer.from_pretrained("celtic-rnn").push_to_hub(NAME, token=TOKEN)
    assert address == f"{served.url}/{NAME}"
    served.requests.clear()
    return served


def refusal(name: str, **options: str) -> str:
    with pytest.raises(CheckpointError) as caught:
        Composer.from_pretrained(name, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def is_part_of(some: object, whole: object) -> bool:
    """Whether a value of JSON is another one but for names that it lacks."""
    if isinstance(some, dict) and isinstance(whole, dict):
        return all(name in whole and is_part_of(some[name], whole[name]) for name in some)
    return some == whole


def test_a_model_comes_back_from_the_hub_as_it_was(pushed: Hub) -> None:
    lines: list[str] = []
    folder = hub.find(NAME, report=lines.append)
    assert lines == [f"downloading {NAME} from {pushed.url} (1.6 MB)"]
    here = checkpoint.locate("celtic-rnn")
    for path in here.iterdir():
        # Lines of the manifest have another order; a newer musicgen writes new settings out.
        if path.name not in ("manifest.json", "config.json"):
            assert (folder / path.name).read_bytes() == path.read_bytes(), path.name
    ours, theirs = (json.loads((each / "config.json").read_bytes()) for each in (here, folder))
    assert is_part_of(ours, theirs)
    assert checkpoint.load(folder).model == checkpoint.load(here).model
    assert hub.find(NAME, report=lines.append) == folder
    assert len(lines) == 1  # nothing more is downloaded
    before = Composer.from_pretrained(here).generate(key="D", seed=3)
    assert Composer.from_pretrained(NAME).generate(key="D", seed=3) == before
    assert load(NAME).generate(key="D", seed=3) == before


def test_large_files_go_by_lfs_and_all_in_one_commit(served: Hub) -> None:
    composer = Composer.from_pretrained("celtic-rnn")
    composer.push_to_hub(NAME, token=TOKEN, message="First")
    assert served.messages == ["First"]
    assert sum(request.startswith("PUT /lfs/") for request in served.requests) == 2
    assert set(served.files(NAME)) == {
        *(".gitattributes", "README.md", "manifest.json", "model.safetensors", "config.json"),
        *("vocab.json", "openings.json", "metrics.json", "novelty.npz"),
    }


def test_a_card_edited_on_the_hub_loads_and_other_files_stay_there(pushed: Hub) -> None:
    card = "---\nlicense: cc0-1.0\nlibrary_name: musicgen\n---\n# Mine now\n"
    pushed.put(NAME, {"README.md": card.encode(), "evil.pkl": b"\x80", "a/config.json": b"{}"})
    composer = Composer.from_pretrained(NAME)
    assert composer.checkpoint.card == card
    folder = hub.find(NAME)
    assert not (folder / "evil.pkl").exists()
    assert not (folder / "a").exists()
    assert not any("evil" in request for request in pushed.requests)


def test_what_was_changed_on_the_hub_is_refused(pushed: Hub) -> None:
    weights = bytearray(pushed.files(NAME)["model.safetensors"])
    weights[len(weights) // 2] ^= 1
    pushed.put(NAME, {"model.safetensors": bytes(weights)})
    assert "model.safetensors: was changed or damaged; get the model again" in refusal(NAME)


def test_a_file_too_large_and_a_model_of_others_are_not_downloaded(pushed: Hub) -> None:
    pushed.sizes["config.json"] = 1 << 40
    assert refusal(NAME) == f"{NAME}/config.json: is too large; get another model"
    pushed.put("them/gpt", {"model.safetensors": b"x" * 1000, "config.json": b"{}"})
    pushed.sizes.clear()
    missing = "them/gpt: is no model of musicgen; its manifest.json is missing"
    assert refusal("them/gpt") == missing
    assert not any(request.startswith("GET /them") for request in pushed.requests)


def test_revisions(pushed: Hub) -> None:
    Composer.from_pretrained("celtic").push_to_hub(NAME, token=TOKEN, revision="v2")
    kinds = [
        Composer.from_pretrained(name, **options).checkpoint.model.kind
        for name, options in (
            (NAME, {}),
            (f"{NAME}@v2", {}),
            (NAME, {"revision": "v2"}),
            (f"{NAME}@{pushed.repositories[NAME]['v2']}", {}),
        )
    ]
    assert kinds == ["rnn", "lstm", "lstm", "lstm"]
    expected = f"{NAME}@v3: has no such revision; see {pushed.url}/{NAME}"
    assert refusal(f"{NAME}@v3") == expected


def test_without_a_network_the_cache_serves_and_else_one_line_says_so(
    pushed: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    Composer.from_pretrained(NAME)
    pushed.requests.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert Composer.from_pretrained(NAME).checkpoint.model.kind == "rnn"
    assert refusal("me/other").startswith("me/other: HF_HUB_OFFLINE is set, so only models in")
    with pytest.raises(CheckpointError, match=r"HF_HUB_OFFLINE is set, .* nothing is sent"):
        Composer.from_pretrained("celtic-rnn").push_to_hub(NAME, token=TOKEN)
    assert pushed.requests == []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    closed = "http://127.0.0.1:9"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", closed)
    assert Composer.from_pretrained(NAME).checkpoint.model.kind == "rnn"
    assert f"me/other: {closed} cannot be used (" in refusal("me/other")


def test_who_may_not_read_or_write_is_told_to_log_in(pushed: Hub) -> None:
    rnn = Composer.from_pretrained("celtic-rnn")
    for name, token in (("me/new", "hf_wrong"), ("other/rnn", TOKEN)):
        with pytest.raises(CheckpointError, match=f"{name}: .* refuses .*; run hf auth login"):
            rnn.push_to_hub(name, token=token)
    rnn.push_to_hub("me/secret", token=TOKEN, private=True)
    assert "me/secret" in pushed.private
    assert "me/secret: is neither a folder here nor a model at" in refusal("me/secret")
    assert Composer.from_pretrained("me/secret", token=TOKEN).checkpoint.model.kind == "rnn"


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"{}", b"[]", b"null", b'{"id": 1}', b'{"id": "a/b", "sha": 1}']
)
def test_answers_of_something_else_than_a_hub_are_one_line(served: Hub, answer: bytes) -> None:
    """Such as the log-in page of a wireless network."""
    served.only_answer = answer
    cannot = f"me/rnn: {served.url} cannot be used ("
    assert refusal(NAME).startswith(cannot)
    with pytest.raises(CheckpointError, match=re.escape(cannot)):
        hub.upload(checkpoint.load(DATA / "checkpoint-1"), NAME, token=TOKEN)


@pytest.mark.parametrize("name", ["me", "a/b/c", "/a/b", "me/a b", "../b", "a/../b", "me/a--b"])
def test_what_is_no_name_is_not_sent(served: Hub, name: str) -> None:
    refusal(name)
    with pytest.raises(CheckpointError, match="is no name of a model; use user/name"):
        Composer.from_pretrained("celtic-rnn").push_to_hub(name, token=TOKEN)
    assert served.requests == []


def test_a_folder_on_the_disk_comes_first(
    pushed: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Composer.from_pretrained("celtic").save_pretrained("me/rnn")
    assert Composer.from_pretrained(NAME).checkpoint.model.kind == "lstm"
    with pytest.raises(CheckpointError, match="holds a model already; choose another place"):
        Composer.from_pretrained("celtic").save_pretrained(NAME)
    assert refusal("me/misspelt").startswith("me/misspelt: is not a model folder")
    assert pushed.requests == []


def test_each_kind_of_composer_travels(served: Hub, tmp_path: Path) -> None:
    chorale = PolyphonicComposer.from_pretrained("chorale")
    chorale.save_pretrained(tmp_path / "saved")
    again = PolyphonicComposer.from_pretrained(tmp_path / "saved")
    assert again.generate(bars=4, seed=1) == chorale.generate(bars=4, seed=1)
    for kind in (Composer, TextComposer):
        with pytest.raises(CheckpointError, match=r"chorale: this model reads 'remi' tokens"):
            kind.from_pretrained("chorale")


@pytest.mark.parametrize("name", sorted(checkpoint.shipped()))
def test_cards_of_the_shipped_models_are_read_by_the_hub(served: Hub, name: str) -> None:
    folder = checkpoint.shipped()[name]
    card = ModelCard.load(folder / "README.md")
    card.validate()
    assert (card.data.license, card.data.library_name) == ("mit", "musicgen")
    assert {card.data.datasets[0], *card.data.tags} >= {card.data.datasets[0], "music"}
    results = {(r.dataset_split, r.metric_type): r.metric_value for r in card.data.eval_results}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert results["validation", "bits_per_note"] == round(metrics["val_bits_per_note"], 4)
    assert card.data.model_name in card.text
    assert json.loads((folder / "manifest.json").read_text())["format"] == checkpoint.FORMAT


@pytest.mark.parametrize(
    ("card", "text"),
    [
        ("# A\n", "# A\n"),
        ("---\nlicense: mit\n---\n\n# A\n", "# A\n"),
        ("---\r\nlicense: mit\r\n---\r\n# A\r\n", "# A\r\n"),
        ("---\n---\n# A\n", "# A\n"),
        ("---\nlicense: mit\n---", ""),
        ("---\nnot closed\n", "---\nnot closed\n"),
        ("text\n---\na: b\n---\n", "text\n---\na: b\n---\n"),
    ],
)
def test_front_matter_is_told_from_the_text(card: str, text: str) -> None:
    assert without_front_matter(card) == text
    assert bool(FRONT_MATTER.match(card)) == (text != card)


def test_the_command_line_takes_a_name_and_pushes(tmp_path: Path) -> None:
    with serving() as server:
        environment = {
            **os.environ,
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
        }

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "musicgen", *arguments]
            return subprocess.run(
                command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
            )

        done = run("push", "celtic-rnn", NAME)
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines()[-1] == f"next: musicgen generate --checkpoint {NAME}"
        done = run("generate", "--checkpoint", NAME, "--seed", "1")
        assert done.stderr.splitlines()[0].startswith(f"downloading {NAME} from {server.url} (")
        assert done.stdout.startswith("X:1")
        assert "huggingface" not in done.stderr
