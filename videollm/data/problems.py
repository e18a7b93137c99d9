"""What is wrong with a data file, each with its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]

NO_ROWS = "there are no rows in the file"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a data file.

    Attributes:
        path: The file.
        line: Line it begins in, from 1 (of Parquet, the row).
        message: What is wrong, for a person, without the place.
        severity: ``"error"``: the record cannot be learnt from. ``"warning"``: it can, and may not mean what was meant.
        row: Which row of the file it is about, from 1: many may share a line; ``None`` where it is none's.
        crowded: Whether other rows begin in its line, so that only ``row`` tells them apart.
    """

    path: Path
    line: int
    message: str
    severity: Severity = "error"
    row: int | None = None
    crowded: bool = False

    def __str__(self) -> str:
        place = place_of(self.path, self.line, self.row if self.crowded else None)
        return f"{place}: {self.severity}: {self.message}"


class RowError(ValueError):
    """A row is not what its format says. ``str(error)`` is the message of its :class:`Problem`."""


def place_of(path: Path, line: int, row: int | None) -> str:
    """Returns a place in a data file, for a person; ``row`` is given where the line does not tell rows apart."""
    return f"{path}:{line}" if row is None else f"{path}:{line}: record {row}"


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun: ``1 error``, ``2 errors``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def with_article(noun: str) -> str:
    """Returns a noun with its article: ``a video``, ``an image``."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
