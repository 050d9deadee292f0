"""Lyric events to syllables under notes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def syllables(
    lyrics: Sequence[tuple[int, str]], onset_of: Mapping[int, int]
) -> dict[int, tuple[str, ...]]:
    """Syllables by the place of their note.

    `lyrics` are (tick, text), `onset_of` gives a place for the tick of each note; texts beside all
    notes are passed over. In karaoke files, a word's end is a space and a line's a sign or a line
    break; here a syllable that the word goes on after ends with a hyphen.
    """
    sung = [(tick, text) for tick, text in lyrics if tick in onset_of]
    spaced = any(text[:1].isspace() or text[-1:].isspace() for _, text in sung)
    found: dict[int, tuple[str, ...]] = {}
    for i, (tick, text) in enumerate(sung):
        word = " ".join(text.strip(" \t\r\n/\\\0").split())
        following = sung[i + 1][1] if i + 1 < len(sung) else " "
        ends = text[-1:].isspace() or following[:1].isspace() or following[:1] in "/\\"
        if word and spaced and not ends and not word.endswith("-"):
            word += "-"
        if word:
            found[onset_of[tick]] = (word,)
    return found
