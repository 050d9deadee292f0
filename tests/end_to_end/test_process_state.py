"""A program that uses the package keeps what belongs to its whole process."""

from __future__ import annotations

import csv
import decimal
import faulthandler
import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import musicgen
from musicgen.models.checkpoint import Checkpoint
from tests.runs import SMALL, make_tokens

TUNE = "X:1\nT:Small\nR:jig\nM:6/8\nL:1/8\nK:D\nA|d2f fed|BAB A2G|FED d2e|faf d2:|\n"


def denormal() -> float:
    """A tiny number, or 0 where this thread takes such for 0."""
    return float((torch.tensor([1e-310], dtype=torch.float64) * 1).item())


def snapshot() -> dict[str, Any]:
    """All of it that a library could change."""
    import matplotlib

    umask = os.umask(0o022)
    os.umask(umask)
    limits = {}
    if sys.platform != "win32":
        import resource

        limits = {n: resource.getrlimit(getattr(resource, n)) for n in dir(resource)
                  if n.startswith("RLIMIT_")}  # fmt: skip
    loggers = [logging.root, *(logging.getLogger(n) for n in ("pytorch_lightning", "matplotlib"))]
    return {
        "folder": Path.cwd(), "umask": umask, "environment": dict(os.environ), "limits": limits,
        "locale": locale.setlocale(locale.LC_ALL),
        "signals": {n: signal.getsignal(n) for n in signal.valid_signals()},
        "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, set()),
        "timers": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        "warnings": (list(warnings.filters), warnings.showwarning),
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch type": torch.get_default_dtype(),
        "torch precision": torch.get_float32_matmul_precision(),
        "torch determinism": torch.are_deterministic_algorithms_enabled(),
        "torch modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "torch generator": torch.get_rng_state().tolist(), "tiny numbers": denormal(),
        "numpy generator": str(np.random.get_state()), "random": random.getstate(),
        "numpy errors": np.geterr(), "numpy printing": str(np.get_printoptions()),
        "loggers": [(each.level, list(each.handlers), list(each.filters)) for each in loggers],
        "logging": (logging.root.manager.disable, logging.getLoggerClass()),
        "recursion": sys.getrecursionlimit(), "switch": sys.getswitchinterval(),
        "digits": sys.get_int_max_str_digits(),
        "streams": (sys.stdin, sys.stdout, sys.stderr), "path": list(sys.path),
        "hooks": (sys.excepthook, sys.displayhook, threading.excepthook, sys.gettrace()),
        "faults": faulthandler.is_enabled(), "collector": (gc.isenabled(), gc.get_threshold()),
        "processes": multiprocessing.get_start_method(allow_none=True),
        "temporary": tempfile.tempdir, "decimals": str(decimal.getcontext()),
        "field": csv.field_size_limit(), "sockets": socket.getdefaulttimeout(),
        "charts": dict(matplotlib.rcParams),
    }  # fmt: skip


def trained(folder: Path, model: Checkpoint) -> None:
    from musicgen.training import train

    train(replace(SMALL, steps=2, val_every=2), make_tokens(), folder / "run")


def composed(folder: Path, model: Checkpoint) -> None:
    from musicgen.composer import Composer
    from musicgen.composer.controls import Controls
    from musicgen.composer.sampling import SamplingConfig

    composer = Composer(model)
    tune = composer.generate(seed=1)
    list(composer.takes(2, Controls(), SamplingConfig(seed=1)))
    next(iter(composer.continuations(musicgen.parse(TUNE)[0], 1, SamplingConfig(seed=1))))
    for name in ("a.abc", "a.mid", "a.musicxml", "a.svg"):
        musicgen.write(tune, folder / name)
    musicgen.write(tune, folder / "a.wav")


def converted(folder: Path, model: Checkpoint) -> None:
    tune = musicgen.parse(TUNE)[0]
    musicgen.write(tune, folder / "b.mid")
    musicgen.read(folder / "b.mid")
    for name in ("b.musicxml", "b.png", "b.pdf", "b.svg"):
        musicgen.write(tune, folder / name)
    musicgen.read(folder / "b.musicxml")


def harmonized(folder: Path, model: Checkpoint) -> None:
    from musicgen.composer.harmony import harmonize, load

    harmonize(musicgen.parse(TUNE)[0], load())


def inspected(folder: Path, model: Checkpoint) -> None:
    from musicgen.evaluation.inspection import gradients, surprise

    ids = torch.arange(220).reshape(2, 110) % 9
    gradients.measure(ids, 9, d_model=8)
    tune = musicgen.parse(TUNE.replace("d2", "A2"))[0]
    surprise.measure(tune, model)


def classified(folder: Path, model: Checkpoint) -> None:
    from musicgen.evaluation.classification import Classifier

    Classifier.load().classify(musicgen.parse(TUNE)[0])


def prepared(folder: Path, model: Checkpoint) -> None:
    from musicgen.corpus.preparation import prepare

    (folder / "music").mkdir()
    for n in range(6):
        text = TUNE.replace("faf", f"f{'abcdeg'[n]}f")
        (folder / "music" / f"{n}.abc").write_text(text)
    prepare([str(folder / "music")], folder=folder / "tokens")


WORK = [trained, composed, converted, harmonized, inspected, classified, prepared]


@pytest.fixture
def unusual() -> Iterator[None]:
    """Settings that are not the usual ones: what is only set back to a default shows."""
    handler, umask = signal.signal(signal.SIGTERM, lambda *_: None), os.umask(0o027)
    threads, flush, seeds = torch.get_num_threads(), denormal() == 0, torch.get_rng_state()
    torch.set_num_threads(2)
    torch.set_flush_denormal(True)
    torch.manual_seed(5)
    yield
    signal.signal(signal.SIGTERM, handler)
    os.umask(umask)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(flush)
    torch.set_rng_state(seeds)


@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_a_program_keeps_its_state(
    tmp_path: Path,
    untrained: Checkpoint,
    unusual: None,
    work: Callable[[Path, Checkpoint], None],
) -> None:
    for name in ("first", "second"):  # what libraries do when they are imported is theirs
        (tmp_path / name).mkdir()
        before = snapshot()
        work(tmp_path / name, untrained)
        after = snapshot()
    assert [name for name in before if before[name] != after[name]] == []


def test_another_thread_sees_no_setting_change_while_a_network_is_trained_and_looked_into(
    tmp_path: Path, untrained: Checkpoint
) -> None:
    """But for torch's generator, which dropout draws from."""
    seen: set[tuple[Any, ...]] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            seen.add((torch.get_num_threads(), denormal(), gc.isenabled(), len(warnings.filters),
                      os.environ.get("OMP_NUM_THREADS"), logging.root.level))  # fmt: skip

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        inspected(tmp_path, untrained)
        trained(tmp_path, untrained)
        done.set()
        watching.result()
    assert len(seen) == 1
