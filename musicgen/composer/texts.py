"""TextComposer: new text, a character at a time, from a model of characters.

    composer = TextComposer(checkpoint.load("runs/words"))
    text = composer.write(prompt="X:1", seed=7)

No grammar holds its hand. Where the text is ABC that can be read, the tune comes with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from musicgen.composer.engine import BATCH, fastest_stepper
from musicgen.composer.pretrained import Pretrained
from musicgen.composer.sampling import TEMPERATURE, SamplingConfig, sample
from musicgen.corpus.tokenset import BOS_ID
from musicgen.errors import CheckpointError
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.tune import Tune
from musicgen.tokens.char import NAME, decode, prompt_ids, tune_in
from musicgen.tokens.vocabulary import Vocabulary


@dataclass(frozen=True)
class Written:
    """One text: number `index` (from 0) of its seed, the prompt included, and what the rest cost
    the model in bits per character. `tune` is the ABC tune that it is, if it can be read as one
    without a warning; `ended` says that the model ended it, not the limit of characters."""

    text: str
    index: int
    bits_per_character: float
    ended: bool
    tune: Tune | None


class TextComposer(Pretrained):
    """Writes text with one trained model.

    Raises:
        CheckpointError: the model has another token language.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        if checkpoint.tokenizer != NAME:
            raise CheckpointError(
                f"this model reads '{checkpoint.tokenizer}' tokens and writes no text; "
                f"train one with --tokenizer {NAME}"
            )
        self.stepper = fastest_stepper(checkpoint)
        self.vocabulary = Vocabulary(checkpoint.vocab)

    def write(self, *, prompt: str = "", seed: int = 0, temperature: float = TEMPERATURE) -> str:
        """One new text that begins with the prompt; the same arguments give the same text.

        Raises:
            ControlError: a character of the prompt is none that the model knows.
            ConfigError: an impossible seed or temperature.
        """
        sampling = SamplingConfig(seed=seed, temperature=temperature)
        return next(self.texts(1, sampling, prompt=prompt)).text

    def texts(
        self, n: int, sampling: SamplingConfig, *, prompt: str = "", start: int = 0
    ) -> Iterator[Written]:
        """New texts from number `start` up to `n`, in order; each ends where the model ends it, or
        after `sampling.max_tokens` characters.

        Raises:
            ControlError: a character of the prompt is none that the model knows.
        """
        ids = [BOS_ID, *prompt_ids(prompt, self.vocabulary)]
        batches = (range(begin, min(begin + BATCH, n)) for begin in range(start, n, BATCH))
        return (text for batch in batches for text in self._batch(ids, batch, sampling))

    def _batch(
        self, prompt: list[int], indices: range, sampling: SamplingConfig
    ) -> Iterator[Written]:
        rows = sample(self.stepper, [prompt] * len(indices), None, sampling, indices=indices)
        for index, row in zip(indices, rows, strict=True):
            text = decode(self.vocabulary.decode(row.ids))
            added = max(1, len(row.ids) - row.n_prompt)
            yield Written(text, index, row.bits / added, row.finished, readable_tune(text))


def readable_tune(text: str) -> Tune | None:
    """The tune that a text is: ABC with notes, read without a warning."""
    tune = tune_in(text)
    return tune if tune is not None and tune.n_notes and not tune.warnings else None
