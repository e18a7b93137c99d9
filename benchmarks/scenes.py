"""Cuts found on the few frames that a description reads, beside PySceneDetect on all of them.

    pip install scenedetect
    python benchmarks/scenes.py --out benchmarks/results

Rendered clips of the test seeds, with camera moves, fades and flicker of light, objects that enter and leave, as video
files. Ours sees three frames in a second, as the built-in model reads them; PySceneDetect's detectors, with their
default settings, see every frame. A cut counts as found within half a second.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from scenedetect import AdaptiveDetector, ContentDetector, HashDetector, HistogramDetector, detect

from videollm.media import ReadOptions, read_frames
from videollm.model.settings import ImageSettings, VideoSettings
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.truth import cuts_s
from videollm.video.scenes import find_cuts

_FIRST_SEED = 70_000
_NEAR_S = 0.5
_READ = VideoSettings(fps=3.0, max_frames=200)
_IMAGE = ImageSettings(size=192)


def main() -> None:
    """Measures, and writes ``scenes.json`` and ``scenes.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=120, help="how many")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the result goes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, float]] = {
        name: {"found": 0, "missed": 0, "false": 0, "seconds": 0.0} for name in _WAYS
    }
    with tempfile.TemporaryDirectory() as directory:
        for number in range(options.clips):
            clip = sample_clip(_FIRST_SEED + number, "test")
            path = Path(directory) / f"{number}.mp4"
            write_clip(clip, path)
            for name, way in _WAYS.items():
                started = time.perf_counter()
                times = way(path)
                found[name]["seconds"] += time.perf_counter() - started
                _count(found[name], cuts_s(clip), times)
    (options.out / "scenes.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    lines = [
        "# Cuts",
        "",
        f"`python benchmarks/scenes.py --clips {options.clips}`: rendered clips; within half a second.",
        "",
        "| | found | missed | false | F1 | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        f1 = 2 * one["found"] / (2 * one["found"] + one["missed"] + one["false"])
        lines.append(
            f"| {name} | {one['found']} | {one['missed']} | {one['false']} | {100 * f1:.1f} | {one['seconds']:.0f} |"
        )
    (options.out / "scenes.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _ours(path: Path) -> list[float]:
    read = read_frames(path, _READ, _IMAGE, ReadOptions())
    times = read.plan.times_s
    return [(times[cut - 1] + times[cut]) / 2 for cut in find_cuts(read.frames_THW3)]


def _theirs(kind: Callable[[], object]) -> Callable[[Path], list[float]]:
    def times(path: Path) -> list[float]:
        return [start.seconds for start, _ in detect(str(path), kind())[1:]]

    return times


def _count(one: dict[str, float], truth: Sequence[float], times: Sequence[float]) -> None:
    """Counts cuts found, each by the nearest time that no other has, and times that are none."""
    left = list(times)
    for cut in truth:
        nearest = min(left, key=lambda time: abs(time - cut), default=None)
        if nearest is not None and abs(nearest - cut) <= _NEAR_S:
            left.remove(nearest)
            one["found"] += 1
        else:
            one["missed"] += 1
    one["false"] += len(left)


_WAYS = {
    "ours, 3 frames a second": _ours,
    "PySceneDetect, content": _theirs(ContentDetector),
    "PySceneDetect, adaptive": _theirs(AdaptiveDetector),
    "PySceneDetect, histogram": _theirs(HistogramDetector),
    "PySceneDetect, hash": _theirs(HashDetector),
}

if __name__ == "__main__":
    main()
