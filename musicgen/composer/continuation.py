"""Ways on from an unfinished tune."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from musicgen.composer.controls.values import MOST_BARS, read_count
from musicgen.composer.engine import ATTEMPTS, BATCH, Engine, Take
from musicgen.composer.prompts.bar_plan import BarPlanConstraint, BarPlanTables
from musicgen.composer.prompts.tokens import heard_as
from musicgen.composer.prompts.unfinished import UnfinishedMelody
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ControlError
from musicgen.music.tune import Tune
from musicgen.tokens.vocabulary import BOS

_FINISHED = "its form was complete already; a part is added"
TRIES = 16  # of a take that comes out like an earlier one


def continuations(
    engine: Engine, tune: Tune, n: int, sampling: SamplingConfig, *, bars: int | None = None
) -> Iterator[Take]:
    """`n` ways on from an unfinished tune, each different from those before it.

    `bars` is how many full bars the whole tune has; None leaves it to the form that is recognised.

    Raises:
        ControlError: it cannot go on, or `n` ways that differ are not to be found.
    """
    sketch = UnfinishedMelody.read(tune, read_count("bars", bars, MOST_BARS))
    course = BarPlanTables(sketch.plan, engine.vocabulary, engine.automaton.smallest)
    seen: set[tuple[str, ...]] = set()
    for begin in range(0, n, BATCH):
        indices = range(begin, min(begin + BATCH, n))
        for index, (written, bits) in zip(
            indices, _ways(engine, course, sampling, indices), strict=True
        ):
            attempt = 0
            while written in seen:
                attempt += 1
                if attempt == TRIES or sampling.temperature == 0:
                    raise ControlError(
                        f"only {len(seen)} different ways on were found; "
                        "ask for fewer, or for a higher temperature"
                    )
                again = [index + attempt * ATTEMPTS]
                ((written, bits),) = _ways(engine, course, sampling, again)
            seen.add(written)
            whole = sketch.complete(written)
            added = max(1, whole.tune.n_notes - tune.n_notes)
            name = f"{whole.tune.title} {index + 1}" if n > 1 else ""
            yield Take(
                whole.tune,
                index,
                bits / added,
                exact=whole.exact,
                name=name,
                corpus=engine.corpus,
                warning=_FINISHED if sketch.form.was_finished else "",
            )


def _ways(
    engine: Engine, course: BarPlanTables, sampling: SamplingConfig, indices: Sequence[int]
) -> list[tuple[tuple[str, ...], float]]:
    """What each row writes, and its bits under the model."""
    heard = heard_as(course.plan.tokens, engine.vocabulary)
    prompt = engine.vocabulary.encode((BOS, *heard))
    courses = BarPlanConstraint([course] * len(indices))
    rows = engine.sample([prompt] * len(indices), courses, sampling, indices)
    return [(tuple(text), row.bits) for text, row in zip(courses.written, rows, strict=True)]
