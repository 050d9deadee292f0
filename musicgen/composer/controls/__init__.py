"""Controls: what a tune is asked to be, checked for contradictions, and held while it is sampled.

    request = understand(Controls(key="D", form="AABB", bars=16), openings, vocabulary)
    drawn = request.draw(seed, index)      # the heading that a take starts from, and its outline
    request.constraint([drawn], ...)       # the tokens that each take may use, for the sampler

A model knows how its corpus opens tunes: rhythm, meter, unit, tonic, mode and pickup, with counts.
A request keeps the openings that fit and draws among them as often as the corpus has them, and
for each an outline that the corpus's tunes with that opening have, unless its length is asked. All
else is held by masks: of the structure (`grammar.Limits`), of the notes (`pitch_automaton`), and of
what the tune has written before (`constraint`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicgen.system.lazy import lazy

if TYPE_CHECKING:
    from musicgen.composer.controls.form import form_of
    from musicgen.composer.controls.phrase import describe, understand_phrase
    from musicgen.composer.controls.request import Opening, Outlines, Request, understand
    from musicgen.composer.controls.table import Controls, controls_of

__all__ = [
    "Controls",
    "Opening",
    "Outlines",
    "Request",
    "controls_of",
    "describe",
    "form_of",
    "understand",
    "understand_phrase",
]

__getattr__ = lazy(
    __name__,
    {
        "Controls": "table",
        "Opening": "request",
        "Outlines": "request",
        "Request": "request",
        "controls_of": "table",
        "describe": "phrase",
        "form_of": "form",
        "understand": "request",
        "understand_phrase": "phrase",
    },
)
