"""Classification of a tune by rhythm, mode, meter and collection, in two ways.

    classifier = Classifier.load()
    classifier.classify(tune)                      # {"rhythm": {"jig": 0.97, ...}, ...}
    classifier.classify(tune, by="likelihood")

By a small head on the states of a trained network that is left as it is (`head`), or by Bayes'
rule from what the same network gives for the notes under each heading (`likelihood`). Both use
the notes alone (`transcription`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from musicgen.config import unknown
from musicgen.errors import CheckpointError, ConfigError
from musicgen.evaluation.classification.questions import QUESTIONS, Question
from musicgen.music.tune import Tune
from musicgen.tokens.melody.transcription import transcribe

if TYPE_CHECKING:
    from musicgen.evaluation.classification.head import Answers, ClassifierHead
    from musicgen.evaluation.classification.trained import TrainedClassifier
    from musicgen.models.checkpoint import Checkpoint

__all__ = ["QUESTIONS", "WAYS", "Classifier", "Question", "load"]

Way = Literal["head", "likelihood"]
WAYS: tuple[Way, ...] = ("head", "likelihood")


def load(
    checkpoint: str | Path | None = None, head: str | Path | None = None, *, by: Way = "head"
) -> Classifier | TrainedClassifier:
    """The classifier that a run of `train --task classify` wrote, or else as `Classifier.load`.

    Raises:
        CheckpointError: it is missing or damaged.
        ConfigError: `head` or `by` beside a trained classifier, which answers in one way.
    """
    from musicgen.models import classifier as classifiers
    from musicgen.models.checkpoint import locate
    from musicgen.models.sealed_folder import kind_of

    if checkpoint is None or kind_of(locate(checkpoint)) != classifiers.FORMAT.rpartition("-")[0]:
        return Classifier.load(checkpoint, head)
    if head is not None or by != "head":
        option = "head" if head is not None else f"by {by}"
        raise ConfigError(f"{option}: {checkpoint} is a classifier of its own; leave it out")
    from musicgen.evaluation.classification.trained import TrainedClassifier

    return TrainedClassifier.load(checkpoint)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model with a head that was fitted on its states; without one only likelihood answers."""

    checkpoint: Checkpoint
    head: ClassifierHead | None

    @staticmethod
    def load(checkpoint: str | Path | None = None, head: str | Path | None = None) -> Classifier:
        """A model by name or folder (default: the one that the head was fitted on), and a head by
        folder (default: the shipped one, where it fits the model).

        Raises:
            CheckpointError: one is missing or damaged, or they do not belong together.
        """
        from musicgen.evaluation.classification import head as heads
        from musicgen.evaluation.classification.states import fingerprint_of
        from musicgen.models import checkpoint as checkpoints

        loaded = heads.load(heads.SHIPPED if head is None else head)
        named = loaded.checkpoint if checkpoint is None else checkpoint
        model = checkpoints.load(checkpoints.locate(named))
        if fingerprint_of(model) == loaded.fingerprint:
            return Classifier(model, loaded)
        if head is not None or checkpoint is None:
            raise CheckpointError(
                f"{named}: the head was fitted on another model; fit one with "
                "scripts/fitting/classifier.py"
            )
        return Classifier(model, None)

    def classify(self, tune: Tune, *, by: Way = "head") -> Answers:
        """The probability of every answer to every question; see `classify_all`."""
        return self.classify_all([tune], by=by)[0]

    def classify_all(self, tunes: Sequence[Tune], *, by: Way = "head") -> list[Answers]:
        """The same for several tunes.

        Raises:
            InvalidTuneError: a tune is no single line in one key and one meter.
            CheckpointError: the model has no head, or does not read melody tokens.
            ConfigError: `by` is not one of `WAYS`.
        """
        from musicgen.models.inference.threads import torch_single_threaded

        if by not in WAYS:
            raise ConfigError(unknown("by", str(by), WAYS, kind=f"value '{by}'"))
        transcriptions = [transcribe(tune) for tune in tunes]
        if by == "likelihood":
            from musicgen.evaluation.classification.likelihood import answer

            with torch_single_threaded():
                return [answer(each, self.checkpoint) for each in transcriptions]
        if self.head is None:
            raise CheckpointError(
                "no head was fitted on this model; use --by likelihood, or fit one with "
                "scripts/fitting/classifier.py and name it with --head"
            )
        from musicgen.evaluation.classification.states import states_of

        tunes = [each.notated() for each in transcriptions]
        with torch_single_threaded():
            return [self.head.answer(states) for states in states_of(self.checkpoint, tunes)]
