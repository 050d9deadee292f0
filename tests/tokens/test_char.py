"""Any text as a corpus: characters, documents, splits without leaks, and text that is written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from musicgen import corpus
from musicgen.cli import app
from musicgen.composer import TextComposer, composer_of
from musicgen.composer.sampling import SamplingConfig
from musicgen.corpus.preparation import Prepared, prepare
from musicgen.corpus.sources import find_files
from musicgen.corpus.texts import JOINED, LONGEST, documents, read_text, text_shingles
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import CheckpointError, ControlError, CorpusError, ParseError
from musicgen.evaluation.inspection import attention, surprise
from musicgen.evaluation.likelihood import rates
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.models import build_model, weights_of
from musicgen.models import checkpoint as checkpoints
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.similarity.families import SAME_FAMILY_JACCARD
from musicgen.tokens import char
from musicgen.tokens.char import UNKNOWN_BITS, tune_in
from musicgen.tokens.vocabulary import BOS, EOS, Vocabulary
from tests.checkpoints import untrained_of

REEL = "X:{n}\nT:Reel {n}\nM:2/4\nL:1/8\nK:G\n{music}|\n"
VERSES = ("The time you won your town the race\nWe chaired you through the market-place;",
          "Man and boy stood cheering by,\nAnd home we brought you shoulder-high.")  # fmt: skip


def tunebook(n: int, seed: int = 0) -> str:
    """ABC tunes that have nothing to do with one another."""
    rng = np.random.default_rng(seed)
    music = ["|".join("".join(rng.choice(list("CDEFGABcdefga"), 4)) for _ in range(8))
             for _ in range(n)]  # fmt: skip
    return "\n".join(REEL.format(n=i + 1, music=m) for i, m in enumerate(music))


def model_of(prepared: Prepared) -> Checkpoint:
    """An untrained network for these tokens."""
    return untrained_of(prepared.tokens)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.abc"
    path.write_text(tunebook(80))
    return path


@pytest.fixture(scope="module")
def prepared(book: Path) -> Prepared:
    return prepare(book, tokenizer="char")


@given(st.text())
@settings(deadline=None)
def test_characters_are_given_back(text: str) -> None:
    assert char.decode([BOS, *char.encode(text), EOS]) == text


def test_text_of_a_tune_is_its_canonical_abc() -> None:
    tune = parse_text(REEL.format(n=1, music="GABc|dedB")).tunes[0]
    assert "X:" not in char.text_of(tune)
    again = tune_in(char.text_of(tune))
    assert again is not None
    assert to_abc(again).splitlines()[2:] == to_abc(tune).splitlines()[2:]


def test_tunes_are_documents_and_paragraphs_are_joined() -> None:
    text = "A tunebook.\n\n\n" + tunebook(2) + "\n" + "\n\n".join(VERSES * 10)
    found = list(documents(text))
    assert [line for line, _ in found[:4]] == [1, 4, 11, 18]
    assert [document.startswith("X:") for _, document in found[:3]] == [False, True, True]
    verses = [document for _, document in found[3:]]
    assert "\n\n".join(verses) == "\n\n".join(VERSES * 10)
    assert all(JOINED <= len(verse) <= LONGEST for verse in verses[:-1])


@given(st.text(alphabet="aX: \n", max_size=200))
@settings(deadline=None)
def test_no_character_of_a_text_is_lost(text: str) -> None:
    assert "".join("".join(d for _, d in documents(text)).split()) == "".join(text.split())


def test_a_text_without_blank_lines_is_cut_at_its_lines() -> None:
    lines = "\n".join("a line of a long poem" for _ in range(500))
    found = list(documents(lines))
    assert "".join(document for _, document in found) == lines
    assert all(len(document) <= LONGEST for _, document in found)
    assert [line for line, _ in found[:2]] == [1, 1 + found[0][1].count("\n")]
    assert [len(document) for _, document in documents("x" * 5000)] == [2048, 2048, 904]
    # In time that grows with the text, not with its square.
    assert sum(len(d) for _, d in documents("x" * 8_000_000)) == 8_000_000
    assert list(documents(" " * 1_000_000 + "\n\na")) == [(3, "a")]


def test_line_ends_and_encodings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for data in ("é\r\nb\rc".encode(), "é\nb\nc".encode("utf-16"), "é\nb\nc".encode("latin-1")):
        path.write_bytes(data)
        assert read_text(path) == "é\nb\nc"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ParseError, match="is not text"):
        read_text(path)


def test_similar_paragraphs_share_a_family_and_a_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    words = ["".join(rng.choice(list("abcdefghijklmnop"), 6)) for _ in range(400)]
    texts = [" ".join(rng.choice(words, 90)) for _ in range(30)]
    twins = [text.replace(text[40:60], "something else") for text in texts]
    (tmp_path / "a.txt").write_text("\n\n".join([*texts, *twins]))
    a, b = (text_shingles(text) for text in (texts[0], twins[0]))
    assert len(np.intersect1d(a, b)) / len(np.union1d(a, b)) > SAME_FAMILY_JACCARD
    entries = prepare(tmp_path, tokenizer="char").corpus.entries
    assert len(entries) == 60
    assert [e.split for e in entries[:30]] == [e.split for e in entries[30:]]
    assert {e.split for e in entries} == {"train", "val", "test"}
    assert len({e.family for e in entries}) == 30


def test_a_tune_in_another_key_is_kept_from_the_test(tmp_path: Path) -> None:
    music = "GABA|GDGA|BAGD|EFGE|DEFG|AGBA|GFED|G4"
    (tmp_path / "a.abc").write_text(
        REEL.format(n=1, music=music) + "\n" + REEL.format(n=2, music=music.lower())
    )
    loaded = prepare(tmp_path, tokenizer="char", val=0, test=0).corpus
    assert len(loaded.entries) == 2  # the text is another: both are learned
    assert len({entry.family for entry in loaded.entries}) == 1


def test_files_are_read_as_they_are_and_corpora_as_music(tmp_path: Path) -> None:
    (tmp_path / "a.text").write_text("any text at all, in a file of any name\n")
    (tmp_path / "b.bin").write_bytes(bytes(300))
    found = prepare(tmp_path, tokenizer="char", val=0, test=0)
    spoken = Vocabulary(found.tokens.vocab).decode(found.tokens.splits["train"].tune(0)[0])
    assert char.decode(spoken) == "any text at all, in a file of any name"
    assert [(o.id.rpartition("/")[2], o.reason) for o in found.corpus.rejected] == [
        ("b.bin", "is not text")
    ]
    assert found.tokens.unit == "character"
    assert found.tokens.splits["train"].notes.tolist() == [38]
    named = find_files(["chorales", "airdsAirs", str(tmp_path)], texts=True)
    assert {file.named for file in named if file.source != str(tmp_path)} == {True}
    assert [f.path.name for f in named if not f.named] == ["a.text", "b.bin"]
    with pytest.raises(CorpusError, match=r"b\.bin: no readable text in 1 files"):
        prepare(tmp_path / "b.bin", tokenizer="char")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"empty: no file in this folder$"):
        prepare(tmp_path / "empty", tokenizer="char")


def test_the_same_files_give_the_same_tokens_in_memory_and_on_disk(
    book: Path, prepared: Prepared, tmp_path: Path
) -> None:
    stored = prepare(book, tokenizer="char", folder=tmp_path / "tokens").tokens
    assert stored.fingerprint == prepared.tokens.fingerprint
    assert TokenSet.load(tmp_path / "tokens").unit == "character"


def test_likelihood_is_counted_by_note_bar_and_character(
    book: Path, prepared: Prepared, tmp_path: Path
) -> None:
    model, split = model_of(prepared), prepared.tokens.splits["test"]
    found = rates(model, prepared.tokens)
    by_unit = {rate.unit: rate for rate in found.rates}
    assert found.own
    assert not found.n_unknown
    n = len(split)
    assert {u: (r.n, r.n_tunes) for u, r in by_unit.items()} == {
        "note": (32 * n, n), "bar": (8 * n, n), "character": (int(split.notes.sum()), n)
    }  # fmt: skip
    totals = [rate.bits * rate.n for rate in found.rates]
    assert totals == pytest.approx([totals[0]] * 3)
    assert all(rate.low <= rate.bits <= rate.high for rate in found.rates)
    # Another alphabet: what the model does not know costs the bits that tell it from all others.
    (tmp_path / "other.abc").write_text(tunebook(80).replace("Reel", "Reél"))
    other = prepare(tmp_path / "other.abc", tokenizer="char").tokens
    strange = rates(model, other)
    assert not strange.own
    assert strange.n_unknown == len(other.splits["test"])
    bits = next(rate for rate in strange.rates if rate.unit == "character")
    assert bits.bits * bits.n > strange.n_unknown * UNKNOWN_BITS


@pytest.mark.parametrize(
    ("name", "content", "n_train"),
    [("two.txt", "ab", 1),
     ("short.md", "Hello world, this is a small text.\n", None),
     ("a.html", "<html><body><p>Hello</p>\n\n<p>you</p></body></html>", None),
     ("same.py", "pass\n" * 1000, None),
     ("one.abc", REEL.format(n=1, music="GABA|GDGA|BAGD|EFGE"), None)],
)  # fmt: skip
@pytest.mark.parametrize("tokenizer", ["char", "word"])
def test_a_text_of_any_size_has_something_to_validate_with(
    tokenizer: str, name: str, content: str, n_train: int | None, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content)
    found = prepare(path, tokenizer=tokenizer)
    splits = found.tokens.splits
    assert len(splits["val"]) >= 1
    assert len(splits["train"]) >= (n_train or 8)
    moved = tmp_path / "moved.txt"
    moved.write_text(content)
    assert prepare(moved, tokenizer=tokenizer).tokens.fingerprint == found.tokens.fingerprint
    assert any("is cut into" in notice for notice in found.corpus.notices)


def test_too_little_text_says_how_much_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content, message in (
        (" a\n", "1 character is too little to train on; give 2 or more"),
        (" \n", r"no readable text in 1 files \(first: .*a.txt: holds no text\)"),
    ):
        path.write_text(content)
        with pytest.raises(CorpusError, match=rf"a\.txt: {message}$"):
            prepare(path, tokenizer="char")


def test_every_text_of_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("Do what you like with it, but name us.\n" * 20)
    (tmp_path / "readme.md").write_text("What this is and how it is used, in short.\n" * 20)
    ids = {
        entry.id.rpartition("/")[2] for entry in prepare(tmp_path, tokenizer="char").corpus.entries
    }
    assert {name.partition(":")[0] for name in ids} == {"LICENSE", "readme.md"}


def test_a_model_of_canonical_tunes_keeps_number_and_title(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models of named corpora know no `X:`; the lines stay in the text and are not read."""
    model = model_of(prepared)
    lacking = replace(model, vocab=tuple("\u266d" if t == "X" else t for t in model.vocab))
    composer = TextComposer(lacking)
    sampling = SamplingConfig(seed=3, max_tokens=30)
    monkeypatch.setattr(TextComposer, "_begins_with_field", False)
    with pytest.raises(ControlError, match=r"^prompt: character 1, 'X', is none the model knows; "):
        composer.read_prompt("X:1")
    monkeypatch.setattr(TextComposer, "_begins_with_field", True)
    assert composer.read_prompt("X:1").unread == "X:1\n"
    (text,) = composer.texts(1, sampling, prompt="X:7\nT:\u266f\nM:2/4\n")
    (bare,) = composer.texts(1, sampling, prompt="M:2/4\n")
    assert text.text == "X:7\nT:\u266f\n" + bare.text
    assert TextComposer(model).read_prompt("X:1\n").unread == ""
    with pytest.raises(ControlError, match=r"^prompt: character 5, '\u266f', is none the model"):
        composer.read_prompt("X:1\n\u266f")


