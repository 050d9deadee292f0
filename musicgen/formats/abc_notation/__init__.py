"""ABC notation (standard 2.1 and the dialects of real tunebooks): read and written."""

from __future__ import annotations

from musicgen.formats.abc_notation.tunebook import parse, parse_each, parse_text
from musicgen.formats.abc_notation.writer import render, to_abc

__all__ = ["parse", "parse_each", "parse_text", "render", "to_abc"]
