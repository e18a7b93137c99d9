"""The figures of a test on a data file for people: as a table in plain text, and as the files of a report."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from ..data.problems import Problem
from .metrics import Interval
from .record_page import comparison_page
from .record_report import RecordReport, RecordScore, compare, compare_to_dict
from .tables import align, percent, percent_gain, percent_range

_MOST_NAMED = 10


def as_table(report: RecordReport, base: RecordReport | None = None) -> str:
    """Returns the figures as lines of text for a terminal, beside those of another model if there is one.

    Below them stands what was in their way: media that cannot be read, and rows that were left out.
    """
    gains = compare(report, base) if base is not None else {}
    has_blind = not math.isnan(report.scores[-1].blind.value)
    has_times = any(not math.isnan(score.iou.value) for score in report.scores)
    head = ["kind", "asked", "right", "95 %", "normalised", "F1", "ROUGE-L", "CIDEr-D"]
    head += ["IoU"] if has_times else []
    head += ["blind", "seeing - blind"] if has_blind else []
    head += ["base", "tuned - base"] if base is not None else []
    lines = [head]
    for number, score in enumerate(report.scores):
        cells = _cells(score, has_times=has_times, has_blind=has_blind)
        if base is not None:
            cells += _base_cells(base.scores[number], gains[score.kind])
        lines.append(cells)
    texts = align(lines)
    return "\n".join(
        [*_names(report, base), texts[0], "-" * max(map(len, texts)), *texts[1:], *_obstacles(report, base)]
    )


def write_record_report(report: RecordReport, directory: Path, base: RecordReport | None = None) -> None:
    """Writes ``report.json`` and ``report.md``, and of two models ``answers.html``."""
    facts = report.to_dict() if base is None else compare_to_dict(report, base)
    (directory / "report.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    settings = _settings(report) if base is None else f"tuned: {_settings(report)}\nbase: {_settings(base)}"
    text = (
        f"# Answers to {report.settings['file']}\n\n```text\n{as_table(report, base)}\n```\n\n"
        f"```text\n{settings}\n```\n"
    )
    if base is not None:
        text += "\n[The answers of both, side by side](answers.html)\n"
        (directory / "answers.html").write_text(comparison_page(report, base, directory), encoding="utf-8")
    (directory / "report.md").write_text(text, encoding="utf-8")


def _cells(score: RecordScore, *, has_times: bool, has_blind: bool) -> list[str]:
    cells = [score.kind, str(score.asked), percent(score.right.value), percent_range(score.right)]
    cells += [percent(score.normalised.value), percent(score.f1.value), percent(score.rouge_l.value)]
    cells += [f"{score.cider_d:.2f}"]
    cells += [percent(score.iou.value)] if has_times else []
    cells += [percent(score.blind.value), percent_gain(score.gain)] if has_blind else []
    return cells


def _base_cells(score: RecordScore, gain: Interval) -> list[str]:
    return [percent(score.right.value), percent_gain(gain)]


def _names(report: RecordReport, base: RecordReport | None) -> list[str]:
    """Which model is which: a path is too long for the head of a column."""
    if base is None:
        return []
    return [
        f"tuned: {report.settings['model']} (all columns but base)",
        f"base: {base.settings['model']}",
        "",
    ]


def _obstacles(report: RecordReport, base: RecordReport | None) -> list[str]:
    """What was in the way of the figures, of one model or the other, with places."""
    ours = report.unreadable
    theirs = () if base is None else tuple(one for one in base.unreadable if one not in set(ours))
    unreadable = (*ours, *theirs)
    rows = len({problem.row for problem in report.left_out})
    return [
        *_named(f"{len(unreadable)} records count as wrong: their media cannot be read", unreadable),
        *_named(f"bad rows that were left out: {rows}", report.left_out),
    ]


def _named(headline: str, problems: Sequence[Problem]) -> list[str]:
    """A line about all of them and one for each of the first; nothing of none."""
    if not problems:
        return []
    more = len(problems) - _MOST_NAMED
    rest = [f"  and {more} more; report.json and --json list all"] if more > 0 else []
    return ["", headline, *(f"  {problem}" for problem in problems[:_MOST_NAMED]), *rest]


def _settings(report: RecordReport) -> str:
    return ", ".join(f"{name} {value}" for name, value in report.settings.items())
