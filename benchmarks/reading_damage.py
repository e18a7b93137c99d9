"""Damages copies of real clips by seed and asks each reader for pictures: which say so, which lie?

    python benchmarks/reading_damage.py [--copies 400] [--out benchmarks/results]

Clips: photographs filmed by a moving camera with hard cuts and sensor noise, in common codecs and containers. Damage:
the file is cut off, a block is zeroed, bytes are overwritten at random, a piece is taken out, or the header is hit. For
every copy each reader is asked for the frames of the same seconds, and the answer is compared with what it gives for
the undamaged file. A copy counts as

    refused   an error was raised,
    flagged   pictures came out, and signs of damage with them,
    right     nothing was said, and every picture looks as it should,
    WRONG     nothing was said, and a picture that was asked for looks different or is missing.

The aim: of all copies whose pictures do not come out as they should, at most 3 % are WRONG; and no undamaged clip is
flagged.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from contenders import in_worker
from PIL import Image

from videollm.errors import UnreadableVideoError
from videollm.synthetic import photos
from videollm.values import FramePlan
from videollm.video import DecodeLimits, decode_frames, plan_frames, probe
from videollm.video.worker import run_in_worker

Pictures = npt.NDArray[np.uint8]
Line = dict[str, Any]

PHOTOS = Path(photos.__file__).parent / "train"
WIDTH, HEIGHT, FPS, SECONDS, SHOTS = 480, 270, 25, 8, 4
FRAMES = 16
LIMITS = DecodeLimits(seconds=60)
# Mean absolute difference, in 8-bit steps, of the worst 16 x 16 block at which people begin to see it.
VISIBLE = 10.0
BLOCK = 16

FORMATS = {
    "h264.mp4": ("libx264", {"crf": "23"}),
    "h264.mkv": ("libx264", {"crf": "23"}),
    "h264.ts": ("libx264", {"crf": "23"}),
    "h264.mov": ("libx264", {"crf": "28", "x264-params": "cabac=0"}),
    "hevc.mp4": ("libx265", {"crf": "26", "x265-params": "log-level=none"}),
    "vp9.webm": ("libvpx-vp9", {"crf": "33", "b": "0", "deadline": "realtime", "cpu-used": "6"}),
    "av1.mp4": ("libsvtav1", {"crf": "35", "preset": "10", "svtav1-params": "enable-stat-report=0"}),
    "mpeg4.avi": ("mpeg4", {"b": "1500k"}),
    "mpeg2.mpg": ("mpeg2video", {"b": "2M", "bf": "2"}),
}
# The index at the front, as on the web; h264.mov keeps it at the end, as cameras write it.
CONTAINER_OPTIONS = {name: {"movflags": "+faststart"} for name in FORMATS if name.endswith(".mp4")}
DAMAGES = ("cut off", "zeroed", "overwritten", "piece missing", "header hit")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--copies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", default=",".join(READERS))
    parser.add_argument("--out", type=Path)
    settings = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        clips = write_clips(Path(folder), settings.seed)
        lines = [
            line
            for name in settings.readers.split(",")
            for line in judge_reader(name, clips, settings.copies, settings.seed, Path(folder))
        ]
    report = table(lines)
    print(report)
    if settings.out:
        settings.out.mkdir(parents=True, exist_ok=True)
        (settings.out / "reading_damage.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (settings.out / "reading_damage.md").write_text(report)


# The clips


def write_clips(folder: Path, seed: int) -> list[Path]:
    """Films the photographs once and writes the film in every format."""
    film = filmed(seed)
    paths = []
    for name, (codec, options) in FORMATS.items():
        path = folder / name
        with av.open(str(path), "w", options=CONTAINER_OPTIONS.get(name, {})) as container:
            stream = container.add_stream(codec, rate=FPS, options=options)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.codec_context.gop_size = 50
            for number, picture in enumerate(film):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        paths.append(path)
    return paths


def filmed(seed: int) -> list[Pictures]:
    """Returns the pictures of a film of several shots, each a camera's path over a photograph."""
    random = np.random.default_rng(seed)
    photos = sorted(PHOTOS.glob("*.jpg"))
    shots = [photos[index] for index in random.choice(len(photos), SHOTS, replace=False)]
    pictures = []
    for number, photo in enumerate(shots):
        image = Image.open(photo).convert("RGB")
        begin, end = _view(image, random), _view(image, random)
        for step in np.linspace(0, 1, SECONDS * FPS * (number + 1) // SHOTS - len(pictures)):
            view = tuple(begin + (end - begin) * step)
            picture = np.asarray(
                image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=view), dtype=np.float32
            )
            noisy = picture + random.normal(0, 2, picture.shape)
            pictures.append(noisy.clip(0, 255).astype(np.uint8))
    return pictures


def _view(image: Image.Image, random: np.random.Generator) -> npt.NDArray[np.float64]:
    width = image.width * random.uniform(0.5, 0.9)
    width = min(width, image.height * WIDTH / HEIGHT)
    height = width * HEIGHT / WIDTH
    left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
    return np.array([left, top, left + width, top + height])


# The damage


def damaged(data: bytes, kind: str, random: np.random.Generator) -> bytes:
    """Returns a damaged copy of a file's bytes."""
    broken = bytearray(data)
    if kind == "cut off":
        del broken[int(len(data) * random.uniform(0.1, 0.95)) :]
    elif kind == "zeroed":
        length = int(random.integers(512, 16384))
        start = int(random.integers(0, len(data) - length))
        broken[start : start + length] = bytes(length)
    elif kind == "overwritten":
        for position in random.integers(0, len(data), int(random.integers(1, 65))):
            broken[position] = int(random.integers(256))
    elif kind == "piece missing":
        length = int(random.integers(100, 20000))
        start = int(random.integers(0, len(data) - length))
        del broken[start : start + length]
    else:
        for position in random.integers(0, 1024, int(random.integers(1, 9))):
            broken[position] = int(random.integers(256))
    return bytes(broken)


