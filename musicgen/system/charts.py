"""Charts of numbers as PNG, SVG or PDF, drawn without a display."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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
    from cycler import cycler
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    suffix = require_chart(path)
    # The same numbers give the same bytes: no dates, no random ids.
    with rc_context({"svg.hashsalt": "musicgen", "axes.spines.top": False,
                     "axes.spines.right": False,
                     "axes.prop_cycle": cycler(color=COLORS)}):  # fmt: skip
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        data = io.BytesIO()
        undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})
        figure.savefig(data, format=suffix[1:], dpi=_DPI, metadata=undated)
    write_bytes(path, data.getvalue())


def require_chart(path: str | Path) -> str:
    """The extension of a file that can hold a chart.

    Raises:
        UnsupportedFormatError: the extension is none of `FORMATS`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UnsupportedFormatError(f"{path}: a chart is {', '.join(FORMATS)}")
    return suffix
