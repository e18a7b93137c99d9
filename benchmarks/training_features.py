"""Stage 2 on clips with the frozen eyes' features from disk, and computed anew in every step."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from videollm.checkpoints.directories import POCKET
from videollm.data.records import MediaFile, Record, Turn
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip
from videollm_train.media_features import MediaFeatures
from videollm_train.tuning import TuningTask
from videollm_train.tuning_settings import Instruction

_BATCH = 8


def measure_features(clips: int) -> dict[str, Any]:
    """Returns seconds of a step over ``_BATCH`` clips in both ways, medians, and their ratio."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        task = _task(folder, clips)
        steps = clips // _BATCH
        cached = [_seconds(task, index) for index in range(steps)]
        anew = []
        media = [MediaFile(path=str(folder / f"{number}.mp4")) for number in range(clips)]
        for index in range(steps):
            started = time.perf_counter()
            fresh = MediaFeatures(folder / f"anew-{index}", task.model)
            fresh.make(media[index * _BATCH : (index + 1) * _BATCH])
            anew.append(time.perf_counter() - started + _seconds(task, index))
    cached_s, anew_s = statistics.median(cached[1:]), statistics.median(anew[1:])
    return {"clips": clips, "cached_s": cached_s, "anew_s": anew_s, "ratio": anew_s / cached_s}


def _task(folder: Path, clips: int) -> TuningTask:
    rows = []
    for number in range(clips):
        write_clip(sample_clip(number, "train"), folder / f"{number}.mp4")
        record = Record(
            id=str(number),
            messages=(
                Turn(role="user", content="<video>\nWhat happens?"),
                Turn(role="assistant", content="something"),
            ),
            media=(MediaFile(path=f"{number}.mp4"),),
        )
        rows.append(record.to_json())
    (folder / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    settings = {
        "stage": "instruct",
        "model": POCKET,
        "features": folder / "features",
        "data": [{"path": folder / "rows.jsonl"}],
        "steps": 1,
        "batch_size": _BATCH,
        "tokens_per_pass": 1024,
        "optimizer": {"lr": 1e-3},
    }
    return TuningTask(Instruction.model_validate(settings))


def _seconds(task: TuningTask, index: int) -> float:
    started = time.perf_counter()
    task.model.train()
    for part in task.dataset[index]:
        task.loss(part).total.backward()
    task.model.zero_grad()
    return time.perf_counter() - started
