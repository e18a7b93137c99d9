"""The program ``videollm`` run in this process (quick) or as a process of its own (signals, pipes, imports)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from videollm.cli import app

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tiny_checkpoint: Path) -> Run:
    """Runs a verb in this process; ``{model}`` in an argument is the tiny checkpoint."""

    def run(*arguments: str | Path, stdin: str | None = None) -> Result:
        filled = [str(argument).replace("{model}", str(tiny_checkpoint)) for argument in arguments]
        return CliRunner().invoke(app, filled, input=stdin)

    return run


def _hear_interrupts() -> None:
    """Shells start what runs in the background deaf to interrupts, and that is inherited."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def start(repository: Path) -> Start:
    """Starts the program as a process with pipes; ``path`` is where Python looks for modules first."""

    def start(*arguments: str | Path, path: Path | None = None, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "videollm", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=repository,
            env={**os.environ, "OMP_NUM_THREADS": "1", **({"PYTHONPATH": str(path)} if path else {})},
            preexec_fn=_hear_interrupts,
            **options,  # type: ignore[call-overload]
        )

    return start
