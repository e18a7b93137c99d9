"""Figures as people and files want them: percents, aligned columns, JSON without "not a number"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .metrics import Interval


def percent(share: float) -> str:
    """Returns a share as a percentage; a dash where nothing was asked."""
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def percent_range(interval: Interval) -> str:
    """Returns the ends of an interval in percent."""
    return f"[{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def percent_gain(interval: Interval) -> str:
    """Returns a difference with its interval, in points."""
    return f"{100 * interval.value:+.0f} [{100 * interval.low:+.0f}, {100 * interval.high:+.0f}]"


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns rows of cells as lines with aligned columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def without_nan(value: Any) -> Any:
    """Returns plain JSON types in which what is not a number is ``None``, since JSON has no other word for it."""
    match value:
        case dict():
            return {name: without_nan(part) for name, part in value.items()}
        case list() | tuple():
            return [without_nan(part) for part in value]
        case float() if math.isnan(value):
            return None
        case _:
            return value
