"""Spoiled files by the thousand: does every one come out as music or as one line?

    python scripts/checks/fuzz.py --seconds 900 --seed 1
    python scripts/checks/fuzz.py --seconds 60 --format .mid
    python scripts/checks/fuzz.py --replay found/        # files that were kept

Sound files of every format are changed at random (tests/mutation.py) and read, judged, played,
written in all text formats, tokenised and compared, in a child process that is restarted when it
dies. Reported are crashes, exceptions that are not ours, messages that are not one plain line,
more than 2 s of processor time for a file and more than 1 GiB of memory. What is found is kept
under --keep with the message. The seconds are of processor time, over all formats together.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.measuring import Timer
from tests import mutation

MUSIC = (".abc", ".mid", ".musicxml", ".mxl", ".krn")
FOLDERS = ("tokens", "model")
SECONDS, MEMORY_MIB = 2.0, 1024
BATCH = 500  # files of one child process
Uses = Iterator[Callable[[], object]]


class Slow(BaseException):
    """A file took longer than allowed; not an Exception, so that nothing swallows it."""


def stop(*_: object) -> None:
    """Raise from a timer."""
    raise Slow


def folder_files(kind: str) -> dict[str, bytes]:
    """A small sound folder of token files, or a small untrained model."""
    import torch

    from musicgen.corpus.preparation import prepare
    from musicgen.models import ModelConfig, build_model, checkpoint, weights_of
    from musicgen.music.similarity import NoveltyIndex
    from musicgen.tokens.lookback.match import match_sizes
    from musicgen.tokens.melody.grammar import FEATURE_SIZES
    from musicgen.tokens.vocabulary import Vocabulary

    with tempfile.TemporaryDirectory() as temp:
        book = Path(temp, "book.abc")
        book.write_bytes(b"\n".join(small_tunes()))
        target = Path(temp, "out")
        tokens = prepare(book, folder=target if kind == "tokens" else None)
        if kind == "model":
            torch.manual_seed(0)
            vocabulary = Vocabulary(tokens.tokens.vocab)
            sizes = {**FEATURE_SIZES, **match_sizes(len(vocabulary))}
            model = ModelConfig(
                kind="lstm", d_model=8, n_layers=1,
                vocab_size=len(vocabulary), feature_sizes=tuple(sizes.values()),
            )  # fmt: skip
            assert isinstance(tokens.novelty, NoveltyIndex)
            finished = checkpoint.Checkpoint(
                weights=weights_of(build_model(model)),
                model=model,
                vocab=vocabulary.tokens,
                feature_sizes=sizes,
                tokenizer=tokens.tokens.tokenizer,
                openings=tokens.tokens.openings(),
                novelty=tokens.novelty,
            )
            checkpoint.save(target, finished)
        return {p.name: p.read_bytes() for p in target.iterdir()}


def small_tunes() -> list[bytes]:
    """Forty short tunes that differ."""
    rng = random.Random(0)
    return [
        f"X:{n}\nT:Tune {n}\nR:reel\nM:4/4\nL:1/8\nK:{rng.choice('DGA')}\n".encode()
        + b"|".join(bytes(rng.choices(b"ABcdefg", k=8)) for _ in range(8))
        + b"|]\n"
        for n in range(1, 41)
    ]


def use_folder(kind: str, path: Path) -> Uses:
    """Load a folder and, if it loads, do what it is for."""
    if kind == "tokens":
        from musicgen.corpus.tokenset import TokenSet
        from musicgen.music.similarity import FILE_NAME, NoveltyIndex

        tokens = TokenSet.load(path)
        yield tokens.openings
        if (path / FILE_NAME).exists():
            yield lambda: NoveltyIndex.load(path / FILE_NAME)
        return
    import musicgen

    composer = musicgen.load(path)
    yield lambda: composer.generate(seed=1, bars=2)


def uses_of(kind: str, path: Path, rng: random.Random) -> Uses:
    """What is done with one case."""
    if kind in FOLDERS:
        return use_folder(kind, path)
    return mutation.use_tunes(path, all_voices=rng.random() < 0.3)


def make_case(kind: str, seed: int, path: Path, files: Mapping[str, dict[str, bytes]]) -> None:
    """Write the case of this seed."""
    rng = random.Random(f"{kind} {seed}")
    if kind in FOLDERS:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        for name, data in mutation.mutated_folder(files[kind], rng).items():
            (path / name).write_bytes(data)
    else:
        path.write_bytes(mutation.mutated(kind, rng))


def judge(kind: str, path: Path, seed: int) -> str:
    """What is wrong with the program as this case shows it; "" for nothing."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        complaint = mutation.examine(path, uses_of(kind, path, random.Random(seed)))
    except Slow:
        complaint = f"took more than {SECONDS:g} s\n{traceback.format_exc()}"
    except MemoryError:
        complaint = f"ran out of memory\n{traceback.format_exc()}"
    except Exception:  # noqa: BLE001 - that is what is looked for
        complaint = traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    took = time.process_time() - began
    if not complaint and took > SECONDS:
        complaint = f"took {took:.1f} s"
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if not complaint and after > max(before, MEMORY_MIB * 1024):
        complaint = f"used {after // 1024} MiB of memory"
    return complaint


