"""Evaluation: a model whose bits are known, sets whose order is known, copies, page, command."""

from __future__ import annotations

import hashlib
import json
import math
import re
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from musicgen.cli import app
from musicgen.composer import Composer
from musicgen.composer.sampling import SamplingConfig
from musicgen.corpus import find_files
from musicgen.corpus.tokenset import TokenSet, build_tokenset
from musicgen.errors import CheckpointError, CorpusError, MusicgenError
from musicgen.evaluation import bits_per_note
from musicgen.evaluation.control import continuation, control_accuracy
from musicgen.evaluation.copying import diversity, look_up
from musicgen.evaluation.discrimination import auc, discriminate
from musicgen.evaluation.likelihood import rates
from musicgen.evaluation.page import render_page
from musicgen.evaluation.report import Assessment, Benchmark, as_data, ranking
from musicgen.evaluation.sets import Reference, TuneSet, read_set, set_of
from musicgen.evaluation.unseen import discriminate_unseen
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.metrics.baselines import with_bars
from musicgen.music.theory import Pitch
from musicgen.music.transposition import transpose
from musicgen.music.tune import Note, Tune
from musicgen.tokens.melody.grammar import FEATURE_SIZES
from scripts.fitting.judge import changed_pitches


@pytest.fixture
def tokens(untrained: Checkpoint) -> TokenSet:
    rng = np.random.default_rng(0)
    rows = [
        (split, f"{split}{i}", rng.integers(4, 20, 30), np.zeros((30, len(FEATURE_SIZES))), 10)
        for split in ("train", "test")
        for i in range(5)
    ]
    return build_tokenset(
        rows, vocab=untrained.vocab, feature_sizes=FEATURE_SIZES, tokenizer="melody"
    )


def test_tunes_can_be_chosen_from_every_split(untrained: Checkpoint, tokens: TokenSet) -> None:
    whole = [rates(untrained, tokens, split) for split in ("train", "test", "all")]
    assert [found.n_tunes for found in whole] == [5, 5, 10]
    bits = [found.rates[0].bits for found in whole]
    assert bits[2] == pytest.approx((bits[0] + bits[1]) / 2)  # of as many notes each
    some = rates(untrained, tokens, "all", only={"train1", "test0", "test3"})
    assert (some.n_tunes, some.rates[0].n) == (3, 30)
    with pytest.raises(CorpusError, match=r"^split 'val' holds no tune to score; give a larger"):
        rates(untrained, tokens, "val")
    with pytest.raises(CorpusError, match=r"^split 'all' holds no tune to score; give a larger"):
        rates(untrained, tokens, "all", only=())


def test_a_model_that_knows_nothing_needs_the_logarithm_of_its_vocabulary(
    untrained: Checkpoint, tokens: TokenSet
) -> None:
    with torch.no_grad():
        for parameter in untrained.network.parameters():
            saved = parameter.clone()
            parameter.zero_()
            parameter.saved = saved  # type: ignore[attr-defined]
    try:
        score = bits_per_note(untrained, tokens)
    finally:
        with torch.no_grad():
            for parameter in untrained.network.parameters():
                parameter.copy_(parameter.saved)  # type: ignore[attr-defined]
    expected = 29 * math.log2(len(untrained.vocab)) / 10
    assert score.bits_per_note == pytest.approx(expected, rel=1e-5)
    assert (score.n_tunes, score.n_notes) == (5, 50)
    assert score.low <= score.bits_per_note <= score.high


def test_other_vocabularies_and_empty_splits_are_refused(
    untrained: Checkpoint, tokens: TokenSet
) -> None:
    with pytest.raises(CheckpointError, match="different vocabularies"):
        bits_per_note(replace(untrained, vocab=untrained.vocab[:-1]), tokens)
    with pytest.raises(CorpusError, match="split 'val' holds no tune"):
        bits_per_note(untrained, tokens, "val")


