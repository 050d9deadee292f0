"""The folder of a run: settings, history, loss curve, the best model, and the way back in.

run.json      settings and corpus fingerprint       model/    the best network so far
history.csv   losses step by step, for readers      resume/   the last two resumable states
curve.png     the same as a picture                 result.json   only when the run is over
samples/      what the network wrote on the way
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from musicgen.config import from_dict, to_dict
from musicgen.errors import MusicgenError, ParseError, TrainingError
from musicgen.models.sealed_folder import write_whole
from musicgen.system.charts import chart
from musicgen.system.files import open_regular, read_bytes, require_writable, write_bytes
from musicgen.system.json_content import JsonContent
from musicgen.system.temporary import busy, clear_leftovers, locked
from musicgen.training.config import BUDGETS, TrainConfig
from musicgen.training.progress import target_of

_FORMAT = 2  # of the resumable states
_KEPT = 2  # of them
_SCORE = "val_bits_per_note"
FREE_TO_CHANGE = (  # by whoever resumes a run
    "sample_every",
    "sample_midi",
    "log_every",
    "save_minutes",
    "patience",
    "accelerator",
    "devices",
    "num_nodes",
    "strategy",
)


class Trainable(Protocol):
    """The data of a run."""

    @property
    def unit(self) -> str:
        """What scores are quoted per."""

    @property
    def fingerprint(self) -> str:
        """A text that identifies the data."""


Origin = dict[str, Any]  # the corpus, token files or model that a run began with: JSON values


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of history.csv. Bits per token are the mean of the steps since the line before;
    `val_bits_per_note` is None where nothing was scored, and per whatever the token files count;
    `smooth_bits_per_token` is the running average of `NextTokenModule.train_metrics`."""

    step: int
    epoch: float
    elapsed_s: float
    learning_rate: float | None
    train_bits_per_token: float | None
    val_bits_per_note: float | None
    tokens_per_s: float
    smooth_bits_per_token: float | None = None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How a run ended. `model` is the checkpoint folder; `reason` is "budget" or "no better
    score"; bits are per `unit` of the token files."""

    model: str
    best_bits_per_note: float
    steps: int
    epochs: float
    elapsed_s: float
    reason: str
    unit: str = "note"

    def __str__(self) -> str:
        return (
            f"{self.best_bits_per_note:.3f} bits per {self.unit} on validation after "
            f"{self.steps} steps ({self.elapsed_s / 60:.1f} minutes, ended by {self.reason})"
        )


