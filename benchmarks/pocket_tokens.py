"""How well a model answers about the pocket world at different numbers of visual tokens, with the same weights.

    python benchmarks/pocket_tokens.py --model pocket --questions 1050

Clips are seen and merged once; then every budget answers the same questions. Table and plot go to
``benchmarks/results/pocket_tokens.*``. Rows are kept under ``--runs``, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

from videollm import load_model
from videollm.evaluation.report import WorldReport
from videollm.evaluation.world import evaluate_world
from videollm.media import processor_of
from videollm.model import VideoLLM
from videollm.model.segments import MergedSegments
from videollm.synthetic.reading import read_clip
from videollm.synthetic.scenes import Clip
from videollm.values import EncodedVideo, FramePlan

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BUDGETS = (8, 16, 32, 64, 128, 256)
RESULTS = Path(__file__).parent / "results"


class SeenOnce:
    """Encodes clips at any budget; what does not depend on the budget is made once and kept.

    Args:
        model: A model with its processor.
    """

    def __init__(self, model: VideoLLM) -> None:
        self._model = model
        self._kept: dict[Clip, tuple[MergedSegments, FramePlan]] = {}

    def encode(self, clip: Clip, budget: int) -> EncodedVideo:
        """Returns the clip in at most ``budget`` visual tokens."""
        if clip not in self._kept:
            pixels, plan = read_clip(clip, self._model.config.video)
            frames = processor_of(self._model).prepare_frames(pixels)
            self._kept[clip] = (self._model.merge_video(frames, plan), plan)
        merged, plan = self._kept[clip]
        return self._model.encode_merged(merged, plan, max_visual_tokens=budget)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pocket", help="model to ask")
    parser.add_argument("--questions", type=int, default=1050, help="questions at every budget")
    parser.add_argument("--seed", type=int, default=0, help="chooses clips and questions")
    parser.add_argument("--runs", type=Path, default=Path("runs/pocket_tokens"), help="where rows are kept")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where table and plot go")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    seen = SeenOnce(model)
    reports: dict[int, WorldReport] = {}
    for budget in BUDGETS:
        reports[budget] = evaluate_world(
            model,
            questions=arguments.questions,
            seed=arguments.seed,
            out_dir=arguments.runs / str(budget),
            descriptions=False,
            pairs=0,
            empty=0,
            max_visual_tokens=budget,
            resume=True,
            name=arguments.model,
            encode=partial(seen.encode, budget=budget),
            progress=partial(_say, budget),
        )
    command = (
        f"python benchmarks/pocket_tokens.py --model {arguments.model} --questions {arguments.questions}"
    )
    write_results(reports, arguments.out, command)


def _say(budget: int, line: str) -> None:
    print(f"{budget} tokens: {line}", file=sys.stderr, flush=True)


def write_results(reports: dict[int, WorldReport], out: Path, command: str) -> None:
    """Writes ``pocket_tokens.json``, ``.md`` and ``.png`` into ``out``."""
    rows = [_figures(budget, report) for budget, report in reports.items()]
    best = max(row["mean"] for row in rows)
    out.mkdir(parents=True, exist_ok=True)
    (out / "pocket_tokens.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    lines = [
        f"| {row['budget']} | {row['tokens']:.1f} | {100 * row['mean']:.1f} % [{100 * row['low']:.0f}, "
        f"{100 * row['high']:.0f}] | {100 * (row['mean'] - best):+.1f} |"
        for row in rows
    ]
    table = "\n".join(
        ["| at most | taken | mean accuracy over kinds | to the best |", "|---:|---:|---|---:|", *lines]
    )
    text = f"# Accuracy over visual tokens\n\n`{command}`\n\n{table}\n\n![Accuracy over tokens](pocket_tokens.png)\n"
    (out / "pocket_tokens.md").write_text(text, encoding="utf-8")
    _plot(rows, out / "pocket_tokens.png")


def _figures(budget: int, report: WorldReport) -> dict[str, Any]:
    return {
        "budget": budget,
        "tokens": round(report.visual_tokens, 1),
        "mean": round(report.mean.value, 4),
        "low": round(report.mean.low, 4),
        "high": round(report.mean.high, 4),
        "kinds": {score.kind: round(score.accuracy.value, 4) for score in report.kinds},
    }


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    means = [100 * row["mean"] for row in rows]
    spread = (
        [100 * (row["mean"] - row["low"]) for row in rows],
        [100 * (row["high"] - row["mean"]) for row in rows],
    )
    axes.errorbar([row["budget"] for row in rows], means, yerr=spread, marker="o", capsize=3)
    axes.set_xscale("log", base=2)
    axes.set_xticks([row["budget"] for row in rows], [str(row["budget"]) for row in rows])
    axes.set_xlabel("visual tokens of a clip, at most")
    axes.set_ylabel("right answers, % (mean over kinds)")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
