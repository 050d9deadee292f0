"""Tunes in a notebook: a score and a player for one, a small gallery for several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from musicgen.gallery import fragment
from musicgen.music.tune import Tune

MAX_SHOWN = 12


@dataclass(frozen=True)
class Gallery:
    """What `show` gives to the notebook."""

    tunes: tuple[Tune, ...]

    def _repr_html_(self) -> str:
        more = len(self.tunes) - MAX_SHOWN
        note = f"<p>and {more} more</p>" if more > 0 else ""
        return fragment(self.tunes[:MAX_SHOWN]) + note

    def __repr__(self) -> str:
        return "\n".join(tune.title or "Untitled" for tune in self.tunes)


def show(tunes: Tune | Iterable[Tune]) -> Gallery:
    """A gallery of scores and players; the first `MAX_SHOWN` tunes of a long list."""
    return Gallery((tunes,) if isinstance(tunes, Tune) else tuple(tunes))


def mimebundle(tune: Tune) -> dict[str, str]:
    """What a notebook shows for one tune."""
    return {"text/html": fragment([tune]), "text/plain": repr(tune)}