class RunFolder:
    """Reads and writes a run folder. Every file is replaced as a whole or not at all.

    Of several processes that train together one is `active`; the others only read.
    """

    def __init__(
        self, path: Path, *, active: bool = True, notify: Callable[[str], None] = lambda line: None
    ) -> None:
        self.path, self.active, self.notify = path, active, notify
        self.rows: list[Row] = []
        self.unit = "note"  # what validation is quoted by
        self.resumed_step = 0

    def begin(self, config: TrainConfig, tokens: Trainable, origin: Origin) -> None:
        """Claim the folder for a new run; `origin` is kept for whoever resumes it.

        Raises:
            TrainingError: it holds a run or anything else, or cannot be made.
        """
        self.unit = tokens.unit
        if not self.active:
            return
        self.require_unused()
        run = {
            "format": _FORMAT,
            "config": to_dict(config),
            "fingerprint": tokens.fingerprint,
            "origin": dict(origin),
        }
        self._write("run.json", json.dumps(_with_digest(run), indent=1))

    def require_unused(self) -> None:
        """See that a new run can begin here, before its corpus is read.

        Raises:
            TrainingError: the folder holds a run or anything else, or cannot be written.
        """
        if not self.active:
            return
        with _training_errors():
            require_writable(self.path, is_folder=True)
        if (self.path / "run.json").exists():
            state = "a finished run" if self.finished else "an unfinished run (--resume goes on)"
            raise TrainingError(f"{self.path}: holds {state}; choose another folder")
        clear_leftovers(self.path)
        try:
            empty = not self.path.exists() or not any(self.path.iterdir())
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be used ({error.strerror})") from None
        if not empty:
            raise TrainingError(f"{self.path}: holds other files; choose another folder")

    @property
    def has_begun(self) -> bool:
        """Whether the folder holds a run."""
        return (self.path / "run.json").exists()

    def reopen(self, config: TrainConfig, tokens: Trainable, *, anew: bool = False) -> Path | None:
        """Check that a run can continue with these settings and tokens: the state to start from.
        With `anew` a run that was ended before it had saved a state begins again: None.

        Raises:
            TrainingError: there is nothing to resume, it is finished, or something has changed.
        """
        self.unit = tokens.unit
        if self.finished:
            raise TrainingError(f"{self.path}: the run is finished; train into another folder")
        before, fingerprint, _ = self._stored()
        if self.active:
            clear_leftovers(self.path)  # of a killed process
        if fingerprint != tokens.fingerprint:
            raise TrainingError(f"{self.path}: was trained on another corpus; start a new run")
        _refuse_changes(to_dict(before), to_dict(config), str(self.path))
        if anew and not self.states():
            return None
        state = self._last_state()
        self.resumed_step = int(state.name.partition("-")[0])
        return state

    @contextmanager
    def claimed(self, *, make: bool) -> Iterator[None]:
        """Hold the folder, made if need be and `make`, while a run trains in it.

        Raises:
            TrainingError: another process does, or it cannot be made.
        """
        if not self.active:
            yield
            return
        try:
            if make:
                self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be used ({error.strerror})") from None
        with locked(self.path) as alone:
            if not alone:
                raise TrainingError(busy(self.path, doing="training"))
            yield

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return (self.path / "result.json").exists()

    def result(self) -> Summary | None:
        """How the run ended, if it has.

        Raises:
            TrainingError: its result is damaged.
        """
        if not self.finished:
            return None
        path = self.path / "result.json"
        try:
            with JsonContent(
                read_bytes(path), path, raises=TrainingError, advice="the run is finished"
            ) as result:
                return from_dict(Summary, _checked(result))
        except ParseError as error:
            raise TrainingError(f"{error}; the run is finished") from None

    def settings(self) -> tuple[TrainConfig, Origin]:
        """The settings that the run was started with, and where its tokens are from.

        Raises:
            TrainingError: the folder holds no run.
        """
        config, _, origin = self._stored()
        return config, origin

    def add(self, row: Row) -> Row:
        """Append a row to the history, on disk too, or complete the last one of the same step:
        the row as it is now."""
        if self.rows and self.rows[-1].step == row.step:
            before = asdict(self.rows.pop())
            row = Row(**{k: before[k] if v is None else v for k, v in asdict(row).items()})
        self.rows.append(row)
        self._write("history.csv", render_rows(self.rows, self.unit))
        return row

    def keep_state(self, written: Path, step: int) -> None:
        """Adopt a state just written under resume/, sync it, drop all but the latest two.

        Its digest becomes part of its name, so that damage is noticed.
        """
        if not self.active:
            return
        with written.open("rb+") as file:  # to sync it, Windows must be allowed to write it
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
            os.fsync(file.fileno())
        written.replace(written.with_name(f"{step:09d}-{digest}.ckpt"))
        for old in self.states()[_KEPT:]:
            old.unlink()

    def states(self) -> list[Path]:
        """Resumable states, the latest first."""
        return sorted((self.path / "resume").glob("*-*.ckpt"), reverse=True)

    def keep_model(self, files: Mapping[str, bytes]) -> None:
        """Replace the model by a better one, the files of its folder by name."""
        if self.active:
            with _training_errors():
                write_whole(self.path / "model", files)

    def finish(self, result: Summary) -> None:
        """Mark the run as over; it cannot be resumed any more."""
        if not self.active:
            return
        self._draw()
        self._write("result.json", json.dumps(_with_digest(asdict(result)), indent=1))
        for state in self.states():
            state.unlink()

    def _draw(self) -> None:
        """The loss curve as curve.png."""
        train = [(r.step, r.train_bits_per_token) for r in self.rows if r.train_bits_per_token]
        val = [(r.step, r.val_bits_per_note) for r in self.rows if r.val_bits_per_note]
        scored = f"validation, bits per {self.unit}"
        trained = f"training, bits per {target_of(self.unit)}"
        with chart(self.path / "curve.png") as figure:
            axes = figure.subplots()
            for points, label, style in ((train, trained, "-"),
                                         (val, scored, "o-")):  # fmt: skip
                if points:
                    axes.plot(*zip(*points, strict=True), style, label=label, markersize=4)
            axes.set_xlabel("step")
            axes.set_ylabel("bits")
            axes.set_ylim(0, max((v for _, v in val), default=5.0) * 1.4)
            if train or val:
                axes.legend()
            axes.grid(alpha=0.3)

    def _stored(self) -> tuple[TrainConfig, str, Origin]:
        path = self.path / "run.json"
        if not path.exists():
            raise TrainingError(f"{self.path}: there is no run to resume; leave out --resume")
        try:
            with JsonContent(
                read_bytes(path), path, raises=TrainingError, advice="start a new run"
            ) as run:
                if run.get("format") != _FORMAT:
                    raise TrainingError(
                        f"{self.path}: is a run of another version; start a new run"
                    )
                if "sha256" not in run:
                    raise ValueError("it has no digest of its content")
                run = _checked(run)
                origin = {str(name): value for name, value in run["origin"].items()}
                return from_dict(TrainConfig, run["config"]), str(run["fingerprint"]), origin
        except ParseError as error:
            raise TrainingError(f"{error}; start a new run") from None

    def _last_state(self) -> Path:
        """The latest state whose content has the digest in its name."""
        latest, *_ = *self.states(), None
        for state in self.states():
            try:
                with open_regular(state) as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except ParseError:
                continue
            if state.stem.partition("-")[2] == digest[:16]:
                if state != latest:
                    self.notify(f"{latest}: is damaged; going on from {state.name}, which is older")
                return state
        raise TrainingError(f"{self.path}: no usable state to resume from; start a new run")

    def _write(self, name: str, content: str) -> None:
        if not self.active:
            return
        with _training_errors():
            write_bytes(self.path / name, content.encode())


