"""What became of a corpus that was prepared, in lines for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from musicgen.corpus.choice import Choice
from musicgen.corpus.merging import Merge
from musicgen.corpus.reading import Omitted
from musicgen.corpus.sources import CORPORA
from musicgen.errors import printable
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.vocabulary import SPECIALS

MOST_LISTED = 500  # unreadable tunes in a summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of a corpus: its sources and notices, how many tunes there are of what (see
    `Merge.counts`), the first of those that cannot be read, the size of the vocabulary, and what an
    executor had to do again."""

    choice: Choice
    sources: tuple[str, ...]
    notices: tuple[str, ...]
    counts: Counter[str]
    rejected: tuple[Omitted, ...]
    n_known: int
    failures: tuple[str, ...] = ()

    @staticmethod
    def of(merge: Merge, n_tokens: int, failures: Sequence[str]) -> Account:
        """The account of a merged corpus that has been written."""
        return Account(
            choice=Choice(merge.plan.tokenizer, merge.plan.reason),
            sources=merge.plan.corpus,
            notices=merge.notices,
            counts=merge.counts,
            rejected=tuple(merge.rejected(MOST_LISTED)),
            n_known=n_tokens - len(SPECIALS),
            failures=tuple(failures),
        )

    def summary(self) -> list[str]:
        """Lines for a person: the tokens chosen, notices, what was left out and why, counts."""
        counts, language = self.counts, LANGUAGES[self.choice.name]
        lines = [f"{self.choice.name} tokens: {self.choice.reason}"]
        lines += [f"note: {notice}" for notice in (*self.notices, *self.failures)]
        lines += [f"left out: {printable(o.id)}: {o.reason}" for o in self.rejected]
        if (more := counts["unreadable"] - len(self.rejected)) > 0:
            lines.append(f"left out: {more} more; musicgen corpus --rejected lists them")
        items = "tunes or paragraphs" if language.text else "tunes"
        lines.append(
            f"{counts['tunes']} {items}, {counts['unreadable']} unreadable, "
            f"{counts['omitted']} that are no {language.what}, "
            f"{counts['duplicates']} duplicates; {counts['train']} to train on with "
            f"{counts['units']:,} {language.unit}s"
        )
        if language.text:
            lines.append(
                f"{self.n_known:,} tokens in the vocabulary; "
                f"{counts['unknown'] / max(1, counts['tokens']):.1%} of those to train on are "
                "rarer ones, read as unknown"
            )
        return lines

    def about(self) -> str:
        """Where the music is from and its licences, as Markdown for the model's card."""
        lines = [f"- {name}: {CORPORA[name].about}" for name in self.sources if name in CORPORA]
        lines += [f"- {name}" for name in self.sources if name not in CORPORA]
        return "\n".join([*lines, *(f"- {notice}" for notice in self.notices)])
