"""Selection: the attempt to keep for each take, by its copied bars and the score of a judge.

A model with a critic draws `CANDIDATES` for each take unless told otherwise, and keeps the one that
is most like a real tune.

Attempt a (0, 1, ...) at take k is row k + a * ATTEMPTS of the seed, so what is chosen does not
depend on how many takes are asked for nor on the size of batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from musicgen.composer.engine import ATTEMPTS, BATCH, Take
from musicgen.composer.structure import structure
from musicgen.config import checked
from musicgen.errors import ConfigError, ControlError
from musicgen.music.metrics.judge import load_judge

# Attempts at a take for each candidate that is wanted.
PATIENCE = 20
# Attempts with a critic: more bring tunes hardly nearer to real ones (docs/experiments.md).
CANDIDATES = 4

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
    """That of `musicgen.music.metrics.judge`, fitted to tell real tunes from spoilt ones."""
    return load_judge()(take.tune).ranked


def likeness(take: Take) -> float:
    """That of the model's critic, fitted to tell real tunes from the model's own."""
    assert take.likeness is not None  # or another judge would have been chosen
    return take.likeness


JUDGES: dict[str, Judge] = {
    "likeness": likeness,
    "likelihood": likelihood,
    "structure": novelty_and_structure,
    "fitted": fitted,
}


@checked
@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which to keep. Takes with more than `max_copied_bars` bars of one tune of the model's corpus
    are drawn again (None: kept); of the first `best_of` that remain, the one is kept that `judge`
    (a name of `JUDGES`, or a function of a take) gives most, of equals the earliest.

    None is the default of the model: with a critic the most realistic of `CANDIDATES` attempts,
    without one the first attempt, and of several the likeliest.

    After `PATIENCE` attempts for each of `best_of` the best of those found so far is taken; if
    there is none, the take with the fewest copied bars, and its `warning` says so.

    Raises:
        ConfigError: a number out of range, or an unknown judge.
    """

    max_copied_bars: int | None = None
    best_of: int | None = None
    judge: str | Judge | None = None

    def __post_init__(self) -> None:
        if self.max_copied_bars is not None and self.max_copied_bars < 0:
            raise ConfigError(f"max_copied_bars: {self.max_copied_bars} is negative")
        if self.best_of is not None and self.best_of < 1:
            raise ConfigError(f"best_of: {self.best_of} is not at least 1")
        if isinstance(self.judge, str) and self.judge not in JUDGES:
            raise ConfigError(f"judge: '{self.judge}' is none of {', '.join(JUDGES)}")

    def rules(self, *, has_critic: bool) -> Rules:
        """The rules for a model with or without a critic.

        Raises:
            ConfigError: it is to judge by a critic that it has not.
        """
        if self.judge == "likeness" and not has_critic:
            raise ConfigError("judge: this model has no critic to say likeness; choose another")
        best_of = self.best_of or (CANDIDATES if has_critic and self.judge is None else 1)
        judge = self.judge or ("likeness" if has_critic else "likelihood")
        return Rules(
            self.max_copied_bars, best_of, JUDGES[judge] if isinstance(judge, str) else judge
        )


OWN_WAY = Selection()  # the model's
FIRST = Selection(best_of=1)  # whatever comes first


@dataclass(frozen=True)
class Rules:
    """A selection with nothing left to the model."""

    max_copied_bars: int | None
    best_of: int
    judge: Judge

    @property
    def choose(self) -> bool:
        """Whether a take may need more than its first attempt."""
        return self.max_copied_bars is not None or self.best_of > 1


def select(draft: Draft, numbers: Iterable[int], rules: Rules) -> Iterator[Take]:
    """Takes of these numbers in order, each the best of its attempts, as soon as they are settled.

    Raises:
        ControlError: copied bars cannot be counted, since the model has no index of its corpus.
    """
    contests: list[_Contest] = []
    coming = iter(numbers)
    while True:
        contests += (_Contest(rules, i) for i in islice(coming, BATCH - len(contests)))
        if not contests:
            return
        # One attempt each; where takes are few, as many as fill the batch.
        open_contests = [contest for contest in contests if contest.wanted]
        each = max(1, BATCH // len(open_contests))
        attempts = [(c, index) for c in open_contests for index in c.next_attempts(each)]
        takes = draft([index for _, index in attempts])
        for (contest, _), take in zip(attempts, takes, strict=True):
            contest.enter(take)
        while contests and not contests[0].wanted:
            yield contests.pop(0).winner()


@dataclass(eq=False)
class _Contest:
    """The attempts at one take."""

    rules: Rules
    number: int
    attempts: int = 0
    accepted: list[Take] = field(default_factory=list)
    least_copied: tuple[int, Take] | None = None

    def next_attempts(self, most: int) -> list[int]:
        """Rows of the seed to draw next: no more than are wanted, nor than patience allows."""
        left = min(most, self.wanted)
        first = self.attempts
        self.attempts += left
        return [self.number + attempt * ATTEMPTS for attempt in range(first, first + left)]

    @property
    def wanted(self) -> int:
        """Attempts that may still be of use; 0 where the take to keep is settled."""
        most = self.rules.best_of
        return max(0, min(most - len(self.accepted), most * PATIENCE - self.attempts))

    def enter(self, take: Take) -> None:
        """An attempt, in order."""
        most = self.rules.max_copied_bars
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
            best = self.accepted[0]
            if len(self.accepted) > 1:
                best = max(self.accepted, key=self.rules.judge)
            return replace(best, index=self.number)
        assert self.least_copied is not None
        copied, take = self.least_copied
        warning = (
            f"{take.tune.title}: {self.attempts} attempts all share more than "
            f"{self.rules.max_copied_bars} bars with the corpus; this one shares {copied}"
        )
        return replace(take, index=self.number, warning=warning)
