r"""Lyrics of ABC: w: lines aligned with the notes before them, both ways (ABC 2.1, section 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from musicgen.formats.abc_notation.drafts import BarDraft, VoiceDraft, with_marks
from musicgen.formats.abc_notation.text import decode_text, encode_text
from musicgen.tune import Chord, Note

MAX_VERSES = 50

_SYLLABLE = re.compile(r"(?:[^\s\-_*|\\]|\\.)+-?|\\|[-_*|]", re.DOTALL)
_WITHIN = re.compile(r"(\\\\)|\\-|~")


def split_syllables(content: str) -> list[str]:
    """Syllables as kept in `Marks.lyrics`: "*" gives "", a "|" stays as the sign to the next bar.

    "Je- sus~Christ_" is ["Je-", "sus Christ", "_"].
    """
    syllables = []
    for match in _SYLLABLE.finditer(content):
        text = match[0]
        if text == "|":
            syllables.append("|")
        elif text == "*":
            syllables.append("")
        elif len(text) == 1:
            syllables.append(text)
        else:
            plain = _WITHIN.sub(lambda m: m[1] or ("-" if m[0] == r"\-" else " "), text)
            syllables.append(decode_text(plain) or "*")
    return syllables


def join_syllables(syllables: list[str]) -> str:
    """Content of a w: line; `split_syllables` of it gives them back."""
    words = []
    for syllable in syllables:
        if syllable in ("_", "-"):
            words.append(syllable)
            continue
        joined = syllable.endswith("-") and len(syllable) > 1
        text = encode_text(syllable[:-1] if joined else syllable)
        for char in "_*|~":
            text = text.replace(char, f"\\u{ord(char):04x}")
        text = text.replace("-", r"\-").replace(" ", "~")
        words.append((text or "*") + ("-" if joined else ""))
    return " ".join(words)


def align(voice: VoiceDraft, content: str) -> int:
    """Give a verse's syllables to the notes since the last w: line; returns how many were over."""
    verse = voice.verse
    voice.verse += 1
    if verse >= MAX_VERSES:
        return len(split_syllables(content))
    places = list(_singable(voice))
    at, left = 0, 0
    for syllable in split_syllables(content):
        if syllable == "|":
            bar = places[at - 1][0] if at else None
            while 0 < at < len(places) and places[at][0] is bar:
                at += 1
        elif at == len(places):
            left += 1
        else:
            if syllable:
                _sing(*places[at], verse, syllable)
            at += 1
    return left


def _sing(bar: BarDraft, index: int, verse: int, syllable: str) -> None:
    event = bar.events[index]
    assert isinstance(event, Note | Chord)
    before = event.marks.lyrics
    lyrics = before + ("",) * (verse - len(before)) + (syllable,)
    bar.events[index] = with_marks(event, replace(event.marks, lyrics=lyrics))


def _singable(voice: VoiceDraft) -> Iterator[tuple[BarDraft, int]]:
    """Bar and index of each note that takes a syllable."""
    first_bar, first_event = voice.lyric_from
    for number, bar in enumerate([*voice.bars[first_bar:], voice.bar], first_bar):
        start = first_event if number == first_bar else 0
        for index in range(start, len(bar.events)):
            if type(bar.events[index]) in (Note, Chord):
                yield bar, index
