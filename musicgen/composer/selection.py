"""Of several attempts at each take, the one to keep: not copied, and best in the eyes of a judge.

Attempt a (0, 1, ...) at take k is row k + a * ATTEMPTS of the seed, so what is chosen does not
depend on how many takes are asked for nor on the size of batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from musicgen.composer.engine import BATCH, Take
from musicgen.composer.generation import ATTEMPTS
from musicgen.composer.structure import structure
from musicgen.errors import ConfigError, ControlError
from musicgen.metrics.judge import load_judge

# Attempts at a take for each candidate that is wanted.
PATIENCE = 20

Judge = Callable[[Take], float]  # higher is better
Draft = Callable[[Sequence[int]], list[Take]]  # rows of a seed, each as a take


def likelihood(take: Take) -> float:
    """The model's own opinion: bits per note, negative."""
    return -take.bits_per_note


def novelty_and_structure(take: Take) -> float:
    """See `structure`; where the model has no index, nothing is known to be copied."""
    novelty = take.novelty
    return structure(take.tune, 0.0 if novelty is None else novelty.similarity)


def fitted(take: Take) -> float:
    """That of `musicgen.metrics.judge`, fitted to tell real tunes from spoilt ones."""
    return load_judge()(take.tune).ranked


JUDGES: dict[str, Judge] = {
    "likelihood": likelihood,
    "structure": novelty_and_structure,
    "fitted": fitted,
}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What to keep. Takes with more than `max_copied_bars` bars of one tune of the model's corpus
    are drawn again (None: kept); of the first `best_of` that remain, the one is kept that `judge`
    (a name of `JUDGES`, or a function of a take) gives most, of equals the earliest.

    After `PATIENCE` attempts for each of `best_of` the best of those found so far is taken; if
    there is none, the take with the fewest copied bars, and its `warning` says so.

    Raises:
        ConfigError: a number out of range, or an unknown judge.
    """

    max_copied_bars: int | None = None
    best_of: int = 1
    judge: str | Judge = "likelihood"

    def __post_init__(self) -> None:
        if self.max_copied_bars is not None and self.max_copied_bars < 0:
            raise ConfigError(f"max_copied_bars: {self.max_copied_bars} is negative")
        if self.best_of < 1:
            raise ConfigError(f"best_of: {self.best_of} is not at least 1")
        if isinstance(self.judge, str) and self.judge not in JUDGES:
            raise ConfigError(f"judge: '{self.judge}' is none of {', '.join(JUDGES)}")

    @property
    def chooses(self) -> bool:
        """Whether a take may need more than its first attempt."""
        return self.max_copied_bars is not None or self.best_of > 1


def select(draft: Draft, n: int, selection: Selection, *, start: int = 0) -> Iterator[Take]:
    """Takes from number `start` up to `n` in order, each the best of its attempts, as soon as they
    are settled.

    Raises:
        ControlError: copied bars cannot be counted, since the model has no index of its corpus.
    """
    contests: list[_Contest] = []
    begun = start
    while begun < n or contests:
        while begun < n and len(contests) < BATCH:
            contests.append(_Contest(selection, begun))
            begun += 1
        # One attempt each; as many as there is room for where takes are few.
        open_contests = [contest for contest in contests if not contest.settled]
        each = max(1, BATCH // len(open_contests))
        asked = [(c, index) for c in open_contests for index in c.next_attempts(each)]
        takes = draft([index for _, index in asked])
        for (contest, _), take in zip(asked, takes, strict=True):
            contest.enter(take)
        while contests and contests[0].settled:
            yield contests.pop(0).winner()


@dataclass(eq=False)
class _Contest:
    """The attempts at one take."""

    selection: Selection
    number: int
    attempts: int = 0
    accepted: list[Take] = field(default_factory=list)
    least_copied: tuple[int, Take] | None = None

    @property
    def settled(self) -> bool:
        wanted = self.selection.best_of
        return len(self.accepted) >= wanted or self.attempts >= wanted * PATIENCE

    def next_attempts(self, most: int) -> list[int]:
        """Rows of the seed to draw next: no more than are wanted, nor than patience allows."""
        wanted = self.selection.best_of
        left = min(most, wanted - len(self.accepted), wanted * PATIENCE - self.attempts)
        first = self.attempts
        self.attempts += left
        return [self.number + attempt * ATTEMPTS for attempt in range(first, first + left)]

    def enter(self, take: Take) -> None:
        """An attempt, in order."""
        most = self.selection.max_copied_bars
        if most is None:
            self.accepted.append(take)
            return
        if take.novelty is None:
            raise ControlError(
                "max_copied_bars: this model has no index of its corpus; train it again, "
                "or leave this out"
            )
        copied = take.novelty.copied_bars
        if copied <= most:
            self.accepted.append(take)
        if self.least_copied is None or copied < self.least_copied[0]:
            self.least_copied = (copied, take)

    def winner(self) -> Take:
        """The take to keep."""
        if self.accepted:
            judge = self.selection.judge
            chosen = JUDGES[judge] if isinstance(judge, str) else judge
            best = self.accepted[0] if len(self.accepted) == 1 else max(self.accepted, key=chosen)
            return replace(best, index=self.number)
        assert self.least_copied is not None
        copied, take = self.least_copied
        warning = (
            f"{take.tune.title}: {self.attempts} attempts all share more than "
            f"{self.selection.max_copied_bars} bars with the corpus; this one shares {copied}"
        )
        return replace(take, index=self.number, warning=warning)
