"""The model card of a run's result, for people and for the hub: what it comes from, learnt from, and says now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from videollm.checkpoints.card import read_card
from videollm.checkpoints.directories import find_model

from .record import RECORD_FILE, RunLog
from .samples import read_samples

_USE = """```sh
videollm ask clip.mp4 "What happens?" --model {directory}
```
"""


def write_card(run_dir: Path) -> None:
    """Writes ``final/README.md`` of a finished run from what the run has left."""
    record = json.loads((run_dir / RECORD_FILE).read_text("utf-8"))
    settings = record["settings"]
    base = settings["model"]
    front = {
        "library_name": "videollm",
        "pipeline_tag": "video-text-to-text",
        "base_model": base,
        **({"license": licence} if (licence := read_card(find_model(base).base).licence) else {}),
        "tags": ["videollm", "video", settings["stage"], *(["lora"] if settings.get("lora") else [])],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n",
        f"# {run_dir.resolve().name}\n",
        f"{base} after {settings['steps']} steps of {_stage(settings)}.\n",
        _USE.format(directory=run_dir / "final"),
        "## Measured\n",
        _figures(RunLog(run_dir).events(), (settings.get("held_out") or {}).get("path")),
        "## Learnt from\n",
        _data(record["data"]),
        *_samples(read_samples(run_dir)),
        "## How\n",
        _how(record),
    ]
    (run_dir / "final" / "README.md").write_text("\n".join(parts), encoding="utf-8")


def _stage(settings: Mapping[str, Any]) -> str:
    if settings["stage"] == "align":
        return "stage 1 (captions)"
    lora = settings.get("lora")
    adapter = f"{lora['variant']} of rank {lora['rank']}" if lora else "no adapter"
    over = f" over {settings['quantize']} weights" if settings.get("quantize") else ""
    return f"stage 2 (questions and answers), {adapter}{over}"


def _figures(events: Sequence[Mapping[str, Any]], held_out: str | None) -> str:
    measured = [event["evaluation"] for event in events if "evaluation" in event]
    losses = [event["loss"] for event in events if "loss" in event]
    figures = [("training loss", losses[0], losses[-1])] if losses else []
    if measured:
        first, last = measured[0], measured[-1]
        test = held_out or "the pocket world's test"
        figures += [(f"{test}: {name}", first[name], last[name]) for name in last if name in first]
    rows = [(name, f"{before:.3f}", f"{after:.3f}") for name, before, after in figures]
    return _table(("", "before", "after"), rows)


def _data(facts: Sequence[Mapping[str, Any]]) -> str:
    files = [fact for fact in facts if "file" in fact]
    if not files:
        return f"```json\n{json.dumps(facts, indent=2)}\n```\n"
    rows = [
        (fact["file"], fact["records"], fact["bad_rows"], f"{fact['weight']:g}", f"`{fact['sha256'][:16]}`")
        for fact in files
    ]
    return _table(("file", "records", "bad rows left out", "weight", "SHA-256"), rows)


def _samples(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    if not samples:
        return []
    names = ("question", "expected", "before", "after")
    rows = [(", ".join(sample["media"]), *(sample.get(name) for name in names)) for sample in samples]
    return ["## Samples\n", _table(("media", *names), rows)]


def _how(record: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return (
        f"```sh\n{record['command']}\n```\n\n"
        f"{record['processes']} process(es) on {record['device']}; {record['machine']}; "
        f"Python {record['python']}, {versions}. "
        f"All settings stand in the run's `{RECORD_FILE}`.\n"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return " ".join(text.replace("|", "\\|").split())
