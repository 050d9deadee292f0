"""Composing by worker processes: the same takes in the same order, and without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from musicgen.composer import Composer, Take, generation, pool
from musicgen.composer.controls import Controls
from musicgen.composer.engine import Engine
from musicgen.composer.pool import in_order
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import MusicgenError
from musicgen.models.checkpoint import Checkpoint


def die(engine: Engine, batch: Sequence[int]) -> list[Take]:
    os._exit(1)


def test_workers_compose_what_one_process_does(
    untrained: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    composer = Composer(untrained)
    alone = list(composer.takes(9, Controls(), SamplingConfig(seed=3)))
    monkeypatch.setattr(generation, "BATCH", 4)
    monkeypatch.setattr(generation, "MIN_TAKES", 1)
    before = dict(os.environ)
    assert list(composer.takes(9, Controls(), SamplingConfig(seed=3), workers=2)) == alone
    assert dict(os.environ) == before


@pytest.mark.parametrize("batches_a_piece", [1, 16])
def test_any_executor_composes_what_one_process_does(
    untrained: Checkpoint, monkeypatch: pytest.MonkeyPatch, batches_a_piece: int
) -> None:
    composer = Composer(untrained)
    alone = list(composer.takes(9, Controls(), SamplingConfig(seed=3)))
    monkeypatch.setattr(generation, "BATCH", 2)
    monkeypatch.setattr(generation, "MIN_TAKES", 1)
    monkeypatch.setattr(pool, "_PIECES_AHEAD", 1 if batches_a_piece > 1 else 64)
    with ThreadPoolExecutor(2) as executor:
        takes = composer.takes(9, Controls(), SamplingConfig(seed=3), executor=executor)
        assert list(takes) == alone


def test_a_worker_that_dies_is_one_line(untrained: Checkpoint) -> None:
    engine = Composer(untrained).engine
    with pytest.raises(MusicgenError, match="a process that was working died"):
        list(in_order(engine, die, [[0], [1]], workers=2))


def test_composing_needs_no_torch() -> None:
    program = (
        "import sys, musicgen; musicgen.load().generate(seed=1); "
        "sys.exit('torch' in sys.modules or 'pytorch_lightning' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
