"""MIDI files: read a melody or all parts (quantised, barred, spelled); write one tune."""

from musicgen.formats.midi.reading import parse
from musicgen.formats.midi.writing import render

__all__ = ["parse", "render"]
