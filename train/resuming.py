"""What a run may go on with: the settings and the data that it was begun with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from videollm.errors import ConfigError

from .record import RECORD_FILE
from .settings import RunSettings, Settings

# These change neither what is learnt nor what is told of it in the end.
_FREE = {
    "log_every",
    "evaluate_every",
    "save_every",
    "keep_checkpoints",
    "workers",
    "sharded",
    "accumulation",  # goes with the number of processes, see below
    "gradient_checkpointing",
}


def check_settings(run_dir: Path, settings: RunSettings, *, processes: int = 1) -> None:
    """Refuses to go on with a run under other settings: what came out would be neither run's.

    Args:
        run_dir: Directory of the run; nothing is refused where none was begun.
        settings: What it is to go on with.
        processes: How many are to train together.

    Raises:
        ConfigError: Names the first setting that differs.
    """
    record = _record(run_dir)
    begun = record.get("settings")
    if begun is None:
        return
    for name, before, now in _differences(begun, settings):
        if name not in _FREE:
            raise ConfigError(
                f"{run_dir} was begun with {name}={json.dumps(before)}, not {json.dumps(now)}; "
                "go on with what it was begun with, or begin another run in a directory of its own"
            )
    before, together = begun["accumulation"] * record["processes"], settings.accumulation * processes
    if together != before:
        raise ConfigError(
            f"{run_dir} was begun with {before} micro batches in a step over all processes, not {together}; "
            "accumulation times processes must stay the same"
        )


def check_data(run_dir: Path, facts: Sequence[Mapping[str, Any]]) -> None:
    """Refuses to go on with a run on data that have changed meanwhile.

    Args:
        run_dir: Directory of the run.
        facts: What identifies the data now.

    Raises:
        ConfigError: The data are others than those the run was begun with.
    """
    begun = _record(run_dir).get("data")
    if begun is None or begun == json.loads(json.dumps(facts)):
        return
    changed = [
        fact.get("file", "its clips") for fact, before in zip(facts, begun, strict=False) if fact != before
    ]
    raise ConfigError(
        f"{run_dir} was begun with other data: {', '.join(changed) or 'another number of sources'} has changed "
        "since; begin another run in a directory of its own"
    )


def _record(run_dir: Path) -> dict[str, Any]:
    path = run_dir / RECORD_FILE
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:  # killed while it was written, before the first step
        return {}
    return record


def _differences(before: Mapping[str, Any], settings: Settings) -> Iterator[tuple[str, Any, Any]]:
    """Dotted names of settings that differ, with both values; those that one side lacks are of another version."""
    for name, now in settings.model_dump(mode="json").items():
        if name not in before:
            continue
        below = getattr(settings, name)
        if isinstance(below, Settings) and isinstance(before[name], dict):
            for inner, *values in _differences(before[name], below):
                yield f"{name}.{inner}", *values
        elif before[name] != now:
            yield name, before[name], now
