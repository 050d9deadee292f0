"""Composer: new melodies from a trained model, continuations, rewritten bars and variations.

    composer = Composer(checkpoint.load("runs/first"))
    tune = composer.generate(key="D", meter="6/8", rhythm="jig", seed=7)
    finished = composer.continue_(unfinished, seed=7)

The controls hold by construction: the model chooses only among tokens that the grammar and the
controls allow. Take k of a seed is the same however many takes are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from musicgen.composer.continuation import continuations
from musicgen.composer.controls import Controls, controls_of
from musicgen.composer.engine import Engine, Take
from musicgen.composer.generation import takes
from musicgen.composer.infilling import infillings
from musicgen.composer.pretrained import Pretrained
from musicgen.composer.sampling import TEMPERATURE, SamplingConfig
from musicgen.composer.selection import OWN_WAY, Selection
from musicgen.composer.streaming import Draft, Stream, watch
from musicgen.composer.variation import variations
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.tune import Tune

if TYPE_CHECKING:
    from concurrent.futures import Executor

DEFAULT_SAMPLING = SamplingConfig()


class Composer(Pretrained):
    """Composes with one trained model.

    Raises:
        CheckpointError: the model has another token language.
    """

    all_voices = False  # of a file are to be read for it: the melody

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.engine = Engine.of(checkpoint)

    def generate(
        self,
        *,
        seed: int = 0,
        temperature: float = TEMPERATURE,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        selection: Selection = OWN_WAY,
        **controls: Any,
    ) -> Tune:
        """One new tune; the same arguments give the same tune. `controls` are the fields of
        `Controls`: key, form, range and more.

        Raises:
            ControlError: the controls contradict each other or the model does not know them.
            OptionError: no such control or argument, or a value of another type.
            ConfigError: an impossible seed, temperature or filter.
        """
        sampling = SamplingConfig(
            seed=seed, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p
        )
        return next(self.takes(1, controls_of(self.generate, controls), sampling, selection)).tune

    def takes(
        self,
        n: int,
        controls: Controls,
        sampling: SamplingConfig,
        selection: Selection = OWN_WAY,
        *,
        start: int = 0,
        workers: int = 1,
        executor: Executor | None = None,
    ) -> Iterator[Take]:
        """New tunes from number `start` up to `n`, sampled a batch at a time, in order;
        `selection` says which attempt at each is kept. Many are made by `workers` processes (a
        script that asks for them needs `if __name__ == "__main__":`) or by an executor, such as
        Dask's `client.get_executor()`; all of them compose the same.

        Raises:
            ControlError: the controls contradict each other or the model does not know them, or
                copied bars are to be counted without an index of the corpus.
            ConfigError: the selection asks for a critic and the model has none.
        """
        return takes(
            self.engine,
            range(start, n),
            controls,
            sampling,
            selection.rules(has_critic=self.engine.critic is not None),
            workers=workers,
            executor=executor,
        )

    def stream(
        self, controls: Controls | None = None, sampling: SamplingConfig | None = None
    ) -> Stream:
        """One new tune as it is sampled, note by note; see `streaming.Stream`. It is what comes
        first (`FIRST`), as nothing can be chosen from before it is whole.

        Raises:
            ControlError: the controls contradict each other or the model does not know them.
        """
        return Stream(self.engine, controls or Controls(), sampling or SamplingConfig())

    def watch(
        self, n: int, controls: Controls, sampling: SamplingConfig = DEFAULT_SAMPLING
    ) -> Iterator[Draft | Take]:
        """`n` new tunes side by side: a `Draft` after each bar of each, and each take when it ends,
        so not in order; the takes are those of `takes` with the selection `FIRST`.

        Raises:
            ControlError: the controls contradict each other or the model does not know them.
        """
        return watch(self.engine, n, controls, sampling)

    def continue_(
        self,
        tune: Tune,
        *,
        bars: int | None = None,
        seed: int = 0,
        temperature: float = TEMPERATURE,
    ) -> Tune:
        """The tune finished: every note given stays as it was, and the rest follows from it.

        Of a tune that was read from ABC, `source.text` is its text to the letter and then the new
        music. `bars` is how many full bars the whole is to have, as written.

        Raises:
            ControlError: it is no single line, or has as many bars already.
            ConfigError: an impossible seed or temperature.
        """
        sampling = SamplingConfig(seed=seed, temperature=temperature)
        return next(self.continuations(tune, 1, sampling, bars=bars)).tune

    def continuations(
        self,
        tune: Tune,
        n: int = 1,
        sampling: SamplingConfig = DEFAULT_SAMPLING,
        *,
        bars: int | None = None,
    ) -> Iterator[Take]:
        """`n` continuations of an unfinished tune, all different; `Take.write` keeps the given
        music to the byte (ABC) or the tick (MIDI).

        Raises:
            ControlError: it is no single line, has as many bars already, or fewer different
                continuations are found.
        """
        return continuations(self.engine, tune, n, sampling, bars=bars)

    def infill(
        self,
        tune: Tune,
        *,
        bars: str,
        n: int = 1,
        sampling: SamplingConfig = DEFAULT_SAMPLING,
    ) -> Iterator[Take]:
        """`n` versions of a tune with new notes in some `bars` ("5-8", as printed: a pickup is bar
        0), all different; `Take.write` keeps the rest to the byte (ABC) or the tick (MIDI).

        Raises:
            ControlError: no such bars, bars that cannot be rewritten, or too few that differ.
        """
        return infillings(self.engine, tune, bars, n, sampling)

    def vary(
        self,
        tune: Tune,
        *,
        similarity: str = "0.6-0.8",
        n: int = 1,
        sampling: SamplingConfig = DEFAULT_SAMPLING,
    ) -> Iterator[Take]:
        """`n` new settings of a tune whose `novelty.similarity` to it lies in a band, in its key,
        meter, form and number of bars.

        Raises:
            ControlError: the tune cannot be rewritten, or the band is not reached.
        """
        return variations(self.engine, tune, similarity, n, sampling)
