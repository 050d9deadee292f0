"""Metrics: MusPy's numbers, hand-made tunes whose structure is known, distances against scipy."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen.errors import InvalidTuneError
from musicgen.formats import midi
from musicgen.music.metrics import pitch, rhythm, structure
from musicgen.music.metrics.baselines import MarkovChain, shuffled
from musicgen.music.metrics.distances import (
    bootstrap_weights,
    interval,
    jensen_shannon,
    kinds_of,
    share,
    tabulate,
    wasserstein,
)
from musicgen.music.metrics.distributions import DISTRIBUTIONS
from musicgen.music.metrics.features import DistanceFloors, Features, group_ratios
from musicgen.music.metrics.judge import from_json, load_judge, to_json
from musicgen.music.metrics.note_arrays import TICKS, NoteArrays
from musicgen.music.metrics.table import GROUPS, MEASURES, measure_all
from musicgen.music.transposition import transpose
from musicgen.music.tune import Tune
from musicgen.music.validation import validate
from scripts.fitting.judge import SPOILERS
from tests import tunes as strategies
from tests.melodies import REEL, notes, tune

# Eight bars twice, then eight others twice; a pickup, for which the last bars leave room.
A = "G2G BAG|d2d edc|B2G AFD|E2F G2A|G2G BAG|d2d edc|BcA GFD|E2F G2"
B = "e2e gfe|d2B BAG|c2A AGF|E2F G2A|e2e gfe|f2d dBd|gfe dBA|G3 G2"
JIG = f"X:1\nT:t\nR:jig\nM:6/8\nL:1/8\nK:G\n|:A|{A}:|\n|:f|{B}:|\n"


# --- MusPy and mgeval ---------------------------------------------------------------------------


def test_measures_of_pitch_are_those_worked_out_by_hand() -> None:
    c_major = [60, 62, 64, 65, 67, 69, 71, 72]
    assert pitch.n_pitches_used(c_major) == 8
    assert pitch.n_pitch_classes_used(c_major) == 7
    assert pitch.pitch_range(c_major) == 12
    assert pitch.pitch_entropy(c_major) == pytest.approx(3)
    assert pitch.pitch_class_entropy(c_major) == pytest.approx(2.75)  # six of 1/8, one of 1/4
    assert pitch.scale_consistency(c_major) == 1
    assert pitch.pitch_in_scale_rate(c_major, 2, "major") == pytest.approx(5 / 8)
    assert pitch.mean_interval(c_major) == pytest.approx(12 / 7)
    assert pitch.turn_rate([60, 62, 62, 60, 64]) == 1
    assert pitch.leap_rate([60, 65, 64, 60]) == pytest.approx(1 / 3)


def test_measures_of_rhythm_are_those_worked_out_by_hand() -> None:
    # Two measures of 4 ticks: onsets 0, 1 and 0, 2. They differ at two places of four.
    assert rhythm.groove_consistency([0, 1, 4, 6], 7, 4) == pytest.approx(0.5)
    assert rhythm.mean_inter_onset([0, 4, 8, 12], 4) == 1
    assert rhythm.duration_entropy([1, 1, 2, 2]) == 1


@st.composite
def lines(draw: st.DrawFn) -> tuple[list[int], list[int], list[int]]:
    """Pitches, onsets and durations of a few notes, in ticks."""
    n = draw(st.integers(1, 30))
    pitches = draw(st.lists(st.integers(30, 90), min_size=n, max_size=n))
    steps = draw(st.lists(st.integers(0, 40), min_size=n, max_size=n))
    durations = draw(st.lists(st.integers(1, 60), min_size=n, max_size=n))
    return pitches, np.cumsum(steps).tolist(), durations


@given(lines())
@settings(deadline=None, max_examples=20)
def test_the_numbers_are_muspys_on_the_same_notes(
    line: tuple[list[int], list[int], list[int]],
) -> None:
    muspy = pytest.importorskip("muspy")
    pitches, onsets, durations = line
    rows = [
        muspy.Note(time=t, pitch=p, duration=d)
        for p, t, d in zip(pitches, onsets, durations, strict=True)
    ]
    music = muspy.Music(resolution=12, tracks=[muspy.Track(notes=rows)])
    end = max(t + d for t, d in zip(onsets, durations, strict=True))
    pairs = [
        (pitch.n_pitches_used(pitches), muspy.n_pitches_used(music)),
        (pitch.n_pitch_classes_used(pitches), muspy.n_pitch_classes_used(music)),
        (pitch.pitch_range(pitches), muspy.pitch_range(music)),
        (pitch.pitch_entropy(pitches), muspy.pitch_entropy(music)),
        (pitch.pitch_class_entropy(pitches), muspy.pitch_class_entropy(music)),
        (pitch.scale_consistency(pitches), muspy.scale_consistency(music)),
        (
            pitch.pitch_in_scale_rate(pitches, 7, "minor"),
            muspy.pitch_in_scale_rate(music, 7, "minor"),
        ),
        (rhythm.groove_consistency(onsets, end, 36), muspy.groove_consistency(music, 36)),
    ]
    for ours, theirs in pairs:
        assert ours == pytest.approx(theirs, nan_ok=True)


def test_muspys_numbers_for_a_reel_are_these() -> None:
    heard = NoteArrays.of(tune(REEL))  # worked out with MusPy 0.5.0, resolution 24
    assert pitch.pitch_class_entropy(heard.pitches) == pytest.approx(2.618355, abs=1e-5)
    assert pitch.pitch_entropy(heard.pitches) == pytest.approx(3.512478, abs=1e-5)
    assert pitch.scale_consistency(heard.pitches) == 1
    assert MEASURES["groove consistency"].function(heard) == pytest.approx(0.983073, abs=1e-5)


# --- what is heard ------------------------------------------------------------------------------


def test_repeats_are_played_and_pickups_counted_back_from_their_measure() -> None:
    heard = NoteArrays.of(tune(JIG))
    assert heard.n_measures == 32
    assert (heard.measures[0], heard.positions[0]) == (-1, 5 * TICKS // 2)
    assert heard.measures.max() == 31
    assert structure.form(heard) == "AABB"
    assert heard.sections == (8, 8)
    assert structure.lag_similarity(heard, 8) > structure.lag_similarity(heard, 5)


def test_a_tune_measures_the_same_from_abc_and_from_midi_without_repeat_signs() -> None:
    written = tune(JIG)
    read = midi.parse(midi.render([written]), "a.mid").tunes[0]
    ours, theirs = NoteArrays.of(written), NoteArrays.of(read)
    assert theirs.pitches.tolist() == ours.pitches.tolist()
    assert theirs.durations.tolist() == ours.durations.tolist()
    assert (theirs.key, theirs.n_measures) == (ours.key, ours.n_measures)
    assert structure.form(theirs) == "AABB"


def test_transposing_changes_nothing_that_is_counted() -> None:
    first, second = NoteArrays.of(tune(JIG)), NoteArrays.of(transpose(tune(JIG), "D"))
    for name, distribution in DISTRIBUTIONS.items():
        assert distribution.function(first) == distribution.function(second), name
    ours, theirs = measure_all([first, second], tuple(MEASURES))
    for name, a, b in zip(MEASURES, ours, theirs, strict=True):
        assert name == "tessitura" or a == pytest.approx(b, nan_ok=True), name


def test_loops_repeats_and_cadences_are_found_where_they_are() -> None:
    loop = NoteArrays.of(notes("CDEF GABc|" * 5 + "c8|c8|"))
    assert structure.longest_loop(loop) == 5
    assert structure.longest_loop(NoteArrays.of(notes("CDEF GABc|c8|" * 4))) == 8
    assert structure.longest_loop(NoteArrays.of(tune(JIG))) == 0
    phrases = NoteArrays.of(notes("C8|D8|E8|F8|C8|D8|E8|C8|"))
    assert structure.repeat_lags(phrases).tolist() == [0, 0, 0, 0, 4, 4, 4, 3]
    assert structure.cadence_rate(phrases) == 1
    assert structure.ends_on_tonic(phrases) == 1
    assert structure.repeated_measure_rate(phrases) == 0.5
    assert structure.repeated_phrase_rate(
        NoteArrays.of(notes("C8|D8|E8|F8|" * 2))
    ) == pytest.approx(0.2)


@given(strategies.tunes())
@settings(deadline=None, max_examples=12)
def test_any_tune_is_measured_or_refused(anything: Tune) -> None:
    try:
        heard = NoteArrays.of(anything)
    except InvalidTuneError:
        return
    values = measure_all([heard], tuple(MEASURES))[0]
    assert not np.isinf(values).any()
    for distribution in DISTRIBUTIONS.values():
        assert all(n > 0 for n in distribution.function(heard).values())
    load_judge()(anything)


def test_a_tune_without_notes_is_refused() -> None:
    with pytest.raises(InvalidTuneError, match="no notes"):
        NoteArrays.of(notes("z8|z8|"))


def test_every_row_of_both_tables_has_a_definition_a_source_and_a_group() -> None:
    for row in (*MEASURES.values(), *DISTRIBUTIONS.values()):
        assert row.definition
        assert row.source
        assert row.group in GROUPS
    assert len(MEASURES) == 34
    assert len(DISTRIBUTIONS) == 15


# --- distances ----------------------------------------------------------------------------------


def test_distances_are_scipys() -> None:
    spatial = pytest.importorskip("scipy.spatial.distance")
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    p, q = rng.integers(0, 9, (2, 30)).astype(float)
    assert jensen_shannon(p, q) == pytest.approx(spatial.jensenshannon(p, q, base=2))
    a, b = rng.normal(0, 1, 50), rng.normal(1, 2, 70)
    u, v = rng.integers(1, 4, 50).astype(float), rng.integers(1, 4, 70).astype(float)
    assert wasserstein(a, b, u, v) == pytest.approx(stats.wasserstein_distance(a, b, u, v))
    missing = np.append(a, math.nan)
    assert wasserstein(missing, b, np.append(u, 5), v) == pytest.approx(wasserstein(a, b, u, v))
    assert np.isnan(wasserstein(np.array([math.nan]), b, np.ones(1), v))


def test_distances_run_from_none_to_all() -> None:
    one, other = np.array([3.0, 1, 0, 0]), np.array([0.0, 0, 2, 2])
    assert jensen_shannon(one, one) == 0
    assert jensen_shannon(one, other) == pytest.approx(1)
    both = np.stack([one, other])
    assert jensen_shannon(both, one).tolist() == pytest.approx([0, 1])


def test_the_bootstrap_takes_whole_families_and_its_bias_is_taken_off() -> None:
    weights = bootstrap_weights(["a", "a", "b", "c"], 50, np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 1:].sum(axis=1) == 3).all()
    found = interval(1.0, np.array([1.8, 2.0, 2.2]))
    assert found.low < 1.0 < found.high
    assert interval(0.01, np.array([0.2, 0.3, 0.4])).low == 0
    assert math.isnan(interval(math.nan, np.array([1.0])).low)


def test_a_share_has_wilsons_interval() -> None:
    found = share([True] * 500)
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.99238, abs=1e-4)  # 500 / (500 + 1.96^2)
    assert math.isnan(share([]).value)


def test_rare_kinds_count_as_one() -> None:
    counts = [
        DISTRIBUTIONS["degree triples"].function(NoteArrays.of(tune(text))) for text in (JIG, REEL)
    ]
    kinds = kinds_of(counts, 5)
    table = tabulate(counts, kinds)
    assert len(kinds) == 6
    assert table.sum() == sum(sum(c.values()) for c in counts)


# --- worse music --------------------------------------------------------------------------------


def test_worse_music_keeps_the_bars_and_is_reproducible() -> None:
    real = tune(JIG)
    for spoil in (*SPOILERS.values(), shuffled):
        one, again = (spoil(real, np.random.default_rng(3)) for _ in range(2))
        assert one == again
        assert validate(one) == ()
        assert [bar.duration for bar in one.bars] == [bar.duration for bar in real.bars]
        assert one != real
    made = MarkovChain([real, tune(REEL)]).generate(np.random.default_rng(1))
    assert validate(made) == ()
    assert made == MarkovChain([real, tune(REEL)]).generate(np.random.default_rng(1))


def test_a_chain_of_order_3_says_what_its_tunes_say_and_one_of_order_0_does_not() -> None:
    real = tune(JIG)
    seen = {n.pitch.midi for n in real.voices[0].events}
    runs = structure_runs(real, 4)
    for order, least, most in ((3, 0.8, 1.0), (0, 0.0, 0.3)):
        made = MarkovChain([real], order).generate(np.random.default_rng(0))
        assert {n.pitch.midi for n in made.voices[0].events} <= seen
        own = structure_runs(made, 4)
        assert least <= len(own & runs) / len(own) <= most


def structure_runs(one: Tune, length: int) -> set[tuple[tuple[int, Fraction], ...]]:
    line = [(event.pitch.midi, event.duration) for event in one.voices[0].events]
    return {tuple(line[i : i + length]) for i in range(len(line) - length + 1)}


# --- sets and the judge -------------------------------------------------------------------------


def test_identical_sets_are_at_no_distance_and_other_real_tunes_at_the_floor() -> None:
    texts = [JIG.replace("G2G", f"G{x}G") for x in ("2", "3/2A/", "A")] * 8
    real = Features.of(
        [NoteArrays.of(tune(text)) for text in texts], [str(i % 12) for i in range(24)]
    )
    floors = DistanceFloors(real, real)
    rows = floors.compare(real)
    assert all(row.distance.value == pytest.approx(0, abs=1e-7) for row in rows)
    assert set(group_ratios(rows)) == {*GROUPS, "all"}
    assert [r.distance for r in rows] == [
        r.distance for r in DistanceFloors(real, real).compare(real)
    ]


def test_the_judge_prefers_a_tune_to_the_same_tune_spoilt_and_is_the_same_when_read_again() -> None:
    judge = load_judge()
    real = tune(JIG)
    verdict = judge(real)
    assert verdict.rejected == ()
    assert verdict.score > 0.5
    for name, spoil in SPOILERS.items():
        scores = [judge(spoil(real, np.random.default_rng(seed))).ranked for seed in range(5)]
        assert np.mean(scores) < verdict.ranked, name
    assert from_json(to_json(judge))(real) == verdict


def test_the_judge_rejects_wrong_bars_strange_rhythms_and_lost_keys() -> None:
    judge = load_judge()
    assert judge(notes("CDEF GABc|CDE|CDEF GABc|")).rejected == ("its bars do not add up",)
    assert judge(notes("z8|")).rejected == ("no notes",)
    lost = notes("^C^D^F^G ^A^G^F^D|" * 8, "R:reel\nM:4/4\nL:1/8\nK:C")
    assert "it is not in C major" in judge(lost).rejected
    stuck = notes("CDEF GABc|c2BA G2FE|" * 12, "R:reel\nM:4/4\nL:1/8\nK:C")
    assert "it goes round in a loop for 24 bars" in judge(stuck).rejected
    odd = notes("C7/4E/4 G7/4c/4 z3/4A/4B|" * 8, "R:jig\nM:6/8\nL:1/8\nK:C")
    assert any("rhythm" in reason for reason in judge(odd).rejected)
