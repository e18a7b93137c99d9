"""A report for people: as a table in plain text, as Markdown and as a plot."""

from __future__ import annotations

import json
import math
from pathlib import Path

from .metrics import Interval
from .report import KindScore, WorldReport
from .tables import align, percent, percent_gain, percent_range

_HEAD = ("kind", "asked", "accuracy", "95 %", "constant", "blind", "seeing - blind", "learnt")
_NOTE = (
    "constant: what the best constant answer scores, chosen with knowledge of the test. "
    "blind: the same questions about another, randomly drawn clip. "
    "learnt: the paired 95 % interval of seeing - blind lies above zero."
)


def table(report: WorldReport) -> str:
    """Returns the report as lines of text for a terminal."""
    rows = [_HEAD, *(_cells(score) for score in (*report.kinds, *report.descriptions))]
    lines = align(rows)
    lines.insert(1, "-" * len(lines[0]))
    lines.insert(2 + len(report.kinds), lines[1])
    return "\n".join([*lines, "", *summary(report)])


def summary(report: WorldReport) -> list[str]:
    """Returns the figures over all kinds, a line for each."""
    pairs = "; ".join(f"{change} {_with_interval(share)}" for change, share in report.pairs.items())
    countable = sum(score.learnt is not None for score in report.kinds)
    return [
        f"mean over {len(report.kinds)} kinds: {_with_interval(report.mean)}",
        f"blind: {_with_interval(report.blind_mean)}; best constant answers: {percent(report.constant_mean)}",
        f"kinds learnt: {report.learnt} of {countable}",
        f"held-out combinations: {_with_interval(report.held_out)}; "
        f"the others of these kinds: {_with_interval(report.shown)}",
        f"wordings that training lacks: {_with_interval(report.new_wordings)}",
        f"right lines of dense descriptions: {_with_interval(report.dense_lines)}",
        f"unanswerable questions refused: {_with_interval(report.refused)}; "
        f"answers that claim an object where there is none: {_with_interval(report.invented)}",
        f"counterfactual pairs, both right: {pairs}",
        f"visual tokens: {report.visual_tokens:.1f} a question; TokDense {report.token_density:.3f} % a token",
    ]


def markdown(report: WorldReport) -> str:
    """Returns the report as a Markdown document."""
    settings = ", ".join(f"{name} {value}" for name, value in report.settings.items())
    head = f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}"
    rows = "\n".join(f"| {' | '.join(_cells(score))} |" for score in (*report.kinds, *report.descriptions))
    figures = "\n".join(f"- {line}" for line in summary(report))
    return (
        f"# Accuracy on the pocket world\n\n{figures}\n\n![Accuracy by kind](report.png)\n\n{head}\n{rows}\n\n"
        f"{_NOTE}\n\n{report.clips} clips of the test split; {settings}.\n"
    )


def write_report(report: WorldReport, directory: Path) -> None:
    """Writes ``report.json``, ``report.md`` and ``report.png``."""
    text = json.dumps(report.to_dict(), indent=2)
    (directory / "report.json").write_text(text + "\n", encoding="utf-8")
    (directory / "report.md").write_text(markdown(report), encoding="utf-8")
    plot(report, directory / "report.png")


def plot(report: WorldReport, path: Path) -> None:
    """Draws accuracy by kind with intervals, beside the blind and the constant baseline."""
    from matplotlib.figure import Figure

    scores = sorted(report.kinds, key=lambda score: score.accuracy.value)
    places = range(len(scores))
    figure = Figure(figsize=(8, 1.5 + 0.28 * len(scores)), layout="constrained")
    axes = figure.subplots()
    values = [100 * score.accuracy.value for score in scores]
    below = [100 * (score.accuracy.value - score.accuracy.low) for score in scores]
    above = [100 * (score.accuracy.high - score.accuracy.value) for score in scores]
    axes.barh(
        places, values, xerr=(below, above), color="tab:blue", alpha=0.75, label="seeing, with 95 % interval"
    )
    axes.plot([100 * score.blind.value for score in scores], places, "o", color="tab:orange", label="blind")
    axes.plot(
        [100 * score.constant for score in scores],
        places,
        "|",
        ms=12,
        mew=2,
        color="black",
        label="best constant",
    )
    axes.axvline(100 * report.mean.value, color="tab:blue", linestyle=":", label="mean over kinds")
    axes.set_yticks(places, [score.kind for score in scores])
    axes.set_xlim(0, 100)
    axes.set_xlabel("right answers, %")
    axes.legend(loc="lower right", fontsize="small")
    figure.savefig(path, dpi=120)


def _cells(score: KindScore) -> tuple[str, ...]:
    return (
        score.kind,
        str(score.asked),
        percent(score.accuracy.value),
        percent_range(score.accuracy),
        percent(score.constant),
        percent(score.blind.value),
        percent_gain(score.gain),
        {True: "yes", False: "no", None: "-"}[score.learnt],
    )


def _with_interval(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "not asked"
    return f"{percent(interval.value)} {percent_range(interval)}"
