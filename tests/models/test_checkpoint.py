"""Model folders: a round trip, and one clear line for every kind of damage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

import musicgen
from musicgen.errors import CheckpointError
from musicgen.formats.abc_notation import parse
from musicgen.models import KINDS, ModelConfig, build_model, checkpoint, weights_of
from musicgen.models.card import without_front_matter
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.similarity import NoveltyIndex
from musicgen.music.validation import validate
from musicgen.tokens.melody.grammar import PartPlan
from musicgen.tokens.vocabulary import SPECIALS
from tests import DATA

VOCAB = (*SPECIALS, "C", "D", "E")


def new(kind: str = "lstm") -> Checkpoint:
    torch.manual_seed(0)
    model = ModelConfig(
        kind=kind,  # type: ignore[arg-type]
        vocab_size=len(VOCAB),
        feature_sizes=(3, len(VOCAB)),
        token_columns=(1,),
        d_model=16,
        n_heads=2,
    )
    return Checkpoint(
        weights=weights_of(build_model(model)),
        model=model,
        vocab=VOCAB,
        feature_sizes={"beat": 3, "match_next": len(VOCAB)},
        tokenizer="abc",
        fingerprint="12ab",
        openings=(((4, 5), 3), ((6,), 1)),
        training={"seed": 0},
        metrics={"val_bits_per_note": 2.5},
        card="# A model\n",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "model", new())
    return tmp_path / "model"


def rewrite(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file and its entry in the manifest, as a forger would."""
    data = change((folder / name).read_bytes())
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][name] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(folder), "MODEL")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_was_saved_is_loaded(tmp_path: Path, kind: str) -> None:
    saved = new(kind)
    checkpoint.save(tmp_path / "model", saved)
    loaded = checkpoint.load(tmp_path / "model")
    names = ("model", "vocab", "feature_sizes", "tokenizer", "fingerprint", "openings", "training")
    for field in names:
        assert getattr(loaded, field) == getattr(saved, field)
    assert loaded.metrics == saved.metrics
    assert without_front_matter(loaded.card) == saved.card
    assert not loaded.network.training
    tokens, features = torch.tensor([[1, 4, 5]]), torch.zeros(1, 3, 2, dtype=torch.long)
    expected, _ = saved.network(tokens, features)
    torch.testing.assert_close(loaded.network(tokens, features)[0], expected, rtol=0, atol=0)


