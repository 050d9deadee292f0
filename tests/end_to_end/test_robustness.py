"""Files from strangers: whatever is in them, they are read or refused in one line, and soon."""

from __future__ import annotations

import importlib
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen import formats
from musicgen.errors import MusicgenError
from musicgen.formats.abc_notation import parse_text
from musicgen.models import checkpoint
from musicgen.music.playback import timeline
from musicgen.music.similarity import NoveltyIndex
from musicgen.music.validation import validate
from musicgen.tokens.languages import LANGUAGES
from tests import ROOT, hostile, mutation
from tests.timing import slowness, within

MUSIC = (".abc", ".mid", ".musicxml", ".mxl", ".krn")


def script(name: str) -> ModuleType:
    """A program of scripts/ as a module."""
    return importlib.import_module(f"scripts.{name}")


# --- spoiled at random; scripts/checks/fuzz.py does it for longer -------------------------------


@pytest.mark.parametrize("suffix", MUSIC)
def test_a_spoiled_file_is_music_or_one_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"case{suffix}"
    for seed in range(120):
        rng = random.Random(f"suite {suffix} {seed}")
        path.write_bytes(mutation.mutated(suffix, rng))
        uses = mutation.use_tunes(path, all_voices=rng.random() < 0.3)
        assert mutation.examine(path, uses) == "", f"seed {seed}"


@pytest.mark.slow
def test_a_minute_of_spoiled_files_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/checks/fuzz.py", "--seconds", "60", "--keep", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@given(st.sampled_from(MUSIC), st.binary(max_size=200), st.sampled_from([b"", b"begun"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_music_or_one_line(suffix: str, data: bytes, begun: bytes) -> None:
    head = mutation.seeds(suffix)[0][:60] if begun else b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"case{suffix}")
        path.write_bytes(head + data)
        assert mutation.examine(path, mutation.use_tunes(path)) == ""


@pytest.mark.parametrize("kind", ["tokens", "model"])
def test_a_spoiled_folder_is_loaded_or_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    fuzz = script("checks.fuzz")
    files = {kind: fuzz.folder_files(kind)}
    for seed in range(250):
        fuzz.make_case(kind, seed, tmp_path / "case", files)
        uses = fuzz.use_folder(kind, tmp_path / "case")
        assert mutation.examine(tmp_path / "case", uses) == "", f"seed {seed}"


# --- made by hand ------------------------------------------------------------------------------

# Their reading, or the refusal, takes a second or so: done where there is time.
HEAVY = {
    "notes.abc", "headings.abc", "tempos.mid", "too-many-notes.mid", "notes.mid", "patterns.mid",
    "measures.musicxml", "notes.musicxml", "wide.musicxml", "voices.musicxml", "bomb.mxl",
    "open-field.abc", "titles.abc", "words.abc", "chord.musicxml", "deep.musicxml", "bars.krn",
    "wide-chord.abc", "bar-lines.abc", "meters.mid", "keys.mid", "blocks.abc", "wide-bars.krn",
    "continuations.abc", "fine-time.mid", "notes.krn", "broken.abc", "attributes.musicxml",
    "ties.krn", "backslashes.abc",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(hostile.FILES.keys() - HEAVY))
