"""Charts of numbers as PNG, SVG or PDF, drawn without a display."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicgen.errors import UnsupportedFormatError
from musicgen.system.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
_DPI = 110
# Distinct for colour-blind readers too: Okabe and Ito, "Color universal design", 2008.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@contextmanager
def chart(path: str | Path, *, width: float = 8.0, height: float = 4.5) -> Iterator[Figure]:
    """An empty figure of `width` by `height` inches, written to `path` when the block ends.

    Raises:
        UnsupportedFormatError: the extension is none of `FORMATS`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class PlainFigure(Figure):
        """Its own colours and frames; matplotlib's settings belong to the whole process."""

        def add_subplot(self, *arguments: Any, **options: Any) -> Any:
            axes = super().add_subplot(*arguments, **options)
            axes.set_prop_cycle(color=COLORS)
            axes.spines[["top", "right"]].set_visible(False)
            return axes

    suffix = require_chart(path)
    figure = PlainFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    yield figure
    # The same numbers give the same bytes: no dates, no random ids.
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
    data = io.BytesIO()
    figure.savefig(data, format=suffix[1:], dpi=_DPI, metadata=undated)
    content = data.getvalue()
    write_bytes(path, _with_plain_ids(content) if suffix == ".svg" else content)


def _with_plain_ids(svg: bytes) -> bytes:
    """The picture with its random ids numbered in the order in which they occur."""
    found = re.findall(rb'id="([A-Za-z]+[0-9a-f]{10})"', svg)
    numbers = {name: b"i%d" % number for number, name in enumerate(found)}
    return re.sub(rb"\b[A-Za-z]+[0-9a-f]{10}\b", lambda name: numbers.get(name[0], name[0]), svg)


def require_chart(path: str | Path) -> str:
    """The extension of a file that can hold a chart.

    Raises:
        UnsupportedFormatError: the extension is none of `FORMATS`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UnsupportedFormatError(f"{path}: a chart is {', '.join(FORMATS)}")
    return suffix
