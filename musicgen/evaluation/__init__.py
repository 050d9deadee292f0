"""Evaluate tunes and models: likeness to real tunes, novelty, control, likelihood, with baselines.

    reference = Reference.load(["celtic"])                 # held-out real tunes, and others
    report = evaluate(reference, read_set(["their_tunes/"]))
    print(report.likeness[0].distance, report.likeness[0].floor)

Every number stands between a floor, what other real tunes show, and two ceilings, shuffled notes
and an order-3 Markov chain; it has a bootstrap interval and the number of tunes it rests on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicgen.system.lazy import lazy

if TYPE_CHECKING:
    from musicgen.evaluation.likelihood import Likelihood, bits_per_note

__all__ = ["Likelihood", "bits_per_note"]


__getattr__ = lazy(__name__, dict.fromkeys(__all__, "likelihood"))
