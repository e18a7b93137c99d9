"""The program that a worker process runs: receive a call, run it within its limits, send back what it gave."""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from typing import Any

from ..errors import UnreadableVideoError, VideoLLMError
from .confinement import confine
from .limits import DecodeLimits
from .shared import Reply

_ALARM_MARGIN_SECONDS = 5


def main(descriptor: int) -> None:
    """Serves calls from the pipe until its other end closes."""
    with Connection(descriptor) as connection:
        while True:
            try:
                task, arguments, limits, subject = pickle.loads(connection.recv_bytes())
            except EOFError:
                return
            _set_limits(limits)
            _answer(connection, task, arguments, subject)
            signal.alarm(0)


def _answer(
    connection: Connection, task: Callable[..., Any], arguments: tuple[Any, ...], subject: str
) -> None:
    try:
        value = task(*arguments)
    except MemoryError:
        _send_error(
            connection,
            UnreadableVideoError(
                f"{subject}: reading it needs more memory than allowed; allow more, or ask for fewer or smaller frames"
            ),
        )
    except VideoLLMError as error:
        _send_error(connection, error)
    except Exception:  # noqa: BLE001 - a mistake of ours: goes where it can be seen, as text, for not all errors pickle
        _send_error(connection, RuntimeError(f"reading {subject} failed:\n{traceback.format_exc()}"))
    else:
        _send(connection, value)


def _send_error(connection: Connection, error: Exception) -> None:
    connection.send_bytes(pickle.dumps(("raised", error, None)))


def _send(connection: Connection, value: Any) -> None:
    if not isinstance(value, Reply):
        connection.send_bytes(pickle.dumps(("returned", value, None)))
        return
    connection.send_bytes(pickle.dumps(("returned", value.value, value.shape)))
    send_handle(connection, value.rows.descriptor, os.getppid())
    os.close(value.rows.descriptor)


def _set_limits(limits: DecodeLimits) -> None:
    # Private memory rather than address space: threads and allocators reserve far more addresses than they use.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = limits.memory_bytes if hard == resource.RLIM_INFINITY else min(limits.memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    # The caller kills us in time. Should the caller be dead and our decoder hang, the system's alarm ends us instead.
    signal.alarm(int(limits.seconds) + _ALARM_MARGIN_SECONDS)


def _leave_with_parent(descriptor: int) -> None:
    """Ends this process when the other end of the pipe closes, even in the middle of a call."""
    poller = select.poll()
    poller.register(descriptor, select.POLLHUP)
    poller.poll()
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    confine()
    threading.Thread(target=_leave_with_parent, args=(int(sys.argv[1]),), daemon=True).start()
    main(int(sys.argv[1]))
