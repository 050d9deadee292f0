"""Every way to look into a network, for every token language and every kind of network: each gives
numbers and a picture, or one line that says why it cannot."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from musicgen.corpus.preparation import prepare
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import CheckpointError, ControlError
from musicgen.evaluation.inspection import attention, embeddings, gradients, memory, surprise
from musicgen.evaluation.inspection.token_kinds import KINDS as TOKEN_KINDS
from musicgen.evaluation.inspection.tokens import encode_text, token_view
from musicgen.formats.abc_notation import parse_text
from musicgen.models import KINDS
from musicgen.models import checkpoint as checkpoints
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.tune import Tune
from musicgen.tokens import char
from musicgen.tokens.languages import LANGUAGES, text_code
from tests.checkpoints import untrained_of
from tests.commands import run

HEADING = "X:{n}\nT:Air {n}\nR:air\nM:2/4\nL:1/8\nK:G\n"
NETWORKS = sorted(KINDS)


def bars(n: int) -> str:
    """Sixteen bars, others for every number."""
    rng = np.random.default_rng(n)
    return "|".join("".join(rng.choice(list("GABcde"), 2)) + rng.choice(["A2", "de", "cB"])
                    for _ in range(16)) + "|]"  # fmt: skip


def air(n: int, *, voices: int = 1) -> str:
    if voices == 1:
        return HEADING.format(n=n) + bars(n) + "\n"
    lines = [f"V:{v}\n{bars(n + 100 * v)}\n" for v in range(1, voices + 1)]
    return HEADING.format(n=n) + "".join(lines)


def verse(n: int) -> str:
    """99 words."""
    words = np.array([*"To Be or not", "the", "Sons", "(York);", "winter's", "10", "suns,"])
    return " ".join(np.random.default_rng(n).choice(words, 99))


# What a corpus of each language is made of: the extension, and the document of a number.
DOCUMENTS = {
    "melody": (".abc", air),
    "remi": (".abc", lambda n: air(n, voices=2)),
    "char": (".abc", air),
    "word": (".txt", verse),
}


def test_every_language_is_looked_into() -> None:
    assert set(DOCUMENTS) == set(LANGUAGES) == set(TOKEN_KINDS)


@cache
def corpus_of(language: str, folder: Path) -> Path:
    ending, document = DOCUMENTS[language]
    path = folder / f"{language}{ending}"
    path.write_text("\n\n".join(document(n) for n in range(24)))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("languages")


@cache
def tokens_of(language: str, folder: Path) -> TokenSet:
    return prepare(corpus_of(language, folder), tokenizer=language, min_count=1).tokens


@cache
def model_of(language: str, kind: str, folder: Path) -> Checkpoint:
    return untrained_of(tokens_of(language, folder), kind=kind)


def music_of(language: str) -> Tune | str:
    document = DOCUMENTS[language][1](3)
    return document if text_code(language) else parse_text(document).tunes[0]


@pytest.fixture(params=[(name, kind) for name in DOCUMENTS for kind in NETWORKS])
def looked(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Checkpoint]:
    language, kind = request.param
    return language, model_of(language, kind, folder)


def test_numbers_for_every_language_and_network(
    looked: tuple[str, Checkpoint], folder: Path
) -> None:
    language, model = looked
    music, tokens = music_of(language), tokens_of(language, folder)
    found = surprise.measure(music, model)
    assert len(surprise.rows(found)) == len(found.view.tokens) - 1
    assert found.bits_per_note > 0
    assert found.view.unit == LANGUAGES[language].unit
    assert sum(found.of_note.values()) <= sum(found.bits) + 1e-9
    assert not any(found.bits[: LANGUAGES[language].n_header])
    if model.model.kind == "transformer":
        seen = attention.measure(music, model)
        places, shares = seen.among_notes(0, 0)
        assert shares.shape == (len(places), len(places))
        assert len(set(places)) == len(places) > 8
        assert attention.rows(seen)
        ticks, labels, _ = attention._landmarks(seen.view)
        assert [label.split(" ")[-1] for label in labels] == [seen.view.symbols[t] for t in ticks]
    else:
        with pytest.raises(CheckpointError, match=r"has no attention; name a transformer"):
            attention.measure(music, model)
    reach = gradients.measure_trained(model, music)
    assert 20 in reach.by_lag
    assert all(norm >= 0 for norm in reach.by_lag.values())
    remembered = memory.measure("it", model, tokens, n_places=10, contexts=(8, 64))
    assert remembered.unit == LANGUAGES[language].unit
    assert set(remembered.bits_per_note) == {8, 64}


@pytest.mark.parametrize("language", DOCUMENTS)
def test_vectors_of_every_language(language: str, folder: Path) -> None:
    model = model_of(language, "rnn", folder)
    ends = {end: embeddings.measure(model, end=end) for end in embeddings.ENDS}
    groups = ends["input"]
    assert [group.name for group in groups] == [kind.name for kind in TOKEN_KINDS[language]]
    members = [token for group in groups for token in group.tokens]
    assert len(set(members)) == len(members)
    assert set(members) <= set(model.vocab)
    table = embeddings.nearest(ends, [groups[0].tokens[0]])
    assert len(table) == 1
    assert table[0][1].count("(") >= 3
    with pytest.raises(ControlError, match=rf"^'nowhere' is none of the \d+ {groups[0].name}; "):
        embeddings.nearest(ends, ["nowhere"])


def test_a_one_hot_input_is_refused(folder: Path) -> None:
    model = model_of("melody", "rnn", folder)
    config = replace(
        model.model, embedding="one-hot", d_model=len(model.vocab), tie_embeddings=False
    )
    with pytest.raises(CheckpointError, match=r"^this model has one-hot inputs: their vectors are"):
        embeddings.measure(replace(model, model=config))


def test_a_text_is_read_as_the_model_learned_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tune as it is written, or without number and title as named corpora are learned."""
    model, text = model_of("char", "rnn", folder), air(5)
    tune = parse_text(text).tunes[0]
    normal = char.text_of(tune)
    costs = {len(text): 3.0, len(normal): 1.0}
    monkeypatch.setattr(
        "musicgen.evaluation.inspection.tokens._bits_per_character",
        lambda view, _model: costs[len(view.tokens) - 2],
    )
    view = token_view(text, model)
    assert view.is_normalized
    assert "".join(view.tokens[1:-1]) == normal
    assert np.array_equal(view.ids, token_view(tune, model).ids)
    costs[len(normal)] = 5.0
    raw = token_view(text, model)
    assert not raw.is_normalized
    assert np.array_equal(raw.ids, encode_text(text, model).ids)
    with pytest.raises(CheckpointError, match=r"^this model reads 'melody' tokens, not text"):
        token_view(text, model_of("melody", "rnn", folder))
    with pytest.raises(CheckpointError, match=r"^only 'melody' tokens can be shown on a score"):
        surprise.score(surprise.measure(text, model), tune)


def test_a_bar_of_a_text_is_where_it_stands(folder: Path) -> None:
    view = token_view("To be\n  or (not)", model_of("word", "rnn", folder))
    places = dict(zip(view.tokens, view.places, strict=True))
    assert (places["be"], places["or"], places["not"]) == ((0, 3), (1, 2), (1, 6))


@pytest.mark.slow
def test_pictures_for_every_language_and_network(
    looked: tuple[str, Checkpoint],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    language, model = looked
    checkpoints.save("model", model)
    corpus = str(corpus_of(language, folder))
    for name, words in {
        "surprise": [corpus],
        "attention": [corpus],
        "embeddings": [],
        "memory": ["--corpus", corpus, "--places", "10"],
        "gradients": ["--corpus", corpus],
    }.items():
        code, _, err = run(capsys, "inspect", name, *words, "-c", "model", "-o", f"{name}.png")
        if name == "attention" and model.model.kind != "transformer":
            assert code == 1
            assert err.count("\n") <= 2
            assert "has no attention; name a transformer" in err
        else:
            assert code == 0, (name, err)
            assert Path(f"{name}.png").read_bytes().startswith(b"\x89PNG")
            assert Path(f"{name}.csv").read_text().count("\n") > 3
