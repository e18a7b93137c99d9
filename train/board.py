"""Losses and figures of a run as TensorBoard events, for ``tensorboard --logdir RUN``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

_DIRECTORY = "tensorboard"
_NOT_DRAWN = ("step", "evaluation")


class Board:
    """Writes a run's events.

    Args:
        run_dir: Directory of the run.
        step: Step that the run goes on from; what an earlier attempt drew of later ones is withdrawn.
    """

    def __init__(self, run_dir: Path, step: int) -> None:
        # Files are named by the second: an attempt that goes on at once must not overwrite the one before.
        self._writer = SummaryWriter(
            str(run_dir / _DIRECTORY), purge_step=step + 1 if step else 0, filename_suffix=f".step-{step:07}"
        )

    def draw(self, event: dict[str, Any]) -> None:
        """Draws an event of the run's log: ``training/...`` for what was logged, ``evaluation/...`` for figures."""
        figures = {f"training/{name}": value for name, value in event.items() if name not in _NOT_DRAWN} | {
            f"evaluation/{name}": value for name, value in event.get("evaluation", {}).items()
        }
        for name, value in figures.items():
            self._writer.add_scalar(name, value, event["step"])
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
