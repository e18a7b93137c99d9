"""What a run leaves behind for people: settings, versions, a JSON-lines log and a plot of the loss."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .config import RunSettings

LOG_FILE = "log.jsonl"


def write_settings(run_dir: Path, settings: RunSettings) -> None:
    """Writes the resolved settings and the versions of what computes."""
    versions = {name: version(name) for name in ("torch", "transformers", "accelerate", "peft")}
    record = {
        "settings": settings.model_dump(mode="json"),
        "python": platform.python_version(),
        "versions": versions,
    }
    (run_dir / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


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
        kept = [
            line for line in self._path.read_text("utf-8").splitlines() if json.loads(line)["step"] <= step
        ]
        self._path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def events(self) -> list[dict[str, Any]]:
        """Returns all events so far."""
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text("utf-8").splitlines()]


def plot_loss(run_dir: Path) -> None:
    """Draws the loss and every evaluated figure over the steps into ``loss.png``."""
    from matplotlib.figure import Figure

    events = RunLog(run_dir).events()
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    losses = [(event["step"], event["loss"]) for event in events if "loss" in event]
    axes.plot(*zip(*losses, strict=True), label="training loss", color="tab:blue") if losses else None
    axes.set_xlabel("step")
    axes.set_ylabel("loss per supervised token")
    measured = [event for event in events if "evaluation" in event]
    if measured:
        twin = axes.twinx()
        for name in measured[-1]["evaluation"]:
            points = [(event["step"], event["evaluation"].get(name)) for event in measured]
            twin.plot(*zip(*points, strict=True), marker="o", label=name, alpha=0.7)
        twin.set_ylim(bottom=0)
        twin.legend(loc="center right", fontsize="small")
    axes.legend(loc="upper right", fontsize="small")
    figure.savefig(run_dir / "loss.png", dpi=120)
