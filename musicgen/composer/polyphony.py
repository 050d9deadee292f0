"""PolyphonicComposer: new pieces in several parts, and continuations of unfinished ones.

    composer = musicgen.load("chorale")
    tune = composer.generate(key="Gm", bars=12, seed=7)      # a Tune of four voices
    finished = composer.continue_(unfinished, bars=16)

Every bar of an unfinished piece is kept; new music begins on the next beat, in the same voices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from musicgen.composer.controls import Controls, controls_of
from musicgen.composer.controls.values import read_count, read_meter, refuse
from musicgen.composer.engine import (
    BATCH,
    Take,
    fastest_stepper,
    require_language,
    sample_to_end,
)
from musicgen.composer.generation import titled
from musicgen.composer.pool import in_order
from musicgen.composer.pretrained import Pretrained
from musicgen.composer.prompts.source_file import SourceFile
from musicgen.composer.prompts.unfinished_parts import UnfinishedParts, spliced
from musicgen.composer.sampling import TEMPERATURE, SamplingConfig
from musicgen.composer.selection import OWN_WAY, Rules, Selection, select
from musicgen.config import what_is_known
from musicgen.errors import CheckpointError, ControlError, printable
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.theory import Key, parse_key
from musicgen.music.tune import Tune
from musicgen.tokens.remi.encoding import (
    HEADER_KINDS,
    NAME,
    bars_tokens,
    decode,
    in_key,
    parse_token,
    token_distance,
)
from musicgen.tokens.remi.grammar import FEATURE_SIZES, PieceConstraint
from musicgen.tokens.remi.notation import tune_of
from musicgen.tokens.remi.pieces import Piece, plain_meter
from musicgen.tokens.vocabulary import BOS, Vocabulary

if TYPE_CHECKING:
    from concurrent.futures import Executor

Header = dict[str, str]  # token of each of HEADER_KINDS
SHORTEST, LONGEST = 2, 999  # bars


class PolyphonicComposer(Pretrained):
    """Composes in parts with one trained model.

    Raises:
        CheckpointError: the model has another token language.
    """

    all_voices = True  # of a file are to be read for it

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        if checkpoint.tokenizer != NAME or not checkpoint.openings:
            raise CheckpointError(
                f"this model reads '{printable(checkpoint.tokenizer[:40])}' tokens and cannot "
                f"compose in parts; train one with --tokenizer {NAME}"
            )
        require_language(checkpoint, parse_token, HEADER_KINDS, FEATURE_SIZES)
        self.stepper = fastest_stepper(checkpoint)
        self.corpus = checkpoint.novelty
        self.vocabulary = Vocabulary(checkpoint.vocab)
        self.openings = [
            (dict(zip(HEADER_KINDS, self.vocabulary.decode(ids), strict=True)), count)
            for ids, count in checkpoint.openings
        ]

    def generate(
        self,
        *,
        seed: int = 0,
        temperature: float = TEMPERATURE,
        **controls: Any,
    ) -> Tune:
        """One new piece; the same arguments give the same piece. `controls` are key, meter and
        bars (full ones).

        Raises:
            ControlError: the controls contradict each other or the model does not know them.
            OptionError: no such control or argument, or a value of another type.
            ConfigError: an impossible seed or temperature.
        """
        sampling = SamplingConfig(seed=seed, temperature=temperature)
        return next(self.takes(1, controls_of(self.generate, controls), sampling)).tune

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
        parallels: bool = False,
    ) -> Iterator[Take]:
        """New pieces from number `start` up to `n` in order; `selection` says which attempt is
        kept. Singers move in no parallel fifths and octaves unless `parallels` are allowed. An
        executor composes the same; without one this process does, whatever `workers` says.

        Raises:
            ControlError: the controls contradict each other or the model does not know them.
        """
        request = PieceRequest.understand(controls, self.openings, self.vocabulary)
        options: dict[str, Any] = {
            "request": request,
            "sampling": sampling,
            "parallels": parallels,
        }
        rules = selection.rules(has_critic=False)
        if rules.choose and executor is None:
            return select(partial(self._draft, **options), range(start, n), rules)
        batches = [range(begin, min(begin + BATCH, n)) for begin in range(start, n, BATCH)]
        return in_order(self, partial(_composed, rules, options), batches, executor=executor)

    def _draft(
        self,
        indices: Sequence[int],
        request: PieceRequest,
        sampling: SamplingConfig,
        parallels: bool,
    ) -> list[Take]:
        """Any takes of a seed in one batch."""
        if not indices:
            return []
        headings = [request.draw(sampling.seed, index) for index in indices]
        prompts = [self.vocabulary.encode((BOS, *heading.values())) for heading in headings]
        constraint = PieceConstraint(
            self.vocabulary, len(indices), key=request.key, parallels=parallels
        )
        rows = sample_to_end(self.stepper, prompts, constraint, sampling, indices)
        pieces = [request.fulfil(decode(self.vocabulary.decode(row.ids))) for row in rows]
        return [
            Take(
                titled(tune_of(piece), sampling.seed, index, kind="Piece"),
                index,
                row.bits / max(1, piece.n_notes),
                corpus=self.corpus,
            )
            for index, row, piece in zip(indices, rows, pieces, strict=True)
        ]

    def continue_(
        self,
        tune: Tune,
        *,
        bars: int | None = None,
        seed: int = 0,
        temperature: float = TEMPERATURE,
    ) -> Tune:
        """The piece finished: every bar given stays as it was, in the same voices. `bars` are the
        full bars of the whole.

        Raises:
            ControlError: the model cannot follow it, or it has as many bars already.
            ConfigError: an impossible seed or temperature.
        """
        sampling = SamplingConfig(seed=seed, temperature=temperature)
        return next(self.continuations(tune, 1, sampling, bars=bars)).tune

    def continuations(
        self,
        tune: Tune,
        n: int,
        sampling: SamplingConfig,
        *,
        bars: int | None = None,
    ) -> Iterator[Take]:
        """`n` continuations of an unfinished piece.

        Raises:
            ControlError: the model cannot follow it, or it has as many bars already.
        """
        unfinished = UnfinishedParts.read(tune, read_count("bars", bars, LONGEST), self.vocabulary)
        return self._continue(unfinished, n, sampling)

    def _continue(
        self, unfinished: UnfinishedParts, n: int, sampling: SamplingConfig
    ) -> Iterator[Take]:
        prompt = self.vocabulary.encode((BOS, *unfinished.known_tokens))
        midi = SourceFile.of(unfinished.tune).midi
        for begin in range(0, n, BATCH):
            indices = range(begin, min(begin + BATCH, n))
            constraint = PieceConstraint(
                self.vocabulary,
                len(indices),
                script=unfinished.tokens,
                playing=frozenset(unfinished.slots),
                begin=unfinished.begin,
                ranges=unfinished.ranges,
                key=unfinished.piece.key,
            )
            prompts = [prompt] * len(indices)
            rows = sample_to_end(self.stepper, prompts, constraint, sampling, indices)
            for index, row in zip(indices, rows, strict=True):
                piece = unfinished.complete(self.vocabulary.decode(row.ids[row.n_prompt :]))
                added = max(1, piece.n_notes - unfinished.tune.n_notes)
                exact = spliced(unfinished.tune, piece, midi) if midi else b""
                yield Take(piece, index, row.bits / added, exact={".mid": exact} if exact else {})


def _composed(
    rules: Rules, options: Mapping[str, Any], composer: PolyphonicComposer, numbers: Sequence[int]
) -> list[Take]:
    """The takes of these numbers."""
    draft: Any = partial(composer._draft, **options)
    return list(select(draft, numbers, rules)) if rules.choose else draft(numbers)


@dataclass(frozen=True)
class PieceRequest:
    """Controls that have been understood, and the openings that meet them, with their counts."""

    key: Key | None
    tonic: str
    bars: int | None
    openings: tuple[tuple[Header, int], ...]

    @staticmethod
    def understand(
        controls: Controls,
        openings: Sequence[tuple[Header, int]],
        vocabulary: Vocabulary,
    ) -> PieceRequest:
        """Check controls against what the model knows.

        Raises:
            ControlError: they cannot be read, or name what no piece of the model's corpus has.
        """
        for field in fields(controls):
            is_set = getattr(controls, field.name) != field.default
            if is_set and field.name not in ("key", "meter", "bars"):
                raise ControlError(
                    f"{field.name}: this model writes in parts; ask it for key, meter and bars"
                )
        key = None if controls.key is None else parse_key(controls.key)
        if controls.key is not None and key is None:
            refuse("key", controls.key, "not a key; write it like D, Ador or E minor")
        meter = None if controls.meter is None else plain_meter(read_meter(controls.meter))
        fitting = [
            (header, n)
            for header, n in openings
            if meter is None or plain_meter(parse_token(header["meter"]).value) == meter
        ]
        if not fitting:
            known = {h["meter"].removeprefix("M:") for h, _ in openings}
            raise ControlError(
                f"meter '{controls.meter}': the model knows no such piece; {what_is_known(known)}"
            )
        tonic = ""
        if key is not None:
            if f"mode:{key.mode}" not in vocabulary.ids:
                modes = (t.removeprefix("mode:") for t in vocabulary.tokens if t[:5] == "mode:")
                raise ControlError(
                    f"key '{controls.key}': the model knows no such mode; {what_is_known(modes)}"
                )
            tonic = vocabulary.replace_unknown([f"K:{key.tonic}"], token_distance)[0]
            fitting = [(h, n) for h, n in fitting if h["mode"] == f"mode:{key.mode}"] or fitting
        if controls.bars is not None:
            _check_bars(controls.bars, vocabulary)
        return PieceRequest(key, tonic, controls.bars, tuple(fitting))

    def draw(self, seed: int, index: int) -> Header:
        """The heading of take `index` of a seed."""
        counts = np.array([count for _, count in self.openings], np.float64)
        # A stream of its own, apart from the sampler's.
        uniform = np.random.default_rng([seed, index, 1]).random()
        i = int(np.searchsorted(np.cumsum(counts) / counts.sum(), uniform, side="right"))
        header = dict(self.openings[i][0])
        if self.key is not None:
            header |= {"tonic": self.tonic, "mode": f"mode:{self.key.mode}"}
        if self.bars is not None:
            has_pickup = bool(parse_token(header["pickup"]).value)
            header["tens"], header["ones"] = bars_tokens(self.bars + has_pickup)
        return header

    def fulfil(self, piece: Piece) -> Piece:
        """The piece in exactly the key that was asked, which the heading may not have said."""
        return piece if self.key is None else in_key(piece, self.key)


def _check_bars(bars: int, vocabulary: Vocabulary) -> None:
    """Refuse a number of bars that the vocabulary has no tokens for, with a pickup or not."""
    known = [
        n_bars
        for n_bars in range(SHORTEST, LONGEST)
        if all(t in vocabulary.ids for n in (n_bars, n_bars + 1) for t in bars_tokens(n))
    ]
    if bars not in known:
        near = sorted(known, key=lambda n_bars: abs(n_bars - bars))[:3]
        raise ControlError(
            f"bars {bars}: the model knows no such length; the nearest it writes are "
            + ", ".join(map(str, sorted(near)))
        )
