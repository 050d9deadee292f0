"""The questions about a tune, their possible answers, and the right ones by the corpus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from musicgen.music.theory import Meter
from musicgen.music.tune import Tune


@dataclass(frozen=True, slots=True)
class Question:
    """`classes` are the possible answers; `truth(tune, source)` is the right one as far as the
    heading and the collection say, None where they do not or it is no class."""

    name: str
    classes: tuple[str, ...]
    truth: Callable[[Tune, str], str | None]
    about: str

    def target(self, tune: Tune, source: str) -> int:
        """Position of the right answer, -1 for none."""
        answer = self.truth(tune, source)
        return self.classes.index(answer) if answer in self.classes else -1


def meter_class(meter: Meter) -> str:
    """The meter as a class: C and C| are printers' ways of writing four quarters, 4/4."""
    if meter.bar_duration == 4 and not meter.compound:
        return "4/4"
    return f"{'+'.join(map(str, meter.beats))}/{meter.unit}"


# Answers of which the training families hold at least 20 tunes.
QUESTIONS = (
    Question(
        "rhythm",
        ("air", "clog", "hornpipe", "jig", "reel", "slip jig", "strathspey"),
        lambda tune, _: tune.rhythm,
        "the type of tune",
    ),
    Question(
        "mode",
        ("dorian", "major", "minor", "mixolydian"),
        lambda tune, _: tune.key.mode if tune.key.tonic else None,
        "the mode",
    ),
    Question(
        "meter",
        ("2/4", "3/4", "4/4", "6/8", "9/8"),
        lambda tune, _: meter_class(tune.meter),
        "the meter",
    ),
    Question(
        "collection",
        ("airdsAirs", "oneills1850", "ryansMammoth"),
        lambda _, source: source,
        "the tradition: Scotland in the 18th century, Irish Chicago, Boston in the 1880s",
    ),
)
N_ANSWERS = sum(len(question.classes) for question in QUESTIONS)
