"""Composers from models in folders or on the Hugging Face Hub, and models of composers to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, Self

from musicgen.errors import CheckpointError, printable
from musicgen.models import checkpoint as checkpoints
from musicgen.models import hub
from musicgen.models.checkpoint import Checkpoint


class TrainedModule(Protocol):
    """A Lightning module that knows what a composer needs, such as `NextTokenModule`."""

    def to_checkpoint(self, data: Any) -> Checkpoint:
        """The network with vocabulary and openings."""
        ...


class Pretrained:
    """A composer with the model that it was made of."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | None = None,
    ) -> Self:
        """A composer with the model in a folder, a shipped one by name, or one of the Hub, as
        `user/name`; see `hub.find`.

        Raises:
            CheckpointError: there is no such model, it is damaged, it cannot be downloaded, or it
                has another token language.
        """
        folder = hub.find(name, revision=revision, cache_dir=cache_dir, token=token)
        checkpoint = checkpoints.load(folder)
        try:
            return cls(checkpoint)
        except CheckpointError as error:
            raise CheckpointError(
                f"{printable(str(name))}: {error}, or let musicgen.load choose the composer"
            ) from None

    @classmethod
    def from_trained(cls, model: TrainedModule, data: Any) -> Self:
        """A composer with a module as it is after `Trainer.fit`, and the data module that it was
        trained with.

        Raises:
            CheckpointError: the model has another token language.
        """
        return cls(model.to_checkpoint(data))

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the folder of the model, which is a repository of the Hub as it is.

        Raises:
            CheckpointError: the folder holds a model and `overwrite` is False, it holds something
                else, or it cannot be written.
        """
        checkpoints.save(folder, self.checkpoint, overwrite=overwrite)

    def push_to_hub(
        self,
        name: str,
        *,
        revision: str | None = None,
        private: bool | None = None,
        message: str = hub.MESSAGE,
        token: str | None = None,
    ) -> str:
        """Upload the model to the repository `user/name` of the Hub; see `hub.upload`.

        Raises:
            CheckpointError: it cannot be reached, or the account may not write there.
        """
        return hub.upload(
            self.checkpoint,
            name,
            revision=revision,
            private=private,
            message=message,
            token=token,
        )
