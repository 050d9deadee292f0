"""Looking into networks: what the measures must be, whatever the network has learned."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from musicgen.cli import app
from musicgen.corpus.tokenset import TokenSet, build_tokenset
from musicgen.errors import CheckpointError, ControlError, CorpusError
from musicgen.evaluation.inspection import attention, embeddings, gradients, memory, surprise
from musicgen.evaluation.inspection.tokens import encode_tune
from musicgen.formats.abc_notation import parse_text
from musicgen.models import build_model, weights_of
from musicgen.models import checkpoint as checkpoints
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.tune import Tune

JIG = "X:1\nT:A jig\nR:jig\nM:6/8\nL:1/8\nK:D\nA|:d2e (3fed B|A>FA- A2A:|\n"


@pytest.fixture
def jig() -> Tune:
    return parse_text(JIG).tunes[0]


@pytest.fixture(scope="module")
def attending(untrained: Checkpoint) -> Checkpoint:
    model = replace(untrained.model, kind="transformer", n_layers=2, n_heads=2)
    torch.manual_seed(0)
    return replace(untrained, model=model, weights=weights_of(build_model(model)))


def test_each_token_of_a_tune_knows_its_note(jig: Tune, untrained: Checkpoint) -> None:
    heard = encode_tune(jig, untrained)
    said = [(token, heard.places[t]) for t, token in enumerate(heard.tokens)]
    assert said[7:10] == [("5", (0, 0)), ("|", None), ("|:", None)]
    assert ("(3:2", (1, 2)) in said
    assert ("-", (2, 2)) in said
    assert len(heard.sounding()) == jig.n_notes
    assert heard.ids.shape == (len(said),)
    assert heard.features.shape == (len(said), len(untrained.model.feature_sizes))


def test_surprise_adds_up_to_the_likelihood_of_the_tune(jig: Tune, untrained: Checkpoint) -> None:
    found = surprise.measure(jig, untrained)
    heard = found.view
    ids, features = heard.batch
    with torch.no_grad():
        log_p = untrained.network(ids, features)[0].log_softmax(dim=2)[0]
    after_heading = range(7, len(heard.tokens))
    expected = -sum(float(log_p[t - 1, heard.ids[t]]) for t in after_heading) / math.log(2)
    assert sum(found.bits) == pytest.approx(expected, rel=1e-5)
    assert found.bits_per_note == pytest.approx(expected / jig.n_notes, rel=1e-5)
    assert set(found.of_note) == {place for _, place in heard.sounding()}
    assert len(surprise.rows(found)) == len(heard.tokens) - 1


def test_attention_among_notes_is_what_the_tokens_of_notes_share(
    jig: Tune, attending: Checkpoint
) -> None:
    seen = attention.measure(jig, attending)
    n = len(seen.view.tokens)
    assert seen.weights.shape == seen.positions.shape == (2, 2, n, n)
    places, shares = seen.among_notes(1, 0)
    assert shares.shape == (jig.n_notes, jig.n_notes)
    assert len(places) == jig.n_notes
    assert (shares.sum(axis=1) < 1).all()  # the rest goes to the heading and the bar lines
    t, place = seen.view.sounding()[4]
    own = [u for u, of in enumerate(seen.view.places) if of == place and u <= t]
    assert shares[4, 4] == pytest.approx(seen.weights[1, 0, t, own].sum())
    actual, alone = seen.by_distance(10)
    assert actual.shape == alone.shape == (2, 2, 10)


def test_a_network_without_attention_is_refused(jig: Tune, untrained: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"is an 'lstm' and has no attention; name a trans"):
        attention.measure(jig, untrained)


def test_attention_of_a_tune_without_end_is_refused(attending: Checkpoint) -> None:
    music = "d2e fed|" * 300
    (long,) = parse_text(f"X:1\nT:Long\nR:jig\nM:6/8\nL:1/8\nK:D\n{music}\n").tunes
    with pytest.raises(ControlError, match=r"^2\d{3} tokens are too many .* 1500 at most, so cut"):
        attention.measure(long, attending)


@pytest.mark.parametrize(
    ("pair", "message"),
    [((3, 1, None), "layer 3: the model has layers 1 to 2"),
     ((1, 0, None), "head 0: the model has heads 1 to 2"),
     ((1, 1, 40), "note 40: the tune has notes 1 to 12")],
)  # fmt: skip
def test_arcs_of_what_is_not_there_are_refused(
    pair: tuple[int, int, int | None], message: str, jig: Tune, attending: Checkpoint
) -> None:
    seen = attention.measure(jig, attending)
    with pytest.raises(ControlError, match=f"^{message}$"):
        attention.score(seen, jig, *pair)


def test_several_voices_are_refused(untrained: Checkpoint) -> None:
    (tune,) = parse_text("X:1\nT:two\nM:C\nL:1/8\nK:C\nV:1\nc8|\nV:2\nC8|\n").tunes
    with pytest.raises(ControlError, match=r"^'two' cannot be looked into: more than one voice$"):
        encode_tune(tune, untrained)


def test_gradients_fade_explode_and_are_cured() -> None:
    torch.manual_seed(0)
    ids = torch.randint(0, 40, (4, 122))
    by_name = {reach.name: reach.by_lag for reach in gradients.measure(ids, 40, d_model=32)}
    assert by_name["tanh"][100] < 0.1 * by_name["tanh"][1]
    assert by_name["relu, random"][100] > 1e6
    assert by_name["tanh, large weights"][100] > 1e3
    assert 0.1 < by_name["relu, identity"][100] < 10
    assert by_name["transformer"][100] > 0.01


def test_a_clipped_gradient_reaches_as_far_and_is_smaller() -> None:
    torch.manual_seed(0)
    config = replace(gradients.VARIANTS["relu, random"], vocab_size=9, d_model=16)
    ids = torch.randint(0, 9, (2, 61))
    bound = gradients.measure_network("x", build_model(config), ids, clip=0.5)
    ratios = {lag: bound.clipped[lag] / norm for lag, norm in bound.by_lag.items()}
    expected = 0.5 / gradients.measure_network("x", build_model(config), ids, clip=1e9).by_lag[1]
    assert max(ratios.values()) == pytest.approx(min(ratios.values()))
    assert 0 < ratios[1] < expected
    free = gradients.measure_network("x", build_model(config), ids, clip=1e30)
    assert free.clipped == free.by_lag


def test_a_trained_network_is_measured_at_places_of_a_tune(
    jig: Tune, untrained: Checkpoint
) -> None:
    bars = "|:" + "d2e fed|" * 80 + "A3 A3:|"
    (long,) = parse_text(f"X:1\nT:Long\nR:jig\nM:6/8\nL:1/8\nK:D\n{bars}\n").tunes
    reach = gradients.measure_trained(untrained, long)
    assert tuple(reach.by_lag) == gradients.LAGS
    assert (reach.name, reach.like) == ("lstm, trained", "lstm")
    assert 0 < reach.by_lag[500] < reach.by_lag[1]
    assert max(gradients.measure_trained(untrained, jig).by_lag) == 20  # as far back as it goes
    (short,) = parse_text("X:1\nT:A bar\nR:jig\nM:6/8\nL:1/8\nK:D\nd3|\n").tunes
    with pytest.raises(ControlError, match=r"^the music is too short: \d+ tokens of 12 at least$"):
        gradients.measure_trained(untrained, short)


def test_a_gradient_is_that_of_the_last_loss_at_one_input() -> None:
    torch.manual_seed(0)
    network = build_model(replace(gradients.VARIANTS["tanh"], vocab_size=9, d_model=8)).double()
    ids = torch.randint(0, 9, (1, 6))
    ids[0, :5] = torch.arange(5)  # each token once, so its table row has one gradient
    reach = gradients.measure_network("tanh", network, ids, clip=0.5)
    row = network.embedding.token.weight  # type: ignore[union-attr]
    table = row.detach().clone()  # type: ignore[operator]

    @torch.no_grad()
    def loss(step: float) -> float:
        moved = table.clone()
        moved[2, 0] += step
        row.data.copy_(moved)  # type: ignore[union-attr, operator]
        logits, _ = network.eval()(ids[:, :-1])
        return float(torch.nn.functional.cross_entropy(logits[:, -1], ids[:, -1]))

    difference = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert abs(difference) <= reach.by_lag[2] * (1 + 1e-6)
    assert reach.by_length == {}


def test_clipping_bounds_the_gradient() -> None:
    torch.manual_seed(0)
    network = build_model(replace(gradients.VARIANTS["relu, random"], vocab_size=9, d_model=16))
    reach = gradients.measure_network("x", network, torch.randint(0, 9, (2, 60)), clip=0.5)
    assert list(reach.by_length) == [10, 20, 50]
    assert all(clipped == min(raw, 0.5) for raw, clipped in reach.by_length.values())


def test_embeddings_that_know_the_circle_of_fifths_are_found_out(untrained: Checkpoint) -> None:
    vocab = [*untrained.vocab, *(f"K:{tonic}" for tonic in ("C", "F", "Bb", "E", "B", "Ab"))]
    sizes = {**untrained.feature_sizes, "match_next": len(vocab)}
    model = replace(
        untrained.model, vocab_size=len(vocab), feature_sizes=tuple(sizes.values()),
        tie_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    network = build_model(model)
    fifths = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5, "Bb": -2, "Ab": -4}
    table = network.embedding.token.weight.data  # type: ignore[union-attr]
    for i, token in enumerate(vocab):
        if token.startswith("K:"):
            angle = 2 * math.pi * fifths[token[2:]] / 12
            table[i, :2] = 20 * torch.tensor([math.cos(angle), math.sin(angle)])
    weights = weights_of(network)
    knowing = replace(untrained, weights=weights, vocab=tuple(vocab), model=model)
    found = {end: embeddings.questions(embeddings.measure(knowing, end=end))
             for end in embeddings.ENDS}  # fmt: skip
    (about_keys,) = [q for q in found["input"] if q.group == "keys"]
    assert about_keys.correlation > 0.9
    assert about_keys.p < 0.01
    assert all(question.p > 0.001 for question in found["output"])
    (keys,) = [g for g in embeddings.measure(knowing) if g.name == "keys"]
    assert {token for token, _ in keys.neighbours("K:D", 2)} == {"K:G", "K:A"}
    with pytest.raises(ControlError, match=r"^'K:H' is none of"):
        keys.neighbours("K:H")


def tokens_of(untrained: Checkpoint, length: int) -> TokenSet:
    rng = np.random.default_rng(0)
    grammar = dict(list(untrained.feature_sizes.items())[:-2])
    rows = []
    for i in range(3):
        ids = np.concatenate([[1], rng.integers(4, len(untrained.vocab), length - 2), [2]])
        split = ("train", "val", "test")[i]
        rows.append((split, str(i), ids, np.zeros((length, len(grammar)), int), length // 2))
    return build_tokenset(
        rows, vocab=untrained.vocab, feature_sizes=grammar, tokenizer=untrained.tokenizer
    )


def test_all_of_the_context_gives_the_likelihood_of_the_whole(untrained: Checkpoint) -> None:
    tokens = tokens_of(untrained, 230)
    found = memory.measure("it", untrained, tokens, n_places=12, contexts=(8, 512))
    ids, features = tokens.splits["val"].tune(0)
    places = memory._places(tokens, "val", 12, 0)[:, 1]
    with torch.no_grad():
        given = torch.from_numpy(ids.astype(np.int64))[None]
        columns = torch.from_numpy(features.astype(np.int64))[None]
        log_p = untrained.network(given, columns)[0].log_softmax(dim=2)[0]
    bits = [-float(log_p[at - 1, ids[at]]) / math.log(2) for at in places.tolist()]
    assert found.bits_per_note[512] == pytest.approx(np.mean(bits) * 229 / 115, rel=1e-4)
    assert found.bits_per_note[8] != pytest.approx(found.bits_per_note[512], rel=1e-4)
    assert memory._places(tokens_of(untrained, 50), "val", 12, 0)[:, 1].min() >= 24
    with pytest.raises(CorpusError, match=r"^split 'val' has no tune of more than 24 tokens$"):
        memory.measure("it", untrained, tokens_of(untrained, 20))


def test_a_picture_and_its_numbers_are_written(
    attending: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoints.save("model", attending)
    Path("jig.abc").write_text(JIG)
    run = CliRunner().invoke
    for words in (
        ["surprise", "jig.abc", "-c", "model", "-o", "surprise.svg"],
        ["attention", "jig.abc", "-c", "model"],
        ["attention", "jig.abc", "-c", "model", "--every", "-o", "all.svg"],
        ["embeddings", "-c", "model"],
    ):
        assert run(app, ["inspect", *words]).exit_code == 0, words
    names = {"attention.png", "attention.score.png", "embeddings.png"}
    vectors = {"all.svg", *(f"all.score.{i}.{j}.svg" for i in (1, 2) for j in (1, 2))}
    written = {path.name for path in tmp_path.iterdir()}
    assert written - {"model", "jig.abc"} == names | vectors | {"surprise.svg"} | {
        "attention.csv", "all.csv", "embeddings.csv", "surprise.csv"
    }  # fmt: skip
    for name in names:
        assert Path(name).read_bytes().startswith(b"\x89PNG")
    with Path("surprise.csv").open() as file:
        table = list(csv.DictReader(file))
    assert Path("surprise.svg").read_text().count('data-event="0.') >= 11
    assert [row["token"] for row in table][6:9] == ["5", "|", "|:"]
    again = run(app, ["inspect", "embeddings", "-c", "model"])
    assert str(again.exception) == "embeddings.png: already exists; use --force to overwrite"
    odd = run(app, ["inspect", "embeddings", "-c", "model", "-o", "it.gif"])
    assert str(odd.exception) == "it.gif: a chart is .png, .svg, .pdf"
