"""What ``tokens.py`` says of its figures: tables by case, and whether the targets are met."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from tokens_data import DRAWN_FRAMES, PAN, PATCH_PIXELS, PHOTO_FRAMES, SENSOR_NOISE
from tokens_measure import SUITES, THREADS, Line
from tokens_plain import CELLS, HEAD_WIDTH, KMEANS
from tokens_targets import DATA, TIMED, Figures
from tokens_ways import FLOOR, MOST_SEGMENTS, SKLEARN, WAYS, WHOLE_FLOOR

# From this load average on, something else was computing too.
IDLE_LOAD = 1.0


def machine(loads: Sequence[float], *, quick: bool) -> Line:
    """Says what the figures were measured on."""
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "part": "machine",
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "threads": THREADS,
        "quick": quick,
        "load_before_and_after": [round(load, 1) for load in loads],
        "torch": torch.__version__,
        "scikit-learn": version("scikit-learn"),
    }


def report(about: Line, figures: Figures, verdicts: Sequence[Line]) -> str:
    """Everything as Markdown."""
    cases = figures.cases
    parts = [_heading(about), *(_case_table(figures, suite, case) for suite, case in cases)]
    if any(case == "100 frames" for _, case in cases):
        parts.append(_forms_table(figures))
    if len(figures.ways("180 min, float16")):
        parts.append(_linearity_table(figures))
    return "\n".join([*parts, _targets_table(verdicts), _definitions()])


def _heading(about: Line) -> str:
    before, after = about["load_before_and_after"]
    lines = [
        "# Token compression\n",
        f"{about['processor']}, {about['cores']} cores, {about['threads']} threads, torch {about['torch']}, "
        f"scikit-learn {about['scikit-learn']}.",
    ]
    if about["quick"]:
        lines.append("\n**Few rounds (`--quick`).**")
    if before > IDLE_LOAD:
        lines.append(
            f"\n**The machine was not idle** (load average {before:.1f} before, {after:.1f} after): compare figures "
            "of one run, not with those of another."
        )
    return "\n".join(lines) + "\n"


def _case_table(figures: Figures, suite: str, case: str) -> str:
    shape, segments = SUITES[suite].shape, SUITES[suite].cases[case]
    frames = shape.frames // max(SUITES[suite].cases.values()) * segments
    title = (
        f"## {case}: {frames:,} frames x {shape.side**2} patches x {shape.width}, "
        f"{'float16' if shape.half else 'float32'}, {segments} segment{'s' * (segments > 1)}\n"
    )
    timed = [data for data in TIMED if _any(figures, case, data, "ms_median")]
    wrong = [data for data in DATA if _any(figures, case, data, "error")]
    columns = ["way", "tokens"]
    columns += [text for data in timed for text in (f"ms, {data}", "x mean")]
    columns += ["peak MiB", *(f"error, {data}" for data in wrong)]
    rows = []
    for way in figures.ways(case):
        floor = floor_of(way, suite)
        row = [f"**{way}**" if way == floor else way, figures.get(case, way, "noise", "tokens") or "–"]
        for data in timed:
            ratio = figures.ratio(case, data, "ms_median", way, floor)
            row += [_milliseconds(figures, case, way, data), "–" if ratio is None else f"{ratio:.2f}"]
        peak, failed = (figures.get(case, way, "noise", name) for name in ("peak_mib", "peak_failed"))
        row.append("failed" if failed else _or_dash(peak, ",.0f"))
        row += [_or_dash(figures.get(case, way, data, "error"), ".4f") for data in wrong]
        rows.append(row)
    return "\n".join([title, _table(columns, rows)])


def floor_of(way: str, suite: str) -> str:
    """The mean-pooling that a way is compared with."""
    over_the_video = suite != "frames" and any(other.scope == "video" for other in WAYS if other.name == way)
    return WHOLE_FLOOR if suite == "codes" or over_the_video else FLOOR


def _forms_table(figures: Figures) -> str:
    """Times of all that merges over the times of each form of mean-pooling."""
    case = "100 frames"
    ways = figures.ways(case)
    forms = [way for way in ways if way.startswith("mean")]
    mergers = [
        way.name for way in WAYS if way.scope == "segments" and way.name in ways and way.name not in forms
    ]
    rows = [
        [way, *(_or_dash(figures.ratio(case, "noise", "ms_median", way, form), ".2f") for form in forms)]
        for way in mergers
    ]
    return "\n".join(
        ["## 100 frames, noise: time over that of each form of the mean\n", _table(["way", *forms], rows)]
    )


def _linearity_table(figures: Figures) -> str:
    cases = SUITES["hours"].cases
    rows = []
    for way in figures.ways("180 min, float16"):
        row = [way]
        for case, segments in cases.items():
            milliseconds = figures.get(case, way, "noise", "ms_median")
            row.append("–" if milliseconds is None else f"{milliseconds / segments:.2f}")
        rows.append(row)
    return "\n".join(["## Milliseconds for each segment (median)\n", _table(["way", *cases], rows)])


def _targets_table(verdicts: Sequence[Line]) -> str:
    rows = [
        [
            line["target"],
            line["way"],
            line["case"],
            line["data"],
            f"{line['got']:.3f}",
            _or_dash(line["got_least"], ".3f"),
            f"≤ {line['at_most']:g}",
            "yes" if line["met"] else "**no**",
        ]
        for line in verdicts
    ]
    columns = ["target", "way", "case", "features", "got", "from least times", "wanted", "met"]
    return "\n".join(["## Targets\n", _table(columns, rows)])


def _definitions() -> str:
    kmeans = ", ".join(f"{name}={value!r}" for name, value in KMEANS.items())
    cells = "; ".join(f"{count} tokens: {' x '.join(map(str, cells))}" for count, cells in CELLS.items())
    return f"""
