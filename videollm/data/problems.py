"""What is wrong with a data file, each with its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a data file.

    Attributes:
        path: The file.
        line: Line it begins in, from 1 (of Parquet, the row).
        message: What is wrong, for a person, without the place.
        row: Which row of the file it is about, from 1: many may share a line; ``None`` where it is none's.
        severity: ``"error"``: the record cannot be learnt from. ``"warning"``: it can, and may not mean what was meant.
    """

    path: Path
    line: int
    message: str
    severity: Severity = "error"
    row: int | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.severity}: {self.message}"


class RowError(ValueError):
    """A row is not what its format says. ``str(error)`` is the message of its :class:`Problem`."""
