"""The child's side of PNG: SVG of ours to pixels by resvg, with our fonts only."""

from __future__ import annotations

from musicgen.formats.engraving.fonts import FALLBACK, font_files


def to_png(data: bytes, *, width: int) -> bytes:
    """A PNG image `width` pixels wide."""
    import resvg_py

    image = resvg_py.svg_to_bytes(
        svg_string=data.decode(),
        width=width,
        dpi=96,  # for the millimetres of the SVG itself
        skip_system_fonts=True,
        font_files=font_files(),
        serif_family="STIXGeneral",
        font_family=FALLBACK,
    )
    return bytes(image)
