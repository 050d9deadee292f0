"""The form of a tune, AABB or ABAC, and how many bars its parts have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, product
from string import ascii_uppercase

from musicgen.composer.controls.values import MOST_BARS, MOST_PART_BARS, refuse
from musicgen.errors import ControlError
from musicgen.music.tune import Bar, Tune
from musicgen.tokens.melody.grammar import Limits, PartPlan

MOST_PARTS = Limits.parts


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
        """Understand a pattern of letters, in the order in which they come in.

        Raises:
            ControlError: it is none, or has too many parts.
        """
        pattern = "".join(text.split()).upper()
        if not pattern or not set(pattern) <= set(ascii_uppercase):
            refuse("form", text, "not a form; write it like AABB or ABAC")
        seen = "".join(dict.fromkeys(pattern))
        if seen != ascii_uppercase[: len(seen)]:
            named = pattern.translate(str.maketrans(seen, ascii_uppercase[: len(seen)]))
            refuse("form", text, f"name the parts as they come in: {named}")
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
        """How often each letter is written out, in the order in which they come in."""
        return dict(Counter(self.letters))

    def parts(self, bars: dict[str, int | None]) -> tuple[PartPlan, ...]:
        """The written parts for the grammar. A part that comes back now repeated and now not has
        no endings, so that it can be the same music each time."""
        ways = {letter: set[bool]() for letter in self.letters}
        for letter, twice in zip(self.letters, self.repeated, strict=True):
            ways[letter].add(twice)
        return tuple(
            PartPlan(repeated=twice, bars=bars[letter], endings=len(ways[letter]) == 1)
            for letter, twice in zip(self.letters, self.repeated, strict=True)
        )


def limits_of(form: Form | None, part_bars: Sequence[int], total: int | None) -> Limits | None:
    """What the grammar has to keep to; None where nothing is asked.

    Raises:
        ControlError: the numbers of bars and the form contradict each other.
    """
    if form is not None:
        return Limits(form=form.parts(_bars_of_letters(form, part_bars, total)), min_part_bars=4)
    if len(part_bars) > 1:
        if len(part_bars) > MOST_PARTS:
            raise ControlError(f"part-bars: {len(part_bars)} parts; {MOST_PARTS} is the most")
        _require_sum(sum(part_bars), total, f"parts of {_listed(part_bars)} bars")
        return Limits(form=tuple(PartPlan(bars=n) for n in part_bars))
    if part_bars and total is not None:
        (each,) = part_bars
        if total % each or total > each * MOST_PARTS:
            raise ControlError(
                f"{total} bars do not make 1 to {MOST_PARTS} parts of {each} bars; change one of "
                "bars and part-bars"
            )
        return Limits(form=(PartPlan(bars=each),) * (total // each))
    if part_bars:
        return Limits(min_part_bars=part_bars[0], part_bars=part_bars[0])
    return None if total is None else Limits(total_bars=total)


def _bars_of_letters(
    form: Form, part_bars: Sequence[int], total: int | None
) -> dict[str, int | None]:
    weights = form.weights
    if len(part_bars) > 1 and len(part_bars) != len(weights):
        n_parts = f"{len(weights)} parts" if len(weights) > 1 else "one part"
        raise ControlError(f"part-bars has {len(part_bars)} numbers, but {form.text} has {n_parts}")
    if part_bars:
        each = part_bars if len(part_bars) > 1 else tuple(part_bars) * len(weights)
        bars = dict(zip(weights, each, strict=True))
        written = sum(weights[letter] * n for letter, n in bars.items())
        _require_sum(written, total, f"{form.text} with parts of {_listed(part_bars)} bars")
        return dict(bars)
    if total is None:
        return dict.fromkeys(weights)
    return dict(zip(weights, _shares(form, tuple(weights.values()), total), strict=True))


def _shares(form: Form, weights: tuple[int, ...], total: int) -> tuple[int, ...]:
    """Bars of each letter: all alike if possible, else as even as can be, in fours before twos."""
    if total % sum(weights) == 0 and total // sum(weights) <= MOST_PART_BARS:
        return (total // sum(weights),) * len(weights)
    even = Fraction(total, sum(weights))
    near = [n for n in range(int(even) - 4, int(even) + 6) if 1 <= n <= MOST_PART_BARS]
    near = near if len(weights) <= 4 else [n for n in near if abs(n - even) <= 1]
    sums = (
        shares
        for shares in product(near, repeat=len(weights))
        if sum(w * n for w, n in zip(weights, shares, strict=True)) == total
    )
    best = min(sums, key=lambda s: (_roughness(s), sum(abs(n - even) for n in s), s), default=None)
    if best is None:
        raise ControlError(
            f"{total} bars cannot be shared among the parts of {form.text}; "
            "change bars, or name part-bars"
        )
    return best


def _roughness(shares: Sequence[int]) -> int:
    """0 where all parts are of so many fours, 1 of twos, 2 otherwise."""
    return 0 if not any(n % 4 for n in shares) else 1 if not any(n % 2 for n in shares) else 2


def _require_sum(written: int, total: int | None, what: str) -> None:
    if total is not None and written != total:
        raise ControlError(f"{what} has {written} bars, not {total}; leave out bars or part-bars")
    if written > MOST_BARS:
        raise ControlError(f"{what} has {written} bars; {MOST_BARS} is the most")


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def with_motif(limits: Limits | None, n_bars: int, pickup: Fraction) -> Limits:
    """The limits with a motif that opens the first part and comes back in its second phrase.

    Phrases are of four bars, for a motif longer than that of eight; it comes back where a bar of
    the part is left after it.

    Raises:
        ControlError: the first part is too short for it.
    """
    limits = limits or Limits()
    least = n_bars + bool(pickup)
    longest = limits.form[0].bars if limits.form and limits.form[0].bars else limits.part_bars
    longest = min(longest, limits.total_bars or longest)
    if least > longest:
        raise ControlError(
            f"a motif of {n_bars} bars does not fit a first part of {longest}; name fewer bars"
        )
    limits = replace(limits, min_part_bars=max(limits.min_part_bars, least))
    phrase = 4 if n_bars <= 4 else 8
    comes_back = n_bars <= 8 and phrase + n_bars < longest
    return replace(limits, motif_return=(phrase, n_bars)) if comes_back else limits


def form_of(tune: Tune) -> tuple[str, int]:
    """The form of a written tune, "AABB", and its full bars, each written part once; a pickup and
    the bar it is taken from count as one, a second ending does not count."""
    parts: list[list[Bar]] = [[]]
    for bar, following in zip(tune.bars, (*tune.bars[1:], None), strict=True):
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
