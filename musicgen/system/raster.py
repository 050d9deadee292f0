"""SVG to PNG by resvg in a child process, with bundled fonts, the same on every machine."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from musicgen.errors import ConfigError
from musicgen.system.sandbox import ResourceLimits, run

# STIX resembles Times and has every European letter, DejaVu has the rest; matplotlib brings both.
FACES = {
    ("normal", "normal"): "STIXGeneral",
    ("bold", "normal"): "STIXGeneralBol",
    ("normal", "italic"): "STIXGeneralItalic",
    ("bold", "italic"): "STIXGeneralBolIta",
}
FALLBACK = "DejaVuSans"
MAX_PIXELS = 60_000_000
_LIMITS = ResourceLimits(memory_mib=2048, cpu_s=40, wall_s=60.0)


@cache
def font_file(name: str) -> Path:
    """The TrueType file of a face; matplotlib is located, not imported."""
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"


def rasterise(svg: bytes, size: tuple[float, float], *, dpi: int) -> bytes:
    """An SVG of (width, height) mm as a PNG image with `dpi` pixels an inch.

    Raises:
        ConfigError: a resolution out of 30 to 1200, or more than `MAX_PIXELS` pixels.
        SandboxError: it cannot be drawn.
    """
    width, height = (n / 25.4 * dpi for n in size)
    if not 30 <= dpi <= 1200 or width * height > MAX_PIXELS:
        raise ConfigError(f"{dpi} dots an inch: use 30 to 1200, fewer for a long tune")
    return run(
        f"{__name__}:to_png",
        svg,
        what="the drawing of the PNG",
        limits=_LIMITS,
        width=max(1, round(width)),
    )


def to_png(data: bytes, *, width: int) -> bytes:
    """The child's side: a PNG image `width` pixels wide."""
    import resvg_py

    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=data.decode(),
            width=width,
            dpi=96,  # for the millimetres of the SVG itself
            skip_system_fonts=True,
            font_files=[str(font_file(name)) for name in (*FACES.values(), FALLBACK)],
            serif_family="STIXGeneral",
            sans_serif_family=FALLBACK,
            font_family=FALLBACK,
        )
    )
