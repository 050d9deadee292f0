"""One composer in many threads composes what it composes in one.

python scripts/checks/threads.py --calls 10000

Every round loads a composer anew, so its tables are empty, and starts all threads at once; in the
second half of a round the tables are filled. Seeds, forms, keys and other controls vary. The
expected tunes are composed first, by a composer of its own in one thread. Threads are switched
every 10 microseconds. The last lines compare the time of one thread with that of all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Annotated, Any

from musicgen.composer import FIRST, Composer
from musicgen.models import checkpoint as checkpoints
from musicgen.music.tune import Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

REQUESTS: Sequence[dict[str, Any]] = (
    *({}, {"rhythm": "jig"}, {"key": "Em"}, {"meter": "4/4"}, {"rhythm": "reel", "key": "D"}, {}),
    {"form": "AABB", "bars": 16},  # the others use tables of their own
    {"range": "D4-B5"},
)


def compose(composer: Composer, number: int) -> Tune | str:
    """Tune `number`, or the error."""
    try:
        return composer.generate(seed=number, selection=FIRST, **REQUESTS[number % len(REQUESTS)])
    except Exception as error:  # noqa: BLE001 - what the check is for
        return f"{type(error).__name__}: {error}"


def in_threads(composer: Composer, numbers: Sequence[int], threads: int) -> list[Tune | str]:
    """The tunes of these numbers, composed by threads that begin together."""
    barrier = Barrier(threads)

    def work(thread: int) -> dict[int, Tune | str]:
        barrier.wait()
        return {number: compose(composer, number) for number in numbers[thread::threads]}

    with ThreadPoolExecutor(threads) as pool:
        composed = {k: tune for part in pool.map(work, range(threads)) for k, tune in part.items()}
    return [composed[number] for number in numbers]


def main(
    *,
    checkpoint: str = "celtic",
    calls: Annotated[int, "tunes that threads compose, in all"] = 2000,
    threads: int = 8,
    tunes: Annotated[int, "different tunes in a round; each is composed twice"] = 32,
) -> bool:
    """Print how many tunes differ, and the time of one thread and of all."""
    model = checkpoints.load(checkpoints.locate(checkpoint))
    alone = Composer(model)
    expected = [compose(alone, number) for number in range(tunes)]
    assert all(isinstance(tune, Tune) for tune in expected), expected
    begin = time.process_time()
    for number in range(tunes):
        compose(alone, number)
    one = time.process_time() - begin
    interval = sys.getswitchinterval()
    different = done = 0
    while done < calls:
        composer = Composer(model)
        sys.setswitchinterval(1e-5)
        cold = in_threads(composer, range(tunes), threads)
        sys.setswitchinterval(interval)
        begin = time.process_time()
        warm = in_threads(composer, range(tunes), threads)
        many = time.process_time() - begin
        for got, right in zip((*cold, *warm), (*expected, *expected), strict=True):
            done += 1
            if got != right:
                different += 1
                print(f"different: {got if isinstance(got, str) else got.title}", flush=True)
    print(f"{different} of {done} tunes of {threads} threads differ")
    print(f"{tunes} tunes: {one:.2f} CPU-seconds in one thread, {many:.2f} in {threads}")
    return bool(different)


if __name__ == "__main__":
    command_line.run(main)
