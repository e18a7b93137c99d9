"""What a run leaves behind for people: settings, data, versions, a JSON-lines log, TensorBoard events and a plot."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Any

from .settings import RunSettings

LOG_FILE = "log.jsonl"
RECORD_FILE = "training.json"
_COMPUTING = ("videollm", "torch", "transformers", "accelerate", "peft", "bitsandbytes")


def write_record(
    run_dir: Path, settings: RunSettings, facts: Sequence[Mapping[str, Any]], *, processes: int, device: str
) -> None:
    """Writes what the run is: resolved settings, data, command, machine, and the versions of what computes.

    Args:
        run_dir: Directory of the run.
        settings: Its settings.
        facts: What identifies the data.
        processes: How many train together.
        device: What each computes on.
    """
    record = {
        "settings": settings.model_dump(mode="json"),
        "data": list(facts),
        "command": shlex.join(("videollm", *sys.argv[1:])),
        "processes": processes,
        "device": device,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _COMPUTING},
    }
    (run_dir / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


class RunLog:
    """Appends events to a run's log, one JSON object a line."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / LOG_FILE

    def append(self, **event: Any) -> None:
        """Writes one event."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def drop_after(self, step: int) -> None:
        """Removes the events of steps after ``step``: a resumed run writes them again."""
        if not self._path.exists():
            return
        kept = [json.dumps(event) + "\n" for event in self.events() if event["step"] <= step]
        # In one move: who is killed in between has the old log or the new one.
        partial = self._path.with_suffix(".partial")
        partial.write_text("".join(kept), encoding="utf-8")
        partial.replace(self._path)

    def events(self) -> list[dict[str, Any]]:
        """Returns all events so far, without the half line that a crash may have left as the last."""
        if not self._path.exists():
            return []
        lines = self._path.read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


def plot_loss(run_dir: Path) -> None:
    """Draws the loss and every evaluated figure over the steps into ``loss.png``."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    events = RunLog(run_dir).events()
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    losses = [(event["step"], event["loss"]) for event in events if "loss" in event]
    lines: list[Any] = []
    if losses:
        lines += axes.plot(*zip(*losses, strict=True), label="training loss", color="black", linewidth=1)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("loss per supervised token")
    measured = [event for event in events if "evaluation" in event]
    if measured:
        twin = axes.twinx()
        for name, mark in zip(measured[-1]["evaluation"], cycle("osD^v"), strict=False):
            points = [(event["step"], event["evaluation"].get(name)) for event in measured]
            lines += twin.plot(
                *zip(*points, strict=True), marker=mark, label=f"{name} (right axis)", alpha=0.7
            )
        twin.set_ylim(bottom=0)
        twin.set_ylabel("held out")
    if lines:
        figure.legend(handles=lines, loc="outside upper center", ncols=len(lines), fontsize="small")
    figure.savefig(run_dir / "loss.png", dpi=120)