# --- whole evaluations --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of Aird's books in a folder."""
    folder = tmp_path_factory.mktemp("book")
    for file in find_files(["airdsAirs"])[1:2]:
        (folder / file.path.name).write_bytes(file.path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def benchmark(book: Path) -> Benchmark:
    return Benchmark.of(Reference.load([book]), 40)


@pytest.fixture(scope="module")
def real(benchmark: Benchmark) -> TuneSet:
    """Real tunes that are not held out."""
    return set_of("real", benchmark.reference.others.tunes[:40])


@pytest.fixture(scope="module")
def judged(benchmark: Benchmark, real: TuneSet) -> dict[str, Assessment]:
    """Known cases: other real tunes, a Markov chain's, shuffled notes."""
    made = benchmark.reference.ceilings(40, seed=1)
    return {one.name: benchmark.assess(one) for one in (real, *made.values())}


def test_a_small_corpus_is_halved_by_family_and_says_so(benchmark: Benchmark) -> None:
    reference = benchmark.reference
    assert reference.split == "half"
    assert "half of all families" in reference.notices[-1]
    assert not set(reference.held_out.groups) & set(reference.others.groups)
    assert min(len(reference.held_out), len(reference.others)) > 60


def test_known_cases_come_in_the_right_order_in_every_family(
    benchmark: Benchmark, judged: dict[str, Assessment]
) -> None:
    chain, mixed = judged["Markov chain"], judged["shuffled notes"]
    for family in ("pitch", "rhythm", "structure", "all"):
        order = [one.ratios[family] for one in (judged["real"], chain, mixed)]
        assert order == sorted(order), family
        assert order[0] < 1.5
    for judge in ("classifier", "unseen"):
        told = [getattr(one, judge) for one in (judged["real"], chain, mixed)]
        aucs = [each.auc.value for each in told]
        assert aucs[0] < 0.7 < 0.9 < min(aucs[1:]), judge
    assert judged["real"].judge["score"] > chain.judge["score"] > mixed.judge["score"]


def test_a_ranking_claims_only_what_the_intervals_allow(
    benchmark: Benchmark, real: TuneSet, judged: dict[str, Assessment]
) -> None:
    made = benchmark.reference.ceilings(40, seed=1)["shuffled notes"]
    features = {
        "real": real.features(),
        "shuffled notes": made.features(),
        "again": real.features(),
    }
    again = replace(judged["real"], name="again")
    steps = ranking(benchmark, features, [judged["shuffled notes"], judged["real"], again])
    assert [(step.worse, step.sure) for step in steps] == [
        ("again", False),
        ("shuffled notes", True),
    ]


def test_copies_are_caught_verbatim_transposed_and_changed(benchmark: Benchmark) -> None:
    rng = np.random.default_rng(0)
    long = [t for t in benchmark.reference.sources if t.n_notes > 60][:12]
    changed = [changed_pitches(tune, rng, share=0.1) for tune in long]
    for made in (long, [transpose(tune, "Bb") for tune in long], changed):
        found = look_up("copies", made, benchmark.index)
        assert found.copies.mean() > 0.9
    assert benchmark.held_out.copies.mean() < 0.2


def test_duplicates_within_a_set_are_counted_in_any_key(real: TuneSet) -> None:
    twice = set_of("twice", [*real.tunes[:10], *(transpose(t, "E") for t in real.tunes[:10])])
    found = diversity(twice)
    assert (found.n, found.duplicates) == (20, 10)
    assert found.families <= 10


def test_identical_sets_are_at_the_floor_or_below(benchmark: Benchmark) -> None:
    rows = benchmark.floors.compare(benchmark.floors.reference)
    assert all(row.distance.value <= row.floor for row in rows)


def test_a_classifier_needs_enough_tunes(benchmark: Benchmark, real: TuneSet) -> None:
    few = set_of("few", real.tunes[:5])
    assert discriminate(benchmark.floors.reference, few.features()) is None
    assert discriminate_unseen(benchmark.reference.held_out, few) is None


def test_unseen_views_tell_what_the_measures_do_not(benchmark: Benchmark) -> None:
    """Every phrase closes with one string of degrees; hardly a measure of a whole tune moves."""
    real, others = benchmark.reference.held_out, benchmark.reference.others
    marked = set_of("marked", [_with_last_notes(tune) for tune in others.tunes])
    told, plain = discriminate_unseen(real, marked), discriminate_unseen(real, others)
    assert told is not None
    assert plain is not None
    assert told.auc.value > 0.85 > 0.7 > plain.auc.value
    assert told.giveaways[0].real < 0.3 < 0.6 < told.giveaways[0].new


def _with_last_notes(tune: Tune) -> Tune:
    """The last two notes of every fourth bar are the second and third degree, in their lengths."""
    bars = []
    for place, bar in enumerate(tune.bars):
        events = list(bar.events)
        if place % 4 == 3:
            for i, steps in zip(range(len(events))[-2:], (1, 2), strict=False):
                if not isinstance(events[i], Note):
                    continue
                natural = Pitch.from_diatonic(tune.key.tonic_diatonic + steps, 0)
                pitch = replace(natural, alter=tune.key.signature[natural.step])
                events[i] = replace(events[i], pitch=pitch, tie=False)
        bars.append(replace(bar, events=tuple(events)))
    return with_bars(tune, bars)


def test_auc_is_scikit_learns() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 9, 60).astype(float), rng.integers(0, 2, 60)
    weights = rng.integers(0, 4, 60).astype(float)
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    expected = roc_auc_score(labels, scores, sample_weight=weights)
    assert auc(scores, labels, weights) == pytest.approx(expected)


