"""Do small things get tokens of their own? Ways of compressing, on patches that say outright what they show.

    python benchmarks/small_things.py [--clips 100] [--out benchmarks/results]

A clip's patches are given features that name the object they show and what it is doing (``videollm_train.told``), so
that nothing but the compression can lose them. An object, or an object in one of its actions, is *found* if more than
half of some token's patches are its own. About a minute for every 25 clips on one core.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from videollm.model.compressor_config import CompressorConfig
from videollm.model.merging import merge_tokens
from videollm.model.quantization import cluster_tokens, quantize
from videollm.model.settings import VideoSettings
from videollm.synthetic.reading import plan_clip
from videollm.synthetic.sampling import sample_clip
from videollm.values import FramePlan
from videollm_train.patch_labels import patch_labels
from videollm_train.told import ToldEncoder

WIDTH, SIDE, PIXELS, HEADS = 192, 12, 144, 3
VIDEO = VideoSettings(fps=3, max_frames=48, frames_per_segment=3, max_segments=16)
BUDGETS = (8, 16, 32, 64)
MERGED = 16
Way = Callable[[Tensor, FramePlan, int], Tensor]


def by_segments(patches_TPC: Tensor, plan: FramePlan, budget: int, *, way: str) -> Tensor:
    """The budget spread over the segments, which are compressed one by one; sources of all patches."""
    each = budget // len(plan.segments)
    return segment_sources(patches_TPC, plan, each, way)[0]


def segment_sources(patches_TPC: Tensor, plan: FramePlan, each: int, way: str) -> tuple[Tensor, Tensor]:
    """Sources of all patches and the tokens, ``each`` of every segment."""
    sources, tokens = [], []
    for number, (first, past) in enumerate(plan.segments):
        segment = patches_TPC[first:past].flatten(0, 1)[None]
        if way == "k-means":
            merged = cluster_tokens(segment, each, heads=HEADS)
        else:
            merged = merge_tokens(segment, each, heads=HEADS, share=float(way))
        sources.append(merged.sources[0] + number * each)
        tokens.append(merged.tokens[0])
    return torch.cat(sources), torch.cat(tokens)


def codebook(patches_TPC: Tensor, plan: FramePlan, budget: int) -> Tensor:
    """One codebook of all patches."""
    return quantize(patches_TPC.flatten(0, 1), budget).labels_N


def merged_codebook(patches_TPC: Tensor, plan: FramePlan, budget: int) -> Tensor:
    """One codebook of what merging leaves of the segments."""
    share = str(CompressorConfig().merge_share)
    sources, tokens = segment_sources(patches_TPC, plan, MERGED, share)
    return sources if len(tokens) <= budget else quantize(tokens, budget).labels_N[sources]


WAYS: dict[str, Way] = {
    "segments merged, share 0.5": partial(by_segments, way="0.5"),
    "segments merged, share 0.25": partial(by_segments, way="0.25"),
    "k-means in segments": partial(by_segments, way="k-means"),
    "codebook of patches": codebook,
    "codebook of merged segments": merged_codebook,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=100, help="clips of the training split, from seed 0")
    parser.add_argument("--out", type=Path, help="where small_things.md and .json go")
    options = parser.parse_args()
    found: dict[tuple[str, str, int], list[bool]] = defaultdict(list)
    encoder = ToldEncoder(WIDTH, PIXELS, SIDE)
    for seed in range(options.clips):
        clip = sample_clip(seed)
        plan = plan_clip(clip, VIDEO)
        patches_TPC = encoder.see(clip, plan)
        classes_NK = patch_labels(clip, plan.times_s, PIXELS, SIDE).classes_TPK.flatten(0, 1).clamp(min=0)
        objects_N = classes_NK[:, 0] * 100 + classes_NK[:, 1]
        things = {"object": objects_N, "object in an action": objects_N * 100 + classes_NK[:, 3]}
        for name, way in WAYS.items():
            # A segment gets at least one token.
            for budget in (budget for budget in BUDGETS if budget >= len(plan.segments)):
                sources_N = way(patches_TPC, plan, budget)
                for thing, names_N in things.items():
                    found[thing, name, budget] += owners(names_N, objects_N > 0, sources_N)
    report(found, options)


def owners(names_N: Tensor, shown_N: Tensor, sources_N: Tensor) -> Iterator[bool]:
    """For each thing whether it has a token of its own."""
    sizes = torch.bincount(sources_N)
    for name in names_N[shown_N].unique():
        own = torch.bincount(sources_N[names_N == name], minlength=len(sizes))
        yield bool((own > sizes / 2).any())


def report(found: dict[tuple[str, str, int], list[bool]], options: argparse.Namespace) -> None:
    """Prints the tables, and writes them if asked."""
    rows = [
        {"thing": thing, "way": way, "tokens": budget, "found": sum(own) / len(own), "things": len(own)}
        for (thing, way, budget), own in found.items()
    ]
    shares = {(row["thing"], row["way"], row["tokens"]): row["found"] for row in rows}
    parts = [f"# Small things\n\n`python benchmarks/small_things.py --clips {options.clips}`"]
    for thing in dict.fromkeys(row["thing"] for row in rows):
        lines = [f"| {thing} found, % | {' | '.join(map(str, BUDGETS))} |", f"|---|{'---:|' * len(BUDGETS)}"]
        for way in WAYS:
            cells = [f"{100 * shares[thing, way, budget]:.0f}" for budget in BUDGETS]
            lines.append(f"| {way} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    parts.append("A column holds the clips whose segments, about one a second, are no more than its tokens.")
    text = "\n\n".join(parts) + "\n"
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "small_things.md").write_text(text, encoding="utf-8")
        (options.out / "small_things.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
