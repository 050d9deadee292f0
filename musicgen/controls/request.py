"""What a tune is asked to be: key, meter, rhythm, turned into the tokens it starts from.

A model knows how its corpus opens tunes: rhythm, meter, unit, tonic, mode and pickup, with counts.
A request keeps the openings that fit and draws among them as often as the corpus has them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from musicgen.errors import ControlError, printable
from musicgen.theory import (
    WRITTEN_METERS,
    Key,
    Meter,
    canonical_rhythm,
    parse_key,
    parse_meter,
    rhythm_meters,
)
from musicgen.tokenizer.tokens import parse_token
from musicgen.transposition import transpose
from musicgen.tune import Tune

# Header tokens, in the order of HEADER_KINDS, and how often the corpus opens a tune so.
Opening = tuple[tuple[str, ...], int]
# What may be let go of, one after the other, when the corpus never combines all that was asked.
_LETTING_GO = (("tonic", "mode", "rhythm"), ("mode", "rhythm"), ("rhythm",), ())


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What a new tune must be; None leaves the choice to the model's corpus.

    `key` is such as "D", "Ador", "E minor"; `meter` such as "6/8", "C|"; `rhythm` such as "jig".
    """

    key: str | None = None
    meter: str | None = None
    rhythm: str | None = None


@dataclass(frozen=True)
class Request:
    """Controls that have been understood, and the openings that meet them."""

    key: Key | None
    meter: Meter | None
    rhythm: str | None
    openings: tuple[Opening, ...]

    @staticmethod
    def understand(controls: Controls, openings: Sequence[Opening]) -> Request:
        """Check controls against each other and against what the model knows.

        Raises:
            ControlError: they cannot be read, contradict each other, or name what no tune of the
                model's corpus has.
        """
        key, meter = _read_key(controls.key), _read_meter(controls.meter)
        rhythm = None if controls.rhythm is None else canonical_rhythm(controls.rhythm)
        danced = rhythm_meters(rhythm or "")
        if meter is not None and danced and not any(_alike(meter, m) for m in danced):
            raise ControlError(
                f"a {rhythm} in {meter} contradicts itself; its meters are {', '.join(danced)}"
            )
        headers = [_header(tokens) for tokens, _ in openings]
        if rhythm is not None:
            _require(rhythm, "rhythm", {h["rhythm"] for h in headers} - {""})
        if key is not None:
            _require(key.mode, "mode", {h["mode"] for h in headers})
        meters = {str(h["meter"]) for h in headers}
        if meter is not None and not any(_alike(meter, m) for m in meters):
            _require(str(meter), "meter", meters)
        request = Request(key, meter, rhythm, ())
        for kept in _LETTING_GO:
            found = tuple(
                opening
                for opening, header in zip(openings, headers, strict=True)
                if request._fits(header, kept)
            )
            if found:
                return replace(request, openings=found)
        raise ControlError(f"the model knows no {rhythm} in {meter}; ask for one of them only")

    def _fits(self, header: dict[str, Any], kept: Sequence[str]) -> bool:
        meter = str(header["meter"])
        if self.meter is not None and not _alike(self.meter, meter):
            return False
        danced = rhythm_meters(self.rhythm or "")
        if danced and meter not in danced:
            return False
        wanted = {"rhythm": self.rhythm}
        if self.key is not None:
            wanted |= {"mode": self.key.mode, "tonic": self.key.tonic}
        return all(wanted.get(kind) in (None, header[kind]) for kind in kept)

    @cached_property
    def _cumulative(self) -> list[float]:
        counts = np.array([count for _, count in self.openings], dtype=np.float64)
        return list(np.cumsum(counts) / counts.sum())

    def draw(self, seed: int, index: int) -> tuple[str, ...]:
        """Header tokens for take `index` of a seed, with the rhythm and mode that were asked."""
        # A stream of its own, apart from the sampler's.
        uniform = np.random.default_rng([seed, index, 1]).random()
        tokens, _ = self.openings[bisect_right(self._cumulative, uniform)]
        rhythm, meter, unit, tonic, mode, pickup = tokens
        if self.rhythm is not None:
            rhythm = f"R:{self.rhythm}"
        if self.key is not None:
            mode = f"mode:{self.key.mode}"
        return rhythm, meter, unit, tonic, mode, pickup

    def fulfil(self, tune: Tune) -> Tune:
        """The sampled tune in exactly the key and meter that were asked, or as it is written."""
        written = WRITTEN_METERS.get((tune.rhythm, tune.meter), tune.meter)
        tune = replace(tune, meter=self.meter or written)
        return tune if self.key is None else transpose(tune, self.key.tonic)


def _header(tokens: Sequence[str]) -> dict[str, Any]:
    parsed = [parse_token(text) for text in tokens]
    return {token.kind: token.value for token in parsed}


def _alike(meter: Meter, other: str) -> bool:
    """Whether two meters have the same bar, as C, C|, 4/4 and 2/2 have."""
    second = parse_meter(other)
    return second is not None and (meter.bar_duration, meter.compound) == (
        second.bar_duration,
        second.compound,
    )


def _read_key(text: str | None) -> Key | None:
    key = None if text is None else parse_key(text)
    if text is not None and key is None:
        raise ControlError(f"key '{printable(text)}': not a key; write it like D, Ador or E minor")
    return key


def _read_meter(text: str | None) -> Meter | None:
    meter = None if text is None else parse_meter(text)
    if text is not None and (meter is None or meter.bar_duration is None):
        raise ControlError(f"meter '{printable(text)}': not a meter; write it like 6/8 or C|")
    return meter


def _require(value: str, what: str, known: set[str]) -> None:
    if value not in known:
        raise ControlError(
            f"{what} '{printable(value)}': the model knows no such tune; "
            f"it knows {', '.join(sorted(known))}"
        )
