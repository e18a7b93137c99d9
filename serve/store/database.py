"""The SQLite file: one connection, transactions, and errors that a person understands.

All threads share one connection behind a lock. A query takes far less than a millisecond and SQLite writes one at a
time anyway; threads of a server come and go, and a connection for each would stay open with it; and what is done to
files and rows together needs one lock in any case.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from videollm.errors import ConfigError, DataError, OutputError

from .schema import STEPS, check_format, migrate

# Only somebody with another program, who looks at or copies the file, can make us wait.
_PATIENCE_S = 10.0
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NOT_WRITABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
# Later messages may reach people who are not to know where the server keeps its files.
_MEMORY = "the server's memory"


class Database:
    """The tables on disk; any thread may use them.

    What was committed outlives the program, however it ends; after a loss of power the last moments may be missing
    (``synchronous = NORMAL``). What is deleted is overwritten.

    Args:
        path: The file; made if need be, readable by its owner alone.
        steps: See :mod:`.schema`.

    Raises:
        ConfigError: The file is no database, or one that this version cannot read.
        OutputError: It cannot be written.
    """

    def __init__(self, path: Path, steps: Sequence[str] = STEPS) -> None:
        self._lock = threading.Lock()
        with _explained(str(path)):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(path, steps)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Ends the use of the database."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Gives the connection to somebody who only looks; others wait meanwhile.

        Raises:
            DataError: The file is damaged.
            OutputError: It cannot be read.
        """
        with self._lock, _explained(_MEMORY):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Gives the connection to somebody who changes things: all of it is kept in the end, or nothing.

        Raises:
            DataError: The file is damaged, or a text cannot be kept.
            OutputError: It cannot be written.
        """
        with self._lock, _explained(_MEMORY):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("ROLLBACK")
                raise

    def tidy(self) -> None:
        """Empties the log beside the file, where what was deleted could still be read.

        Raises:
            OutputError: It cannot be written.
        """
        with self._lock, _explained(_MEMORY):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _prepare(self, path: Path, steps: Sequence[str]) -> None:
        try:
            check_format(self._connection, path, steps)
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGED:
                raise
            raise ConfigError(
                f"{path} is not a database ({error}): choose another --data, or move it away"
            ) from error
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        # Rows are short. A log of a few hundred kilobytes is enough, and on a full disk it needs as much room again.
        self._connection.execute("PRAGMA wal_autocheckpoint = 100")
        self._connection.execute("PRAGMA secure_delete = ON")
        migrate(self._connection, steps)
        self._connection.execute("PRAGMA foreign_keys = ON")


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turns what disks and users cause into one line; our own mistakes stay what they are."""
    try:
        yield
    except sqlite3.Error as error:
        if _code(error) in _DAMAGED:
            raise DataError(f"{what} is damaged ({error}): put a copy back, or begin a new one") from error
        if _code(error) in _NOT_WRITABLE:
            raise OutputError(_not_writable(what, str(error))) from error
        raise
    except OSError as error:
        raise OutputError(_not_writable(what, error.strerror or str(error))) from error
    except UnicodeEncodeError as error:
        raise DataError(f"a text cannot be kept ({error.reason}): send valid Unicode") from error


def _not_writable(what: str, why: str) -> str:
    return (
        f"{what} cannot be written ({why}); what was saved is kept: make room or give access, then try again"
    )


def _code(error: sqlite3.Error) -> int | None:
    """The primary result code of SQLite; ``None`` for what Python's module finds wrong by itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
