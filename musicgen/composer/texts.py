"""TextComposer: new text, token by token, from a model of characters or words.

    composer = TextComposer(checkpoint.load("runs/words"))
    text = composer.write(prompt="The ", seed=7)

No grammar holds its hand. Where the text is ABC that can be read, the tune comes with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from musicgen.composer.engine import BATCH, fastest_stepper
from musicgen.composer.pretrained import Pretrained
from musicgen.composer.sampling import TEMPERATURE, SamplingConfig, sample
from musicgen.composer.sampling.loop import TokenReader
from musicgen.corpus.texts import LONGEST
from musicgen.corpus.tokenset import BOS_ID
from musicgen.errors import CheckpointError, ControlError
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.tune import Tune
from musicgen.tokens.char import tune_in
from musicgen.tokens.languages import LANGUAGES, text_code
from musicgen.tokens.vocabulary import SPECIALS, Vocabulary

# A tune of a named corpus begins without its number and title.
_NUMBER_AND_TITLE = re.compile(r"(?:[XT]:.*(?:\n|\Z))+")
_MOST_LISTED = 200  # characters of a vocabulary in a message


@dataclass(frozen=True)
class Written:
    """One text: number `index` (from 0) of its seed, the prompt included, and what the rest cost
    the model in bits per character. `tune` is the ABC tune that it is, if it can be read as one
    without a warning; `ended` says that the model ended it, not the limit of tokens."""

    text: str
    index: int
    bits_per_character: float
    ended: bool
    tune: Tune | None


@dataclass(frozen=True)
class Prompt:
    """The beginning of a text: `unread`, and what a model reads, as `tokens`. `unknown` are those
    that it reads as unknown; `heading` is an unread number and title in ABC."""

    unread: str
    tokens: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    heading: str = ""


class TextComposer(Pretrained):
    """Writes text with one trained model.

    Raises:
        CheckpointError: the model has no language of text.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        code = text_code(checkpoint.tokenizer)
        if code is None:
            names = [name for name in LANGUAGES if text_code(name)]
            raise CheckpointError(
                f"this model reads '{checkpoint.tokenizer}' tokens and writes no text; "
                f"train one with --tokenizer {' or '.join(names)}"
            )
        self.code = code
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
        after `sampling.max_tokens` tokens.

        Raises:
            ControlError: a character of the prompt is none that the model knows.
        """
        read = self.read_prompt(prompt)
        batches = (range(begin, min(begin + BATCH, n)) for begin in range(start, n, BATCH))
        return (text for batch in batches for text in self._batch(read, batch, sampling))

    def read_prompt(self, text: str) -> Prompt:
        """A prompt as the model reads it: its last `LONGEST` characters. A number and a title in
        ABC are kept but not read by a model of tunes that begin without. A model of words reads
        words that it does not know as unknown, and no blank at the end, which belongs to the next
        word.

        Raises:
            ControlError: a character is none that the model knows.
        """
        match = _NUMBER_AND_TITLE.match(text)
        heading = match[0] if match else ""
        if heading and not (self._unknown(self.code.encode(heading)) and self._begins_with_field):
            heading = ""
        read = text[len(heading) :][-LONGEST:]
        unread = text[: len(text) - len(read)]
        if heading and not unread.endswith("\n"):
            unread += "\n"
        tokens = self.code.encode(read.removesuffix(" ") if self.code.reads_unknown else read)
        unknown = self._unknown(tokens)
        if unknown and not self.code.reads_unknown:
            place = len(text) - len(read) + tokens.index(unknown[0]) + 1
            raise ControlError(
                f"prompt: character {place}, {unknown[0]!r}, is none the model knows; it knows "
                f"{_alphabet(self.vocabulary.tokens)}"
            )
        return Prompt(unread, tuple(tokens), unknown, heading)

    @cached_property
    def _begins_with_field(self) -> bool:
        """Whether the model expects a text to begin with a field of ABC, but no number or title."""
        logits, _ = TokenReader(self.stepper, None, [0]).read(np.array([BOS_ID]))
        p = np.exp(logits[0] - np.logaddexp.reduce(logits[0]))
        fields = [self.vocabulary.ids[name] for name in "RMLK" if name in self.vocabulary.ids]
        return bool(p[fields].sum() > 0.5)

    def _unknown(self, tokens: Sequence[str]) -> tuple[str, ...]:
        """Those of some tokens that the model does not know, each once."""
        return tuple(dict.fromkeys(t for t in tokens if t not in self.vocabulary.ids))

    def _batch(self, prompt: Prompt, indices: range, sampling: SamplingConfig) -> Iterator[Written]:
        ids = [BOS_ID, *self.vocabulary.encode(prompt.tokens)]
        rows = sample(self.stepper, [ids] * len(indices), None, sampling, indices=indices)
        before = self.code.decode(prompt.tokens)
        for index, row in zip(indices, rows, strict=True):
            added = self.vocabulary.decode(row.ids[row.n_prompt :])
            decoded = self.code.decode([*prompt.tokens, *added])
            text = prompt.unread + decoded
            bits = row.bits / max(1, len(decoded) - len(before) + row.finished)
            yield Written(text, index, bits, row.finished, readable_tune(text))


def _alphabet(vocabulary: Sequence[str]) -> str:
    """The characters of a vocabulary in a row, as Python would print them; of many the first."""
    every = "".join(token for token in vocabulary if token not in SPECIALS)
    more = f" and {len(every) - _MOST_LISTED} more" if len(every) > _MOST_LISTED else ""
    return repr(every[:_MOST_LISTED])[1:-1] + more


def readable_tune(text: str) -> Tune | None:
    """The tune that a text is: ABC with notes, read without a warning."""
    tune = tune_in(text)
    return tune if tune is not None and tune.n_notes and not tune.warnings else None