def test_text_is_the_same_for_a_seed_whatever_the_batch(prepared: Prepared) -> None:
    composer = TextComposer(model_of(prepared))
    sampling = SamplingConfig(seed=3, max_tokens=60)
    three = list(composer.texts(3, sampling, prompt="X:1\nT:"))
    assert all(w.text.startswith("X:1\nT:") for w in three)
    (last,) = composer.texts(3, sampling, prompt="X:1\nT:", start=2)
    assert last.text == three[2].text
    assert last.bits_per_character == pytest.approx(three[2].bits_per_character)
    assert composer.write(seed=3) == composer.write(seed=3) != composer.write(seed=4)


def test_a_strange_prompt_is_refused_in_one_line(prepared: Prepared) -> None:
    with pytest.raises(ControlError) as error:
        TextComposer(model_of(prepared)).write(prompt="X:1 \u266f")
    assert str(error.value).startswith("prompt: character 5, '\u266f', is none the model knows; ")
    assert "\n" not in str(error.value)


def test_a_text_model_does_not_pose_as_a_composer(prepared: Prepared) -> None:
    with pytest.raises(CheckpointError, match=r"^this model writes plain text"):
        composer_of(model_of(prepared))


def test_from_text_to_text_through_the_command_line(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(words))
        error = result.exception
        return result.exit_code, result.stdout, result.stderr + str(error or "")

    small = ["--set", "model.d_model=16", "--set", "data.batch_tokens=4096"]
    assert run("train", "--corpus", str(book), "--tokenizer", "char", "--network", "rnn",
               "--epochs", "1", "--out", "run", *small)[0] == 0  # fmt: skip
    assert "bits per character" in Path("run/model/README.md").read_text()
    assert "val_bits_per_character" in Path("run/history.csv").read_text().splitlines()[0]
    assert checkpoints.load("run").tokenizer == "char"

    code, out, err = run("generate", "-c", "run", "--prompt", "X:1\n", "--seed", "1", "-n", "2")
    assert code == 0
    assert out.count("X:1\n") >= 2
    assert "bits per character" in err
    assert "seed 1" in err
    assert run("generate", "-c", "run", "--seed", "1", "-n", "2", "-o", "two.txt")[0] == 0
    digest = hashlib.sha256(Path("two.txt").read_bytes())
    run("generate", "-c", "run", "--seed", "1", "-n", "2", "-o", "two.txt", "--force")
    assert hashlib.sha256(Path("two.txt").read_bytes()).digest() == digest.digest()
    tune = REEL.format(n=1, music="GABc|dedB|cABG|G4").rstrip("\n")
    assert char.CHARACTERS.text is not None
    writing = replace(char.CHARACTERS.text, pieces=lambda _tokens: [tune])
    monkeypatch.setattr("musicgen.composer.texts.text_code", lambda _name: writing)
    assert (
        run("generate", "-c", "run", "--seed", "1", "-n", "2", "-o", "some", "--to", "abc")[0] == 0
    )
    assert sorted(p.name for p in Path("some").iterdir()) == [
        "index.html", "text-1-1.abc", "text-1-1.txt", "text-1-2.abc", "text-1-2.txt"
    ]  # fmt: skip
    assert parse_text(Path("some/text-1-1.abc").read_text()).tunes[0].title == "Reel 1"

    for words, said in (
        (["--key", "D"], "takes no controls"),
        (["-o", "two.txt"], "already exists"),
        (["--prompt", "\u266f"], "none the model knows"),
    ):
        code, _, err = run("generate", "-c", "run", *words)
        assert code == 1
        assert said in err
    code, out, _ = run("evaluate", "-c", "run", "--corpus", str(book), "--json", "-")
    assert code == 0
    found = json.loads(out)
    assert [rate["unit"] for rate in found["rates"]] == ["note", "bar", "character"]
    assert found["own"]
    assert found["bits_per_character"] == found["rates"][2]["bits"]
    code, out, err = run("evaluate", "-c", "run", "--corpus", str(book), "--split", "all")
    assert "on 80 texts with 2,560 notes" in out
    assert "note: those that the model was trained on are among them" in err
    Path("more.abc").write_text(tunebook(3, seed=9) + "\n" + book.read_text())
    code, out, err = run("evaluate", "-c", "run", "--corpus", "more.abc", "--split", "all",
                         "--apart-from", str(book), "--json", "-")  # fmt: skip
    assert code == 0
    assert json.loads(out)["n_tunes"] == 3
    assert f"80 more tunes are left out, of families that have tunes in {book}" in err