def run_child(
    kind: str, seeds: range, folder: Path, keep: Path, files: Mapping[str, dict[str, bytes]]
) -> tuple[int, list[str]]:
    """The cases of these seeds in a child process: how many were done, and what was wrong."""
    log = folder / "log"
    log.write_text("")
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException):
            signal.signal(signal.SIGPROF, stop)
            resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            path = folder / f"case{kind if kind.startswith('.') else ''}"
            for seed in seeds:
                make_case(kind, seed, path, files)
                with log.open("a") as file:
                    print(f"begin {seed}", file=file)
                complaint = judge(kind, path, seed)
                if complaint:
                    save(keep, kind, seed, path, complaint)
                    with log.open("a") as file:
                        print(f"wrong {' '.join(complaint.split()[-12:])}", file=file)
            code = 0
        os._exit(code)
    _, status = os.waitpid(child, 0)
    lines = log.read_text().splitlines()
    done = sum(line.startswith("begin") for line in lines)
    wrong = [line[6:] for line in lines if line.startswith("wrong")]
    if status:
        path = folder / f"case{kind if kind.startswith('.') else ''}"
        what = f"the process died (status {status})"
        save(keep, kind, seeds[max(done - 1, 0)], path, what)
        wrong.append(what)
    return done, wrong


def save(keep: Path, kind: str, seed: int, path: Path, complaint: str) -> None:
    """Keep a case and what was wrong with it."""
    keep.mkdir(parents=True, exist_ok=True)
    name = f"{kind.strip('.')}-{seed}"
    target = keep / (name + path.suffix)
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(path, target)
    (keep / f"{name}.txt").write_text(complaint)


def replay(folder: Path) -> int:
    """Examine the cases of a folder again."""
    signal.signal(signal.SIGPROF, stop)
    wrong = 0
    for note in sorted(folder.glob("*.txt")):
        kind, seed = note.stem.rsplit("-", 1)
        path = next(p for p in folder.glob(f"{note.stem}*") if p.suffix != ".txt")
        complaint = judge(kind if kind in FOLDERS else f".{kind}", path, int(seed))
        wrong += bool(complaint)
        print(f"{path.name}: {complaint or 'fine'}")
    return wrong


def main(
    *,
    seconds: Annotated[float, "of processor time, in all"] = 60.0,
    seed: int = 0,
    format_: Annotated[Sequence[str], [*MUSIC, *FOLDERS]] = (),
    keep: Path = Path("found"),
    replay_: Path | None = None,
) -> bool:
    """Fuzz until the time is over; exit code 1 if anything was found."""
    if replay_:
        return replay(replay_) > 0
    kinds = format_ or [*MUSIC, *FOLDERS]
    files = {kind: folder_files(kind) for kind in kinds if kind in FOLDERS}
    counts: Counter[str] = Counter()
    used = dict.fromkeys(kinds, 0.0)
    wrong: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temp:
        while sum(used.values()) < seconds:
            kind = min(kinds, key=used.__getitem__)
            first = seed * 10_000_000 + counts[kind]
            seeds = range(first, first + BATCH)
            with Timer() as timer:
                done, found = run_child(kind, seeds, Path(temp), keep, files)
            used[kind] += timer.cpu_s
            counts[kind] += done
            wrong.update(f"{kind}: {what}" for what in found)
    for kind in kinds:
        print(f"{kind:10} {counts[kind]:7} files  {used[kind]:6.0f} s of processor time")
    for what, number in wrong.most_common():
        print(f"{number:5} x {what}")
    print(f"{sum(counts.values())} files, {sum(wrong.values())} wrong")
    return bool(wrong)


if __name__ == "__main__":
    command_line.run(main)
