"""The same few questions before and after training: what a run has changed, to be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .task import Sample

_FILE = "samples.json"


def keep_samples(run_dir: Path, moment: str, samples: Sequence[Sample]) -> None:
    """Writes answers into the run's ``samples.json``, beside those of the other moment.

    Args:
        run_dir: Directory of the run.
        moment: ``before`` or ``after``.
        samples: Questions and answers; none leave no file.
    """
    if not samples:
        return
    kept = read_samples(run_dir)
    before = [row.get("before") for row in kept] if moment == "after" else [None] * len(samples)
    rows = [
        {
            "media": list(sample.media),
            "question": sample.question,
            "expected": sample.expected,
            "before": before[number],
            moment: sample.answer,
        }
        for number, sample in enumerate(samples)
    ]
    partial = run_dir / f"{_FILE}.partial"
    partial.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(run_dir / _FILE)


def read_samples(run_dir: Path) -> list[dict[str, Any]]:
    """Returns the rows of a run's ``samples.json``: ``media``, ``question``, ``expected``, ``before`` and ``after``."""
    path = run_dir / _FILE
    rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
    return rows
