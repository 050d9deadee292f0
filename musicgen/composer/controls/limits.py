"""The limits of the grammar that a form, numbers of bars and a motif ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

from musicgen.composer.controls.form import MOST_PARTS, Form
from musicgen.composer.controls.values import MOST_BARS, MOST_PART_BARS
from musicgen.errors import ControlError
from musicgen.tokens.melody.grammar import Limits, Outline, PartPlan

MOST_FREE_BARS = 16  # of a part in a form that comes without lengths


def limits_of(form: Form | None, part_bars: Sequence[int], total: int | None) -> Limits | None:
    """The limits that the grammar keeps; None where no control sets one.

    Raises:
        ControlError: the numbers of bars and the form contradict each other.
    """
    if form is not None:
        parts = _part_plans(form, _bars_of_letters(form, part_bars, total))
        return Limits(form=parts, part_bars=MOST_FREE_BARS)
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


def with_lengths_of(
    outlines: Iterable[tuple[Outline, int]], form: Form, parts: Outline
) -> list[tuple[Outline, int]]:
    """The parts of a form with the lengths of the parts of real tunes, where none of these is
    longer than a part may be whose length nobody asked for. Letters beyond the parts of a tune are
    as long as its last."""
    found = []
    for outline, count in outlines:
        lengths = [part.bars or 0 for part in outline]
        if max(lengths) <= MOST_FREE_BARS:
            bars = {
                letter: lengths[min(i, len(lengths) - 1)] for i, letter in enumerate(form.weights)
            }
            planned = zip(parts, form.letters, strict=True)
            found.append((tuple(replace(part, bars=bars[x]) for part, x in planned), count))
    return found


def _part_plans(form: Form, bars: dict[str, int | None]) -> tuple[PartPlan, ...]:
    """The written parts for the grammar. A part that appears both repeated and not repeated has no
    endings, so that it can be the same music each time."""
    repeats = {letter: set[bool]() for letter in form.letters}
    for letter, repeated in zip(form.letters, form.repeated, strict=True):
        repeats[letter].add(repeated)
    return tuple(
        PartPlan(repeated=repeated, bars=bars[letter], endings=len(repeats[letter]) == 1)
        for letter, repeated in zip(form.letters, form.repeated, strict=True)
    )


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
