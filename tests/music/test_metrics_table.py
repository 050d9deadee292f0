"""The table of measures: one registration from outside, and nothing that was fitted changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicgen.cli import app
from musicgen.corpus import find_files
from musicgen.errors import CheckpointError, ConfigError
from musicgen.models import checkpoint as checkpoints
from musicgen.music.metrics import table
from musicgen.music.metrics.critic import Critic
from musicgen.music.metrics.judge import load_judge
from musicgen.music.metrics.note_arrays import NoteArrays
from musicgen.music.metrics.table import MEASURES, Measure
from tests.melodies import REEL, tune


def long_notes(tune: NoteArrays) -> float:
    return float((tune.durations > tune.beat_ticks).mean())


VERDICT = 0.6059087292398222  # of the shipped critic on the reel, when places were stored
TOY = Measure("long notes", "rhythm", "share of notes longer than a beat", "this test", long_notes)


@pytest.fixture
def toy() -> Iterator[Measure]:
    """A measure that is in the table for one test."""
    table.register(TOY)
    yield TOY
    del MEASURES[TOY.name]


@pytest.fixture(scope="module")
def shipped() -> bytes:
    """The critic of the shipped model."""
    return (checkpoints.locate("celtic") / "critic.json").read_bytes()


def test_a_shipped_critic_says_what_it_said_before(shipped: bytes) -> None:
    assert Critic.from_bytes(shipped, "critic.json")(tune(REEL)) == VERDICT


def test_verdicts_stay_the_same_while_another_measure_is_registered(
    shipped: bytes, request: pytest.FixtureRequest
) -> None:
    reel = tune(REEL)
    before, judged = Critic.from_bytes(shipped, "critic.json"), load_judge()(reel)
    request.getfixturevalue("toy")
    again = Critic.from_bytes(shipped, "critic.json")
    assert before(reel) == again(reel) == VERDICT
    assert Critic.from_bytes(before.to_bytes(), "critic.json")(reel) == VERDICT
    assert load_judge()(reel) == judged


def test_a_critic_that_uses_a_registered_measure_needs_it(shipped: bytes) -> None:
    data = Critic.from_bytes(shipped, "critic.json").to_bytes().replace(b"silence", b"long notes")
    with pytest.raises(CheckpointError, match=r"critic\.json: uses the measure 'long notes'"):
        Critic.from_bytes(data, "critic.json")
    table.register(TOY)
    try:
        assert (
            Critic.from_bytes(data, "critic.json").space.vector(NoteArrays.of(tune(REEL))).size > 34
        )
    finally:
        del MEASURES[TOY.name]


def test_a_name_is_given_once_and_a_group_is_one_of_the_four(toy: Measure) -> None:
    with pytest.raises(ConfigError, match="measure 'long notes': is in the table already"):
        table.register(toy)
    with pytest.raises(ConfigError, match="measure 'x': its group is none of pitch, rhythm"):
        table.register(Measure("x", "taste", "none", "none", long_notes))


def test_a_registered_measure_stands_in_the_report_of_evaluate(
    toy: Measure, tmp_path: Path
) -> None:
    book = find_files(["airdsAirs"])[1].path.read_text().split("\n\n")
    reference, judged = tmp_path / "reference.abc", tmp_path / "judged.abc"
    reference.write_text("\n\n".join(book[:30]))
    judged.write_text("\n\n".join(book[30:40]))
    out = tmp_path / "scores.json"
    arguments = ["--reference", str(reference), "--json", str(out)]
    app(["evaluate", str(judged), *arguments], standalone_mode=False)
    (row,) = [
        row for row in json.loads(out.read_text())["sets"][0]["likeness"] if row["name"] == toy.name
    ]
    assert (row["family"], row["about"], row["source"]) == (toy.group, toy.definition, toy.source)
    assert row["unit"] == "sd"
    assert row["distance"]["value"] >= 0
