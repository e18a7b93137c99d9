"""Files described in a minute: a job against a plain loop, and against transformers' own class at a real size.

    python benchmarks/describe.py --out benchmarks/results

The built-in model describes rendered clips of the test seeds: one by one with ``describe_video``, as a job in one
process, and as a job in two. Everything is loaded before, and the ways take turns. Then LLaVA-OneVision's architecture
with a language model of 0.5B and an encoder of 12 layers, random weights in bfloat16: clips of 16 frames, 64 new tokens
and 64 visual tokens each, against transformers' class in batches of eight, which has no such dial. Both get their
frames from memory or from files that are read ahead, and both answer with 64 tokens.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from published import write
from transformers import LlavaOnevisionForConditionalGeneration

from videollm import DescribeOptions, Usage, describe_files, describe_video, load_model
from videollm.describe.ledger import Ledger
from videollm.describe.processes import ProcessEngine
from videollm.describe.sources import find_sources
from videollm.media import ReadOptions
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip

_FIRST_SEED = 50_000
_VISION = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
_FRAMES, _TOKENS, _BUDGET, _BATCH = 16, 64, 64, 8


def main() -> None:
    """Measures, and writes ``describe.json`` and ``describe.md``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=32, help="that the built-in model describes")
    parser.add_argument("--turns", type=int, default=2, help="of each way")
    parser.add_argument("--cases", default="pocket,published", help="which of the two")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the result goes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "describe.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        if "pocket" in options.cases:
            found["pocket"] = measure_pocket(folder, options.clips, options.turns)
        if "published" in options.cases:
            found["published"] = measure_published(folder, options.turns)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (options.out / "describe.md").write_text(_report(found), encoding="utf-8")
    print(_report(found))


