"""A sample of what a network writes, of any token language: text, or a tune as ABC.

excerpt(checkpoint, seed=0).text
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from musicgen.composer import composer_of
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.composer.selection import Selection
from musicgen.composer.texts import TextComposer
from musicgen.formats.abc_notation import to_abc
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.tune import Tune
from musicgen.tokens.languages import text_code

LENGTH = 400  # characters of texts
_MOST_TEXTS = 8


class Excerpt(NamedTuple):
    """What was written, the extension of a file for it, and a tune in it, if there is one."""

    text: str
    extension: str
    tune: Tune | None


def excerpt(checkpoint: Checkpoint, *, seed: int = 0) -> Excerpt:
    """The first tune or texts of a seed, as they come: none is chosen from several.

    Raises:
        CheckpointError: no composer reads the model's token language.
    """
    sampling = SamplingConfig(seed=seed)
    if text_code(checkpoint.tokenizer) is not None:
        return _texts(TextComposer(checkpoint), sampling)
    (take,) = composer_of(checkpoint).takes(1, Controls(), sampling, Selection(best_of=1))
    return Excerpt(to_abc(take.tune), ".abc", take.tune)


def _texts(composer: TextComposer, sampling: SamplingConfig) -> Excerpt:
    """Texts one after the other up to `LENGTH`: a new network may end its first at once."""
    texts: list[str] = []
    tune, left = None, LENGTH
    for index in range(_MOST_TEXTS):
        limited = replace(sampling, max_tokens=left)
        (written,) = composer.texts(index + 1, limited, start=index)
        texts += [written.text] if written.text.strip() else []
        tune, left = tune or written.tune, left - max(1, len(written.text))
        if left <= 0:
            break
    return Excerpt("\n\n".join(texts), ".txt", tune)
