"""Charts: the same numbers give the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicgen.system.charts import FORMATS, chart


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_numbers_give_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        with chart(tmp_path / f"{name}{suffix}", width=2, height=2) as figure:
            figure.subplots().plot([1, 2], [3, 4])
    first = (tmp_path / f"a{suffix}").read_bytes()
    assert first == (tmp_path / f"b{suffix}").read_bytes()
    assert len(first) > 500
