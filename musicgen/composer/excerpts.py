"""A sample of what a network writes, of any token language: text, or a tune as ABC.

excerpt(checkpoint, seed=0).text
"""

from __future__ import annotations

from typing import NamedTuple

from musicgen.composer import composer_of
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.composer.selection import Selection
from musicgen.composer.texts import TextComposer
from musicgen.formats.abc_notation import to_abc
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.tune import Tune
from musicgen.tokens.languages import LANGUAGES

LENGTH = 400  # characters of text, or other tokens of it


class Excerpt(NamedTuple):
    """What was written, the extension of a file for it, and the tune that it is, if it is one."""

    text: str
    extension: str
    tune: Tune | None


def excerpt(checkpoint: Checkpoint, *, seed: int = 0) -> Excerpt:
    """The first sample of a seed, as it comes: none is chosen from several.

    Raises:
        CheckpointError: no composer reads the model's token language.
    """
    sampling = SamplingConfig(seed=seed)
    language = LANGUAGES.get(checkpoint.tokenizer)
    if language is not None and language.encode_text is not None:
        sampling = SamplingConfig(seed=seed, max_tokens=LENGTH)
        (written,) = TextComposer(checkpoint).texts(1, sampling)
        return Excerpt(written.text, ".txt", written.tune)
    (take,) = composer_of(checkpoint).takes(1, Controls(), sampling, Selection(best_of=1))
    return Excerpt(to_abc(take.tune), ".abc", take.tune)
