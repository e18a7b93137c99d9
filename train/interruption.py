"""Ctrl-C and a scheduler's ``SIGTERM`` end a run after the step it is at, with a checkpoint of that step."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

_LINE = "ending after this step, with a checkpoint; once more ends at once\n"


class Interruption:
    """Notes the first request to end, for the loop to see between two steps; a second one ends the process at once.

    Within a ``with`` block, in the main thread, and only of signals that nobody else takes care of.

    Args:
        wanted: Whether it does anything: of several processes each would end after another step.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        self._wanted = wanted
        self._before: dict[int, Any] = {}
        self.asked: int | None = None
        """The signal that asked for an end, if one did."""

    def __enter__(self) -> Interruption:
        if self._wanted and threading.current_thread() is threading.main_thread():
            for number, usual in (
                (signal.SIGINT, signal.default_int_handler),
                (signal.SIGTERM, signal.SIG_DFL),
            ):
                if signal.getsignal(number) is usual:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = number
        signal.signal(number, self._before[number])
        # Not printed: what is interrupted may be a print.
        os.write(2, _LINE.encode())


def be_a_helper() -> None:
    """Has a process that works for another one leave Ctrl-C, which reaches both, to that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
