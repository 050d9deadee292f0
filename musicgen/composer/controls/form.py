"""The form of a tune, AABB or ABAC: read from letters, and found in a written tune."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from string import ascii_uppercase

from musicgen.composer.controls.values import refuse
from musicgen.music.tune import Bar, Tune

MOST_PARTS = 8  # written ones; `grammar.Limits.parts`


@dataclass(frozen=True, slots=True)
class Form:
    """Written parts, each with its letter; a letter that returns is the same music again.

    AABB is |:A:| |:B:|; ABAC is A B A C, the second A copied from the first; AAB is |:A:| B. In
    AAA the third is written out.
    """

    text: str
    letters: str
    repeated: tuple[bool, ...]

    @staticmethod
    def read(text: str) -> Form:
        """Read a pattern of letters, which are named in the order in which they appear.

        Raises:
            ControlError: it is not a pattern, or has too many parts.
        """
        pattern = "".join(text.split()).upper()
        if not pattern or not set(pattern) <= set(ascii_uppercase):
            refuse("form", text, "not a form; write it like AABB or ABAC")
        seen = "".join(dict.fromkeys(pattern))
        if seen != ascii_uppercase[: len(seen)]:
            named = pattern.translate(str.maketrans(seen, ascii_uppercase[: len(seen)]))
            refuse("form", text, f"name the parts in the order in which they appear: {named}")
        letters, repeated = "", []
        for letter, run in groupby(pattern):
            length = len(list(run))
            letters += letter * (length // 2 + length % 2)
            repeated += [True] * (length // 2) + [False] * (length % 2)
        if len(letters) > MOST_PARTS:
            refuse("form", text, f"more than {MOST_PARTS} written parts")
        return Form(pattern, letters, tuple(repeated))

    @property
    def weights(self) -> dict[str, int]:
        """How often each letter is written out, in the order in which they appear."""
        return dict(Counter(self.letters))


def form_of(tune: Tune) -> tuple[str, int]:
    """The form of a written tune, "AABB", and its full bars, each written part once; a pickup and
    the bar it is taken from count as one, a second ending does not count."""
    parts: list[list[Bar]] = [[]]
    for bar, following in zip(tune.bars, (*tune.bars[1:], None), strict=False):
        parts[-1].append(bar)
        ends = bar.repeat_end or bar.barline in ("||", "|]")
        if ends and following is not None and following.volta != (2,):
            parts.append([])
    full = tune.meter.bar_duration
    pickup = len(tune.bars) > 1 and full is not None and tune.bars[0].duration < full
    letters, count, seen = "", 0, list[object]()
    for part in parts:
        music = [(bar.events, bar.volta) for bar in part]
        if music not in seen:
            seen.append(music)
        letter = ascii_uppercase[min(seen.index(music), 25)]
        letters += letter * (2 if any(bar.repeat_end for bar in part) else 1)
        voltas = [bar.volta for bar in part]
        count += (voltas.index((2,)) if (2,) in voltas else len(part)) - pickup
    return letters, count
