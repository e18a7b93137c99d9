"""Reads 64 frames of each of several clips beside the usual ways to do it, and checks that they are the right ones.

    python benchmarks/reading.py [--quick] [--rounds 5] [--clips DIR] [--out benchmarks/results]

The clips are made here, by seed, with their frames' numbers in the picture; ``--clips`` keeps them for the next run.
"ours" is what a user gets: probe, plan and decode, through the worker process (which is running already), the file
unknown to it. The others run inside this process. All give the same seconds at full size. Rounds are interleaved, so
that other load on the machine falls on all alike, and the best round counts; CPU seconds are given too, because they
suffer less from such load.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from clips import ClipSpec, read_stamp, write_clip
from contenders import CONTENDERS

from videollm.values import FramePlan
from videollm.video import DecodeLimits, decode_frames, plan_frames, probe, warm_up
from videollm.video.worker import run_in_worker

Pictures = npt.NDArray[np.uint8]

WANTED = 64
TOLERANCE_S = 1.0
FAST = {"preset": "veryfast", "sc_threshold": "0"}
REALTIME = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1"}
SVT = {"preset": "9", "crf": "20"}
CLIPS: dict[str, tuple[str, ClipSpec]] = {
    "H.264 360p, 10 s, keyframes 1.6 s": (
        "mp4",
        ClipSpec("libx264", 10, width=640, height=360, gop=48, noise=4),
    ),
    "HEVC 360p, 10 s, keyframes 1.6 s": (
        "mp4",
        ClipSpec(
            "libx265", 10, width=640, height=360, gop=48, noise=4, options={"x265-params": "log-level=none"}
        ),
    ),
    "MPEG-4 360p in AVI, 10 s, keyframes 0.4 s": (
        "avi",
        ClipSpec("mpeg4", 10, width=640, height=360, gop=12, noise=4, options={"b": "1500k"}),
    ),
    "VP9 360p, 20 s, keyframes 4.3 s": (
        "webm",
        ClipSpec("libvpx-vp9", 20, width=640, height=360, gop=128, noise=4, options=REALTIME),
    ),
    "AV1 360p, 20 s, keyframes 4.3 s": (
        "mp4",
        ClipSpec("libsvtav1", 20, width=640, height=360, gop=128, noise=4, options=SVT),
    ),
    "H.264 720p, 2 min, one keyframe in 8.3 s": (
        "mp4",
        ClipSpec("libx264", 120, width=1280, height=720, gop=250, noise=4, options=FAST),
    ),
    "VP9 720p, 2 min, keyframes 4.3 s": (
        "webm",
        ClipSpec("libvpx-vp9", 120, width=1280, height=720, gop=128, noise=2, options=REALTIME),
    ),
    "AV1 720p, 2 min, keyframes 4.3 s": (
        "mp4",
        ClipSpec("libsvtav1", 120, width=1280, height=720, gop=128, noise=2, options=SVT),
    ),
    "H.264 1080p, 10 min, keyframes 2 s": (
        "mp4",
        ClipSpec("libx264", 600, width=1920, height=1080, gop=60, noise=2, options=FAST),
    ),
}
LONG_S = 60


@dataclass(frozen=True, slots=True)
class Round:
    """One reading of one clip.

    Attributes:
        wall_s: Seconds it took.
        cpu_s: Processor seconds it took, the worker's included.
        pictures: What came out.
        times_s: The seconds that the reader claims they are of.
    """

    wall_s: float
    cpu_s: float
    pictures: Pictures
    times_s: Sequence[float]


Reader = Callable[[Path, FramePlan], tuple[Pictures, Sequence[float]]]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="leave out the long clips")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=Path, help="where clips are kept between runs")
    parser.add_argument("--out", type=Path)
    settings = parser.parse_args(argv)
    warm_up()
    load = os.getloadavg()[0]
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (suffix, spec)) in enumerate(CLIPS.items()):
            if settings.quick and spec.seconds > LONG_S:
                continue
            path = (settings.clips or Path(folder)) / f"clip{number}.{suffix}"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_clip(path, spec)
            for line in measure_clip(name, path, spec, settings.rounds):
                lines.append(line)
                print(json.dumps(line), flush=True)
    report = f"{machine(load)}\n\n{table(lines)}"
    print(report)
    if settings.out:
        settings.out.mkdir(parents=True, exist_ok=True)
        (settings.out / "reading.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (settings.out / "reading.md").write_text(report)


def our_reader(backend: Literal["auto", "decord"], tolerance_s: float = 0.0) -> Reader:
    def read(path: Path, plan: FramePlan) -> tuple[Pictures, Sequence[float]]:
        os.utime(path)  # the worker remembers files that have not changed
        probe(path)
        got = decode_frames(path, plan, backend=backend, tolerance_s=tolerance_s)
        return got.frames_THW3, got.plan.times_s

    return read


def plain_reader(name: str) -> Reader:
    return lambda path, plan: (CONTENDERS[name](path, plan.times_s), plan.times_s)


READERS: dict[str, Reader] = {
    "ours": our_reader("auto"),
    "ours through decord": our_reader("decord"),
    **{name: plain_reader(name) for name in CONTENDERS},
    "ours, tolerance 1 s": our_reader("auto", TOLERANCE_S),
}


def measure_clip(name: str, path: Path, spec: ClipSpec, rounds: int) -> Iterator[dict[str, object]]:
    """Yields one line for each reader."""
    plan = plan_frames(probe(path), fps=1e6, max_frames=WANTED)
    measured: dict[str, list[Round]] = {reader: [] for reader in READERS}
    failed: dict[str, str] = {}
    for _ in range(rounds):
        for reader, read in READERS.items():
            if reader in failed:
                continue
            try:
                measured[reader].append(measure(read, path, plan))
            except Exception as error:  # noqa: BLE001 - whatever a contender raises, it could not read the clip
                failed[reader] = str(error).strip().partition("\n")[0][-80:]
    ours = min(reading.wall_s for reading in measured["ours"])
    for reader, readings in measured.items():
        line: dict[str, object] = {"clip": name, "seconds": spec.seconds, "reader": reader}
        if reader in failed:
            yield {**line, "failed": failed[reader]}
            continue
        wall_s = min(reading.wall_s for reading in readings)
        yield {
            **line,
            "wall_s": round(wall_s, 4),
            "cpu_s": round(min(reading.cpu_s for reading in readings), 4),
            "times_ours": round(wall_s / ours, 2),
            "frames": len(readings[0].pictures),
            "wrong_frames": wrong_frames(readings[0], spec),
        }


def measure(read: Reader, path: Path, plan: FramePlan) -> Round:
    cpu, begin = cpu_seconds(), time.perf_counter()
    pictures, times_s = read(path, plan)
    wall_s = time.perf_counter() - begin
    return Round(wall_s, cpu_seconds() - cpu, pictures, times_s)


def cpu_seconds() -> float:
    """Processor seconds of this process and its worker."""
    worker, _ = run_in_worker(os.times, limits=DecodeLimits(), subject="the clock")
    return time.process_time() + float(worker.user + worker.system)


def wrong_frames(reading: Round, spec: ClipSpec) -> int:
    """Counts the pictures that are not of the second that the reader claims."""
    expected = [int(time * spec.fps + 0.02) for time in reading.times_s]
    return sum(
        read_stamp(picture) != number for picture, number in zip(reading.pictures, expected, strict=True)
    )


def machine(load: float) -> str:
    return (
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} processors, Python {platform.python_version()}; "
        f"load when the run began: {load:.1f}."
    )


def table(lines: Sequence[dict[str, object]]) -> str:
    """Returns wall-clock seconds (and how many times ours) by clip and reader, as Markdown."""
    clips = list(dict.fromkeys(line["clip"] for line in lines))
    by_key = {(line["clip"], line["reader"]): line for line in lines}
    rows = ["| clip | " + " | ".join(READERS) + " |", "|---|" + "---:|" * len(READERS)]
    for clip in clips:
        rows.append(f"| {clip} | " + " | ".join(_cell(by_key[clip, reader]) for reader in READERS) + " |")
    return (
        "Seconds of the best round, in brackets processor seconds; × how many times ours.\n\n"
        + "\n".join(rows)
        + "\n"
    )


def _cell(line: dict[str, object]) -> str:
    if "failed" in line:
        return "cannot"
    wrong = f", **{line['wrong_frames']} wrong**" if line["wrong_frames"] else ""
    return f"{line['wall_s']:.3f} ({line['cpu_s']:.2f}) ×{line['times_ours']:.2f}{wrong}"


if __name__ == "__main__":
    main()
