"""What a tune is asked to be: read, checked for contradictions, and held while it is sampled.

    request = understand(Controls(key="D", form="AABB", bars=16), openings, vocabulary)
    drawn = request.draw(seed, index)      # the heading that a take starts from, and its outline
    request.constraint([drawn], ...)       # what each take may do, for the sampler

A model knows how its corpus opens tunes: rhythm, meter, unit, tonic, mode and pickup, with counts.
A request keeps the openings that fit and draws among them as often as the corpus has them, and
for each an outline that the corpus's tunes with that opening have, unless its length is asked. All
else is held by masking: by the structure (`grammar.Limits`), by the notes (`melodic`), and by what
the tune itself has said before (`following`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from musicgen.composer.controls.asked import Asked, ControlOptions, Controls
from musicgen.composer.controls.form import form_of
from musicgen.composer.controls.phrase import said, understand_phrase
from musicgen.composer.controls.request import Opening, Outlines, Request
from musicgen.tokens.melody.automaton import shortest_length
from musicgen.tokens.vocabulary import Vocabulary

__all__ = [
    "ControlOptions",
    "Controls",
    "Opening",
    "Outlines",
    "Request",
    "form_of",
    "said",
    "understand",
    "understand_phrase",
]


def understand(
    controls: Controls,
    openings: Sequence[Opening],
    vocabulary: Vocabulary,
    outlines: Mapping[tuple[str, ...], Outlines] | None = None,
) -> Request:
    """Check controls against each other and against what the model knows: how its corpus opens
    tunes, and how long the parts of tunes are that it opens so.

    Raises:
        ControlError: they cannot be read, contradict each other, or name what no tune of the
            model's corpus has.
    """
    asked = Asked.read(controls, shortest_length(vocabulary))
    return Request.understand(asked, openings, vocabulary, outlines)
