"""One measuring process of ``tokens.py``: takes a job as JSON, prints lines of JSON.

    python benchmarks/tokens_measure.py '{"suite": "codes", "data": "noise", "rounds": {"23,328 patches": 3}}'
    python benchmarks/tokens_measure.py '{"suite": "codes", "data": "noise", "way": "quantize"}'

The first form times all ways in one process, in turn, and tells their errors; the second gives the peak memory of one
way in a process of its own.
"""

from __future__ import annotations

import ctypes
import json
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokens_data import DATA, Shape
from tokens_plain import Outcome, Video
from tokens_ways import (
    ADAPTIVE,
    BY_NAME,
    CODES,
    FLOOR,
    PUBLISHED,
    TIME_AND_SPACE,
    WAYS,
    WHOLE_FLOOR,
    Way,
)

THREADS = 2
# What asks for more than is free, less so much, fails by itself and is told.
SPARED_BYTES = 2**30
PATCHES_AT_ONCE = 2**15
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Suite:
    """Videos that are measured in one process: the beginnings of one video.

    Attributes:
        shape: Shape of the whole video.
        cases: Name and number of segments of each beginning, the last of them the whole video.
        count: Tokens of each segment.
        codes: Tokens of the whole video, for the ways that look at that.
        memory: Memory tokens.
        pocket: Shape of the built-in model's features in its place, with as many segments.
        without: Ways left out.
        errors: Whether reconstruction errors are told.
        tidy: Whether free memory is given back before every way, since the next one may want it.
    """

    shape: Shape
    cases: dict[str, int]
    count: int = 30
    codes: int = 32
    memory: int = 0
    pocket: Shape | None = None
    without: frozenset[str] = frozenset()
    errors: bool = True
    tidy: bool = False

    def ways(self, patches: int) -> list[Way]:
        """The ways that are measured on a video of so many patches."""
        return [way for way in WAYS if way.name not in self.without and patches <= way.most_patches]

    def video(self, data: str, cases: Sequence[str]) -> Video:
        """Makes the features, as much as the longest of these cases wants."""
        shape = self.pocket if data == "pocket" else self.shape
        assert shape is not None
        segments = max(self.cases[case] for case in cases)
        shape = replace(shape, frames=shape.frames // max(self.cases.values()) * segments)
        features = DATA[data](shape)
        cls_LTC = torch.randn(self.memory, shape.frames, shape.width).to(features.dtype)
        return Video(features.view(segments, -1, shape.width), cls_LTC, shape.side)


def _all_but(*left_out: str) -> frozenset[str]:
    return frozenset(BY_NAME) - frozenset(left_out)


_OVER_THE_VIDEO = frozenset(way.name for way in WAYS if way.scope == "video")
SUITES = {
    # 10 segments of 30 tokens, and 5 memory tokens.
    "frames": Suite(
        Shape(100, 16, 1024),
        {"100 frames": 10},
        memory=5,
        pocket=Shape(100, 12, 192),
        without=_OVER_THE_VIDEO - {TIME_AND_SPACE},
    ),
    # VQToken's numbers of patches and codes: the whole video is one segment.
    "codes": Suite(
        Shape(32, 27, 896),
        {"23,328 patches": 1},
        count=32,
        pocket=Shape(162, 12, 192),
        without=_all_but(
            *_OVER_THE_VIDEO - {TIME_AND_SPACE},
            PUBLISHED,
            "merge_tokens, share 0.5",
            "merge_tokens, share 0.25",
            "cluster_tokens",
        ),
    ),
    "minutes": Suite(
        Shape(600, 16, 1024),
        {"1 min": 6, "10 min": 60},
        pocket=Shape(600, 12, 192),
        without=frozenset({TIME_AND_SPACE, "merge_tokens, share 0.25, 1 head"}),
    ),
    # Only the ways that a video of hours would be given to.
    "hours": Suite(
        Shape(10_800, 16, 1024, half=True),
        {"1 min, float16": 6, "10 min, float16": 60, "60 min, float16": 360, "180 min, float16": 1080},
        without=_all_but(
            FLOOR,
            PUBLISHED,
            "merge_tokens, share 0.5",
            "merge_tokens, share 0.25",
            "cluster_tokens",
            WHOLE_FLOOR,
            CODES,
            ADAPTIVE,
            "Compressor, merge",
            "Compressor, vq",
            "Compressor, merge+vq",
        ),
        errors=False,
        tidy=True,
    ),
}


def main() -> None:
    job = json.loads(sys.argv[1])
    torch.set_num_threads(THREADS)
    free = _status_bytes("MemAvailable", "/proc/meminfo") - SPARED_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (free, free))
    suite = SUITES[job["suite"]]
    cases = job.get("rounds") or job.get("cases") or suite.cases
    video = suite.video(job["data"], list(cases))
    beginnings = {case: video.head(suite.cases[case]) for case in suite.cases if case in cases}
    if "way" in job:
        lines = memory_lines(suite, beginnings, BY_NAME[job["way"]])
    else:
        lines = side_by_side(suite, beginnings, job["rounds"])
    for line in lines:
        print(json.dumps({"suite": job["suite"], "data": job["data"], **line}), flush=True)


