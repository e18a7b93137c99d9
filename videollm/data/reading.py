"""From a data file to records, each with its line, and a problem for each row that is none.

Nothing is replaced, and nothing left out without a :class:`Problem` that says where and why.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from .formats import FORMATS, Format, format_of
from .formats.base import Fields
from .problems import Problem, RowError, Severity
from .records import Record, make_record
from .rows import read_rows

_ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".gif")


@dataclass(frozen=True, slots=True)
class Located:
    """A record with where it stands.

    Attributes:
        record: The record. The paths of its media are those of files, where they were found.
        line: Line of the data file that its row begins in.
        row: Which row of the file it is made of, from 1.
        format: Name of the row's format.
    """

    record: Record
    line: int
    row: int
    format: str

    def problem(self, path: Path, message: str, severity: Severity = "error") -> Problem:
        """Returns something that is wrong with this record of a file."""
        return Problem(path, self.line, message, severity, self.row)


def read_records(
    path: Path, *, format: str | None = None, media: Sequence[Path] = ()
) -> Iterator[Located | Problem]:
    """Yields the records of a data file in order, and a problem for each row that makes none.

    Args:
        path: JSON, JSONL, CSV, TSV, text (Charades-STA) or Parquet.
        format: Name of the rows' format; found out row by row if ``None``.
        media: Directories to look for media in, before the data file's own.

    Raises:
        ConfigError: There is no format of that name.
        DataError: The file is missing or of an unknown type.
    """
    wanted = _named_format(format) if format is not None else None
    places = MediaPlaces((*media, path.parent))
    taken: set[str] = set()
    for position, row in enumerate(read_rows(path), start=1):
        if isinstance(row, Problem):
            yield dataclasses.replace(row, row=position)
            continue
        kind = wanted or format_of(row.fields)
        if kind is None:
            keys = ", ".join(sorted(row.fields)) or "no keys"
            yield Problem(path, row.line, f"of no known format: has {keys}", row=position)
            continue
        try:
            for number, fields in enumerate(kind.read(row)):
                record = make_record(_complete(fields, f"{path.stem}-{position}", number, places))
                if record.id in taken:
                    raise RowError(f"the id {record.id!r} was there before")
                taken.add(record.id)
                yield Located(record, row.line, position, kind.name)
        except RowError as error:
            yield Problem(path, row.line, str(error), row=position)


class MediaPlaces:
    """Where media are looked for.

    Args:
        roots: Directories, the first before the others.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(dict.fromkeys(roots))

    def find(self, names: Sequence[str]) -> str:
        """Returns the path of the first of ``names`` that is a file under one of the roots.

        Names may lack their ending. Where there is no such file, the first name comes back as a path of the last root,
        so that whoever opens it can say what is missing.
        """
        for name in names:
            for root in self._roots:
                for ending in ("", *_ENDINGS):
                    candidate = f"{root / name}{ending}"
                    if os.path.isfile(candidate):  # unlike Path.is_file, false for a name no file can have
                        return candidate
        return str(self._roots[-1] / names[0])


def _named_format(name: str) -> Format:
    found = next((known for known in FORMATS if known.name == name), None)
    if found is None:
        raise ConfigError(
            f"there is no format {name!r}; known are: {', '.join(known.name for known in FORMATS)}"
        )
    return found


def _complete(fields: Fields, name: str, number: int, places: MediaPlaces) -> Fields:
    """Fields with an id, and with one path for each medium."""
    own = fields.get("id")
    if own is None:
        own = name if number == 0 else f"{name}-{number + 1}"
    media = [one | {"path": places.find(one["path"])} for one in fields.get("media", [])]
    return fields | {"id": own, "media": media}
