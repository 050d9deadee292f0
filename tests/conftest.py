"""Fixtures shared by the tests: an untrained model, which shows what holds by construction."""

from __future__ import annotations

import os

# A process of the suite for each core: more threads would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

from musicgen.models.checkpoint import Checkpoint
from musicgen.tokens.melody.encoding import NAME
from musicgen.tokens.melody.grammar import FEATURE_SIZES
from musicgen.tokens.vocabulary import Vocabulary
from tests.checkpoints import random_checkpoint

# The suite draws the same examples every time, however slow the machine; with
# HYPOTHESIS_PROFILE=hunt, others and many more of them where a test does not say how many.
_ALLOWED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
_PATIENT = {"deadline": None, "suppress_health_check": _ALLOWED, "database": None}
settings.register_profile("suite", derandomize=True, **_PATIENT)
settings.register_profile("hunt", max_examples=1000, print_blob=True, **_PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Prepared corpora stay in the folder of the suite, for all its processes."""
    os.environ["MUSICGEN_CACHE"] = str(tmp_path_factory.getbasetemp().parent / "musicgen-cache")


OPENINGS = {
    "R:jig M:6/8 L:1/8 K:D mode:major up:1/2": 5,
    "R:jig M:6/8 L:1/8 K:A mode:dorian up:0": 3,
    "R:reel M:C| L:1/8 K:G mode:major up:0": 5,
    "R:reel M:4/4 L:1/8 K:D mode:mixolydian up:1": 2,
    "R:hornpipe M:2/4 L:1/16 K:D mode:major up:1/2": 2,
    "R:slip jig M:9/8 L:1/8 K:G mode:major up:0": 1,
    "R: M:3/4 L:1/8 K:D mode:minor up:1": 1,
}
PITCHES = ["5,", "6,", "7,", "1", "#1", "2", "3", "b3", "4", "#4", "5", "6", "b7", "7", "1'", "2'"]
LENGTHS = ["*1/4", "*1/2", "*3/4", "*3/2", "*2", "*3", "*4", "*6"]
SIGNS = ["z", "-", "(3:2", "(2:3", "|", "||", ":|", "|]", "|:", "[1", "[2"]


@pytest.fixture(scope="session")
def untrained() -> Checkpoint:
    """A small LSTM with random weights that knows the tokens above."""
    openings = [text.split() for text in OPENINGS if not text.startswith("R:slip")]
    slip = ["R:slip jig", *["M:9/8", "L:1/8", "K:G", "mode:major", "up:0"]]
    vocabulary = Vocabulary.build([*openings, slip, PITCHES, LENGTHS, SIGNS])
    headings = [(slip if "slip" in text else text.split(), n) for text, n in OPENINGS.items()]
    return random_checkpoint(vocabulary, FEATURE_SIZES, NAME, headings)