def test_loading_leaves_the_random_state_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    checkpoint.load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_saving_never_replaces_a_model_unless_asked(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a model already; choose another place"):
        checkpoint.save(folder, new())
    checkpoint.save(folder, new("rnn"), overwrite=True)
    assert checkpoint.load(folder).model.kind == "rnn"
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_saving_never_replaces_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="exists and is not a model; choose another place"):
        checkpoint.save(tmp_path, new(), overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_folder_of_a_run_stands_for_its_model(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "run" / "model", new())
    assert checkpoint.load(tmp_path / "run").vocab == VOCAB


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    checkpoint.save(tmp_path / "model", new())
    assert checkpoint.is_checkpoint(tmp_path / "model")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    message = "MODEL: is not a model folder; name the folder that train wrote"
    assert refusal(tmp_path / "nowhere").endswith(message[5:])


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, "config.json", "vocab.json", "manifest.json"])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refusal(folder) == f"MODEL/{name}: is missing; is this a model folder?"


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, "config.json", "vocab.json"])
def test_one_flipped_bit_anywhere(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    assert refusal(folder) == f"MODEL/{name}: was changed or damaged; get the model again"


@pytest.mark.parametrize(
    ("format_", "message"),
    [
        ("musicgen-checkpoint-5", ", newer than 'musicgen-checkpoint-4'; update musicgen"),
        ("musicgen-checkpoint-x", ", not 'musicgen-checkpoint-4'; get another folder"),
        ("musicgen-head-1", ", not 'musicgen-checkpoint-4'; get another folder"),
    ],
)
def test_another_format_is_refused_by_name(folder: Path, format_: str, message: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text()) | {"format": format_}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert refusal(folder) == f"MODEL: is of format '{format_}'{message}"


def downgrade(folder: Path, version: int) -> None:
    """Make the folder one that an earlier musicgen wrote."""
    (folder / checkpoint.WEIGHTS).rename(folder / checkpoint.WEIGHTS_UP_TO_3)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["format"] = f"musicgen-checkpoint-{version}"
    digests = manifest["sha256"]
    digests[checkpoint.WEIGHTS_UP_TO_3] = digests.pop(checkpoint.WEIGHTS)
    card = (folder / checkpoint.CARD).read_bytes()
    digests[checkpoint.CARD] = hashlib.sha256(card).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_folder_of_an_earlier_format_loads_with_its_card_sealed(
    folder: Path, version: int
) -> None:
    downgrade(folder, version)
    loaded = checkpoint.load(folder)
    assert loaded.weights.keys() == new().weights.keys()
    checkpoint.save(folder, loaded, overwrite=True)  # as one of today
    assert {path.name for path in folder.iterdir()} >= {checkpoint.WEIGHTS, checkpoint.CARD}
    assert not (folder / checkpoint.WEIGHTS_UP_TO_3).exists()
    downgrade(folder, version)
    (folder / checkpoint.CARD).write_text("# Another card\n")
    assert refusal(folder) == "MODEL/README.md: was changed or damaged; get the model again"


@pytest.mark.parametrize("version", [3, 4])
def test_the_files_are_those_of_the_format_that_the_manifest_names(
    folder: Path, version: int
) -> None:
    if version == 4:
        downgrade(folder, 3)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["format"] = f"musicgen-checkpoint-{version}"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert refusal(folder) == "MODEL/manifest.json: lists other files; get the model again"


@pytest.mark.parametrize("card", [None, b"", b"# Mine\n", b"---\nlicense: cc0-1.0\n---\n\xff"])
def test_a_card_may_be_edited_or_removed_and_what_the_hub_adds_is_ignored(
    folder: Path, card: bytes | None
) -> None:
    (folder / checkpoint.CARD).unlink()
    if card is not None:
        (folder / checkpoint.CARD).write_bytes(card)
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / "picture.png").write_bytes(b"\x89PNG")
    loaded = checkpoint.load(folder)
    assert loaded.card == (card or b"").decode("utf-8", "replace")


def test_a_card_without_bounds_is_refused(folder: Path) -> None:
    (folder / checkpoint.CARD).write_bytes(b"x" * (checkpoint.MAX_BYTES[".md"] + 1))
    assert "MODEL/README.md: is larger than 1 MiB" in refusal(folder)


def test_a_model_of_the_first_format_composes_and_guesses_as_it_did() -> None:
    """Written by the program of 2026-11-21, with the logits that it had then."""
    old = DATA / "checkpoint-1"
    model = checkpoint.load(old)
    tokens = torch.arange(4, 12)[None]
    columns = [torch.arange(8) % size for size in model.feature_sizes.values()]
    logits, _ = model.network(tokens, torch.stack(columns, -1)[None])
    was = [-0.12828737, 0.02543295, -0.00230437, -0.14973821, -0.03510018]
    assert logits[0, -1, :5].tolist() == pytest.approx(was, abs=1e-5)
    tune = musicgen.load(old).generate(key="D", rhythm="jig", seed=1)
    assert validate(tune) == ()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_not_one(folder: Path, data: bytes) -> None:
    (folder / "manifest.json").write_bytes(data)
    message = refusal(folder)
    assert message.startswith("MODEL/manifest.json: cannot be read: it ")
    assert message.endswith("; get the model again")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "config.json",
            b'"d_model": 16',
            b'"d_model": 1600000',
            "larger than 4 billion parameters",
        ),
        ("config.json", b'"d_model": 16', b'"d_model": 24', "does not fit config.json"),
        ("config.json", b'"d_model"', b'"d_modle"', "unknown setting; did you mean 'd_model'?"),
        ("config.json", b'"beat": 3', b'"beat": 4', "feature_sizes do not fit the model"),
        ("config.json", b'"training": {', b'"training": [{', "cannot be read"),
        ("vocab.json", b'"E"', b'"D"', "is not a list of different texts"),
        ("vocab.json", b'"E"', b"5", "is not a list of different texts"),
        ("vocab.json", b"<pad>", b"<mad>", "does not fit the model"),
        ("metrics.json", b"2.5", b'"x"', "cannot be read"),
        ("metrics.json", b"2.5", b"1e400", "metrics.json: cannot be read: ["),
        ("openings.json", b"1", b"1" + b"0" * 400, "openings.json: cannot be read: ["),
        ("openings.json", b"1", b"[" * 100_000, "openings.json: cannot be read: it is nested"),
    ],
)
def test_contents_that_do_not_fit(
    folder: Path, name: str, old: bytes, new: bytes, *, message: str
) -> None:
    rewrite(folder, name, lambda data: data.replace(old, new))
    assert message in refusal(folder)