@contextmanager
def _training_errors() -> Iterator[None]:
    """Raise what cannot be written as a TrainingError."""
    try:
        yield
    except MusicgenError as error:
        failure = TrainingError(str(error))
        failure.unwritten = error.unwritten
        raise failure from None


def _with_digest(content: dict[str, Any]) -> dict[str, Any]:
    """Content of a JSON file with its SHA-256, so that a change is noticed."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {**content, "sha256": digest}


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    """The inverse; older results have no digest.

    Raises:
        ValueError: the content is not as it was written.
    """
    plain = {name: value for name, value in content.items() if name != "sha256"}
    if "sha256" in content and content != _with_digest(plain):
        raise ValueError("it was changed or damaged")
    return plain


def render_rows(rows: list[Row], unit: str = "note") -> str:
    """Rows as CSV with a heading, which says what validation is quoted by."""
    text = io.StringIO()
    names = [f.name for f in fields(Row)]
    text.write(",".join(_heading(name, unit) for name in names) + "\n")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writerows({k: "" if v is None else v for k, v in asdict(row).items()} for row in rows)
    return text.getvalue()


def _heading(name: str, unit: str) -> str:
    if name == _SCORE:
        return f"val_bits_per_{unit}"
    return name.replace("per_token", f"per_{target_of(unit)}")


def parse_rows(text: str, unit: str = "note") -> list[Row]:
    """The inverse of `render_rows`."""
    rows = []
    for name in (f.name for f in fields(Row)):
        text = text.replace(_heading(name, unit), name, 1)
    for line in csv.DictReader(io.StringIO(text)):
        values: dict[str, Any] = {k: float(v) if v else None for k, v in line.items()}
        rows.append(Row(**values | {"step": int(line["step"])}))
    return rows


def _refuse_changes(before: dict[str, Any], now: dict[str, Any], where: str) -> None:
    """Raise TrainingError when a setting that decides the losses is not what it was."""
    for name, old in before.items():
        if name in FREE_TO_CHANGE or old == now[name]:
            continue
        if isinstance(old, dict):
            new = now[name]
            name += "." + next(n for n in (old | new) if old.get(n) != new.get(n))
        if name in BUDGETS:
            raise TrainingError(
                f"{where}: was started with {name}={old}; resume with the same budget"
            )
        raise TrainingError(
            f"{where}: was started with another {name}; resume with the same settings"
        )