def side_by_side(suite: Suite, videos: Mapping[str, Video], rounds: Mapping[str, int]) -> Iterator[Line]:
    """Lets every way compress every video in turn, round after round.

    A round before is not counted; where only one is wanted, the shorter videos have warmed everything up.
    """
    lines: dict[tuple[str, str], Line] = {}
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for turn in range(-1, max(rounds.values())):
        for case, video in videos.items():
            if turn >= rounds[case] or (turn < 0 and rounds[case] == 1):
                continue
            for way in suite.ways(video.patches):
                line = lines.setdefault((case, way.name), _about(case, way))
                if "failed" in line:
                    continue
                if suite.tidy:
                    _trim()
                try:
                    started = time.perf_counter()
                    outcomes = way.run(video, suite.count, suite.codes)
                    took = time.perf_counter() - started
                except (RuntimeError, MemoryError) as error:
                    line["failed"] = str(error).partition("\n")[0][-160:]
                    continue
                if turn >= 0:
                    seconds[case, way.name].append(took)
                if "tokens" not in line:
                    kept = sum(outcome.tokens_SKC.shape[:2].numel() for outcome in outcomes)
                    line["tokens"] = kept + (suite.memory if way.scope == "segments" else 0)
                    if suite.errors and outcomes[0].sources_SN is not None:
                        line["error"] = round(error_of(video, outcomes), 5)
                del outcomes
    for key, line in lines.items():
        if key in seconds:
            line["ms_min"] = round(min(seconds[key]) * 1e3, 2)
            line["ms_median"] = round(statistics.median(seconds[key]) * 1e3, 2)
            line["ms_all"] = [round(value * 1e3, 2) for value in seconds[key]]
        yield line


def error_of(video: Video, outcomes: Sequence[Outcome]) -> float:
    """Mean over all patches of 1 - cosine(patch, the token that stands for it), every patch weighing the same."""
    whole = len(outcomes[0].tokens_SKC) == 1 and len(outcomes) == 1
    rest = video.tokens_SNC.flatten(0, 1)[None] if whole else video.tokens_SNC
    total = 0.0
    for outcome in outcomes:
        part, rest = rest[: len(outcome.tokens_SKC)], rest[len(outcome.tokens_SKC) :]
        assert outcome.sources_SN is not None
        for patches_NC, tokens_KC, sources_N in zip(
            part, outcome.tokens_SKC, outcome.sources_SN, strict=True
        ):
            tokens_KC = F.normalize(tokens_KC.double(), dim=-1)
            for some_NC, source in zip(
                patches_NC.split(PATCHES_AT_ONCE), sources_N.split(PATCHES_AT_ONCE), strict=True
            ):
                units = F.normalize(some_NC.double(), dim=-1)
                total += float((1 - (units * tokens_KC[source]).sum(dim=-1)).sum())
    assert not len(rest)
    return total / video.patches


def memory_lines(suite: Suite, videos: Mapping[str, Video], way: Way) -> Iterator[Line]:
    """Peak memory above the input, which is all there before; what one video leaves behind counts for the next.

    One segment is compressed before, so that libraries are loaded and threads started.
    """
    shortest, *_ = videos.values()
    way.run(shortest.head(1), suite.count, suite.codes)
    _trim()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    for case, video in videos.items():
        if video.patches > way.most_patches:
            continue
        try:
            way.run(video, suite.count, suite.codes)
        except (RuntimeError, MemoryError) as error:
            yield {**_about(case, way), "peak_failed": str(error).partition("\n")[0][-160:]}
            continue
        yield {**_about(case, way), "peak_mib": round((_status_bytes("VmHWM") - before) / 2**20, 1)}


def _trim() -> None:
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def _about(case: str, way: Way) -> Line:
    return {"case": case, "way": way.name, "scope": way.scope, "ours": way.ours}


def _status_bytes(field: str, path: str = "/proc/self/status") -> int:
    lines = Path(path).read_text().splitlines()
    return next(int(line.split()[1]) * 2**10 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    main()
