"""MIDI files: one melody in (quantised, barred, spelled), one tune out (repeats played)."""

from musicgen.formats.midi.reading import parse
from musicgen.formats.midi.writing import render

__all__ = ["parse", "render"]
