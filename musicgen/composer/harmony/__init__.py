"""Chords for a melody, and a melody for chords: an encoder-decoder with attention, and its search.

    model = harmony.load()
    harmonized = harmony.harmonize(tune, model)
    musicgen.write(harmonized.tune, "tune.mid")          # with bass and chords

`tokens.harmony` says where chords may change and encodes a melody, `models.harmony` is the
encoder-decoder; `decoding` is the search, `symbols` writes the chords.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicgen.system.lazy import lazy

if TYPE_CHECKING:
    from musicgen.composer.harmony.harmonized import Harmonized, harmonize
    from musicgen.models.harmony.model import load

__all__ = ["Harmonized", "harmonize", "load"]
__getattr__ = lazy(
    __name__,
    {
        "Harmonized": "harmonized",
        "harmonize": "harmonized",
        "load": "musicgen.models.harmony.model",
    },
)
