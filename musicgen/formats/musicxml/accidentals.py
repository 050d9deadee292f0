"""Which accidentals have to be printed, given the signature and what the bar has had."""

from __future__ import annotations

from musicgen.music.theory import Key, Pitch

NAMES = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}


class Accidentals:
    """The alterations in force on one staff."""

    def __init__(self, key: Key) -> None:
        self.set_key(key)

    def set_key(self, key: Key) -> None:
        """A new signature, which also ends what the bar has had."""
        self._signature = key.signature
        self._altered: dict[tuple[str, int], int] = {}

    def start_bar(self) -> None:
        """Past a bar line only the signature counts."""
        self._altered = {}

    def printed(self, pitch: Pitch, *, tied: bool) -> str:
        """Name of the accidental to print before a note, "" for none.

        A note tied over a bar line keeps its alteration without a sign.
        """
        place = (pitch.step, pitch.octave)
        if tied or self._altered.get(place, self._signature[pitch.step]) == pitch.alter:
            return ""
        self._altered[place] = pitch.alter
        return NAMES[pitch.alter]
