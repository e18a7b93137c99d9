"""The rows of a job on disk, in SQLite: what survives a crash, a full disk and a second copy of the program.

A source is *waiting*, *running*, *done*, *failed* (tried again by the next run) or *aside* (failed three times, or the
program ended again and again while it was running; tried again only when asked). A row and its state are written in one
transaction that is on the disk before the next file is reported; everything that people read is made from here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import DataError, OutputError
from .rows import Record, Row, Source, State

NAME = "ledger.sqlite"

#: Tries after which a file that fails is set aside.
MOST_TRIES = 3
#: Ends of the program while a file was running after which it runs alone, and after which it is set aside.
ENDS_BEFORE_ALONE, MOST_ENDS = 3, 6

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sources (
    key TEXT PRIMARY KEY,       -- path and window
    source TEXT NOT NULL,       -- as JSON
    position INTEGER,           -- in the order they were named; NULL if they are not named any more
    state TEXT NOT NULL DEFAULT 'waiting',
    tries INTEGER NOT NULL DEFAULT 0,
    ends INTEGER NOT NULL DEFAULT 0,
    stat TEXT,                  -- size, time of change and inode when the content was hashed
    content TEXT,
    fingerprint TEXT,           -- of what made the row
    row TEXT,                   -- as JSON
    written TEXT                -- formats that were written of it
);
CREATE INDEX IF NOT EXISTS by_position ON sources (position);
CREATE INDEX IF NOT EXISTS by_content ON sources (content, fingerprint);
CREATE TABLE IF NOT EXISTS old_names (source TEXT PRIMARY KEY);  -- as it was called when files were written
CREATE TRIGGER IF NOT EXISTS renamed AFTER UPDATE OF source ON sources WHEN old.source <> new.source
BEGIN INSERT OR IGNORE INTO old_names VALUES (old.source); END;
"""
# Compared as file systems do that do not tell cases apart.
_NAME = "json_extract(source, '$[3]') COLLATE NOCASE"

# Columns that go along when another ledger takes a source over.
_CARRIED = ("tries", "ends", "stat", "content", "fingerprint", "row")


@dataclass(frozen=True, slots=True)
class Entry:
    """A source with what is known of it.

    Attributes:
        source: The source.
        state: How far it is.
        tries: How often it failed.
        ends: How often the program ended while it was running.
        stat: Size, time of change and inode of the file when its content was hashed, as text.
        content: Hash of its bytes, see :class:`.Row`.
        fingerprint: Of the model and the settings that made its row.
    """

    source: Source
    state: State
    tries: int
    ends: int
    stat: str | None
    content: str | None
    fingerprint: str | None


