"""Encoded media on disk: one file each, found again by later runs and by other programs at the same time.

Nobody waits for anybody: a file is written aside, put on the disk and renamed, so it is there as a whole or not at all;
and every writer removes what is too much, oldest use first, before its own file stands and once it does, so the last of
them leaves no more than may be kept.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, OutputError
from .keys import EncodingKey, name_of_look
from .medium import Medium
from .parts import SUFFIX, remove_abandoned, written_aside
from .stored import pack, unpack

#: Name of the directory of this format; counted up when files are written in another way.
FORMAT = "v1"

_MAX_BYTES = 1 << 30
_ENDING = ".safetensors"
_FORMATS = re.compile(r"v[0-9]+")
_ENTRY = re.compile(r"[0-9a-f]{64}-[0-9a-f]{64}\.safetensors")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contents:
    """How much is kept.

    Attributes:
        entries: Number of files.
        bytes: Their size.
    """

    entries: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    bytes: int
    used_ns: int


class DiskCache:
    """Encoded media on disk, the least recently used removed first; safe for several threads and processes.

    A disk that is full, or cannot be read or written, is told of once in the log and is no error otherwise.

    Args:
        directory: Where the directories of the formats lie; made when something is kept.
        max_bytes: Most bytes of files to keep.
    """

    def __init__(self, directory: Path, max_bytes: int = _MAX_BYTES) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._files = directory / FORMAT
        self._told: set[str] = set()

    def get(self, key: EncodingKey) -> Medium | None:
        """Returns what is kept under a key, on the CPU, or ``None``; a file that is damaged is removed."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            medium = unpack(data, key.text)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell_of_disk(error)
            return None
        except DataError as error:
            self._tell("damage", f"{path}: {error}; it is removed, and its video encoded again")
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with suppress(OSError):  # a disk that can only be read is good enough to be read
            _mark_used(path)
        return medium

    def put(self, key: EncodingKey, medium: Medium) -> None:
        """Keeps a medium, and removes others until all fit; one that is too large by itself is not kept."""
        data = pack(key.text, medium)
        if len(data) > self.max_bytes:
            return
        try:
            self._make_directory()
            self._make_room(self.max_bytes - len(data))
            with written_aside(self._files, data) as part:
                _mark_used(part)
                os.replace(part, self._path(key))
            self._make_room(self.max_bytes)  # others may have written meanwhile
        except OSError as error:
            self._tell_of_disk(error)

    def expects(self, looked_at: str) -> bool:
        """Whether there is a file about what was looked at, whichever model encoded it.

        Args:
            looked_at: The first part of an :class:`~videollm.encodings.keys.EncodingKey`.
        """
        wanted = name_of_look(looked_at)
        with suppress(OSError):
            return any(name.startswith(wanted) and _ENTRY.fullmatch(name) for name in os.listdir(self._files))
        return False

    def contents(self) -> dict[str, Contents]:
        """Returns how much is kept in each format, this one and those of other versions of the library.

        Raises:
            OutputError: The directory cannot be read.
        """
        try:
            others = {name: _count(self.directory / name) for name in sorted(self._formats())}
            return {FORMAT: _sum(self._entries()), **others}
        except OSError as error:
            raise OutputError(
                f"{self.directory} cannot be read ({error.strerror}): check its mode and owner"
            ) from error

    def clear(self) -> Contents:
        """Removes what is kept in any format, and returns how much that was.

        What is just being written by another program stays.

        Raises:
            OutputError: Something cannot be removed.
        """
        before = self.contents()
        try:
            for name in self._formats():
                shutil.rmtree(self.directory / name)
            for file in list(self._entries()):
                file.path.unlink(missing_ok=True)
            self._remove_abandoned()
        except OSError as error:
            raise OutputError(
                f"{error.filename or self.directory} cannot be removed ({error.strerror}): check its mode and owner"
            ) from error
        return Contents(
            sum(kept.entries for kept in before.values()), sum(kept.bytes for kept in before.values())
        )

    def _path(self, key: EncodingKey) -> Path:
        return self._files / f"{key.stem}{_ENDING}"

    def _make_directory(self) -> None:
        # What one looked at is nobody else's business.
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files.mkdir(mode=0o700, exist_ok=True)

    def _make_room(self, max_bytes: int) -> None:
        self._remove_abandoned()
        files = sorted(self._entries(), key=lambda file: file.used_ns)
        kept = sum(file.bytes for file in files)
        for file in files:
            if kept <= max_bytes:
                break
            file.path.unlink(missing_ok=True)  # if another program was quicker, it is gone all the same
            kept -= file.bytes

    def _remove_abandoned(self) -> None:
        for path in self._files.glob(f"*{SUFFIX}"):
            remove_abandoned(path)

    def _entries(self) -> Iterator[_File]:
        """The files of this format that are done; others in the directory are not ours to count or remove."""
        return (file for file in _files_below(self._files) if _ENTRY.fullmatch(file.path.name))

    def _formats(self) -> list[str]:
        """Names of the directories of other formats."""
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.directory) as found:
            return [
                entry.name
                for entry in found
                if _FORMATS.fullmatch(entry.name)
                and entry.name != FORMAT
                and entry.is_dir(follow_symlinks=False)
            ]
        return []

    def _tell_of_disk(self, error: OSError) -> None:
        self._tell(
            "disk",
            f"{self.directory}: encoded videos cannot be kept there ({error.strerror}); they are encoded again when "
            "needed: set $VIDEOLLM_CACHE to another directory",
        )

    def _tell(self, about: str, line: str) -> None:
        """Says a thing of its kind once, not for every file."""
        if about not in self._told:
            self._told.add(about)
            _logger.warning(line)


def _mark_used(path: Path) -> None:
    # By the clock and not by the file system, whose own times of two files in a row are often the same.
    now_ns = time.time_ns()
    os.utime(path, ns=(now_ns, now_ns))


def _files_below(directory: Path) -> Iterator[_File]:
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as found:
        for entry in found:
            with suppress(FileNotFoundError):  # removed by another program since the directory was read
                stat = entry.stat(follow_symlinks=False)
                yield _File(Path(entry.path), stat.st_size, stat.st_mtime_ns)


def _sum(files: Iterator[_File]) -> Contents:
    sizes = [file.bytes for file in files]
    return Contents(len(sizes), sum(sizes))


def _count(directory: Path) -> Contents:
    return _sum(file for file in _files_below(directory) if file.path.suffix != SUFFIX)
