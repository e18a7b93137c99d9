"""Table and plot of what each compressor is worth, from the answers of all rows that are done."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from compressors_asking import BUDGETS

from videollm.evaluation.metrics import grouped_mean_interval, wilson_interval
from videollm.synthetic.language.questions import KINDS

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_DRAWS = 2000
# What single differences show, where both rows are done.
_PAIRS = (
    ("vq", "vq, codebook only", "what VQToken's map of codes brings"),
    ("vq", "vq, random map", "what of that is where and when, not more weights"),
    ("merge+vq", "vq", "merging segments before the codebook"),
    ("merge+vq", "merge", "one codebook of all segments after merging"),
    ("merge+qformer", "qformer", "merging before the queries"),
    ("merge+qformer", "merge", "queries after merging"),
    ("merge+qformer", "merge+qformer, no memory", "LongVLM's memory tokens"),
    ("merge+qformer, by content", "merge+qformer", "segments and budget by content"),
    ("kmeans", "merge", "k-means instead of bipartite merging"),
    ("kmeans+qformer", "merge+qformer", "the same before queries"),
)


def write_results(answers: Iterable[Path], out: Path, command: str) -> None:
    """Writes ``compressors.md``, ``.json`` and ``.png`` into ``out``."""
    rows = [json.loads(path.read_text("utf-8")) for path in sorted(answers)]
    out.mkdir(parents=True, exist_ok=True)
    figures = [_figures(row) for row in rows]
    (out / "compressors.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    text = "\n\n".join([f"`{command}`", _means(rows), _against(rows), _pairs(rows), _kinds(rows)])
    (out / "compressors.md").write_text(f"# What each compressor is worth\n\n{text}\n", encoding="utf-8")
    _plot(rows, out / "compressors.png")


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its single answers."""
    budgets = {}
    for budget, answers in row["budgets"].items():
        mean = grouped_mean_interval(answers["right"], answers["kinds"], answers["clips"])
        budgets[budget] = {
            "mean": [round(mean.value, 4), round(mean.low, 4), round(mean.high, 4)],
            "tokens": round(answers["tokens"], 1),
            "kinds": {kind: round(share, 4) for kind, share in _by_kind(answers).items()},
        }
    return {**row, "budgets": budgets}


def _by_kind(answers: dict[str, Any]) -> dict[str, float]:
    kinds, right = np.array(answers["kinds"]), np.array(answers["right"])
    return {kind: float(right[kinds == kind].mean()) for kind in KINDS}


def _means(rows: list[dict[str, Any]]) -> str:
    """Mean over kinds by row and budget."""
    lines = [
        f"| compressor | loss | s a step | {' | '.join(map(str, BUDGETS))} | all |",
        f"|---|---:|---:|{'---|' * len(BUDGETS)}---|",
    ]
    for row in rows:
        cells = [_mean_cell(row["budgets"].get(str(budget))) for budget in (*BUDGETS, None)]
        lines.append(f"| {row['name']} | {row['loss']:.3f} | {row['step_s']:.2f} | {' | '.join(cells)} |")
    note = (
        "Mean accuracy over the 21 kinds in %, with a 95 % interval (clips resampled), at a budget of so many visual "
        "tokens, and in brackets the mean number of tokens that a clip took."
    )
    return f"{note}\n\n" + "\n".join(lines)


def _mean_cell(answers: dict[str, Any] | None) -> str:
    if answers is None:
        return "-"
    mean = grouped_mean_interval(answers["right"], answers["kinds"], answers["clips"])
    return f"{100 * mean.value:.1f} [{100 * mean.low:.0f}, {100 * mean.high:.0f}] ({answers['tokens']:.0f})"


def _against(rows: list[dict[str, Any]]) -> str:
    """Differences to the uncompressed row on the same questions."""
    whole = next((row["budgets"]["None"] for row in rows if row["name"] == "none"), None)
    if whole is None:
        return "The uncompressed row is not done."
    lines = [f"| compressor | {' | '.join(map(str, BUDGETS))} |", f"|---|{'---|' * len(BUDGETS)}"]
    for row in rows:
        if row["name"] == "none":
            continue
        cells = [_difference_cell(row["budgets"][str(budget)], whole) for budget in BUDGETS]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return (
        f"Points above or below the uncompressed row ({whole['tokens']:.0f} tokens a clip), same questions, with a "
        "95 % interval of the paired difference (clips resampled).\n\n" + "\n".join(lines)
    )


