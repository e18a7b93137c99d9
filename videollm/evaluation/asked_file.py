"""A data file as a test: the records that can be asked, and the rows that cannot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.problems import Problem
from ..data.reading import Located, read_records
from ..data.records import Record
from ..errors import DataError

_MOST_TOLD = 50


@dataclass(frozen=True, slots=True)
class AskedFile:
    """What of a data file can be asked.

    Attributes:
        path: The file.
        located: Its records in order, with their lines.
        left_out: Why its other rows make no record.
    """

    path: Path
    located: tuple[Located, ...]
    left_out: tuple[Problem, ...] = ()

    @property
    def records(self) -> list[Record]:
        """The records, in order."""
        return [located.record for located in self.located]

    def fingerprint(self) -> str:
        """Returns a short hash of the records: answers of one hash are to the same questions."""
        digest = hashlib.blake2b(digest_size=8)
        for record in self.records:
            digest.update(record.to_json().encode())
        return digest.hexdigest()


def read_asked(
    path: Path,
    *,
    format: str | None = None,
    media: Sequence[Path] = (),
    max_bad_fraction: float | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> AskedFile:
    """Reads all of a data file before anything of it is asked.

    Args:
        path: A data file of any known format.
        format: Name of its rows' format; found out if ``None``.
        media: Directories to look for media in, before the file's own.
        max_bad_fraction: Share of the rows that may be bad, and are left out; ``None`` where none may be, and nobody
            can say otherwise.
        tell: Told in a line each what is wrong with the bad rows, up to fifty.

    Raises:
        ConfigError: There is no format of that name.
        DataError: The file is missing or has no records, or more of its rows are bad.
    """
    found = list(read_records(path, format=format, media=media))
    problems = tuple(one for one in found if isinstance(one, Problem))
    located = tuple(one for one in found if isinstance(one, Located))
    for problem in problems[:_MOST_TOLD]:
        tell(str(problem))
    if len(problems) > _MOST_TOLD:
        tell(f"and {len(problems) - _MOST_TOLD} more; 'videollm data check --json' lists all")
    if not found:
        raise DataError(f"{path} has no records")
    # A row may hold several records, and be bad from one of them on.
    bad = {problem.row for problem in problems}
    rows = bad | {one.row for one in located}
    if not located or len(bad) > (max_bad_fraction or 0.0) * len(rows):
        limit = "" if max_bad_fraction is None else f", max_bad_fraction is {max_bad_fraction:g}"
        raise DataError(
            f"{path}: {len(bad)} of {len(rows)} rows are bad{limit} (the first: {problems[0]}); "
            "mend them, see 'videollm data check'"
        )
    return AskedFile(path, located, problems)
