"""Work on any `concurrent.futures.Executor`: in order, bounded, and again where a worker died.

    with open_executor("dask://host:8786") as executor:
        for result in run_in_order(executor, work, items): ...

`EXECUTORS` is the table of engines that a text can name; any other is a function in a module of the
user's, "package.module:function", that returns an executor.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from itertools import islice
from typing import Any, TypeVar

from musicgen.errors import ConfigError, MusicgenError, printable
from musicgen.system.workers import start_pool, without_interrupts

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 256  # items that wait in an engine at once, for as many workers
ATTEMPTS = 3  # at an item whose worker dies
_CONNECT_S = 20


def run_in_order(
    executor: Executor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    ahead: int = AHEAD,
    failed: Callable[[Item, str], None] = lambda item, reason: None,
) -> Iterator[Result]:
    """The results of `work` for each item, in order; at most `ahead` items are with the engine.

    An item whose worker died is given out again, and `failed` is told; `work` is a function of a
    module, or a `partial` of one. An engine that takes nothing more is replaced by processes here.

    Raises:
        MusicgenError: of `work`; or an item failed `ATTEMPTS` times in another way.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    coming = iter(items)
    with ExitStack() as stack:

        def submit(item: Item) -> Future[Result]:
            nonlocal executor
            try:
                return executor.submit(work, item)
            except (BrokenExecutor, RuntimeError):  # the latter: it was shut down
                n_workers = getattr(executor, "_max_workers", 1)
                executor = stack.enter_context(WorkerProcesses(n_workers))
                return executor.submit(work, item)

        try:
            while True:
                for item in islice(coming, ahead - len(waiting)):
                    waiting.append((item, submit(item)))
                if not waiting:
                    return
                item, future = waiting.popleft()
                yield _result_of(item, future, submit, failed)
        finally:
            for _, future in waiting:
                future.cancel()


def _result_of(
    item: Item,
    future: Future[Result],
    submit: Callable[[Item], Future[Result]],
    failed: Callable[[Item, str], None],
) -> Result:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return future.result()
        except MusicgenError:
            raise
        except Exception as error:  # each engine has its own errors of dead workers
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            if attempt == ATTEMPTS:
                raise MusicgenError(
                    f"a part of the work failed {ATTEMPTS} times ({printable(reason)}); look at "
                    "the logs of the workers, perhaps for want of memory"
                ) from error
            failed(item, printable(reason))
            future = submit(item)
    raise AssertionError("unreachable")


class WorkerProcesses(Executor):
    """Processes on this machine. Unlike in a ProcessPoolExecutor one that dies takes no other with
    it: its task fails, and a new process takes its place."""

    def __init__(self, n: int) -> None:
        self._threads = ThreadPoolExecutor(n)
        self._of_thread = threading.local()
        self._pools = ExitStack()
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function of a module in a process."""
        return self._threads.submit(self._run, fn, args, kwargs)

    def _run(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pool = getattr(self._of_thread, "pool", None)
        if pool is None:
            with self._lock:
                pool = self._of_thread.pool = self._pools.enter_context(start_pool(1))
        try:
            with without_interrupts():  # a process may be started here
                future = pool.submit(fn, *args, **kwargs)
            return future.result()
        except BrokenExecutor:
            self._of_thread.pool = None
            raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes: after their work, or without `wait` at once."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        self._pools.close()

    def __exit__(self, kind: object, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pools.close()
        self._threads.shutdown()


@contextmanager
def _processes(text: str) -> Iterator[Executor]:
    n = int(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0
    if not n:
        raise ConfigError(f"--executor processes:{printable(text)}: give a number, processes:8")
    with WorkerProcesses(n) as executor:
        yield executor


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    with _needing("distributed", "dask"):
        from distributed import Client
    connect: Any = Client
    where = f"--executor dask:{printable(address)}"
    try:
        client = connect(f"tcp:{address}", timeout=_CONNECT_S)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{where}: no Dask scheduler answers there ({printable(str(error))}); start one with "
            "`dask scheduler`, and name it as dask://host:8786"
        ) from None
    with client:
        yield client.get_executor()


@contextmanager
def _mpi(_: str) -> Iterator[Executor]:
    with _needing("mpi4py", "mpi"):
        from mpi4py.futures import MPIPoolExecutor
    with MPIPoolExecutor() as executor:
        yield executor


EXECUTORS = {"processes": _processes, "dask": _dask, "mpi": _mpi}


@contextmanager
def _needing(package: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"--executor {extra}: needs {package} ({error}); pip install 'musicgen[{extra}]'"
        ) from None


@contextmanager
def open_executor(text: str) -> Iterator[Executor]:
    """The executor that a text names: "processes:8", "dask://host:8786", "mpi", or a function
    "package.module:function" that returns one.

    Raises:
        ConfigError: there is no such executor, or it cannot be reached.
    """
    name, _, rest = text.partition(":")
    if name in EXECUTORS:
        with EXECUTORS[name](rest) as executor:
            yield executor
        return
    try:
        made = getattr(import_module(name), rest)()
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"--executor {printable(text)}: is none of {', '.join(EXECUTORS)}, and no function "
            f"package.module:function ({printable(str(error))})"
        ) from None
    if not hasattr(made, "submit"):
        raise ConfigError(f"--executor {printable(text)}: gave no executor, but {type(made)}")
    with made:
        yield made
