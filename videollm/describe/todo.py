"""What is left to do of a job: which files are new, changed, failed before, or the same as another."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UnreadableVideoError
from ..media import content_hash
from ..video.paths import readable_path
from ..video.subtitles import file_beside
from .fingerprints import of_window
from .ledger import ENDS_BEFORE_ALONE, MOST_ENDS, Entry, Ledger
from .rows import Failure, Row, Source
from .settings import DescribeOptions
from .shards import Shard, belongs

# Files whose content is hashed ahead of the one that is looked at, and by how many threads.
_AHEAD = 32
_THREADS = 2


@dataclass(frozen=True, slots=True)
class _Content:
    """A file's content, that of subtitles beside it included if they are read: what tells a change, and its hash."""

    stat: str
    hash: str


class ToDo:
    """Goes through the sources of a job once, and says which have to be described.

    Attributes:
        skipped: Sources that were done before.
        aside: Sources that are set aside.
        alone: Sources that were running again and again when the program ended; they are described last, one by one.
    """

    def __init__(
        self,
        ledger: Ledger,
        options: DescribeOptions,
        fingerprint: str,
        shard: Shard | None,
        settle: Callable[[Row], None],
    ) -> None:
        """Begins.

        Args:
            ledger: What is known of the sources.
            options: How they are described.
            fingerprint: Of the model and the options.
            shard: The part of the sources that this program describes; ``None`` for all.
            settle: Takes rows that need no describing: files that cannot be opened, and copies.
        """
        self._ledger, self._options, self._fingerprint = ledger, options, fingerprint
        self._shard, self._settle = shard, settle
        self._alike: dict[tuple[str, str], list[Source]] = {}
        self._contents: dict[Source, str] = {}
        self.skipped = self.aside = 0
        self.alone: list[Source] = []

    def fingerprint_of(self, source: Source) -> str:
        """Returns the fingerprint that a source's row has."""
        return of_window(self._fingerprint, source, self._options)

    def outdated(self) -> int:
        """Returns how many sources another model described, or this one with other settings."""
        return sum(
            entry.state == "done" and entry.fingerprint != self.fingerprint_of(entry.source)
            for entry in self._ledger.entries()
        )

    def __iter__(self) -> Iterator[Source]:
        """Yields what has to be described, while its content is hashed ahead."""
        for entry, content in self._hashed():
            if not self._is_ours(entry, content):
                self._ledger.leave_out(entry.source)
            elif isinstance(content, Failure):
                if not self._is_known(entry, None):
                    self._settle(Row(entry.source, "", self.fingerprint_of(entry.source), error=content))
            elif self._is_new(entry, content):
                yield entry.source

    def finished(self, row: Row) -> list[Row]:
        """Returns a row with those of all sources of the same content that waited for it."""
        key = (self._contents.pop(row.source), row.fingerprint)
        return [row, *(_copy(row, source) for source in self._alike.pop(key, ()))]

    def content_of(self, source: Source) -> str:
        """Returns the hash of a source that is being described."""
        return self._contents[source]

    def _is_new(self, entry: Entry, content: _Content) -> bool:
        source, fingerprint = entry.source, self.fingerprint_of(entry.source)
        is_same = entry.content == content.hash
        if is_same and self._is_known(entry, content.hash):
            return False
        if entry.stat != content.stat or not is_same:
            self._ledger.hashed(source, content.stat, content.hash)
        if is_same and entry.ends >= MOST_ENDS:
            why = f"the program ended {entry.ends} times while this was described; --retry tries it again"
            self._ledger.set_aside(Row(source, content.hash, fingerprint, error=Failure("ProgramEnded", why)))
            self.aside += 1
            return False
        if (known := self._ledger.find(content.hash, fingerprint)) is not None:
            self._settle(_copy(known, source))
            return False
        key = (content.hash, fingerprint)
        if key in self._alike:
            self._alike[key].append(source)
            return False
        self._alike[key] = []
        self._contents[source] = content.hash
        if is_same and entry.ends >= ENDS_BEFORE_ALONE:
            self.alone.append(source)
            return False
        return True

    def _is_known(self, entry: Entry, content: str | None) -> bool:
        """Whether nothing needs to be done about a source that is as it was."""
        is_same = (
            entry.fingerprint == self.fingerprint_of(entry.source) and (entry.content or None) == content
        )
        self.skipped += is_same and entry.state == "done"
        self.aside += is_same and entry.state == "aside"
        return is_same and entry.state in ("done", "aside")

    def _is_ours(self, entry: Entry, content: _Content | Failure) -> bool:
        if self._shard is None:
            return True
        return belongs(
            content.hash if isinstance(content, _Content) else _name_hash(entry.source), self._shard
        )

    def _hashed(self) -> Iterator[tuple[Entry, _Content | Failure]]:
        """Yields the entries with their content, hashed a few files ahead by other threads."""
        waiting: deque[tuple[Entry, Future[_Content | Failure]]] = deque()
        with ThreadPoolExecutor(_THREADS) as pool:
            for entry in self._ledger.entries():
                waiting.append((entry, pool.submit(_content, entry, self._options.subtitles)))
                if len(waiting) > _AHEAD:
                    first, content = waiting.popleft()
                    yield first, content.result()
            for first, content in waiting:
                yield first, content.result()


def _content(entry: Entry, with_subtitles: bool) -> _Content | Failure:
    """The content of a source; its hash is taken from the ledger if the file is as it was."""
    try:
        paths = [readable_path(entry.source.path)]
        if with_subtitles and (beside := file_beside(paths[0])) is not None:
            paths.append(beside)
        stat = " ".join(_stat(path) for path in paths)
        known = entry.content if entry.stat == stat else None
        return _Content(stat, known or _hash(paths))
    except (UnreadableVideoError, OSError) as error:
        return Failure.of(error)


def _stat(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _hash(paths: Sequence[Path]) -> str:
    video, *beside = paths
    if not beside:
        return content_hash(video)
    digest = hashlib.blake2b(content_hash(video).encode())
    for path in beside:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _name_hash(source: Source) -> str:
    """What stands for the content of a file that cannot be read."""
    return hashlib.blake2b(os.fsencode(source.path)).hexdigest()


def _copy(row: Row, source: Source) -> Row:
    """The row of a source with the same content as another's."""
    error = row.error
    if error is not None:
        told = error.message.replace(str(row.source.path), str(source.path))
        error = replace(error, message=told)
    same_as = row.same_as or str(row.source.path)
    return replace(row, source=source, same_as=same_as, error=error, seconds=0.0)