def test_broken_files_are_listed_and_the_rest_is_judged(tmp_path: Path) -> None:
    (tmp_path / "good.abc").write_text("X:1\nT:g\nM:4/4\nL:1/8\nK:C\nCDEF GABc|c8|]\n")
    (tmp_path / "short.abc").write_text("X:1\nT:s\nM:4/4\nL:1/8\nK:C\nCDEF|GABc d4|CD|E8|]\n")
    (tmp_path / "key.abc").write_text("X:1\nT:k\nM:4/4\nL:1/8\nK:C\nC8|[K:G]G8|]\n")
    (tmp_path / "broken.mid").write_bytes(b"MThd nonsense")
    (tmp_path / "empty.abc").write_text("")
    found = read_set([tmp_path])
    assert len(found) == 2
    assert [Path(f.name).name for f in found.unreadable] == ["broken.mid", "empty.abc"]
    assert [f.what for f in found.set_aside] == ["key change inside the tune"]
    assert len(found.invalid) == 1
    assert found.n_found == 5
    (tmp_path / "good.abc").unlink()
    (tmp_path / "short.abc").unlink()
    with pytest.raises(CorpusError, match="no melody to judge in 3 files"):
        read_set([tmp_path])


def test_the_page_needs_nothing_else_and_the_numbers_are_json(
    benchmark: Benchmark, real: TuneSet, judged: dict[str, Assessment]
) -> None:
    found = replace(judged["real"], examples={"best by the judge": 0})
    page = render_page(benchmark, [(real, real.features())], [found], [], {"seed": 0})
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page) == []
    assert "Content-Security-Policy" in page
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"sha256-{digest}" in page
    assert page.count("<audio") == 1
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page)
    data = json.loads(json.dumps(as_data(benchmark, [found], [], {}), allow_nan=False))
    assert data["sets"][0]["validity"]["n_judged"] == 40
    assert data["sets"][0]["likeness"][0]["floor"] > 0


def test_a_model_is_asked_for_keys_and_continues_tunes(
    untrained: Checkpoint, real: TuneSet
) -> None:
    composer = Composer(untrained)
    asked = [t for t in real.tunes if str(t.meter) == "6/8" and t.key.mode == "major"][:2]
    held = control_accuracy(composer, asked, SamplingConfig())
    assert {o.asked: o.held.value for o in held} == {"key": 1, "meter": 1}
    went_on = continuation(composer, asked[:1], SamplingConfig())
    assert went_on is not None
    assert (went_on.kept.value, went_on.valid.value, went_on.n) == (1, 1, 1)
    assert went_on.real_motifs > went_on.motifs


@pytest.mark.slow
def test_the_command_judges_a_folder_and_writes_all_numbers(
    book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    part = tmp_path / "part.abc"
    tunes = (book / "book2.abc").read_text().split("\n\n")[:30]
    part.write_text("\n\n".join(tunes))
    app(
        ["evaluate", str(part), "--reference", str(book), "--json", str(out)], standalone_mode=False
    )
    said = capsys.readouterr()
    assert "likeness measures lie within 2 times" in said.out
    assert json.loads(out.read_text())["sets"][0]["name"] == str(part)
    page = tmp_path / "listen.html"
    app(
        ["evaluate", str(part), "--reference", str(book), "--listen", str(page), "-n", "20"],
        standalone_mode=False,
    )
    assert page.read_text().count("<audio") == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.abc", "--checkpoint", "celtic"], "--checkpoint and SOURCES: give one of them"),
        (["--compare", "celtic"], "--compare: name at least two"),
        (["--split", "half"], "--split half: is none of train, val, test, all"),
        (["--split", "all", "-n", "50"], "--split all: is for the likelihood alone; drop SOURCES"),
        (["x.abc", "--apart-from", "y.abc"], "--apart-from: is for the likelihood alone; drop"),
        (["--report", "a.pdf"], "a.pdf: a report is .html"),
        (["--listen", "a.pdf"], "a.pdf: a report is .html"),
        (["--executor", "processes:2"], "--executor: is for tunes that are composed and judged"),
        (["--listen", "a.html", "--json", "-"], "--listen: writes a page alone; drop --report"),
    ],
)
def test_impossible_requests_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(MusicgenError, match=re.escape(message)):
        app(["evaluate", *arguments], standalone_mode=False)