# The readers


@dataclass(frozen=True, slots=True)
class Reading:
    """A picture for every wanted second, and whether the reader warned of damage."""

    pictures: Sequence[Pictures]
    is_flagged: bool


Reader = Callable[[Path, FramePlan], Reading]


def read_ours(path: Path, plan: FramePlan) -> Reading:
    got = decode_frames(path, plan, limits=LIMITS)
    times = np.array(got.plan.times_s)
    rows = np.maximum(np.searchsorted(times, np.array(plan.times_s) + 0.5 / FPS, side="right") - 1, 0)
    return Reading(got.frames_THW3[rows], bool(got.damage))


def plain_reader(name: str) -> Reader:
    def read(path: Path, plan: FramePlan) -> Reading:
        _, pictures = run_in_worker(in_worker, name, path, plan.times_s, limits=LIMITS, subject=str(path))
        assert pictures is not None
        return Reading(pictures, is_flagged=False)

    return read


READERS: dict[str, Reader] = {
    "ours": read_ours,
    **{name: plain_reader(name) for name in ("decord", "PyAV one pass", "OpenCV")},
}


# The verdict


def judge_reader(name: str, clips: Sequence[Path], copies: int, seed: int, folder: Path) -> Iterator[Line]:
    """Yields one line for each damaged copy."""
    read = READERS[name]
    plans = {clip: plan_frames(probe(clip), fps=FRAMES / SECONDS, max_frames=FRAMES) for clip in clips}
    sound = {}
    for clip in clips:
        try:
            sound[clip] = read(clip, plans[clip])
        except (UnreadableVideoError, RuntimeError) as error:
            print(f"{name} cannot read the undamaged {clip.name}: {str(error)[:120]}", file=sys.stderr)
            continue
        yield {
            "reader": name,
            "clip": clip.name,
            "damage": "none",
            "verdict": "flagged" if sound[clip].is_flagged else "right",
        }
    for copy in range(copies):
        clip, kind = clips[copy % len(clips)], DAMAGES[copy // len(clips) % len(DAMAGES)]
        if clip not in sound:
            continue
        broken = folder / f"broken{clip.suffix}"
        broken.write_bytes(damaged(clip.read_bytes(), kind, np.random.default_rng([seed, copy])))
        judged = judge(read, broken, plans[clip], sound[clip])
        yield {"reader": name, "copy": copy, "clip": clip.name, "damage": kind, **judged}


def judge(read: Reader, broken: Path, plan: FramePlan, sound: Reading) -> Line:
    """Returns the verdict on one copy: for a refusal with its reason, else with how far the worst block is off."""
    try:
        reading = read(broken, plan)
    except (UnreadableVideoError, RuntimeError) as error:
        reason = str(error).strip().rpartition("\n")[2].replace(str(broken), broken.name)
        return {"verdict": "refused", "looks": "", "reason": reason[:200]}
    off = max(visible_difference(a, b) for a, b in zip(reading.pictures, sound.pictures, strict=True))
    looks = "right" if off < VISIBLE else "wrong"
    silent = {"right": "right", "wrong": "WRONG"}[looks]
    return {"verdict": "flagged" if reading.is_flagged else silent, "looks": looks, "off": round(off, 1)}


def visible_difference(a: Pictures, b: Pictures) -> float:
    """Returns the mean absolute difference of the block where it is largest; infinite for other sizes."""
    if a.shape != b.shape:
        return float("inf")
    difference = np.abs(a.astype(np.int16) - b.astype(np.int16)).mean(axis=2)
    height, width = (side // BLOCK * BLOCK for side in difference.shape)
    blocks = difference[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return float(blocks.mean(axis=(1, 3)).max())


def table(lines: Sequence[Line]) -> str:
    """Returns the counts by reader, and ours by format, as Markdown."""
    undamaged = [line for line in lines if line["damage"] == "none"]
    copies = [line for line in lines if line["damage"] != "none"]
    alarms = Counter(line["reader"] for line in undamaged if line["verdict"] == "flagged")
    readers = list(dict.fromkeys(line["reader"] for line in copies))
    parts = [
        counted(
            "reader", {reader: [line for line in copies if line["reader"] == reader] for reader in readers}
        ),
        "Undamaged clips that were flagged: "
        + ", ".join(f"{reader} {alarms[reader]}" for reader in readers)
        + ".",
    ]
    for key in ("clip", "damage"):
        ours = [line for line in copies if line["reader"] == "ours"]
        groups = dict.fromkeys(line[key] for line in ours)
        parts.append(
            counted(
                f"ours, by {key}", {group: [line for line in ours if line[key] == group] for group in groups}
            )
        )
    return "\n\n".join(parts) + "\n"


def counted(title: str, groups: dict[str, list[Line]]) -> str:
    """Returns a Markdown table of verdicts, a row for each group."""
    verdicts = ("refused", "flagged", "right", "WRONG")
    rows = [
        f"| {title} | copies | " + " | ".join(verdicts) + " | WRONG of all spoilt |",
        "|---|" + "---:|" * 6,
    ]
    for group, lines in groups.items():
        counts = Counter(line["verdict"] for line in lines)
        spoilt = sum(line["verdict"] in ("WRONG", "refused") or line["looks"] == "wrong" for line in lines)
        share = counts["WRONG"] / max(spoilt, 1)
        numbers = " | ".join(str(counts[verdict]) for verdict in verdicts)
        rows.append(f"| {group} | {len(lines)} | {numbers} | {share:.1%} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
