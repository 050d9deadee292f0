"""New music from a trained model: compose, continue, rewrite, vary, harmonize, play live.

    composer = composer_of(checkpoint.load("runs/first"))
    tune = composer.generate(key="D", seed=7)
    finished = composer.continue_(unfinished, seed=7)

`Composer` writes melodies, `PolyphonicComposer` music in parts, `TextComposer` plain text; which of
them a model needs depends on its token language. `Live` steps one sequence token by token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicgen.system.lazy import lazy

if TYPE_CHECKING:
    from musicgen.composer.engine import Take
    from musicgen.composer.melody import Composer
    from musicgen.composer.polyphony import PolyphonicComposer
    from musicgen.composer.sampling.live import Live
    from musicgen.composer.selection import FIRST, Selection
    from musicgen.composer.streaming import Draft, Step, Stream
    from musicgen.composer.texts import TextComposer
    from musicgen.models.checkpoint import Checkpoint

__all__ = [
    "FIRST",
    "Composer",
    "Draft",
    "Live",
    "PolyphonicComposer",
    "Selection",
    "Step",
    "Stream",
    "Take",
    "TextComposer",
    "composer_of",
]
__getattr__ = lazy(
    __name__,
    {
        "Composer": "melody",
        "Draft": "streaming",
        "FIRST": "selection",
        "Live": "sampling.live",
        "PolyphonicComposer": "polyphony",
        "Selection": "selection",
        "Step": "streaming",
        "Stream": "streaming",
        "Take": "engine",
        "TextComposer": "texts",
    },
)


def composer_of(checkpoint: Checkpoint) -> Composer | PolyphonicComposer:
    """The composer for a model's token language.

    Raises:
        CheckpointError: no composer reads this token language, or the model writes plain text.
    """
    from musicgen.composer.melody import Composer
    from musicgen.composer.polyphony import PolyphonicComposer
    from musicgen.errors import CheckpointError
    from musicgen.tokens import remi
    from musicgen.tokens.languages import text_code

    if text_code(checkpoint.tokenizer) is not None:
        raise CheckpointError(
            f"this model writes plain text, token by token ({checkpoint.tokenizer}); "
            "use `musicgen generate` or `continue`, or TextComposer"
        )
    return (PolyphonicComposer if checkpoint.tokenizer == remi.NAME else Composer)(checkpoint)