- Milliseconds: median (least) of interleaved rounds in one process, after a round that is not counted. *x mean*: by
  medians, over the row in bold of the same scope: over segments, or over the whole video.
- Peak MiB: highest resident memory above what was resident before, the input among it (`VmHWM` after a reset, less
  `VmRSS`); one fresh process for each way, which has compressed one segment before. Longer videos follow shorter ones.
- Error: mean over all patches of 1 - cosine(patch, the token that stands for it), each patch weighing the same.
- Features. *Noise*: independent normal numbers ({DRAWN_FRAMES} frames of them, repeated with shifted channels).
  *Photographs*: {PATCH_PIXELS} x {PATCH_PIXELS} pixel patches, each photograph panned for {PHOTO_FRAMES} frames by \
{PAN[0]} pixels across and {PAN[1]} down
  a frame, sensor noise of {SENSOR_NOISE:g} steps, CLIP's normalisation, a fixed random projection. *Pocket*: the
  built-in model's patches (144 of 192 a frame) of rendered clips at 1 frame/s.
- Segments of 10 frames become 30 tokens, a video becomes 32 codes. Ways over segments are given at most \
{MOST_SEGMENTS} segments
  at once, whoever wrote them; the Compressor bounds its batches by itself.
- Means: `adaptive_avg_pool1d` is torch's mean to any number of tokens, and the fastest here, so it is the measure.
  `reshape(...).mean` needs a divisor and takes the next above (32 for 30). `adaptive_avg_pool2d` of each frame: upright
  stripes, three a frame. `adaptive_avg_pool3d` (PLLaVA's): over a channels-first view; cells along time, rows and
  columns: {cells}. *Time and space*: Video-ChatGPT's, one token for each
  place and one for each frame.
- Published steps: LongVLM's hierarchical merging by ToMe's matching, written from the formulas: 16 heads averaged and
  normalised, every even token finds its most similar odd one, the r = min(⌊N/2⌋, N - target) closest join by
  size-weighted means of the wide features at every step; [rest by similarity ; odd]. float16 is widened first.
- `merge_tokens` and `cluster_tokens` compare means over heads of {HEAD_WIDTH} channels unless "1 head" is said.
- {SKLEARN} (scikit-learn): on unit-normalised tokens, n_clusters=32, {kmeans},
  the rest as by default (tol=0, max_no_improvement=10, init_size=3·batch_size, reassignment_ratio=0.01);
  `fit_predict`, then means of the raw tokens by its labels; normalising and averaging are in the time.
- Compressor: the library's module with random weights, from patches to tokens; times, places and sources are told.
"""


def _milliseconds(figures: Figures, case: str, way: str, data: str) -> str:
    if figures.get(case, way, data, "failed"):
        return "failed"
    median, least = (figures.get(case, way, data, name) for name in ("ms_median", "ms_min"))
    if median is None:
        return "–"
    digits = 1 if median < 100 else 0
    return f"{median:,.{digits}f} ({least:,.{digits}f})"


def _any(figures: Figures, case: str, data: str, figure: str) -> bool:
    return any(figures.get(case, way, data, figure) is not None for way in figures.ways(case))


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
