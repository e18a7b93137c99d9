"""What the answers to a data file add up to: figures by kind with intervals, and two models side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..data.problems import Problem
from ..errors import DataError
from .metrics import Interval, grouped_mean_interval, paired_interval, wilson_interval
from .record_rows import RecordRow
from .tables import without_nan
from .text_metrics import cider_d

ALL = "all"


@dataclass(frozen=True, slots=True)
class RecordScore:
    """The figures of one kind, or of all.

    Attributes:
        kind: The kind.
        asked: Records asked.
        right: Share of right answers: the right option, or the same text.
        normalised: Share of answers that are the same without punctuation and articles.
        f1: Mean F1 of words.
        rouge_l: Mean ROUGE-L.
        cider_d: Mean CIDEr-D over the records of this kind.
        iou: Mean temporal intersection over union, where records have events.
        blind: Share answered rightly on other media; NaN if not asked.
        gain: Right minus blind, with its paired interval.
        unreadable: Records whose media cannot be read; they count as wrong.
    """

    kind: str
    asked: int
    right: Interval
    normalised: Interval
    f1: Interval
    rouge_l: Interval
    cider_d: float
    iou: Interval
    blind: Interval
    gain: Interval
    unreadable: int


@dataclass(frozen=True, slots=True)
class RecordReport:
    """The result of a test on a data file.

    Attributes:
        settings: What was tested and how.
        scores: Of each kind in alphabetical order, then of all records.
        rows: The answers.
        unreadable: Why media cannot be read, of each record that has such.
        left_out: Why rows of the file were not asked.
    """

    settings: dict[str, Any]
    scores: tuple[RecordScore, ...]
    rows: tuple[RecordRow, ...]
    unreadable: tuple[Problem, ...] = ()
    left_out: tuple[Problem, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the figures and what was in their way as plain JSON types; what was not asked is ``None``."""
        return {
            "settings": self.settings,
            "scores": [without_nan(dataclasses.asdict(score)) for score in self.scores],
            "unreadable": [_located(problem) for problem in self.unreadable],
            "left_out": [_located(problem) for problem in self.left_out],
        }


def summarise_records(
    rows: Sequence[RecordRow],
    settings: dict[str, Any],
    *,
    unreadable: Sequence[Problem] = (),
    left_out: Sequence[Problem] = (),
) -> RecordReport:
    """Adds rows up, by kind and over all.

    Args:
        rows: The answers.
        settings: What was tested and how.
        unreadable: Why media cannot be read, of each record that has such.
        left_out: Why rows of the file were not asked.
    """
    kinds = sorted({row.kind for row in rows})
    scores = [_score(kind, [row for row in rows if row.kind == kind]) for kind in kinds]
    return RecordReport(
        settings, (*scores, _score(ALL, rows)), tuple(rows), tuple(unreadable), tuple(left_out)
    )


def compare(tuned: RecordReport, base: RecordReport) -> dict[str, Interval]:
    """Returns by kind how much more of the same records one model answers rightly than another, paired.

    Raises:
        DataError: The reports are not of the same records.
    """
    if tuned.settings["records"] != base.settings["records"]:
        raise DataError("the two reports are of different records; ask both models the same file")
    gains = {}
    for score in tuned.scores:
        pairs = [
            (ours.right, theirs.right)
            for ours, theirs in zip(tuned.rows, base.rows, strict=True)
            if score.kind in (ALL, ours.kind)
        ]
        gains[score.kind] = paired_interval([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
    return gains


def compare_to_dict(tuned: RecordReport, base: RecordReport) -> dict[str, Any]:
    """Returns both models' figures and the gains as plain JSON types."""
    gains = {kind: dataclasses.asdict(gain) for kind, gain in compare(tuned, base).items()}
    return {"tuned": tuned.to_dict(), "base": base.to_dict(), "gains": without_nan(gains)}


def _score(kind: str, rows: Sequence[RecordRow]) -> RecordScore:
    blind = [row for row in rows if row.blind_right is not None]
    timed = [row.iou for row in rows if row.iou is not None]
    cider = cider_d([row.got for row in rows], [[row.expected] for row in rows])
    return RecordScore(
        kind=kind,
        asked=len(rows),
        right=wilson_interval(sum(row.right for row in rows), len(rows)),
        normalised=wilson_interval(sum(row.normalised for row in rows), len(rows)),
        f1=_mean([row.f1 for row in rows]),
        rouge_l=_mean([row.rouge_l for row in rows]),
        cider_d=sum(cider) / len(cider),
        iou=_mean(timed),
        blind=wilson_interval(sum(row.blind_right is True for row in blind), len(blind)),
        gain=paired_interval([row.right for row in blind], [row.blind_right is True for row in blind]),
        unreadable=sum(row.problem is not None for row in rows),
    )


def _located(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "row": problem.row, "problem": problem.message}


def _mean(values: Sequence[float]) -> Interval:
    """Mean with a bootstrap interval over records."""
    return grouped_mean_interval(values, [ALL] * len(values), list(range(len(values))))
