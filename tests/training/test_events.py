"""Event files: TensorBoard reads them, and a resumed run voids what it will write again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingError, TrainingInterrupted
from musicgen.training import events, train
from musicgen.training.events import EventLog, crc32c
from musicgen.training.run_folder import parse_rows
from tests.runs import SMALL, make_tokens, signal_at

# What tensorboard 2.21 writes for the events of the test below (`event_pb2`, `RecordWriter`).
NOW_S = 1795654567.25
WRITTEN = """
1800000000000000a37f4b22090000d0e9e0c1da411a0d627261696e2e4576656e743a32483da9bb1000000000000000
95fbfe18090000d0e9e0c1da4110ad023a0208011057848c3e00000000000000d9d240e7090000d0e9e0c1da41109003
2a300a140a0d6c6561726e696e675f7261746515a69b443b0a180a1176616c5f626974735f7065725f6e6f7465150000
2040b2b0726b
"""

READER = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
log = EventAccumulator(sys.argv[1])
log.Reload()
names = log.Tags()["scalars"]
print(json.dumps({name: [(e.step, e.value) for e in log.Scalars(name)] for name in names}))
"""


@pytest.fixture
def tokens() -> TokenSet:
    return make_tokens()


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksums_are_those_of_rfc_3720(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


def test_events_are_written_as_tensorboard_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.time, "time", lambda: NOW_S)
    log = EventLog(tmp_path, begins=301)
    log.add(400, {"learning_rate": 0.003, "val_bits_per_note": 2.5})
    (file,) = tmp_path.iterdir()
    assert file.name == "events.out.tfevents.1795654567.0"
    assert file.read_bytes() == bytes.fromhex(WRITTEN)


def test_every_session_of_a_run_has_a_file(tmp_path: Path, tokens: TokenSet) -> None:
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path, report=signal_at(4, signal.SIGTERM))
    train(SMALL, tokens, tmp_path, resume=True)
    first, second = sorted(tmp_path.glob("events.out.tfevents.*"))
    assert first.suffix == ".0"
    assert second.suffix == ".1"


def test_events_that_cannot_be_written_stop_the_run(
    tmp_path: Path, tokens: TokenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_log: EventLog, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventLog, "_append", full)
    with pytest.raises(TrainingError) as caught:
        train(SMALL, tokens, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: events cannot be written (No space left on device); make room and go on "
        "with --resume"
    )


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_shows_a_resumed_run_as_one(tmp_path: Path, tokens: TokenSet) -> None:
    """Killed after a row that no saved state covers, with a torn record at the end."""
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path, report=signal_at(4, signal.SIGTERM))
    (file,) = tmp_path.glob("events.out.tfevents.*")
    log = EventLog(tmp_path)
    log._path = file
    log.add(6, {"train_bits_per_token": 99.0})
    with file.open("ab") as torn:
        torn.write(b"\x18\x00")
    train(SMALL, tokens, tmp_path, resume=True)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    shown = json.loads(done.stdout)
    rows = parse_rows((tmp_path / "history.csv").read_text())
    for name in ("train_bits_per_token", "val_bits_per_note", "learning_rate", "epoch"):
        points = [(r.step, getattr(r, name)) for r in rows if getattr(r, name) is not None]
        assert [step for step, _ in shown[name]] == [step for step, _ in points]
        values = [value for _, value in points]
        assert [value for _, value in shown[name]] == pytest.approx(values, rel=1e-6)
