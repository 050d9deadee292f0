"""What a corpus holds, as plain data: counts, lengths, ranges, what was left out and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import Any

from musicgen.corpus import SPLITS, Corpus, Entry, Omitted
from musicgen.playback import melody
from musicgen.theory import canonical_rhythm

# What makes one message differ from the next of its kind: quoted text and numbers.
_SPECIFICS = re.compile(r"'[^']*'|\"[^\"]*\"|\d+(?:[./]\d+)?")


def report(corpus: Corpus) -> dict[str, Any]:
    """Everything worth knowing about a corpus, ready for JSON.

    Counts are of unique tunes, most frequent first. Bars are those of the first voice as
    written; pitches are MIDI numbers. Messages are grouped by kind, quoted text and numbers aside.
    """
    entries = corpus.entries
    pitches = [
        [midi for voice in e.tune.voices for midi, _ in melody(voice) if midi is not None]
        for e in entries
    ]
    return {
        "sources": list(corpus.sources),
        "notices": list(corpus.notices),
        "fingerprint": corpus.fingerprint,
        "tunes": len(entries),
        "notes": sum(entry.tune.n_notes for entry in entries),
        "by_source": _count(entry.source for entry in entries),
        "keys": _count(str(entry.tune.key) for entry in entries),
        "modes": _count(entry.tune.key.mode for entry in entries),
        "meters": _count(str(entry.tune.meter) for entry in entries),
        "rhythms": _count(canonical_rhythm(entry.tune.rhythm) or "none" for entry in entries),
        "voices": _count(str(len(entry.tune.voices)) for entry in entries),
        "bars": _summary([len(entry.tune.bars) for entry in entries]),
        "notes_per_tune": _summary([entry.tune.n_notes for entry in entries]),
        "lowest_pitch": _summary([min(line) for line in pitches]),
        "highest_pitch": _summary([max(line) for line in pitches]),
        "splits": {split: _split(corpus.split(split)) for split in SPLITS},
        "families": _families(entries),
        "duplicates": [{"id": left, "same_as": kept} for left, kept in corpus.duplicates],
        "rejected": [_omitted(tune) for tune in corpus.rejected],
        "rejected_by_reason": _count(kind_of(tune.reason) for tune in corpus.rejected),
        "warnings_by_kind": _count(kind_of(w.what) for e in entries for w in e.tune.warnings),
        "tunes_with_warnings": sum(bool(entry.tune.warnings) for entry in entries),
    }


def kind_of(message: str) -> str:
    """A message without its quoted texts and numbers, so that alike ones can be counted."""
    return _SPECIFICS.sub("...", message)


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _summary(values: list[int]) -> dict[str, float]:
    """Least, middle and greatest value."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def _split(entries: tuple[Entry, ...]) -> dict[str, int]:
    return {
        "tunes": len(entries),
        "families": len({entry.family for entry in entries}),
        "notes": sum(entry.tune.n_notes for entry in entries),
    }


def _families(entries: tuple[Entry, ...]) -> dict[str, Any]:
    members: dict[str, list[str]] = {}
    for entry in entries:
        members.setdefault(entry.family, []).append(entry.id)
    several = sorted((ids for ids in members.values() if len(ids) > 1), key=len, reverse=True)
    return {
        "count": len(members),
        "with_several_tunes": len(several),
        "tunes_in_them": sum(map(len, several)),
        "largest": len(several[0]) if several else 1,
        "members": several,
    }


def _omitted(tune: Omitted) -> dict[str, str]:
    return {"id": tune.id, "title": tune.name, "reason": tune.reason}
