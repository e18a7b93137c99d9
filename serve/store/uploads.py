"""Files that owners brought: a row each, and the bytes beside the database until their time is over.

A file is moved into its place before its row is written, and removed before its row is: the program may end in between.
A file without a row, or a row without its file, is removed by the next sweep. Removing the file first also gives
room back on a full disk, where no row can be changed.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import astuple
from pathlib import Path

from videollm.errors import OutputError

from .database import Database
from .errors import NotFoundError
from .values import Swept, Upload

_COLUMNS = "id, owner, name, mime, kind, size, sha256, created_s, expires_s"
# Of the files in our directory only those are touched that are called as we call ours.
_OUR_NAME = re.compile(r"[A-Za-z0-9_-]{22}")


class Uploads:
    """Uploads of all owners; any thread may use it.

    Args:
        database: The rows.
        directory: The data directory, which must be held: what an upload that was broken off left in it is removed.
        retention_s: Seconds until an upload expires.
        clock: Says what time it is, in seconds since 1970.

    Raises:
        OutputError: The directories cannot be made.
    """

    def __init__(
        self, database: Database, directory: Path, retention_s: float, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._kept = directory / "uploads"
        self._incoming = directory / "incoming"
        self._retention_s = retention_s
        self._clock = clock
        try:
            for folder in (self._kept, self._incoming):
                folder.mkdir(mode=0o700, exist_ok=True)
            for left in self._incoming.iterdir():
                left.unlink()
        except OSError as error:
            raise OutputError(
                f"{error.filename} cannot be used ({error.strerror}): give access, or choose another --data"
            ) from error

    @property
    def incoming(self) -> Path:
        """The directory to write files to while they arrive; no sweep touches it."""
        return self._incoming

    def add(self, owner: str, name: str, mime: str, kind: str, size: int, sha256: str, file: Path) -> Upload:
        """Keeps a file.

        Args:
            owner: Whose it is.
            name: What the owner calls it.
            mime: Its MIME type.
            kind: ``"video"`` or ``"image"``.
            size: Its bytes.
            sha256: SHA-256 of its bytes, in hexadecimal digits.
            file: The file, best in :attr:`incoming`; it is moved away from there.

        Returns:
            The upload, with its id and when it expires.

        Raises:
            DataError: A text cannot be kept.
            OutputError: It cannot be written.
        """
        created_s = self._clock()
        expires_s = created_s + self._retention_s
        id = secrets.token_urlsafe(16)
        upload = Upload(id, owner, name, mime, kind, size, sha256, created_s, expires_s)
        try:
            with self._database.writing() as connection:
                file.chmod(0o600)
                os.replace(file, self._file(upload.id))
                connection.execute(
                    f"INSERT INTO uploads ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(upload)
                )
        except BaseException:
            self._file(upload.id).unlink(missing_ok=True)
            raise
        return upload

    def get(self, owner: str, id: str) -> Upload:
        """Returns an upload.

        Raises:
            NotFoundError: The owner has none of this id.
        """
        with self._database.reading() as connection:
            return find_upload(connection, owner, id)

    def path(self, owner: str, id: str) -> Path:
        """Returns where the bytes of an upload lie.

        Raises:
            NotFoundError: The owner has none of this id.
        """
        return self._file(self.get(owner, id).id)

    def list(self, owner: str) -> tuple[Upload, ...]:
        """Returns the uploads of an owner, oldest first."""
        return self._select("WHERE owner = ? ORDER BY number", owner)

    def delete(self, owner: str, id: str) -> None:
        """Removes an upload and its file.

        Raises:
            NotFoundError: The owner has none of this id.
            OutputError: It cannot be written; the file may be gone already.
        """
        with self._database.writing() as connection:
            self._remove(connection, [find_upload(connection, owner, id).id])

    def expired(self, now_s: float) -> tuple[Upload, ...]:
        """Returns the uploads of all owners whose time is over, the longest over first."""
        return self._select("WHERE expires_s <= ? ORDER BY expires_s, number", now_s)

    def sweep(self, now_s: float) -> Swept:
        """Removes uploads whose time is over, files without a row, and rows whose file is missing or cut short.

        Args:
            now_s: What time it is, in seconds since 1970.

        Returns:
            How many of each there were.

        Raises:
            OutputError: Something cannot be removed.
        """
        with self._database.writing() as connection:
            over = connection.execute("SELECT id FROM uploads WHERE expires_s <= ?", (now_s,)).fetchall()
            self._remove(connection, [id for (id,) in over])
            sizes = dict(connection.execute("SELECT id, size FROM uploads"))
            found = self._found()
            lost = [id for id, size in sizes.items() if found.get(id) != size]
            self._remove(connection, lost)
            strays = found.keys() - sizes.keys()
            for id in strays:
                self._file(id).unlink()
        self._database.tidy()
        return Swept(len(over), len(strays), len(lost))

    def used(self, owner: str) -> int:
        """Returns the bytes of an owner's uploads."""
        return self._sum("WHERE owner = ?", owner)

    def used_by_all(self) -> int:
        """Returns the bytes of all uploads."""
        return self._sum("")

    def _remove(self, connection: sqlite3.Connection, ids: Iterable[str]) -> None:
        for id in ids:
            self._file(id).unlink(missing_ok=True)
            connection.execute("DELETE FROM uploads WHERE id = ?", (id,))

    def _found(self) -> dict[str, int]:
        """The files that are there, with their sizes in bytes."""
        with os.scandir(self._kept) as entries:
            return {
                entry.name: entry.stat(follow_symlinks=False).st_size
                for entry in entries
                if _OUR_NAME.fullmatch(entry.name) and not entry.is_dir(follow_symlinks=False)
            }

    def _file(self, id: str) -> Path:
        return self._kept / id

    def _select(self, condition: str, value: str | float) -> tuple[Upload, ...]:
        with self._database.reading() as connection:
            found = connection.execute(f"SELECT {_COLUMNS} FROM uploads {condition}", (value,))
            return tuple(Upload(*row) for row in found)

    def _sum(self, condition: str, *values: str) -> int:
        with self._database.reading() as connection:
            found = connection.execute(f"SELECT coalesce(sum(size), 0) FROM uploads {condition}", values)
            return int(found.fetchone()[0])


def find_upload(connection: sqlite3.Connection, owner: str, id: str) -> Upload:
    """Returns an upload, within a transaction of the caller.

    Raises:
        NotFoundError: The owner has none of this id.
    """
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM uploads WHERE owner = ? AND id = ?", (owner, id)
    ).fetchone()
    if row is None:
        raise NotFoundError(
            "there is no such upload: it has expired, was deleted, or never was; bring the file again"
        )
    return Upload(*row)
