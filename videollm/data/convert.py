"""Any data file as the project's own records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from .problems import NO_ROWS, Problem, place_of
from .reading import Located, read_records
from .records import Record


@dataclass(slots=True)
class Conversion:
    """What became of a data file.

    Attributes:
        max_bad_fraction: Share of its rows that may be bad.
        problems: Everything that is wrong with it, in its order.
        records: Records that can be written.
        good_rows: Rows all of whose records can be.
        bad_rows: Those of which some cannot.
    """

    max_bad_fraction: float
    problems: list[Problem] = field(default_factory=list)
    records: int = 0
    good_rows: int = 0
    bad_rows: int = 0

    @property
    def written(self) -> bool:
        """Whether the file was written: there is something to write, and not too much is bad."""
        return self.records > 0 and self.bad_rows <= self.max_bad_fraction * (self.bad_rows + self.good_rows)


def convert_file(
    path: Path,
    out: Path,
    *,
    format: str | None = None,
    media: Sequence[Path] = (),
    max_bad_fraction: float = 0.0,
) -> Conversion:
    """Writes the records of a data file, a line each; relative paths are from the new file's directory.

    Media have to be there, and are not looked into.

    Args:
        path: The data file.
        out: The file to write; it is replaced as a whole, or not at all.
        format: Name of the rows' format; found out if ``None``.
        media: Directories to look for media in, before the data file's own.
        max_bad_fraction: Share of the rows that may be bad; those are left out. Above it nothing is written.

    Raises:
        ConfigError: There is no format of that name.
        DataError: The file is missing or of an unknown type.
    """
    conversion = Conversion(max_bad_fraction)
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("w", encoding="utf-8") as file:
            for record in _good(path, read_records(path, format=format, media=media), conversion):
                moved = [one.model_copy(update={"path": _from(one.path, out.parent)}) for one in record.media]
                file.write(f"{record.model_copy(update={'media': tuple(moved)}).to_json()}\n")
        if conversion.written:
            partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return conversion


def _good(path: Path, found: Iterable[Located | Problem], conversion: Conversion) -> Iterator[Record]:
    """Yields the records whose media are there, each with its source, and notes what becomes of every row."""
    for _, parts in groupby(found, key=lambda one: one.row):
        problems: list[Problem] = []
        for one in parts:
            if isinstance(one, Problem):
                problems.append(one)
                continue
            problems += [one.problem(path, reason) for reason in one.missing]
            problems += [one.problem(path, text, "warning") for text in one.warnings]
            if not one.missing:
                conversion.records += 1
                place = place_of(Path(path.name), one.line, one.row if one.crowded else None)
                yield one.record.model_copy(update={"source": one.record.source or place})
        bad = any(problem.severity == "error" for problem in problems)
        conversion.bad_rows += bad
        conversion.good_rows += not bad
        conversion.problems += problems
    if not conversion.records and not conversion.problems:
        conversion.problems.append(Problem(path, 1, NO_ROWS))


def _from(path: str, directory: Path) -> str:
    return path if os.path.isabs(path) else os.path.relpath(path, directory)