def test_weights_that_are_not_safetensors(folder: Path) -> None:
    rewrite(folder, checkpoint.WEIGHTS, lambda _: b"\x80\x05pickle")
    assert "is not a safetensors file" in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(folder: Path, value: float) -> None:
    def poison(data: bytes) -> bytes:
        tensors = safetensors.torch.load(data)
        tensors["readout.push.bias"][0] = value
        return safetensors.torch.save(tensors)

    rewrite(folder, checkpoint.WEIGHTS, poison)
    assert "'readout.push.bias' holds values that are not finite" in refusal(folder)


def test_a_tensor_too_many(folder: Path) -> None:
    def add(data: bytes) -> bytes:
        return safetensors.torch.save(safetensors.torch.load(data) | {"more": torch.zeros(1)})

    rewrite(folder, checkpoint.WEIGHTS, add)
    assert "does not fit config.json (tensor 'more')" in refusal(folder)


def test_the_index_of_the_corpus_comes_along_and_is_checked(folder: Path) -> None:
    assert checkpoint.load(folder).novelty is None
    index = NoveltyIndex.build(parse(b"X:1\nT:A\nK:G\nGABc dedB|", "a.abc").tunes)
    checkpoint.save(folder, replace(new(), novelty=index), overwrite=True)
    again = checkpoint.load(folder).novelty
    assert again is not None
    assert again.to_bytes() == index.to_bytes()
    rewrite(folder, "novelty.npz", lambda data: data[:-9] + b"\0" + data[-8:])
    with pytest.raises(CheckpointError, match=r"novelty\.npz: is not an index of melodies"):
        checkpoint.load(folder)
    (folder / "novelty.npz").unlink()
    with pytest.raises(CheckpointError, match=r"novelty\.npz: is missing"):
        checkpoint.load(folder)


def test_a_network_first_asked_for_in_inference_mode_serves_everybody(folder: Path) -> None:
    loaded = checkpoint.load(folder)
    with torch.inference_mode():
        network = loaded.network
    parameter = next(network.parameters())
    assert not parameter.is_inference()
    assert parameter.requires_grad


def test_outlines_are_kept_with_the_openings_and_older_models_have_none(folder: Path) -> None:
    assert checkpoint.load(folder).outlines == ()
    two = (PartPlan(bars=8, repeated=True, ends_on_tonic=True), PartPlan(bars=8, repeated=False))
    outlines = (((two, 2), ((PartPlan(bars=4, repeated=True, ends_on_tonic=False),), 1)), ())
    checkpoint.save(folder, replace(new(), outlines=outlines), overwrite=True)
    loaded = checkpoint.load(folder)
    assert (loaded.openings, loaded.outlines) == (new().openings, outlines)
    part = PartPlan(bars=8, repeated=True)
    for wrong in (((replace(part, bars=999),), 1), ((part,), 0), ((), 1)):
        checkpoint.save(folder, replace(new(), outlines=((wrong,), ())), overwrite=True)
        with pytest.raises(CheckpointError, match=r"openings\.json: cannot be read: "):
            checkpoint.load(folder)
