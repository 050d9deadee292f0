"""MIDI files: one melody in (quantised, barred, spelled), one tune out (repeats played)."""

from musicgen.formats.midi.reading import parse
from musicgen.formats.midi.writing import default_qpm, render

__all__ = ["default_qpm", "parse", "render"]