def _pairs(rows: list[dict[str, Any]]) -> str:
    """Differences between two rows on the same questions."""
    by_name = {row["name"]: row["budgets"] for row in rows}
    lines = [f"| what | rows | {' | '.join(map(str, BUDGETS))} |", f"|---|---|{'---|' * len(BUDGETS)}"]
    for one, other, what in _PAIRS:
        if one in by_name and other in by_name:
            cells = [_difference_cell(by_name[one][str(b)], by_name[other][str(b)]) for b in BUDGETS]
            lines.append(f"| {what} | {one} - {other} | {' | '.join(cells)} |")
    return "What single parts bring: points between two rows, as above.\n\n" + "\n".join(lines)


def _difference_cell(answers: dict[str, Any], other: dict[str, Any]) -> str:
    value, low, high = _difference(answers, other)
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _difference(answers: dict[str, Any], other: dict[str, Any]) -> tuple[float, float, float]:
    """Difference of the means over kinds, and its interval by the cluster bootstrap."""
    kinds = np.unique(answers["kinds"], return_inverse=True)[1]
    clips = np.unique(answers["clips"], return_inverse=True)[1]
    gain = np.array(answers["right"], dtype=float) - np.array(other["right"], dtype=float)
    shape = (clips.max() + 1, kinds.max() + 1)
    asked, sums = np.zeros(shape), np.zeros(shape)
    np.add.at(asked, (clips, kinds), 1)
    np.add.at(sums, (clips, kinds), gain)
    weights = np.random.default_rng(0).multinomial(shape[0], np.full(shape[0], 1 / shape[0]), size=_DRAWS)
    means = ((weights @ sums) / np.maximum(weights @ asked, 1)).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float((sums.sum(0) / asked.sum(0)).mean()), float(low), float(high)


def _kinds(rows: list[dict[str, Any]]) -> str:
    """Accuracy by kind at 32 tokens, or of all where there is no budget."""
    chosen = [(row["name"], row["budgets"].get("32") or row["budgets"]["None"]) for row in rows]
    asked = len(chosen[0][1]["kinds"]) // len(KINDS)
    half = 100 * (wilson_interval(asked // 2, asked).high - 0.5)
    lines = [f"| kind | {' | '.join(name for name, _ in chosen)} |", f"|---|{'---:|' * len(chosen)}"]
    shares = [_by_kind(answers) for _, answers in chosen]
    lines += [f"| {kind} | {' | '.join(f'{100 * share[kind]:.0f}' for share in shares)} |" for kind in KINDS]
    return (
        f"Accuracy by kind in % at 32 tokens (uncompressed: all), {asked} questions of each kind: 95 % intervals reach "
        f"up to {half:.0f} points to either side.\n\n" + "\n".join(lines)
    )


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    colours = iter(plt.get_cmap("tab20").colors[::2] + plt.get_cmap("tab20").colors[1::2])
    for row in rows:
        means = {
            answers["tokens"]: grouped_mean_interval(answers["right"], answers["kinds"], answers["clips"])
            for answers in row["budgets"].values()
        }
        values = [100 * mean.value for mean in means.values()]
        if len(values) == 1:
            axes.axhline(values[0], color="black", linestyle="--", label=f"{row['name']} (all patches)")
            for mean in means.values():
                axes.axhspan(100 * mean.low, 100 * mean.high, color="black", alpha=0.06)
            continue
        style = ":" if "," in row["name"] else "-"
        axes.plot(list(means), values, marker="o", linestyle=style, color=next(colours), label=row["name"])
    axes.set_xscale("log", base=2)
    axes.set_xticks(BUDGETS, [str(budget) for budget in BUDGETS])
    axes.set_xlabel("visual tokens a clip (mean); 95 % intervals as wide as the uncompressed row's band")
    axes.set_ylabel("mean accuracy over kinds, %")
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside right center")
    figure.savefig(path, dpi=120)
    plt.close(figure)
