r"""Lyrics and symbol lines of ABC: w: and s: given to the notes above them (ABC 2.1, 4.15, 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from musicgen.formats.abc_notation.decorations import canonical_name
from musicgen.formats.abc_notation.drafts import BarDraft, VoiceDraft
from musicgen.formats.abc_notation.event_drafts import with_signs
from musicgen.formats.abc_notation.scanner import is_chord_symbol
from musicgen.formats.abc_notation.text import decode_text, encode_text
from musicgen.music.tune import Chord, Note, Timed

MAX_VERSES = 50
T = TypeVar("T")

_SYLLABLE = re.compile(r"(?:[^\s\-_*|\\]|\\.)+-?|\\|[-_*|]", re.DOTALL)
_SYMBOL = re.compile(r'!([^!\s]+)!|\+([^+\s]+)\+|"([^"]*)"|([^\s"!]+|["!])')
_WITHIN = re.compile(r"(\\\\)|\\([-_])|~")


def split_syllables(content: str) -> list[str]:
    """Syllables as kept in `Marks.lyrics`: "*" gives "", a "|" stays as the sign to the next bar.

    "Je- sus~Christ_" is ["Je-", "sus Christ", "_"].
    """
    return [_syllable(match[0]) for match in _SYLLABLE.finditer(content)]


def _syllable(text: str) -> str:
    if len(text) == 1:
        return "" if text == "*" else text
    return decode_text(_WITHIN.sub(lambda m: m[1] or m[2] or " ", text)) or "*"


def join_syllables(syllables: list[str]) -> str:
    """Content of a w: line; `split_syllables` of it gives them back."""
    words = []
    for syllable in syllables:
        if syllable in ("_", "-"):
            words.append(syllable)
            continue
        joined = syllable.endswith("-") and len(syllable) > 1
        text = encode_text(syllable[:-1] if joined else syllable)
        for char in "*|~":
            text = text.replace(char, f"\\u{ord(char):04x}")
        text = re.sub("[-_]", r"\\\g<0>", text).replace(" ", "~")
        words.append((text or "*") + ("-" if joined else ""))
    return " ".join(words)


def align(voice: VoiceDraft, content: str) -> int:
    """Give a verse's syllables to the notes since the last w: line; returns the surplus."""
    verse = voice.verse
    voice.verse += 1
    syllables = split_syllables(content)
    if verse >= MAX_VERSES:
        return len(syllables)
    surplus = 0
    for syllable, note in _to_notes(voice, voice.lyric_start, syllables, lambda text: text == "|"):
        surplus += note is None
        if note is not None and syllable:
            _sing(*note, verse, syllable)
    return surplus


def align_symbols(voice: VoiceDraft, content: str) -> tuple[int, list[str]]:
    """Give the signs of a symbol line (s:, section 4.15) to the notes of the line before.

    Returns the surplus, and the texts that are no signs.
    """
    unknown = [m[4] for m in _SYMBOL.finditer(content) if m[4] not in (None, "*", "|")]
    signs = (m for m in _SYMBOL.finditer(content) if m[4] in (None, "*", "|"))
    surplus = 0
    for sign, note in _to_notes(voice, voice.line_start, signs, lambda match: match[4] == "|"):
        surplus += note is None
        if note is not None and sign[4] is None:
            bar, index = note
            event = bar.events[index]
            assert isinstance(event, Note | Chord)
            bar.events[index] = _signed(event, sign[1] or sign[2], sign[3])
    return surplus, unknown


def _to_notes(
    voice: VoiceDraft,
    start: tuple[int, int],
    items: Iterable[T],
    is_bar_line: Callable[[T], bool],
) -> Iterator[tuple[T, tuple[BarDraft, int] | None]]:
    """Items with the bar and index of their notes, None after the last note; a bar line goes on to
    the next bar."""
    notes = list(_singable(voice, start))
    position = 0
    for item in items:
        if is_bar_line(item):
            bar = notes[position - 1][0] if position else None
            while 0 < position < len(notes) and notes[position][0] is bar:
                position += 1
        else:
            yield item, notes[position] if position < len(notes) else None
            position += position < len(notes)


def _signed(event: Note | Chord, name: str | None, text: str | None) -> Timed:
    """The note with a decoration, or with a text in quotes as before a note."""
    if name:
        return with_signs(event, [], [canonical_name(name)])
    words = " ".join(decode_text(text or "").split())
    if is_chord_symbol(words) and not event.marks.chord_symbol:
        return replace(event, marks=replace(event.marks, chord_symbol=words))
    return with_signs(event, [words] if words else [], [])


def _sing(bar: BarDraft, index: int, verse: int, syllable: str) -> None:
    event = bar.events[index]
    assert isinstance(event, Note | Chord)
    before = event.marks.lyrics
    lyrics = before + ("",) * (verse - len(before)) + (syllable,)
    bar.events[index] = replace(event, marks=replace(event.marks, lyrics=lyrics))


def _singable(voice: VoiceDraft, start: tuple[int, int]) -> Iterator[tuple[BarDraft, int]]:
    """Bar and index of each note that takes a syllable, from a bar and event on."""
    first_bar, first_event = start
    for number, bar in enumerate([*voice.bars[first_bar:], voice.bar], first_bar):
        for index in range(first_event if number == first_bar else 0, len(bar.events)):
            if type(bar.events[index]) in (Note, Chord):
                yield bar, index