def test_a_hostile_file_is_music_or_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(hostile.FILES[name]())

    def read() -> None:
        for tune in formats.scan(path).tunes:
            validate(tune)

    with within(6):
        try:
            read()
        except MusicgenError as error:
            assert str(error).startswith(str(path))  # noqa: PT017 - many are read
            assert str(error).isprintable()  # noqa: PT017


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(hostile.FILES))
def test_a_hostile_file_takes_neither_long_nor_much_memory(tmp_path: Path, name: str) -> None:
    """In a process of its own: all that can be done with it, each thing in two seconds."""
    path = tmp_path / name
    path.write_bytes(hostile.FILES[name]())
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        complaint = "died"
        try:
            complaint = _watched(path)
        finally:
            os.write(write, complaint.encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        complaint = pipe.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    assert complaint == ""


def _watched(path: Path) -> str:
    slower = slowness()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest, began = 0.0, time.process_time()

    def timed() -> object:
        nonlocal slowest, began
        slowest = max(slowest, time.process_time() - began)
        began = time.process_time()
        return None

    def uses() -> object:
        for use in mutation.use_tunes(path):
            yield timed
            yield use
        yield timed

    complaint = mutation.examine(path, uses())  # type: ignore[arg-type]
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    if used > 1024:
        return f"{used} MiB of memory"
    slower = max(slower, slowness())
    return complaint or (f"{slowest:.1f} s" if slowest > 8 * slower else "")


# --- what grows no faster than its input -------------------------------------------------------


def abc_of(n: int) -> bytes:
    return f"X:1\nT:t\nM:4/4\nL:1/8\nK:G\n{'GABc dedB|c2ec B2dB|' * n}|]\n".encode()


def grown(work: Callable[[int], Callable[[], object]], small: int) -> float:
    """How many times longer it takes for twice the input: of several tries, in turns, the least,
    with more tries where a busy machine may have been in the way."""

    def seconds(run: Callable[[], object]) -> float:
        began = time.process_time()
        run()
        return time.process_time() - began

    one, two = work(small), work(2 * small)
    shortest, longest = seconds(one), seconds(two)
    for tries in range(40):
        if tries >= 3 and longest <= 2.3 * shortest:
            break
        shortest, longest = min(shortest, seconds(one)), min(longest, seconds(two))
    return longest / shortest


def reading(suffix: str, path: Path) -> Callable[[int], Callable[[], object]]:
    def work(n: int) -> Callable[[], object]:
        (tune,) = parse_text(abc_of(n).decode()).tunes
        target = path / f"{n}{suffix}"
        if suffix == ".krn":
            rows = ["**kern", "*M4/4", *["8g", "8a", "4b", "4dd", "4b", "="] * (2 * n), "*-"]
            target.write_text("\n".join(rows))
        else:
            target.write_bytes(formats.rendered([tune], suffix))
        return lambda: formats.scan(target)

    return work


@pytest.mark.parametrize("suffix", MUSIC)
def test_reading_takes_twice_as_long_for_twice_the_file(tmp_path: Path, suffix: str) -> None:
    assert grown(reading(suffix, tmp_path), 80) <= 2.3


@pytest.mark.parametrize(
    "use",
    [validate, timeline, LANGUAGES["melody"].encode, LANGUAGES["remi"].encode],
    ids=["validate", "timeline", "melody", "remi"],
)
def test_using_takes_twice_as_long_for_twice_the_music(use: Callable[[object], object]) -> None:
    def work(n: int) -> Callable[[], object]:
        (tune,) = parse_text(abc_of(n).decode()).tunes
        return lambda: use(tune)

    assert grown(work, 50) <= 2.3


def test_an_index_takes_twice_as_long_for_twice_the_tunes() -> None:
    def work(n: int) -> Callable[[], object]:
        rng = random.Random(n)
        bars = ("|".join("".join(rng.choices("GABcde", k=8)) for _ in range(16)) for _ in range(n))
        text = "".join(f"X:{i}\nL:1/8\nM:4/4\nK:G\n{m}|]\n\n" for i, m in enumerate(bars, 1))
        tunes = parse_text(text).tunes
        return lambda: NoveltyIndex.build(tunes)

    assert grown(work, 100) <= 2.3


# --- the same again ----------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_tunes_with_any_number_of_threads_and_of_tunes(
    tmp_path: Path,
) -> None:
    def generated(threads: str, number: int) -> list[str]:
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        done = subprocess.run(
            [sys.executable, "-m", "musicgen", "generate", "--seed", "5", "-n", str(number)],
            capture_output=True, text=True, check=True, cwd=tmp_path,
            env={**os.environ, **dict.fromkeys(names, threads), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return [part.split("\n", 1)[1] for part in done.stdout.split("X:")[1:]]

    tunes = generated("1", 3)
    assert len(set(tunes)) == 3
    assert generated("4", 3) == tunes
    assert generated("2", 1) == tunes[:1]


# --- bits that flip ----------------------------------------------------------------------------


def test_a_thousand_flipped_bits_in_a_model_are_noticed(tmp_path: Path) -> None:
    flips = script("checks.flips")
    files = script("checks.fuzz").folder_files("model")
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    checkpoint.load(tmp_path)
    rng = random.Random(0)
    assert flips.check(tmp_path, 1000, rng, flips.flipped)[0] == {"noticed": 1000}
    assert flips.check(tmp_path, 200, rng, flips.cut)[0] == {"noticed": 200}


def test_flipped_bits_in_token_files_are_noticed(tmp_path: Path) -> None:
    """In the arrays, the vocabulary, the settings, the names of tunes and the index."""
    flips = script("checks.flips")
    flips.make_tokens(tmp_path / "tokens")
    rng = random.Random(0)
    verdicts, places = flips.check(tmp_path / "tokens", 240, rng, flips.flipped, flips.use_tokens)
    assert verdicts["missed"] == 0  # what zip files say of their members is harmless
    assert verdicts["noticed"] >= 230
    assert places["meta.json"] > 5


# --- one thing grown; scripts/checks/growth.py does all of it -----------------------------------


@pytest.mark.parametrize("kind", [".abc", ".mid", ".musicxml", ".krn", "tokens", "model"])
def test_what_a_file_costs_stays_in_proportion_to_its_bytes(tmp_path: Path, kind: str) -> None:
    growth = script("checks.growth")
    for probe in growth.probes_of(kind, sample=6, seed=1):
        assert growth.complaint_of(probe, tmp_path) == "", probe.what


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(script("checks.growth").KINDS))
def test_what_any_kind_of_file_costs_stays_in_proportion(tmp_path: Path, kind: str) -> None:
    growth = script("checks.growth")
    for probe in growth.probes_of(kind, sample=40, seed=2):
        assert growth.complaint_of(probe, tmp_path) == "", probe.what
