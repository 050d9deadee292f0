"""Selection: of several attempts the one to keep, whatever the size of batches."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from musicgen.composer import Composer, Selection, Take, selection
from musicgen.composer.controls import Controls
from musicgen.composer.engine import ATTEMPTS
from musicgen.composer.sampling import SamplingConfig
from musicgen.composer.selection import PATIENCE, Judge, Rules, select
from musicgen.composer.structure import structure
from musicgen.errors import ConfigError, ControlError
from musicgen.formats.abc_notation import parse
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.similarity import COPY, NoveltyIndex
from musicgen.music.tune import Tune

WELL_MADE = """X:1
T:t
M:4/4
L:1/8
K:D
D2FA dAFA|BAGB AFDF|E2EF GFEG|FDEC DEFA|D2FA dAFA|BAGB AFDF|E2EF GEFE|D4 D4|]
"""


def tune(text: str = WELL_MADE) -> Tune:
    return parse(text.encode(), "t.abc").tunes[0]


def bits(index: int) -> float:
    return random.Random(index).random()


def copied(index: int) -> int:
    """Bars copied by a row: 0 to 9."""
    return random.Random(-index).randrange(10)


class FakeIndex(NoveltyIndex):
    """Says of the tune of row `number` what `copied` says."""

    def __init__(self) -> None:
        pass

    def assess(self, tune, n=3):  # type: ignore[no-untyped-def]
        bars = copied(tune.number)
        return type("Fake", (), {"copied_bars": bars, "similarity": bars / 10})()


def draft(indices: Sequence[int]) -> list[Take]:
    return [Take(Tune(number=i), i, bits(i), corpus=FakeIndex()) for i in indices]


def rules(**asked: Any) -> Rules:
    return Selection(**asked).rules(has_critic=False)


def attempts(take: int) -> list[int]:
    return [take + a * ATTEMPTS for a in range(100)]


@pytest.mark.parametrize("batch", [1, 3, 32])
@pytest.mark.parametrize("best_of", [1, 4])
def test_the_best_of_the_first_that_are_not_copied_is_kept(
    monkeypatch: pytest.MonkeyPatch, batch: int, best_of: int
) -> None:
    monkeypatch.setattr(selection, "BATCH", batch)
    asked = rules(max_copied_bars=3, best_of=best_of)
    chosen = list(select(draft, range(40), asked))
    for k, take in enumerate(chosen):
        fitting = [i for i in attempts(k) if copied(i) <= 3][:best_of]
        assert take.tune.number == min(fitting, key=bits)
        assert (take.index, take.warning) == (k, "")
    assert [t.tune for t in select(draft, range(7), asked)] == [t.tune for t in chosen[:7]]


def test_any_function_of_a_take_can_be_the_judge() -> None:
    worst: Judge = lambda take: take.bits_per_note  # noqa: E731
    (take,) = select(draft, [0], rules(best_of=5, judge=worst))
    assert take.bits_per_note == max(bits(i) for i in attempts(0)[:5])


def test_what_cannot_be_had_is_said_and_the_least_copied_is_given() -> None:
    def all_copied(indices: Sequence[int]) -> list[Take]:
        return [replace(t, tune=replace(t.tune, title="T")) for t in draft(indices)]

    impossible = [i for i in range(500) if min(map(copied, attempts(i)[:PATIENCE])) > 0]
    number = impossible[0]
    chosen = next(select(all_copied, [number], rules(max_copied_bars=0)))
    least = min(attempts(number)[:PATIENCE], key=copied)
    assert chosen.tune.number == least
    assert chosen.warning == (
        f"T: {PATIENCE} attempts all share more than 0 bars with the corpus; "
        f"this one shares {copied(least)}"
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_copied_bars": -1}, "max_copied_bars: -1 is negative"),
        ({"best_of": 0}, "best_of: 0 is not at least 1"),
        ({"judge": "me"}, "judge: 'me' is none of likeness, likelihood, structure"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Selection(**wrong)  # type: ignore[arg-type]


def test_a_composer_keeps_the_likelier_of_two_attempts(untrained: Checkpoint) -> None:
    composer = Composer(untrained)
    sampling = SamplingConfig(seed=3)
    (first,) = composer.takes(1, Controls(), sampling)
    (chosen,) = composer.takes(1, Controls(), sampling, Selection(best_of=2))
    assert chosen.bits_per_note <= first.bits_per_note
    assert (chosen.tune.number, chosen.index) == (1, 0)
    with pytest.raises(ControlError, match="no index of its corpus"):
        next(composer.takes(1, Controls(), sampling, Selection(max_copied_bars=4)))
    known = Composer(replace(untrained, novelty=NoveltyIndex.build([first.tune])))
    (again,) = known.takes(1, Controls(), sampling)
    assert again.novelty is not None
    assert again.novelty.verdict == COPY


def test_structure_prefers_what_comes_back_ends_at_home_and_is_not_stuck() -> None:
    best = structure(tune())
    assert best == 1
    for worse in (
        WELL_MADE.replace("D4 D4|]", "E4 E4|]"),
        WELL_MADE.replace("BAGB AFDF", "D2FA dAFA").replace("E2EF", "D2FA dAFA|D2FA dAFA|D2FA"),
        WELL_MADE.replace("D2FA dAFA|B", "D2FA d''AFA|B", 1),
        "X:1\nM:4/4\nL:1/8\nK:D\nDDDD DDDD|D8|]\n",
    ):
        assert 0 <= structure(tune(worse)) < best
    assert 0 < structure(tune(), 0.6) < best
    assert structure(tune(), 1.0) == 0
    assert structure(Tune()) == 0