def measure_pocket(folder: Path, clips: int, turns: int) -> dict[str, Any]:
    """Returns seconds of each way, turn by turn, and where the time of the first two goes."""
    library = _library(folder / "clips", clips, max_short_side=240)
    model = load_model("pocket", device="cpu")
    sources = find_sources([str(library)])
    with ProcessEngine(partial(load_model, "pocket", device="cpu"), 2) as engine:
        engine.fingerprint(DescribeOptions())  # loaded, in the first of them at least
        time.sleep(5)
        ways: dict[str, Callable[[Path], Usage]] = {
            "loop": lambda _: sum((describe_video(model, one.path).usage for one in sources), _nothing()),
            "job": lambda out: _job(model, sources, out),
            "job of two processes": lambda out: _job(engine, sources, out),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        shares: dict[str, dict[str, float]] = {}
        for turn in range(turns):
            for name, way in ways.items():
                started = time.perf_counter()
                usage = way(folder / f"{name} {turn}")
                seconds[name].append(time.perf_counter() - started)
                shares[name] = usage.seconds
    return {"clips": clips, "seconds": seconds, "phases": shares}


def measure_published(folder: Path, turns: int) -> dict[str, Any]:
    """Returns the seconds that eight clips take, of ours and of transformers' class, which take turns."""
    write(str(folder / "published"), _VISION)
    library = _library(folder / "real", _BATCH, duration_s=(6.0, 8.0), max_short_side=384)
    theirs: Any = LlavaOnevisionForConditionalGeneration.from_pretrained(
        folder / "published", dtype=torch.bfloat16
    ).eval()
    model = load_model(folder / "published", dtype="bfloat16", device="cpu")
    reading = ReadOptions(fps=_FRAMES / 4, max_frames=_FRAMES, max_visual_tokens=_BUDGET, end_s=4.0)
    options = DescribeOptions("brief", reading=reading, max_new_tokens=_TOKENS)
    theirs_s, ours_s = [], []
    for turn in range(turns):
        theirs_s.append(_theirs(theirs))
        started = time.perf_counter()
        usage = _job(model, find_sources([str(library)]), folder / f"published out {turn}", options)
        ours_s.append(time.perf_counter() - started)
    return {
        "clips": _BATCH,
        "ours_s": ours_s,
        "theirs_s": theirs_s,
        "frames": usage.frames,
        "visual_tokens": usage.visual_tokens,
        "new_tokens": usage.completion_tokens,
        "phases": usage.seconds,
    }


@torch.no_grad()
def _theirs(model: Any) -> float:
    """Seconds that transformers' class takes for a batch of eight clips whose frames are in memory."""
    config = model.config
    side = config.vision_config.image_size
    grid = -(-(side // config.vision_config.patch_size) // 2)
    frames = torch.rand(_BATCH, _FRAMES, 3, side, side, dtype=torch.bfloat16)
    marks = torch.full((_BATCH, _FRAMES * grid * grid + 1), config.video_token_id)
    words = torch.randint(10, 200, (_BATCH, 24))
    ids = torch.cat([words, marks, words], dim=1)
    started = time.perf_counter()
    written = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values_videos=frames,
        do_sample=False,
        min_new_tokens=_TOKENS,
        max_new_tokens=_TOKENS,
        pad_token_id=0,
    )
    assert written.shape[1] == ids.shape[1] + _TOKENS
    return time.perf_counter() - started


def _job(model: Any, sources: Any, out: Path, options: DescribeOptions | None = None) -> Usage:
    tally = describe_files(model, sources, out, options)
    assert tally.described == len(sources), tally
    ledger = Ledger(out)
    usage = sum((row.usage for row in ledger.rows() if row.usage is not None), _nothing())
    ledger.close()
    return usage


def _library(folder: Path, count: int, **settings: Any) -> Path:
    folder.mkdir()
    for number in range(count):
        write_clip(sample_clip(_FIRST_SEED + number, "test", **settings), folder / f"{number:03}.mp4")
    return folder


def _nothing() -> Usage:
    return Usage(0, 0, 0, 0, 0, {})


def _report(found: dict[str, Any]) -> str:
    lines = ["# Descriptions in batch", "", "`python benchmarks/describe.py`, on two cores of a CPU", ""]
    if "pocket" in found:
        lines += _report_pocket(**found["pocket"])
    if "published" in found:
        lines += ["", _report_published(**found["published"])]
    return "\n".join(lines) + "\n"


def _report_pocket(
    clips: int, seconds: dict[str, list[float]], phases: dict[str, dict[str, float]]
) -> list[str]:
    middle = {name: statistics.median(turns) for name, turns in seconds.items()}
    rows = [
        f"| {name} | {60 * clips / spent:.1f} | {middle['loop'] / spent:.2f}x | {_told(phases[name])} |"
        for name, spent in middle.items()
    ]
    return [
        f"The built-in model, {clips} rendered clips (medians of {len(seconds['loop'])} turns):",
        "",
        "| | files a minute | of the loop | where the time goes, in seconds |",
        "|---|---|---|---|",
        *rows,
        "",
        "Reading goes on beside the model in a job; times of two processes add up both.",
    ]


def _report_published(
    clips: int,
    ours_s: list[float],
    theirs_s: list[float],
    frames: int,
    visual_tokens: int,
    new_tokens: int,
    phases: dict[str, float],
) -> str:
    ours, theirs = statistics.median(ours_s), statistics.median(theirs_s)
    return (
        "LLaVA-OneVision's architecture (0.5B, 12 layers of encoder, random weights, bfloat16), "
        f"{clips} clips of {frames // clips} frames, {visual_tokens // clips} visual tokens, "
        f"{new_tokens // clips} new tokens (medians of {len(ours_s)} turns): ours {60 * clips / ours:.2f} clips a "
        f"minute, transformers' class {60 * clips / theirs:.2f}: **{theirs / ours:.2f}x** "
        f"({_told(phases)} s in the last turn)."
    )


def _told(phases: dict[str, float]) -> str:
    return ", ".join(f"{phase} {spent:.1f}" for phase, spent in phases.items())


if __name__ == "__main__":
    main()
