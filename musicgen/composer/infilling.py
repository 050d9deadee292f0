"""Infilling: new notes for some bars of a tune, conditioned on both sides.

The model writes from left to right. So that the music also leads into the following bars, many
candidates are sampled, each is weighted by the model's likelihood of the right side behind it, and
one is drawn by these weights: importance resampling, with the masked model as the proposal
(Rubin 1987; Doucet, de Freitas & Gordon, "Sequential Monte Carlo methods in practice", 2001).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen.composer.engine import ATTEMPTS, Engine, Take
from musicgen.composer.prompts.bar_plan import BarPlanTables
from musicgen.composer.prompts.infill_target import InfillTarget, Notes, Stretch, sounding
from musicgen.composer.sampling import SamplingConfig
from musicgen.composer.sampling.filters import log_softmax
from musicgen.errors import ControlError
from musicgen.music.tune import Tune
from musicgen.tokens.melody.automaton import Tracer
from musicgen.tokens.vocabulary import BOS

CANDIDATES = 32
ROUNDS = 4  # of candidates, while none is new


@dataclass(frozen=True, slots=True)
class InfillCandidate:
    """One filling of a stretch: the notes of its bars, their bits under the model, and the bits of
    the right side behind them."""

    notes: Mapping[int, Notes]
    bits: float
    right_bits: float


def infillings(
    engine: Engine,
    tune: Tune,
    bars: str,
    n: int,
    sampling: SamplingConfig,
    *,
    candidates: int = CANDIDATES,
) -> Iterator[Take]:
    """`n` versions of a tune with other notes in some bars ("5-8"), all different, none as before.

    Raises:
        ControlError: no such bars, bars that cannot be rewritten, or too few that differ.
    """
    target = InfillTarget.read(tune)
    stretch = target.stretch(*target.select(bars), {})
    seen = {sounding({i: target.encoded_bars[i].notes for i in range(stretch.start, stretch.stop)})}
    for index in range(n):
        for round_ in range(ROUNDS):
            rows = [index + (round_ * candidates + k) * ATTEMPTS for k in range(candidates)]
            new = [
                candidate
                for candidate in sample_stretch(engine, target, stretch, sampling, rows)
                if sounding(candidate.notes) not in seen
            ]
            if new:
                break
        else:
            raise ControlError(
                f"only {len(seen) - 1} new versions of bars {bars} were found; "
                "ask for fewer, or for a higher temperature"
            )
        drawn = draw(new, np.random.default_rng([sampling.seed, index, 2]))
        seen.add(sounding(drawn.notes))
        yield rewritten_take(engine, target, drawn.notes, drawn.bits, index, several=n > 1)


def rewritten_take(
    engine: Engine,
    target: InfillTarget,
    notes: Mapping[int, Notes],
    bits: float,
    index: int,
    *,
    several: bool,
) -> Take:
    """The take with new notes in some bars of a tune; `bits` are those of all new notes."""
    rewritten = target.complete(notes)
    return Take(
        rewritten.tune,
        index,
        bits / max(1, sum(map(len, notes.values()))),
        exact=rewritten.exact,
        name=f"{target.tune.title} {index + 1}" if several else "",
        corpus=engine.corpus,
    )


def sample_stretch(
    engine: Engine,
    target: InfillTarget,
    stretch: Stretch,
    sampling: SamplingConfig,
    rows: Sequence[int],
) -> list[InfillCandidate]:
    """A candidate for each of some rows of the seed."""
    tables = BarPlanTables(stretch.plan, engine.vocabulary, engine.automaton.smallest)
    drafts = engine.fill(tables, sampling, rows)
    distinct = dict(reversed(drafts))  # the bits of the first of equal drafts
    befores = [(*stretch.plan.tokens, *written) for written in distinct]
    right = dict(zip(distinct, right_bits(engine, befores, stretch.after).tolist(), strict=True))
    return [
        InfillCandidate(target.notes_of(stretch, written), distinct[written], right[written])
        for written, _ in drafts
    ]


def draw(candidates: Sequence[InfillCandidate], random: np.random.Generator) -> InfillCandidate:
    """One candidate, by the likelihood of the right side behind it."""
    bits = np.array([candidate.right_bits for candidate in candidates])
    weights = np.exp2(bits.min() - bits)
    return candidates[int(random.choice(len(candidates), p=weights / weights.sum()))]


def right_bits(
    engine: Engine, befores: Sequence[Sequence[str]], after: Sequence[str]
) -> NDArray[np.float64]:
    """Bits of `after` under the model behind each beginning: (B,)."""
    tracer = Tracer()
    lookback = engine.stepper.lookback
    rows = []
    for before in befores:
        texts = (BOS, *before, *after)
        traced, _ = tracer.trace(texts)
        ids = np.array(engine.prompt(texts[1:]))
        columns = (
            traced if lookback is None else np.hstack([traced, lookback.features(ids, traced)])
        )
        rows.append((ids, columns.astype(np.int64)))
    longest = max(len(ids) for ids, _ in rows)
    tokens = np.zeros((len(rows), longest), np.int64)  # (B, T)
    columns = np.zeros((len(rows), longest, rows[0][1].shape[1]), np.int64)  # (B, T, F)
    for k, (ids, features) in enumerate(rows):
        tokens[k, : len(ids)], columns[k, : len(ids)] = ids, features
    first = np.array([len(ids) - len(after) for ids, _ in rows])
    reading = engine.stepper.begin(range(len(rows)))
    bits = np.zeros(len(rows))
    for time in range(longest - 1):
        log_p = log_softmax(reading.read(tokens[:, time], columns[:, time]))
        cost = -log_p[np.arange(len(rows)), tokens[:, time + 1]] / math.log(2)
        bits += np.where((first <= time + 1) & (time + 1 < first + len(after)), cost, 0.0)
    return bits
