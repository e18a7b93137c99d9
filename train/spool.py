"""Records on disk, by number: as many as the data has, with a few bytes of memory for each."""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import overload

from videollm.data.records import Record


class RecordSpool(Sequence[Record]):
    """A sequence of records in a nameless temporary file, which is gone when the process ends.

    Processes that were forked later, such as a loader's workers, read the same file side by side.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the sequence is used
        self._ends = array("q")
        weakref.finalize(self, self._file.close)

    def append(self, record: Record) -> None:
        """Adds a record behind the others."""
        self._file.write(record.to_json().encode() + b"\n")
        self._ends.append(self._file.tell())

    def close_writing(self) -> None:
        """Makes everything that was added readable."""
        self._file.flush()

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...

    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        start = self._ends[place - 1] if place else 0
        # Not by seeking: forked processes share the file's position.
        content = os.pread(self._file.fileno(), self._ends[place] - start, start)
        return Record.model_validate_json(content)

    def __reduce__(self) -> tuple[Callable[[list[Record]], RecordSpool], tuple[list[Record]]]:
        # Where processes are not forked (macOS, Windows) they get the records themselves.
        return spooled, (list(self),)


def spooled(records: Iterable[Record]) -> RecordSpool:
    """Returns a spool of these records."""
    spool = RecordSpool()
    for record in records:
        spool.append(record)
    spool.close_writing()
    return spool
