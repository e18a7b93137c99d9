"""From a data file to records, each with its line, and a problem for each row that is none.

Nothing is replaced, and nothing left out without a :class:`Problem` that says where and why.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError
from .formats import FORMATS, Format, format_of
from .formats.base import MEDIA_KEYS, Fields
from .places import MediaPlaces
from .problems import Problem, RowError, Severity, place_of
from .records import Record, make_record
from .rows import Row, read_rows


@dataclass(frozen=True, slots=True)
class Located:
    """A record with where it stands.

    Attributes:
        record: The record. The paths of its media are those of files, where they were found.
        line: Line of the data file that its row begins in.
        row: Which row of the file it is made of, from 1.
        format: Name of the row's format.
        crowded: Whether other rows begin in its line.
        missing: Why each of its media that is not there was not found.
        empty: Key under which its row names media, and has an empty text.
        warnings: What about it may not be meant.
    """

    record: Record
    line: int
    row: int
    format: str
    crowded: bool = False
    missing: tuple[str, ...] = ()
    empty: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it stands in its file, for a person."""
        return f"record {self.row}" if self.crowded else f"line {self.line}"

    def problem(self, path: Path, message: str, severity: Severity = "error") -> Problem:
        """Returns something that is wrong with this record of a file."""
        return Problem(path, self.line, message, severity, self.row, self.crowded)


def read_records(
    path: Path, *, format: str | None = None, media: Sequence[Path] = ()
) -> Iterator[Located | Problem]:
    """Yields the records of a data file in order, and a problem for each row that makes none.

    An id that comes again gets a number behind it: of the records of a file no two have the same.

    Args:
        path: JSON, JSONL, CSV, TSV, text (Charades-STA) or Parquet.
        format: Name of the rows' format; found out row by row if ``None``.
        media: Directories to look for media in, before the data file's own.

    Raises:
        ConfigError: There is no format of that name.
        DataError: The file is missing or of an unknown type.
    """
    wanted = _named_format(format) if format is not None else None
    places = MediaPlaces(media, path.parent)
    ids = _Ids(path)
    for position, row in enumerate(read_rows(path), start=1):
        if isinstance(row, Problem):
            yield dataclasses.replace(row, row=position)
            continue
        kind = wanted or format_of(row.fields)
        try:
            if kind is None:
                raise RowError(f"of no known format: has {', '.join(sorted(row.fields)) or 'no keys'}")
            for number, fields in enumerate(kind.read(row)):
                called = _called(fields, f"{path.stem}-{position}", number)
                yield ids.distinct(_located(row, position, kind, called, places))
        except RowError as error:
            guess = f" (read as {kind.name})" if kind is not None and wanted is None else ""
            yield Problem(path, row.line, f"{error}{guess}", row=position, crowded=row.crowded)


class _Ids:
    """The ids of a file's records; one that comes again gets a number behind it.

    A file may have millions of records, so of each only numbers are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._firsts: dict[str, int] = {}  # which record of the file had it first
        self._rows, self._lines = array("q"), array("q")
        self._times: Counter[str] = Counter()

    def distinct(self, located: Located) -> Located:
        """Returns the record under an id that none before has; with a warning where another row had its own."""
        wanted = located.record.id
        first = self._firsts.get(wanted)
        given = wanted if first is None else self._free(wanted)
        self._firsts[given] = len(self._rows)
        self._rows.append(located.row)
        self._lines.append(located.line)
        if first is None:
            return located
        renamed = dataclasses.replace(located, record=located.record.model_copy(update={"id": given}))
        if self._rows[first] == located.row:  # several records of one row share what the row is called
            return renamed
        place = place_of(self._path, self._lines[first], self._rows[first] if located.crowded else None)
        said = f"the id {wanted!r} was there before ({place}); this record is called {given!r}"
        return dataclasses.replace(renamed, warnings=(*located.warnings, said))

    def _free(self, id: str) -> str:
        while True:
            self._times[id] += 1
            name = f"{id}-{self._times[id] + 1}"
            if name not in self._firsts:
                return name


def _named_format(name: str) -> Format:
    found = next((known for known in FORMATS if known.name == name), None)
    if found is None:
        raise ConfigError(
            f"there is no format {name!r}; known are: {', '.join(known.name for known in FORMATS)}"
        )
    return found


def _located(row: Row, position: int, kind: Format, fields: Fields, places: MediaPlaces) -> Located:
    """The record of these fields, with one path for each medium.

    Raises:
        RowError: They are no record.
    """
    media, missing = [], []
    for one in fields.get("media", []):
        path = places.find(one["path"])
        if path is None:
            path = places.expected(one["path"])
            missing.append(places.missing(one["path"]))
        media.append(one | {"path": path})
    record = make_record(fields | {"media": media})
    empty = next((key for key in MEDIA_KEYS if row.fields.get(key) == ""), None)
    return Located(record, row.line, position, kind.name, row.crowded, tuple(missing), empty)


def _called(fields: Fields, name: str, number: int) -> Fields:
    """Fields with an id: their own, or one made of the row's name and the record's number in it."""
    if fields.get("id") is not None:
        return fields
    return fields | {"id": name if number == 0 else f"{name}-{number + 1}"}
