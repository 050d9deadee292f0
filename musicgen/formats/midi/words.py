"""Lyric events to syllables under notes; karaoke files, whose lyrics are text events."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence

from musicgen.formats.midi.smf import MidiFile

Words = Sequence[tuple[int, str]]  # tick and text
REACH = 1 / 8  # of a quarter, from a syllable to its note; singers are not that exact
_KARAOKE = "@K"
_HEADING = "@"


def take_karaoke(file: MidiFile) -> tuple[str, str]:
    """Text events of a karaoke file (.kar, Soft Karaoke) become lyrics; title and author.

    Such a file has a text that begins with "@K". Other texts with "@" are headings: of those with
    "@T" the first is the title, the second says who made it.
    """
    texts = [text for track in file.tracks for _, text in track.texts]
    if not any(text.startswith(_KARAOKE) for text in texts):
        return "", ""
    has_lyrics = any(track.lyrics for track in file.tracks)
    for track in file.tracks:
        if not has_lyrics:
            track.lyrics = [item for item in track.texts if not item[1].startswith(_HEADING)]
    titles = [" ".join(text[2:].split()) for text in texts if text.startswith("@T")]
    return (*titles, "", "")[0], (*titles, "", "")[1]


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

    `onset_of` gives a place for the tick of each note; what is beside all notes is left out. In
    karaoke files, a word's end is a space and a line's a sign or a line break; here a syllable that
    the word goes on after ends with a hyphen.
    """
    sung = _placed(lyrics, sorted(onset_of), ticks_per_quarter)
    n_beside = len(lyrics) - len(sung)
    if n_beside:
        warnings.append(f"syllables beside all notes, left out: {n_beside}")
    spaced = any(text[:1].isspace() or text[-1:].isspace() for _, text in sung)
    found: dict[int, tuple[str, ...]] = {}
    for i, (tick, text) in enumerate(sung):
        word = " ".join(text.strip(" \t\r\n/\\\0").split())
        following = sung[i + 1][1] if i + 1 < len(sung) else " "
        ends = text[-1:].isspace() or following[:1].isspace() or following[:1] in "/\\"
        if word and spaced and not ends and not word.endswith("-"):
            word += "-"
        if word:
            place = onset_of[tick]
            (before,) = found.get(place, ("",))
            found[place] = (_joined(before, word),)
    return found


def _joined(before: str, word: str) -> str:
    """What is sung on one note."""
    if before.endswith("-"):
        return before[:-1] + word
    return f"{before} {word}".strip()


def _placed(words: Words, onsets: Sequence[int], ticks_per_quarter: int) -> list[tuple[int, str]]:
    """Words with the onset they are sung on, the nearest within `REACH`; others are left out."""
    placed = []
    for tick, text in words:
        at = bisect_left(onsets, tick)
        near = min(onsets[max(at - 1, 0) : at + 1], key=lambda onset: abs(onset - tick))
        if abs(near - tick) <= REACH * ticks_per_quarter:
            placed.append((near, text))
    return placed