class Ledger:
    """The rows of one output directory. Its lock must be held; for one thread.

    Args:
        directory: The output directory.

    Raises:
        DataError: What is there is not a ledger of this program.
        OutputError: It cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        with self._writing():
            self._base = sqlite3.connect(self.path, isolation_level=None)
            try:
                self._base.execute("PRAGMA journal_mode = WAL")
                self._base.execute("PRAGMA synchronous = FULL")
                # Rows are short: a log of a few hundred kilobytes beside them is enough.
                self._base.execute("PRAGMA wal_autocheckpoint = 100")
                self._base.executescript(_SCHEMA)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                raise DataError(
                    f"{self.path} is not a ledger of descriptions ({error}): choose another --out"
                ) from error
        version = self.fact("version")
        if version is None:
            self.set_fact("version", str(_VERSION))
        elif version != str(_VERSION):
            raise DataError(
                f"{self.path} was written in format {version}, this version reads {_VERSION}: choose another --out"
            )

    def close(self) -> None:
        """Ends the use of the ledger."""
        self._base.close()

    def fact(self, name: str) -> str | None:
        """Returns what was noted of the whole job under a name."""
        found = self._base.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def set_fact(self, name: str, value: str) -> None:
        """Notes something of the whole job."""
        with self._writing():
            self._base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def name_sources(self, sources: Iterable[Source]) -> int:
        """Takes the sources of this run, in their order; returns how many of earlier ones are not among them.

        What is known of a source stays. Those that were running when the program ended wait again. Names that are
        changed are noted, see :meth:`drop_old_names`.
        """
        with self._writing(), self._transaction():
            self._base.execute("UPDATE sources SET position = NULL")
            self._base.execute(
                "UPDATE sources SET state = 'waiting', ends = ends + 1 WHERE state = 'running'"
            )
            self._base.executemany(
                "INSERT INTO sources (key, source, position) VALUES (?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET source = excluded.source, position = excluded.position, "
                "written = iif(source = excluded.source, written, NULL)",
                ((_key(source), _source_json(source), place) for place, source in enumerate(sources)),
            )
            # Files of those that are not named now are overwritten where one of this run has taken their name.
            self._base.execute(
                "UPDATE sources SET written = NULL WHERE position IS NULL AND written IS NOT NULL "
                f"AND {_NAME} IN (SELECT {_NAME} FROM sources WHERE position IS NOT NULL)"
            )
        return self._count("position IS NULL")

    def entries(self) -> Iterator[Entry]:
        """Yields the sources of this run, in their order."""
        columns = "source, state, tries, ends, stat, content, fingerprint"
        for source, *rest in self._pages(columns):
            yield Entry(_source_of(source), *rest)

    def rows(self) -> Iterator[Row]:
        """Yields the rows that there are, in the order of the sources."""
        return self._rows("row IS NOT NULL")

    def settled(self) -> Iterator[Row]:
        """Yields the rows of sources that are not tried again unless something changes, in their order."""
        return self._rows("row IS NOT NULL AND state IN ('done', 'aside')")

    def failures(self) -> Iterator[Row]:
        """Yields the rows that say why a source has no description, in their order."""
        return self._rows("row IS NOT NULL AND state IN ('failed', 'aside')")

    def unwritten(self, formats: str) -> Iterator[Row]:
        """Yields the rows of which not just these formats were written."""
        return self._rows("row IS NOT NULL AND written IS NOT ?", formats)

    def records(self) -> Iterator[Record]:
        """Yields all that is known of the sources of the last run, in their order."""
        for key, source, position, state, *rest in self._pages(
            f"key, source, position, state, {', '.join(_CARRIED)}"
        ):
            yield Record(key, _source_of(source), position, state, dict(zip(_CARRIED, rest, strict=True)))

    def take(self, records: Iterable[Record]) -> None:
        """Takes what other ledgers know, as sources in this order."""
        names = ("key", "source", "position", "state", *_CARRIED)
        insert = f"INSERT INTO sources ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        with self._writing(), self._transaction():
            for place, record in enumerate(records):
                # What was in work elsewhere is not in work here.
                state = "waiting" if record.state == "running" else record.state
                values = (record.columns[name] for name in _CARRIED)
                self._base.execute(insert, (record.key, _source_json(record.source), place, state, *values))

    def find(self, content: str, fingerprint: str) -> Row | None:
        """Returns a good row about the same content made in the same way, if there is one."""
        found = self._base.execute(
            "SELECT row FROM sources WHERE content = ? AND fingerprint = ? AND state = 'done' "
            "ORDER BY position IS NULL, position LIMIT 1",
            (content, fingerprint),
        ).fetchone()
        return None if found is None else Row.from_dict(json.loads(found[0]))

    def hashed(self, source: Source, stat: str, content: str) -> None:
        """Notes the hash of a file's content; if it is another than before, all else that was known is forgotten."""
        with self._writing(), self._transaction():
            self._base.execute(
                "UPDATE sources SET state = 'waiting', tries = 0, ends = 0, row = NULL "
                "WHERE key = ? AND content IS NOT ?",
                (_key(source), content),
            )
            self._base.execute(
                "UPDATE sources SET stat = ?, content = ? WHERE key = ?", (stat, content, _key(source))
            )

    def leave_out(self, source: Source) -> None:
        """Takes a source out of this run."""
        with self._writing():
            self._base.execute("UPDATE sources SET position = NULL WHERE key = ?", (_key(source),))

    def forgive(self) -> None:
        """Lets what was set aside be tried again."""
        with self._writing():
            self._base.execute(
                "UPDATE sources SET state = 'waiting', tries = 0, ends = 0 WHERE state = 'aside'"
            )

    def run(self, sources: Sequence[Source]) -> None:
        """Notes that sources are in work."""
        with self._writing(), self._transaction():
            self._base.executemany(
                "UPDATE sources SET state = 'running' WHERE key = ?", [(_key(source),) for source in sources]
            )

    def rest(self) -> None:
        """Notes that no source is in work any more; those that were wait."""
        with self._writing():
            self._base.execute("UPDATE sources SET state = 'waiting' WHERE state = 'running'")

    def settle(self, rows: Sequence[Row], written: str) -> None:
        """Writes rows, all or none of them; once this returns they are on the disk.

        Args:
            rows: The rows.
            written: Formats that were written of them.
        """
        with self._writing(), self._transaction():
            for row in rows:
                failed = row.error is not None
                self._base.execute(
                    "UPDATE sources SET row = ?1, fingerprint = ?2, written = ?3, ends = 0, "
                    "tries = iif(?4, tries + 1, 0), "
                    "state = iif(?4, iif(tries + 1 >= ?5, 'aside', 'failed'), 'done') WHERE key = ?6",
                    (row.to_json(), row.fingerprint, written, failed, MOST_TRIES, _key(row.source)),
                )

    def set_aside(self, row: Row) -> None:
        """Writes the row of a source that is not tried any more."""
        with self._writing():
            self._base.execute(
                "UPDATE sources SET row = ?, fingerprint = ?, written = NULL, state = 'aside' WHERE key = ?",
                (row.to_json(), row.fingerprint, _key(row.source)),
            )

    def note_written(self, row: Row, formats: str) -> None:
        """Notes that these formats of a row were written."""
        with self._writing():
            self._base.execute("UPDATE sources SET written = ? WHERE key = ?", (formats, _key(row.source)))

    def drop_old_names(self, remove: Callable[[str], None]) -> None:
        """Forgets names that sources had, once the files of those names are removed.

        Args:
            remove: Takes each name, unless files of another source have it now.
        """
        found = self._base.execute(
            f"SELECT source FROM old_names WHERE {_NAME} NOT IN "
            f"(SELECT {_NAME} FROM sources WHERE written IS NOT NULL)"
        )
        for (source,) in found:
            remove(_source_of(source).name)
        with self._writing():
            self._base.execute("DELETE FROM old_names")

    def counts(self) -> dict[State, int]:
        """Returns how many sources of this run are in each state."""
        found = self._base.execute(
            "SELECT state, count(*) FROM sources WHERE position IS NOT NULL GROUP BY state"
        )
        return dict(found.fetchall())

    def _rows(self, condition: str, *values: Any) -> Iterator[Row]:
        for source, text in self._pages("source, row", condition, *values):
            # The source may be called otherwise than when its row was written.
            yield replace(Row.from_dict(json.loads(text)), source=_source_of(source))

    def _count(self, condition: str) -> int:
        return int(self._base.execute(f"SELECT count(*) FROM sources WHERE {condition}").fetchone()[0])

    def _pages(self, columns: str, condition: str = "1", *values: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of the table in the order of the sources, few at a time: rows may change meanwhile."""
        last = -1
        while page := self._base.execute(
            f"SELECT position, {columns} FROM sources WHERE position > ? AND {condition} "
            "ORDER BY position LIMIT 256",
            (last, *values),
        ).fetchall():
            last = page[-1][0]
            yield from (found[1:] for found in page)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OutputError(
                f"{self.path} cannot be written ({error}); what was done is kept: make room, then go on with --resume"
            ) from error


def _key(source: Source) -> str:
    return json.dumps([str(source.path), source.start_s, source.end_s])


def _source_json(source: Source) -> str:
    return json.dumps([str(source.path), source.start_s, source.end_s, source.name])


def _source_of(text: str) -> Source:
    path, start_s, end_s, name = json.loads(text)
    return Source(Path(path), start_s, end_s, name)
