"""Ways on from an unfinished tune."""

from __future__ import annotations

from collections.abc import Iterator

from musicgen.composer.engine import BATCH, HURRY_AFTER, Engine, Take
from musicgen.constraint import GrammarConstraint
from musicgen.prompt import Prompt, heard_as
from musicgen.sampling import SamplingConfig
from musicgen.tokenizer import BOS
from musicgen.tune import Tune


def continuations(engine: Engine, tune: Tune, n: int, sampling: SamplingConfig) -> Iterator[Take]:
    """`n` ways on from an unfinished tune.

    Raises:
        ControlError: it is no single line in one key and one meter.
    """
    prompt = Prompt.read(tune, engine.automaton.smallest)
    ids = engine.vocabulary.encode((BOS, *heard_as(prompt.tokens, engine.vocabulary)))
    for begin in range(0, n, BATCH):
        indices = range(begin, min(begin + BATCH, n))
        constraint = GrammarConstraint(
            engine.automaton, len(indices), hurry_after=HURRY_AFTER, script=prompt.tokens
        )
        rows = engine.sample([ids] * len(indices), constraint, sampling, indices)
        for index, row in zip(indices, rows, strict=True):
            whole = prompt.complete(engine.vocabulary.decode(row.ids[row.n_prompt :]))
            bits = row.bits / max(1, whole.n_notes - tune.n_notes)
            yield Take(whole, index, bits, corpus=engine.corpus)
