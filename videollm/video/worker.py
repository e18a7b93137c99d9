"""Processes that read files for us, because decoders hang and crash on broken ones.

A worker is a separate Python process that imports numpy and the decoders, never torch. It serves one call at a time
and is kept for the next. A call that takes too long gets its worker killed; a worker that dies, or asks for more memory
than it may have, costs the caller an :class:`~videollm.errors.UnreadableVideoError` and nothing else.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing import Pipe
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..errors import CancelledError, UnreadableVideoError, VideoLLMError
from .limits import DecodeLimits
from .shared import map_array

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]
_GOODBYE_SECONDS = 2.0
_LAST_WORDS = 4096  # bytes of the log
_LOOK_SECONDS = 0.1
# Asked while a worker reads: whether nobody waits for it any more.
_given_up: ContextVar[Callable[[], bool]] = ContextVar("given_up", default=lambda: False)


class Worker:
    """One process and the pipe to it."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        # Decoders print to stderr; the worker also reads its own back to learn of errors that they only print.
        self._log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.worker_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                env=_environment(),
                start_new_session=True,  # a Ctrl-C in the terminal is for the program, which then ends its workers
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def call(
        self, task: Callable[..., Any], arguments: tuple[Any, ...], limits: DecodeLimits, subject: str
    ) -> tuple[Any, npt.NDArray[np.uint8] | None]:
        """Runs ``task(*arguments)`` in the process; see :func:`run_in_worker`."""
        try:
            self._connection.send_bytes(pickle.dumps((task, arguments, limits, subject)))
            self._wait_for_answer(limits, subject)
            return self._receive()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise UnreadableVideoError(f"{subject}: {self._post_mortem()}") from None
        except VideoLLMError:
            raise
        except BaseException:  # an interrupt leaves an answer in the pipe that nobody will fetch
            self.kill()
            raise

    def _wait_for_answer(self, limits: DecodeLimits, subject: str) -> None:
        until_s = time.monotonic() + limits.seconds
        while not self._connection.poll(max(0.0, min(_LOOK_SECONDS, until_s - time.monotonic()))):
            if _given_up.get()():
                self.kill()
                raise CancelledError(f"{subject}: nobody waits for it any more")
            if time.monotonic() >= until_s:
                self.kill()
                raise UnreadableVideoError(
                    f"{subject}: reading it took longer than {limits.seconds:g} s and was stopped; "
                    "the file may be broken, or allow more seconds"
                )

    def _receive(self) -> tuple[Any, npt.NDArray[np.uint8] | None]:
        outcome, value, shape = pickle.loads(self._connection.recv_bytes())
        if outcome == "raised":
            raise value
        if shape is None:
            return value, None
        descriptor = recv_handle(self._connection)
        try:
            return value, map_array(descriptor, shape)
        finally:
            os.close(descriptor)

    def _post_mortem(self) -> str:
        self._connection.close()
        code = self._wait()
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"the decoder crashed on it ({name}); the file is broken, try to re-encode it"
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LAST_WORDS))
        last_line = self._log.read().decode(errors="replace").strip().rpartition("\n")[2]
        return f"the reading process ended without an answer (exit {code}): {last_line[-200:]}"

    def _wait(self) -> int | None:
        try:
            return self._process.wait(_GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.wait()
        self.close()

    def close(self) -> None:
        """Lets the process end: it leaves when the pipe closes."""
        self._connection.close()
        self._wait()
        self._log.close()


class WorkerPool:
    """Up to ``size`` workers, started when needed and lent to one thread at a time, the last used first."""

    def __init__(self, size: int) -> None:
        self._idle: list[Worker] = []
        self._free_places = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()

    def call(
        self, task: Callable[..., Any], arguments: tuple[Any, ...], limits: DecodeLimits, subject: str
    ) -> tuple[Any, npt.NDArray[np.uint8] | None]:
        """Runs a task in a worker of its own; see :func:`run_in_worker`."""
        with self._free_places:
            worker = self._take()
            try:
                return worker.call(task, arguments, limits, subject)
            finally:
                self._give_back(worker)

    def _take(self) -> Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive:
                    return worker
                worker.close()
        return Worker()

    def _give_back(self, worker: Worker) -> None:
        if not worker.is_alive:
            worker.close()
            return
        with self._lock:
            self._idle.append(worker)

    def warm_up(self) -> None:
        """Starts a worker ahead of the first call."""
        with self._free_places:
            self._give_back(self._take())

    def close(self) -> None:
        """Ends the idle workers."""
        with self._lock:
            workers, self._idle = self._idle, []
        for worker in workers:
            worker.close()


def run_in_worker(
    task: Callable[..., Any], *arguments: Any, limits: DecodeLimits, subject: str
) -> tuple[Any, npt.NDArray[np.uint8] | None]:
    """Runs a module-level function in a worker process.

    Args:
        task: Returns a picklable value, or a :class:`~videollm.video.shared.Reply` to hand over an array too.
        arguments: Its arguments, picklable.
        limits: Time and memory it may use.
        subject: What is being read; messages begin with it.

    Returns:
        The value, and the array if the task handed one over.

    Raises:
        UnreadableVideoError: The task raised it, took too long, ran out of memory or crashed its process.
        CancelledError: Nobody waits for it any more; see :func:`given_up_when`.
    """
    return _pool.call(task, arguments, limits, subject)


@contextmanager
def given_up_when(should_stop: Callable[[], bool]) -> Iterator[None]:
    """What this thread has read in the block is given up, by a ``CancelledError``, soon after nobody waits for it.

    Args:
        should_stop: Whether nobody does any more; asked several times a second while a file is read.
    """
    token = _given_up.set(should_stop)
    try:
        yield
    finally:
        _given_up.reset(token)


def warm_up() -> None:
    """Starts a worker process ahead of the first file, so that its start-up overlaps with other work."""
    _pool.warm_up()


def _environment() -> dict[str, str]:
    paths = [str(_PACKAGE_PARENT), *(path or os.getcwd() for path in sys.path)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONSAFEPATH": "1",  # a numpy.py in the current directory must not be imported
        "OPENBLAS_NUM_THREADS": "1",  # numpy only moves bytes there; its thread pool would cost start-up and memory
    }


def _new_pool() -> None:
    global _pool
    _pool = WorkerPool(os.cpu_count() or 1)


_pool: WorkerPool
_new_pool()
if hasattr(os, "register_at_fork"):
    # A forked child (a data loader, say) shares our pipes: it must start workers of its own.
    os.register_at_fork(after_in_child=_new_pool)
atexit.register(lambda: _pool.close())