def test_splits_do_not_move_when_a_text_is_added(book: Path, tmp_path: Path) -> None:
    (tmp_path / "more.abc").write_text(tunebook(10, seed=9))
    alone = {e.id: e.split for e in corpus.load(book, extract_text=lambda *_: None).entries}
    both = corpus.load([book, tmp_path / "more.abc"], extract_text=lambda *_: None).entries
    assert alone == {e.id: e.split for e in both if e.id in alone}


def test_a_network_of_characters_can_be_looked_into(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = model_of(prepared)
    text = "X:1\nT:Reel 1\nM:2/4\u266f\n"
    found = surprise.measure(text, model)
    assert len(found.bits) == len(text) + 1  # the end costs bits too
    assert found.bits_per_note == pytest.approx(sum(found.bits) / len(text))
    assert found.of_note[2, 5] == found.bits[text.index("\u266f")]
    with pytest.raises(CheckpointError, match=r"^this model is an 'lstm' and has no attention"):
        attention.measure(text, model)
    config = replace(model.model, kind="transformer", n_heads=2)
    attending = replace(model, model=config, weights=weights_of(build_model(config)))
    seen = attention.measure(text, attending)
    places, shares = seen.among_notes(0, 0)
    assert places[4] == (1, 0)
    assert shares.shape == (len(text), len(text))
    checkpoints.save("model", attending)
    Path("a.txt").write_text("one\n" * 200 + "\n" + text)
    for words in (["surprise", "a.txt", "-o", "s.png"], ["attention", "a.txt", "-o", "a.svg"]):
        result = CliRunner().invoke(app, ["inspect", *words, "-c", "model", "--tune", "2"])
        assert result.exit_code == 0, result.stderr
    assert Path("s.csv").read_text().startswith("character,line,column,bits\n")
    assert Path("a.csv").read_text().startswith("layer,head,character,earlier_character,share\n")
    assert not Path("a.score.svg").exists()
    error = CliRunner().invoke(
        app, ["inspect", "surprise", "a.txt", "-c", "model", "--tune", "9", "-o", "b.png"]
    )
    assert str(error.exception) == "a.txt: has no text 9; it holds 2"
