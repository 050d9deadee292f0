"""Syllables of notes from lyric events, or from the text events of karaoke files."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence

from musicgen.formats.midi.smf import MidiFile, warn_count

Words = Sequence[tuple[int, str]]  # tick and text
MAX_DISTANCE = 1 / 8  # of a quarter, from a syllable to its note
_KARAOKE = "@K"
_HEADING = "@"


def take_karaoke(file: MidiFile) -> tuple[str, str]:
    """Make the text events of a karaoke file (.kar, Soft Karaoke) lyrics; its title and author.

    Such a file has a text that begins with "@K". Other texts with "@" are headings: the first that
    begins with "@T" is the title, the second is the author.
    """
    texts = [text for track in file.tracks for _, text in track.texts]
    if not any(text.startswith(_KARAOKE) for text in texts):
        return "", ""
    if not any(track.lyrics for track in file.tracks):
        for track in file.tracks:
            track.lyrics = [item for item in track.texts if not item[1].startswith(_HEADING)]
    titles = [" ".join(text[2:].split()) for text in texts if text.startswith("@T")]
    title, author, *_ = (*titles, "", "")
    return title, author


def sung_shares(
    words: Words, onsets: Collection[int], ticks_per_quarter: int
) -> tuple[float, float]:
    """The share of words that fall on notes, and of notes that words fall on."""
    n = len(_placed(words, sorted(onsets), ticks_per_quarter))
    return n / max(len(words), 1), n / max(len(onsets), 1)


def syllables(
    lyrics: Words, onset_of: Mapping[int, int], ticks_per_quarter: int, warnings: list[str]
) -> dict[int, tuple[str, ...]]:
    """Syllables by the place of their note.

    `onset_of` maps the tick of each note to its place; syllables far from all notes are left out.
    In karaoke files a word ends with a space, a line with a slash or a line break; here a syllable
    inside a word ends with a hyphen.
    """
    sung = _placed(lyrics, sorted(onset_of), ticks_per_quarter)
    warn_count(warnings, "syllables beside all notes, left out", len(lyrics) - len(sung))
    spaced = any(text[:1].isspace() or text[-1:].isspace() for _, text in sung)
    syllable_at: dict[int, str] = {}
    for i, (tick, text) in enumerate(sung):
        word = " ".join(text.strip(" \t\r\n/\\\0").split())
        following = sung[i + 1][1] if i + 1 < len(sung) else " "
        ends = text[-1:].isspace() or following[:1].isspace() or following[:1] in "/\\"
        if word and spaced and not ends and not word.endswith("-"):
            word += "-"
        if word:
            place = onset_of[tick]
            syllable_at[place] = _joined(syllable_at.get(place, ""), word)
    return {place: (syllable,) for place, syllable in syllable_at.items()}


def _joined(before: str, word: str) -> str:
    """Two syllables on one note."""
    return before[:-1] + word if before.endswith("-") else f"{before} {word}".strip()


def _placed(words: Words, onsets: Sequence[int], ticks_per_quarter: int) -> list[tuple[int, str]]:
    """Words with the nearest onset within `MAX_DISTANCE`; others are left out."""
    placed = []
    for tick, text in words:
        i = bisect_left(onsets, tick)
        near = min(onsets[max(i - 1, 0) : i + 1], key=lambda onset: abs(onset - tick))
        if abs(near - tick) <= MAX_DISTANCE * ticks_per_quarter:
            placed.append((near, text))
    return placed
