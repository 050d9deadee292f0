r"""Lyrics and symbol lines of ABC: w: and s: given to the notes above them (ABC 2.1, 4.15, 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from musicgen.formats.abc_notation.decorations import canonical_name
from musicgen.formats.abc_notation.drafts import BarDraft, VoiceDraft, with_marks, with_signs
from musicgen.formats.abc_notation.scanner import is_chord_symbol
from musicgen.formats.abc_notation.text import decode_text, encode_text
from musicgen.music.tune import Chord, Note

MAX_VERSES = 50

_SYLLABLE = re.compile(r"(?:[^\s\-_*|\\]|\\.)+-?|\\|[-_*|]", re.DOTALL)
_SYMBOL = re.compile(r'!([^!\s]+)!|\+([^+\s]+)\+|"([^"]*)"|([^\s"!]+|["!])')
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
    places = list(_singable(voice, voice.lyric_from))
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


def align_symbols(voice: VoiceDraft, content: str) -> tuple[int, list[str]]:
    """Give the signs of a symbol line (s:, section 4.15) to the notes of the line before.

    Returns how many were over, and what is no sign.
    """
    places = list(_singable(voice, voice.line_from))
    at, over = 0, 0
    unknown: list[str] = []
    for match in _SYMBOL.finditer(content):
        name, text, other = match[1] or match[2], match[3], match[4]
        if other == "|":
            bar = places[at - 1][0] if at else None
            while 0 < at < len(places) and places[at][0] is bar:
                at += 1
            continue
        if other not in (None, "*"):
            unknown.append(other)
            continue
        if at == len(places):
            over += 1
            continue
        bar_draft, index = places[at]
        at += 1
        if other == "*":
            continue
        event = bar_draft.events[index]
        assert isinstance(event, Note | Chord)
        bar_draft.events[index] = _signed(event, name, text)
    return over, unknown


def _signed(event: Note | Chord, name: str | None, text: str | None) -> Note | Chord:
    """The note with a decoration, or with a text in quotes as before a note."""
    if name:
        signed = with_signs(event, [], [canonical_name(name)])
    else:
        words = " ".join(decode_text(text or "").split())
        if is_chord_symbol(words) and not event.marks.chord_symbol:
            signed = with_marks(event, replace(event.marks, chord_symbol=words))
        else:
            signed = with_signs(event, [words] if words else [], [])
    assert isinstance(signed, Note | Chord)
    return signed


def _sing(bar: BarDraft, index: int, verse: int, syllable: str) -> None:
    event = bar.events[index]
    assert isinstance(event, Note | Chord)
    before = event.marks.lyrics
    lyrics = before + ("",) * (verse - len(before)) + (syllable,)
    bar.events[index] = with_marks(event, replace(event.marks, lyrics=lyrics))


def _singable(voice: VoiceDraft, start: tuple[int, int]) -> Iterator[tuple[BarDraft, int]]:
    """Bar and index of each note that takes a syllable, from a bar and event on."""
    first_bar, first_event = start
    for number, bar in enumerate([*voice.bars[first_bar:], voice.bar], first_bar):
        first = first_event if number == first_bar else 0
        for index in range(first, len(bar.events)):
            if type(bar.events[index]) in (Note, Chord):
                yield bar, index
