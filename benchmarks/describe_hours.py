"""A video of two hours described: memory, time and times against one of two minutes.

    python benchmarks/describe_hours.py --out benchmarks/results

Rendered clips of the test seeds, cut together over and over, so that the second of each cut is known. Each file is
described by a command of its own, whose largest memory is measured, that of its reading processes with it, and the time
that processors worked for all of them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.truth import cuts_s
from videollm.video import probe

_FIRST_SEED = 90_000
_CLIPS = 12
_NEAR_S = 2.0
_MIB = 1 << 20


@dataclass(frozen=True)
class Measured:
    """One file described.

    Attributes:
        video_s: Its length.
        seconds: What describing it took, start of the program included.
        processor_s: Time that processors worked for it.
        peak_mib: Most memory that the program and its processes had to themselves at once.
        cuts: Its cuts.
        found: How many of them have an event that begins within two seconds.
        edges: Events but the first.
        right: How many of them begin within two seconds of a cut.
    """

    video_s: float
    seconds: float
    processor_s: float
    peak_mib: float
    cuts: int
    found: int
    edges: int
    right: int


def main() -> None:
    """Measures, and writes ``describe_hours.json`` and ``describe_hours.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", default="2,120", help="lengths, the first to compare with")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the result goes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        parts = _write_parts(folder)
        found = [_measure(folder, parts, 60 * float(minutes)) for minutes in options.minutes.split(",")]
    (options.out / "describe_hours.json").write_text(
        json.dumps([asdict(one) for one in found], indent=1) + "\n", encoding="utf-8"
    )
    rows = [
        f"| {one.video_s / 60:.1f} | {one.seconds:.0f} | {one.processor_s:.0f} | "
        f"{one.processor_s / one.video_s:.3f} | {one.peak_mib:.0f} | "
        f"{one.peak_mib / found[0].peak_mib:.2f} | {one.found} of {one.cuts} | {one.right} of {one.edges} |"
        for one in found
    ]
    text = (
        "# A video of two hours\n\n"
        f"`python benchmarks/describe_hours.py --minutes {options.minutes}`, the built-in model\n\n"
        "| minutes | seconds | processor seconds | a second of video | MiB | of the first | "
        "cuts with an event within 2 s | events within 2 s of a cut |\n|---|---|---|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )
    (options.out / "describe_hours.md").write_text(text, encoding="utf-8")
    print(text)


def _write_parts(folder: Path) -> list[tuple[Path, float, list[float]]]:
    """Clips of one size and rate, with their lengths and cuts."""
    parts = []
    for number in range(_CLIPS):
        clip = sample_clip(_FIRST_SEED + number, "test", max_short_side=240)
        path = folder / f"part {number}.mp4"
        write_clip(clip, folder / "raw.mp4")
        _ffmpeg(
            "-i",
            folder / "raw.mp4",
            "-vf",
            "scale=192:144",
            "-r",
            "10",
            "-c:v",
            "libx264",
            "-crf",
            "20",
            path,
        )
        parts.append((path, probe(path).duration_s, list(cuts_s(clip))))
    return parts


def _measure(folder: Path, parts: list[tuple[Path, float, list[float]]], video_s: float) -> Measured:
    path, listed, cuts, second = folder / f"{video_s:.0f}.mp4", [], [], 0.0
    while second < video_s:
        part, length, own = parts[len(listed) % len(parts)]
        listed.append(f"file '{part}'\n")
        cuts += [second, *(second + cut for cut in own)] if second else own
        second += length
    (folder / "list.txt").write_text("".join(listed))
    _ffmpeg("-f", "concat", "-safe", "0", "-i", folder / "list.txt", "-c", "copy", path)
    out = folder / f"{video_s:.0f} out"
    seconds, processor_s, peak = _describe(path, out)
    (row,) = [json.loads(line) for line in (out / "descriptions.jsonl").read_text().splitlines()]
    edges = [event["start_s"] for event in row["events"][1:]]
    found = sum(any(abs(edge - cut) <= _NEAR_S for edge in edges) for cut in cuts)
    right = sum(any(abs(edge - cut) <= _NEAR_S for cut in cuts) for edge in edges)
    return Measured(row["duration_s"], seconds, processor_s, peak / _MIB, len(cuts), found, len(edges), right)


def _describe(path: Path, out: Path) -> tuple[float, float, int]:
    """Seconds, seconds of processors and most bytes of a run of the program."""
    started, worked_s = time.perf_counter(), _worked_s()
    process = subprocess.Popen(
        [sys.executable, "-m", "videollm", "describe", str(path), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peaks = [0]
    watcher = threading.Thread(target=_watch, args=(process, peaks))
    watcher.start()
    assert process.wait() == 0
    watcher.join()
    return time.perf_counter() - started, _worked_s() - worked_s, peaks[0]


def _worked_s() -> float:
    """Time that processors worked for all programs that this one began and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(process: subprocess.Popen[bytes], peaks: list[int]) -> None:
    while process.poll() is None:
        peaks[0] = max(peaks[0], _own_bytes(process.pid))
        time.sleep(0.2)


def _own_bytes(pid: int) -> int:
    """Proportional memory of a process and of all below it, in bytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        below = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:  # it has just ended
        return 0
    own = sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return own + sum(_own_bytes(child) for child in below)


def _ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
