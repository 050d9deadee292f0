"""Some bars of a tune written anew, with both sides heard.

The model writes from left to right. So that the music also leads into what comes after, many
candidates are sampled, each is weighted by how likely the model finds the right side behind it,
and one is drawn by these weights: importance resampling, with the masked model as the proposal
(Rubin 1987; Doucet, de Freitas & Gordon, "Sequential Monte Carlo methods in practice", 2001).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen.composer.engine import ATTEMPTS, Engine, Take
from musicgen.composer.prompts.bar_plan import BarPlanConstraint, BarPlanTables
from musicgen.composer.prompts.infill_target import InfillTarget, Notes, Stretch, sounding
from musicgen.composer.prompts.tokens import heard_as
from musicgen.composer.sampling import SamplingConfig
from musicgen.composer.sampling.filters import log_softmax
from musicgen.errors import ControlError
from musicgen.music.tune import Tune
from musicgen.tokens.lookback.features import lookback_features, uses_echo
from musicgen.tokens.melody.automaton import Tracer
from musicgen.tokens.melody.grammar import FEATURE_SIZES
from musicgen.tokens.vocabulary import BOS

CANDIDATES = 32
ROUNDS = 4  # of candidates, while none is new


@dataclass(frozen=True, slots=True)
class InfillCandidate:
    """One way to fill a stretch: the notes of its bars, what they cost the model in bits, and what
    the right side costs behind them."""

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
    piece = InfillTarget.read(tune)
    stretch = piece.stretch(*piece.select(bars), {})
    here = range(stretch.start, stretch.stop)
    seen = {sounding({i: piece.heard[i].notes for i in here})}
    for index in range(n):
        found: InfillCandidate | None = None
        for round_ in range(ROUNDS):
            rows = [index + (round_ * candidates + k) * ATTEMPTS for k in range(candidates)]
            new = [
                c
                for c in sample_stretch(engine, piece, stretch, sampling, rows)
                if sounding(c.notes) not in seen
            ]
            if new:
                found = draw(new, np.random.default_rng([sampling.seed, index, 2]))
                break
        if found is None:
            raise ControlError(
                f"only {len(seen) - 1} new versions of bars {bars} were found; "
                "ask for fewer, or for a higher temperature"
            )
        seen.add(sounding(found.notes))
        whole = piece.complete(found.notes)
        n_notes = max(1, sum(len(notes) for notes in found.notes.values()))
        name = f"{tune.title} {index + 1}" if n > 1 else ""
        yield Take(
            whole.tune,
            index,
            found.bits / n_notes,
            exact=whole.exact,
            name=name,
            corpus=engine.corpus,
        )


def sample_stretch(
    engine: Engine,
    piece: InfillTarget,
    stretch: Stretch,
    sampling: SamplingConfig,
    rows: Sequence[int],
) -> list[InfillCandidate]:
    """A candidate for each of some rows of the seed."""
    plan = stretch.plan
    course = BarPlanTables(plan, engine.vocabulary, engine.automaton.smallest)
    prompt = engine.vocabulary.encode((BOS, *heard_as(plan.tokens, engine.vocabulary)))
    courses = BarPlanConstraint([course] * len(rows))
    sampled = engine.sample([prompt] * len(rows), courses, sampling, rows)
    distinct: dict[tuple[str, ...], float] = {}
    for written, row in zip(courses.written, sampled, strict=True):
        distinct.setdefault(tuple(written), row.bits)
    right = right_bits(engine, [(*plan.tokens, *w) for w in distinct], stretch.after)
    costs = dict(zip(distinct, right, strict=True))
    return [
        InfillCandidate(piece.notes_of(stretch, written), distinct[written], float(costs[written]))
        for written in (tuple(w) for w in courses.written)
    ]


def draw(candidates: Sequence[InfillCandidate], random: np.random.Generator) -> InfillCandidate:
    """One candidate, by the likelihood of the right side behind it."""
    bits = np.array([candidate.right_bits for candidate in candidates])
    weights = np.exp2(bits.min() - bits)
    return candidates[int(random.choice(len(candidates), p=weights / weights.sum()))]


def right_bits(
    engine: Engine, befores: Sequence[Sequence[str]], after: Sequence[str]
) -> NDArray[np.float64]:
    """What `after` costs the model behind each beginning: (B,) bits."""
    tracer = Tracer()
    echo = uses_echo(engine.stepper.n_features, len(FEATURE_SIZES))
    rows = []
    for before in befores:
        texts = (BOS, *before, *after)
        traced, _ = tracer.trace(texts)
        ids = np.array(engine.vocabulary.encode(heard_as(texts, engine.vocabulary)))
        guesses = lookback_features(ids, traced, echo=echo)
        rows.append((ids, np.hstack([traced, guesses]).astype(np.int64)))
    longest = max(len(ids) for ids, _ in rows)
    tokens = np.zeros((len(rows), longest), np.int64)  # (B, T)
    columns = np.zeros((len(rows), longest, rows[0][1].shape[1]), np.int64)  # (B, T, F)
    for k, (ids, features) in enumerate(rows):
        tokens[k, : len(ids)], columns[k, : len(ids)] = ids, features
    first = np.array([len(ids) - len(after) for ids, _ in rows])
    last = first + len(after)
    reading = engine.stepper.begin(range(len(rows)))
    bits = np.zeros(len(rows))
    for time in range(longest - 1):
        log_p = log_softmax(reading.read(tokens[:, time], columns[:, time]))
        cost = -log_p[np.arange(len(rows)), tokens[:, time + 1]] / math.log(2)
        bits += np.where((first <= time + 1) & (time + 1 < last), cost, 0.0)
    return bits
