"""Several processes of this machine that describe, each with the model: on a CPU one process leaves cores idle."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Any, TypeAlias

import torch

from ..errors import VideoLLMError
from ..model.modeling import VideoLLM
from .batch import Outcome
from .engines import LocalEngine
from .rows import Source
from .settings import DescribeOptions

#: Gives the model, in a process that was just started; picklable.
Load: TypeAlias = Callable[[], VideoLLM]

# Seconds between two looks at whether the job shall stop, while nothing comes.
_PATIENCE_S = 0.2


@dataclass(frozen=True, slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection


class ProcessEngine:
    """An engine of several processes, which take files from one queue; to be used in a ``with`` statement.

    The processes are started anew (spawn), so a script that uses this needs the usual ``if __name__ == "__main__"``.
    """

    def __init__(self, load: Load, workers: int) -> None:
        """Names the model and the number of processes.

        Args:
            load: Gives the model, such as ``functools.partial(load_model, "pocket")``.
            workers: Number of processes; the cores are shared out among them.
        """
        self._load, self._count = load, workers
        self._workers: list[_Worker] = []

    def __enter__(self) -> ProcessEngine:
        """Starts the processes, which load the model."""
        context = multiprocessing.get_context("spawn")
        threads = max(1, (os.cpu_count() or 1) // self._count)
        self._stopping = context.Event()
        for _ in range(self._count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(theirs, self._load, threads, self._stopping), daemon=True
            )
            process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the processes: at once if something went wrong."""
        for worker in self._workers:
            if kind is not None:
                worker.process.kill()
            worker.connection.close()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()

    def check(self, options: DescribeOptions) -> None:
        """See :class:`~videollm.describe.engines.Engine`."""
        self._ask(self._workers[0], "check", options)

    def fingerprint(self, options: DescribeOptions) -> str:
        """See :class:`~videollm.describe.engines.Engine`."""
        return str(self._ask(self._workers[0], "fingerprint", options))

    def describe(
        self,
        sources: Iterable[Source],
        options: DescribeOptions,
        *,
        batch_size: int,
        should_stop: Callable[[], bool],
        at_work: Callable[[Sequence[Source]], None],
    ) -> Iterator[Outcome]:
        """See :class:`~videollm.describe.engines.Engine`."""
        shares = _Shares(sources, self._count, ahead=2 * self._count * batch_size)
        self._stopping.clear()
        busy = {worker.connection: worker for worker in self._workers}
        for worker in self._workers:
            worker.connection.send(("describe", options, batch_size))
        while busy:
            if should_stop():
                self._stopping.set()
            for connection in wait(list(busy), _PATIENCE_S):
                assert isinstance(connection, Connection)
                kind, value = self._receive(busy[connection])
                if kind == "more":
                    connection.send(None if should_stop() else shares.take(connection))
                elif kind == "at work":
                    at_work(value)
                elif kind == "outcome":
                    shares.done(connection)
                    yield value
                else:
                    del busy[connection]

    def _ask(self, worker: _Worker, name: str, options: DescribeOptions) -> Any:
        worker.connection.send((name, options))
        return self._receive(worker)[1]

    def _receive(self, worker: _Worker) -> tuple[str, Any]:
        try:
            kind, value = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            code = worker.process.exitcode
            raise VideoLLMError(
                f"a process that describes has ended (exit {code}); what was done is kept: go on with --resume"
            ) from None
        if kind == "raised":
            raise value
        return kind, value


class _Shares:
    """Hands files out so that towards the end no process keeps any that another would have time for.

    Args:
        sources: The files.
        count: Number of processes.
        ahead: How many files are looked ahead, to see the end coming.
    """

    def __init__(self, sources: Iterable[Source], count: int, ahead: int) -> None:
        self._sources, self._count, self._ahead = iter(sources), count, ahead
        self._next: deque[Source] = deque()
        self._held: Counter[Hashable] = Counter()

    def take(self, process: Hashable) -> Source | None:
        """Returns a file, or ``None`` if there is none or if others should have the rest; ask again later."""
        self._next.extend(islice(self._sources, self._ahead - len(self._next)))
        if not self._next or (len(self._next) < self._ahead and self._has_enough(process)):
            return None
        self._held[process] += 1
        return self._next.popleft()

    def done(self, process: Hashable) -> None:
        """Notes that a process has one file less to do."""
        self._held[process] -= 1

    def _has_enough(self, process: Hashable) -> bool:
        left = self._held.total() + len(self._next)
        return self._held[process] * self._count >= left


class _Asking(Iterator[Source]):
    """Files that a process asks for one by one; after it was told that there are none for now it may ask again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __next__(self) -> Source:
        self._connection.send(("more", None))
        source: Source | None = self._connection.recv()
        if source is None:
            raise StopIteration
        return source


def _work(connection: Connection, load: Load, threads: int, stopping: Event) -> None:
    """The life of a process: it does what it is told until nobody tells it anything any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which then ends its processes
    torch.set_num_threads(threads)
    try:
        try:
            engine = LocalEngine(load())
            while True:
                name, options, *rest = connection.recv()
                if name == "describe":
                    _describe(connection, engine, options, rest[0], stopping)
                else:
                    connection.send(("answer", getattr(engine, name)(options)))
        except VideoLLMError as error:
            connection.send(("raised", error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the program has ended


def _describe(
    connection: Connection, engine: LocalEngine, options: DescribeOptions, batch_size: int, stopping: Event
) -> None:
    outcomes = engine.describe(
        _Asking(connection),
        options,
        batch_size=batch_size,
        should_stop=stopping.is_set,
        at_work=lambda begun: connection.send(("at work", begun)),
    )
    for outcome in outcomes:
        connection.send(("outcome", outcome))
    connection.send(("end", None))
