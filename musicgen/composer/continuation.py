"""Continuations of an unfinished melody."""

from __future__ import annotations

from collections.abc import Iterator

from musicgen.composer.controls.values import MOST_BARS, read_count
from musicgen.composer.engine import ATTEMPTS, BATCH, Engine, Take
from musicgen.composer.prompts.bar_plan import BarPlanTables
from musicgen.composer.prompts.unfinished import UnfinishedMelody
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import ControlError
from musicgen.music.tune import Tune

TRIES = 16  # of a take that comes out like an earlier one


def continuations(
    engine: Engine, tune: Tune, n: int, sampling: SamplingConfig, *, bars: int | None = None
) -> Iterator[Take]:
    """`n` continuations of an unfinished tune, each different from those before it.

    `bars` is the number of full bars of the finished tune; None leaves it to the recognised form.

    Raises:
        ControlError: it cannot be continued, or `n` different continuations are not found.
    """
    unfinished = UnfinishedMelody.read(tune, read_count("bars", bars, MOST_BARS))
    tables = BarPlanTables(unfinished.plan, engine.vocabulary, engine.automaton.smallest)
    seen: set[tuple[str, ...]] = set()
    for begin in range(0, n, BATCH):
        indices = range(begin, min(begin + BATCH, n))
        drafts = zip(indices, engine.fill(tables, sampling, indices), strict=True)
        for index, (written, bits) in drafts:
            attempt = 0
            while written in seen:
                attempt += 1
                if attempt == TRIES or sampling.temperature == 0:
                    raise ControlError(
                        f"only {len(seen)} different continuations were found; "
                        "ask for fewer, or for a higher temperature"
                    )
                ((written, bits),) = engine.fill(tables, sampling, [index + attempt * ATTEMPTS])
            seen.add(written)
            finished = unfinished.complete(written)
            yield Take(
                finished.tune,
                index,
                bits / max(1, finished.tune.n_notes - tune.n_notes),
                exact=finished.exact,
                name=f"{finished.tune.title} {index + 1}" if n > 1 else "",
                corpus=engine.corpus,
                warning="its form was complete already; a part is added"
                if unfinished.form.was_finished
                else "",
            )
