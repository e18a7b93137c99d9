"""Sixty mixed files described by a program that is killed with -9 again and again: the same rows in the end.

    python benchmarks/describe_kills.py --kills 25 --out benchmarks/results

Good files of many containers, codecs and lengths, copies, broken and endless ones, and names with blanks, quotes, other
alphabets, a leading dash and 200 letters. The built-in model describes them once undisturbed and once killed at random
moments from the start of the process on.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip

_ENCODINGS = {
    "mp4": ["-c:v", "libx264"],
    "mkv": ["-c:v", "libx265", "-x265-params", "log-level=error"],
    "webm": ["-c:v", "libvpx-vp9", "-b:v", "300k"],
    "avi": ["-c:v", "mpeg4"],
    "mov": ["-c:v", "mjpeg"],
    "mpg": ["-c:v", "mpeg2video", "-r", "25"],
    "flv": ["-c:v", "flv"],
    "gif": [],
}
_ODD_NAMES = (
    "with some blanks.mp4",
    'it\'s "quoted".mp4',
    "ünïcödé 視頻 видео.mp4",
    "-leading dash.mp4",
    f"{'very long ' * 20}.mp4",
    "[brackets] and 100% #signs?.mp4",
    "new\nline.mp4",
)
_TIMEOUT_S = 6


def main() -> None:
    """Describes, kills, goes on, compares, and writes ``describe_kills.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=25, help="how often")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the result goes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        write_library(folder / "library")
        started = time.perf_counter()
        assert _start(folder, "whole").wait() == 1, "some files are broken, so 1 is what it must leave with"
        seconds = time.perf_counter() - started
        rng = random.Random(options.seed)
        # Some while it still starts, most far enough on that a few files are done each time.
        longest = 15 + 3 * seconds / options.kills
        rows = [_kill(folder, rng.uniform(5, longest)) for _ in range(options.kills)]
        assert _start(folder, "killed").wait() == 1
        whole, killed = (_rows(folder / name) for name in ("whole", "killed"))
        said = subprocess.run(_command(folder, "killed"), capture_output=True, text=True, check=False).stdout
    errors = Counter(row["error"]["kind"] for row in whole if row["error"])
    once = len({row["path"] for row in killed}) == len(killed)
    text = (
        "# Describing sixty mixed files, killed with -9\n\n"
        f"`python benchmarks/describe_kills.py --kills {options.kills} --seed {options.seed}`\n\n"
        f"{len(whole)} files: {sum(not row['error'] for row in whole)} described, errors {dict(errors)}. "
        f"Rows after each kill: {', '.join(map(str, rows))}.\n\n"
        f"Rows after the last run: {len(killed)}, each source once: {once}; "
        f"the same as undisturbed but for seconds: **{whole == killed}**.\n\n"
        f"What a further run says: {said.splitlines()[-1].split(';')[0]}.\n"
    )
    (options.out / "describe_kills.md").write_text(text, encoding="utf-8")
    print(text)


def write_library(folder: Path) -> None:
    """Writes sixty files."""
    folder.mkdir()
    clips = []
    for number in range(12):
        path = folder / f"clip {number}.mp4"
        write_clip(sample_clip(60_000 + number, "test", max_short_side=160), path)
        clips.append(path)
    for number in range(24):
        suffix = list(_ENCODINGS)[number % len(_ENCODINGS)]
        _encode(clips[number % 12], folder / f"as {suffix} {number}.{suffix}", _ENCODINGS[suffix])
    for number, name in enumerate(_ODD_NAMES):
        shutil.copy(folder / f"as mkv {1 + 8 * (number % 3)}.mkv", folder / name)
    (folder / "deeper" / "still").mkdir(parents=True)
    for number in range(4):
        shutil.copy(clips[number], folder / "deeper" / "still" / f"copy {number}.mp4")
    long = folder / "two minutes.mp4"
    joined = folder / "list.txt"
    joined.write_text("".join(f"file '{clips[number % 12]}'\n" for number in range(16)))
    _ffmpeg("-f", "concat", "-safe", "0", "-i", joined, "-vf", "scale=128:96", "-r", "10", long)
    joined.unlink()
    _write_broken(folder, clips)


def _write_broken(folder: Path, clips: list[Path]) -> None:
    whole = clips[0].read_bytes()
    for number, share in enumerate((0.02, 0.3, 0.6, 0.9)):
        (folder / f"cut off {number}.mp4").write_bytes(whole[: round(len(whole) * share)])
    rng = random.Random(0)
    for number in range(3):
        spoilt = bytearray(clips[number + 1].read_bytes())
        for _ in range(200):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        (folder / f"spoilt {number}.mp4").write_bytes(spoilt)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no video at all\n")
    (folder / "noise.mp4").write_bytes(rng.randbytes(50_000))
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    # So large and slow to decode that it is given up.
    _ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=3840x2160:rate=120", "-t", "17", "-c:v", "libx264", "-preset", "ultrafast",
        "-crf", "45", folder / "endless.mp4",
    )  # fmt: skip


def _encode(source: Path, target: Path, options: list[str]) -> None:
    _ffmpeg("-i", source, *options, target)


def _ffmpeg(*arguments: str | Path) -> None:
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def _command(folder: Path, name: str) -> list[str]:
    arguments = [
        str(folder / "library"),
        "--out",
        str(folder / name),
        "--resume",
        "--timeout",
        str(_TIMEOUT_S),
    ]
    return [sys.executable, "-m", "videollm", "describe", *arguments, "--format", "srt,vtt,md"]


def _start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(_command(folder, name), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill(folder: Path, seconds: float) -> int:
    """Goes on, kills it after so many seconds, and returns how many rows there are."""
    process = _start(folder, "killed")
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    path = folder / "killed" / "descriptions.jsonl"
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def _rows(out: Path) -> list[dict[str, Any]]:
    """The rows without what differs from run to run."""
    rows = []
    for line in (out / "descriptions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        row["seconds"] = None
        if row["usage"]:
            del row["usage"]["seconds"]
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
