"""The report of a corpus as plain data: counts, lengths, ranges, and every omitted tune."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from musicgen.corpus.loading import Corpus
from musicgen.corpus.reading import Entry, Omitted
from musicgen.corpus.tokenset import SPLITS

# The differences between messages of one kind: quoted text, numbers, places.
_SPECIFICS = re.compile(r"'[^']*'|\"[^\"]*\"|\d+(?:[./]\d+)?")
_PLACE = re.compile(r"^line \d+(?::\d+)?: ")
_BINS = 24


def report(
    corpus: Corpus, *, not_melodies: Sequence[Omitted] = (), irregular: Sequence[str] = ()
) -> dict[str, Any]:
    """The facts of a corpus and of each of its tunes, ready for JSON.

    Counts are of unique tunes, most frequent first; `every_tune` lists every tune of the files
    with its outcome. Bars are those of the first voice as written; pitches are MIDI numbers.
    Messages are grouped by kind, quoted text and numbers aside.

    Args:
        not_melodies: tunes that were read but cannot be learned (see `preparation`).
        irregular: ids of those that can although their bars or repeats do not add up.
    """
    facts = [entry.facts for entry in corpus.entries]
    every_tune = _every_tune(corpus)
    return {
        "sources": list(corpus.sources),
        "notices": list(corpus.notices),
        "fingerprint": corpus.fingerprint,
        "outcomes": _count(tune["outcome"] for tune in every_tune),
        "tunes": len(facts),
        "notes": sum(tune.notes for tune in facts),
        "by_source": _count(entry.source for entry in corpus.entries),
        "keys": _count(tune.key for tune in facts),
        "modes": _count(tune.mode for tune in facts),
        "meters": _count(tune.meter for tune in facts),
        "rhythms": _count(tune.rhythm or "none" for tune in facts),
        "voices": _count(str(tune.voices) for tune in facts),
        "bars": _summary([tune.bars for tune in facts]),
        "notes_per_tune": _summary([tune.notes for tune in facts]),
        "lowest_pitch": _summary([tune.lowest for tune in facts]),
        "highest_pitch": _summary([tune.highest for tune in facts]),
        "range": _summary([tune.highest - tune.lowest for tune in facts]),
        "splits": {split: _split(corpus.split(split)) for split in SPLITS},
        "families": _families(corpus.entries),
        "duplicates": [
            {"id": left.id, "title": left.name, "same_as": left.same_as}
            for left in corpus.duplicates
        ],
        "rejected": [_omitted(tune) for tune in corpus.rejected],
        "rejected_by_reason": _count(kind_of(tune.reason) for tune in corpus.rejected),
        "not_melodies": [_omitted(tune) for tune in not_melodies],
        "not_melodies_by_reason": _count(kind_of(tune.reason) for tune in not_melodies),
        "irregular": list(irregular),
        "warnings_by_kind": _count(kind_of(w) for tune in facts for w in tune.warnings),
        "tunes_with_warnings": sum(bool(tune.warnings) for tune in facts),
        "every_tune": every_tune,
    }


def kind_of(message: str) -> str:
    """A message without place, quoted texts and numbers, so that alike ones can be counted."""
    return _SPECIFICS.sub("...", _PLACE.sub("", message))


def _every_tune(corpus: Corpus) -> list[dict[str, str]]:
    """The outcome of each tune: parsed, repaired (read with warnings), duplicate or rejected."""
    read = [
        _outcome(
            entry.id,
            entry.facts.title,
            "repaired" if entry.facts.warnings else "parsed",
            "; ".join(entry.facts.warnings),
        )
        for entry in corpus.entries
    ]
    return [
        *read,
        *(_outcome(d.id, d.name, "duplicate", f"of {d.same_as}") for d in corpus.duplicates),
        *(_outcome(o.id, o.name, "rejected", o.reason) for o in corpus.rejected),
    ]


def _outcome(name: str, title: str, outcome: str, reason: str) -> dict[str, str]:
    return {"id": name, "title": title, "outcome": outcome, "reason": reason}


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _summary(values: list[int]) -> dict[str, Any]:
    """Least, middle and greatest value, and how many values lie from each bin's lower end to the
    next's; the last bin is open where few values lie far out."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[(len(ordered) - 1) * 99 // 100]
    width = next(
        w * 10**e for e in range(9) for w in (1, 2, 5) if (high - low) // (w * 10**e) < _BINS
    )
    first = low // width * width
    counts = Counter((min(value, high) - first) // width for value in values)
    bins = {str(first + k * width): counts[k] for k in range(max(counts) + 1)}
    return {"min": low, "median": median(values), "max": ordered[-1], "histogram": bins}


def _split(entries: tuple[Entry, ...]) -> dict[str, int]:
    return {
        "tunes": len(entries),
        "families": len({entry.family for entry in entries}),
        "notes": sum(entry.facts.notes for entry in entries),
    }


def _families(entries: tuple[Entry, ...]) -> dict[str, Any]:
    members: dict[str, list[Entry]] = {}
    for entry in entries:
        members.setdefault(entry.family, []).append(entry)
    several = sorted((tunes for tunes in members.values() if len(tunes) > 1), key=len, reverse=True)
    return {
        "count": len(members),
        "with_several_tunes": len(several),
        "tunes_in_them": sum(map(len, several)),
        "largest": len(several[0]) if several else 1,
        "members": [
            [{"id": entry.id, "title": entry.facts.title} for entry in tunes] for tunes in several
        ],
    }


def _omitted(tune: Omitted) -> dict[str, str]:
    return {"id": tune.id, "title": tune.name, "reason": tune.reason}
