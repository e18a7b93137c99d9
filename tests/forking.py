"""``videollm`` in processes of its own that need not import torch first: each is forked from one that has.

Starting Python anew for it takes five processor seconds, and a program that is killed again and again starts as often.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import TextIO

# What `python -m videollm` does, with pipes and an environment of its own.
_PROGRAM = """
import atexit, multiprocessing, os, runpy, signal, sys
multiprocessing.set_start_method("fork", force=True)  # as in any program on Linux
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.clear()
os.environ.update(environment)
for number, pipe in enumerate(pipes, 1):
    os.dup2(pipe.fileno(), number)
    pipe.close()
sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))
sys.argv = ["videollm", *arguments]
try:
    runpy.run_module("videollm", run_name="__main__", alter_sys=True)
finally:
    atexit._run_exitfuncs()
"""
_IMPORTED = ["videollm.cli", "videollm.chat", "videollm.describe.job", "videollm_train.programs"]


class ForkedProgram:
    """A run of ``videollm``, to be watched and ended like one of ``subprocess.Popen``.

    Args:
        arguments: Those of the program.
        pipes: Whether what it prints can be read from ``stdout`` and ``stderr``; else it goes where ours does.
        environment: What its environment has besides ours.
    """

    stdout: TextIO
    stderr: TextIO

    def __init__(
        self, *arguments: object, pipes: bool = False, environment: Mapping[str, str] | None = None
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_IMPORTED)
        ends = [context.Pipe(duplex=False) for _ in range(2 * pipes)]
        names = {
            "arguments": [str(argument) for argument in arguments],
            "environment": {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            "pipes": [theirs for _, theirs in ends],
        }
        # A function of ours could not be imported there.
        self._process = context.Process(target=exec, args=(_PROGRAM, names))
        self._process.start()
        if pipes:
            self.stdout, self.stderr = (_opened(ours) for ours, _ in ends)
            for _, theirs in ends:
                theirs.close()

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended: minus the signal that ended it, or what it exited with."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Whether it has ended, and how."""
        return self._process.exitcode

    def wait(self) -> int:
        """Waits for its end."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """Returns all that it still prints, short as that must be, once it has ended."""
        with self.stdout, self.stderr:
            printed = self.stdout.read(), self.stderr.read()
        self.wait()
        return printed


def _opened(pipe: Connection) -> TextIO:
    number = os.dup(pipe.fileno())
    pipe.close()
    return open(number, encoding="utf-8")
