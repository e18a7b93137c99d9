"""Arrays that cross from the worker to its caller uncopied: nameless files, written by one, mapped by the other."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


class SharedRows:
    """Rows of equal shape in a file without a name, which lives as long as someone holds its descriptor or mapping.

    A worker that is killed leaves nothing behind. Rows are written with system calls, not through a mapping, because
    that spares a page fault for every 4 KiB.
    """

    def __init__(self, row_shape: tuple[int, ...]) -> None:
        self.descriptor = _anonymous_file()
        self.row_shape = row_shape
        self._row_bytes = math.prod(row_shape)

    def write(self, row: int, values: Bytes) -> None:
        """Writes one row; rows may be written in any order and by several threads."""
        data = np.ascontiguousarray(values).data.cast("B")
        offset = row * self._row_bytes
        while data:  # the system writes at most 2 GiB at a time
            written = os.pwrite(self.descriptor, data, offset)
            data, offset = data[written:], offset + written

    def move(self, source: int, target: int) -> None:
        """Copies one row over another."""
        row = np.frombuffer(os.pread(self.descriptor, self._row_bytes, source * self._row_bytes), np.uint8)
        self.write(target, row)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker's task returns to hand over an array beside a value: the first ``count`` of ``rows``."""

    value: Any
    rows: SharedRows
    count: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.count, *self.rows.row_shape


def map_array(descriptor: int, shape: tuple[int, ...]) -> Bytes:
    """Returns the first ``prod(shape)`` bytes of a file as an array; the mapping outlives the descriptor."""
    size = math.prod(shape)
    return np.frombuffer(mmap.mmap(descriptor, size), dtype=np.uint8, count=size).reshape(shape)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("videollm-frames")
    with tempfile.TemporaryFile() as file:  # systems other than Linux
        return os.dup(file.fileno())
