"""Descriptions of uploads: what a described file says, kept as long as the file is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .database import Database
from .rows import to_json
from .uploads import find_upload
from .values import KeptDescription

_MOST = 20
_OF_UPLOAD = "upload = (SELECT number FROM uploads WHERE id = ?)"


class Descriptions:
    """Descriptions of the uploads of all owners; any thread may use it. They go with their upload.

    Args:
        database: Where they are kept.
        clock: Says what time it is, in seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def put(self, owner: str, upload_id: str, wish: dict[str, Any], description: dict[str, Any]) -> None:
        """Keeps a description, in the place of one that was made for the same wish; of too many the oldest goes.

        Args:
            owner: Whose upload it is.
            upload_id: The upload.
            wish: How it was to be described, as plain JSON types; the order of keys is no difference.
            description: The description, as plain JSON types.

        Raises:
            NotFoundError: The owner has no such upload.
            DataError: A text is no Unicode.
            OutputError: It cannot be written.
        """
        key = to_json(wish, sort_keys=True)
        with self._database.writing() as connection:
            find_upload(connection, owner, upload_id)
            # A row of its own again, not an old one changed: the newest has the largest number.
            connection.execute(f"DELETE FROM descriptions WHERE {_OF_UPLOAD} AND wish = ?", (upload_id, key))
            connection.execute(
                "INSERT INTO descriptions (upload, wish, description, created_s) "
                "VALUES ((SELECT number FROM uploads WHERE id = ?), ?, ?, ?)",
                (upload_id, key, to_json(description), self._clock()),
            )
            connection.execute(
                f"DELETE FROM descriptions WHERE {_OF_UPLOAD} AND number NOT IN "
                f"(SELECT number FROM descriptions WHERE {_OF_UPLOAD} ORDER BY number DESC LIMIT ?)",
                (upload_id, upload_id, _MOST),
            )

    def list(self, owner: str, upload_id: str) -> tuple[KeptDescription, ...]:
        """Returns the descriptions of an upload, newest first.

        Raises:
            NotFoundError: The owner has no such upload.
        """
        with self._database.reading() as connection:
            find_upload(connection, owner, upload_id)
            found = connection.execute(
                f"SELECT wish, description, created_s FROM descriptions WHERE {_OF_UPLOAD} ORDER BY number DESC",
                (upload_id,),
            ).fetchall()
        return tuple(
            KeptDescription(json.loads(wish), json.loads(description), created_s)
            for wish, description, created_s in found
        )
