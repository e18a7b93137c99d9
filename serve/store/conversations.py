"""Conversations of owners: what was looked at, asked and answered."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .database import Database
from .errors import LimitError, NotFoundError
from .rows import TURN_COLUMNS, columns_of, title_of, to_json, turn_of
from .uploads import find_upload
from .values import Conversation, ConversationSummary, Medium, Turn

_SUMMARIES = (
    "SELECT id, title, (SELECT name FROM media WHERE conversation = number AND position = 0), updated_s, "
    "(SELECT count(*) FROM turns WHERE conversation = number) FROM conversations"
)


class Conversations:
    """Conversations of all owners; any thread may use it.

    Every method that takes an id raises :class:`.NotFoundError` where the owner has no conversation of it. Those that
    change something raise ``OutputError`` where the disk takes no more, and ``DataError`` for a text that is no
    Unicode; what was kept before stays readable.

    Args:
        database: Where they are kept.
        most_conversations: Most conversations of one owner.
        most_turns: Most turns of one conversation.
        clock: Says what time it is, in seconds since 1970.
    """

    def __init__(
        self, database: Database, most_conversations: int, most_turns: int, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._most_conversations = most_conversations
        self._most_turns = most_turns
        self._clock = clock

    def create(self, owner: str, model: str) -> str:
        """Begins a conversation.

        Args:
            owner: Whose it is.
            model: Name of the model that will answer.

        Returns:
            Its id.

        Raises:
            LimitError: The owner has as many as may be.
        """
        id, now_s = secrets.token_urlsafe(16), self._clock()
        with self._database.writing() as connection:
            count = _count(connection, "conversations WHERE owner = ?", owner)
            if count >= self._most_conversations:
                raise LimitError(
                    f"{count} conversations are kept, of at most {self._most_conversations}: delete one first"
                )
            connection.execute(
                "INSERT INTO conversations (id, owner, model, created_s, updated_s) VALUES (?, ?, ?, ?, ?)",
                (id, owner, model, now_s, now_s),
            )
        return id

    def list(self, owner: str) -> tuple[ConversationSummary, ...]:
        """Returns the conversations of an owner, the one that changed last first."""
        with self._database.reading() as connection:
            found = connection.execute(
                f"{_SUMMARIES} WHERE owner = ? ORDER BY updated_s DESC, number DESC", (owner,)
            )
            return tuple(_summary(row) for row in found)

    def get(self, owner: str, id: str) -> Conversation:
        """Returns a conversation with its media and turns."""
        with self._database.reading() as connection:
            number = _find(connection, owner, id)
            title, model, created_s, updated_s = connection.execute(
                "SELECT title, model, created_s, updated_s FROM conversations WHERE number = ?", (number,)
            ).fetchone()
            media = connection.execute(
                "SELECT uploads.id, media.name, options, turn FROM media "
                "LEFT JOIN uploads ON uploads.number = media.upload WHERE conversation = ? ORDER BY position",
                (number,),
            ).fetchall()
            turns = connection.execute(
                f"SELECT {TURN_COLUMNS} FROM turns WHERE conversation = ? ORDER BY position", (number,)
            ).fetchall()
        return Conversation(
            id,
            title or title_of(media[0][1] if media else ""),
            model,
            created_s,
            updated_s,
            media=tuple(
                Medium(upload, name, json.loads(options), turn) for upload, name, options, turn in media
            ),
            turns=tuple(turn_of(row) for row in turns),
        )

    def rename(self, owner: str, id: str, title: str) -> ConversationSummary:
        """Gives a conversation a title, and returns how it stands in the list now.

        Args:
            owner: Whose conversation it is.
            id: The conversation.
            title: The title; an empty one gives back the one that it had by itself.
        """
        title = title_of(title)
        with self._database.writing() as connection:
            number = _find(connection, owner, id)
            connection.execute(
                "UPDATE conversations SET title = ?, renamed = ? WHERE number = ?",
                (title, bool(title), number),
            )
            _entitle(connection, number)
            return _summary(connection.execute(f"{_SUMMARIES} WHERE number = ?", (number,)).fetchone())

    def delete(self, owner: str, id: str) -> None:
        """Removes a conversation; uploads that it is about stay."""
        with self._database.writing() as connection:
            number = _find(connection, owner, id)
            connection.execute("DELETE FROM conversations WHERE number = ?", (number,))

    def delete_all(self, owner: str) -> int:
        """Removes all conversations of an owner, and returns how many there were; uploads stay."""
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM conversations WHERE owner = ?", (owner,)).rowcount

    def uploads_of(self, owner: str) -> set[str]:
        """Returns the ids of the uploads that an owner's conversations are about."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT DISTINCT uploads.id FROM conversations "
                "JOIN media ON media.conversation = conversations.number "
                "JOIN uploads ON uploads.number = media.upload WHERE conversations.owner = ?",
                (owner,),
            )
            return {id for (id,) in found}

    def add_medium(self, owner: str, id: str, upload: str, options: dict[str, Any]) -> Medium:
        """Adds a video or image behind those that are there.

        Args:
            owner: Whose conversation and upload they are.
            id: The conversation.
            upload: Id of the upload.
            options: How it is read, as plain JSON types.

        Returns:
            The medium, with the upload's name and how many turns came before it.

        Raises:
            NotFoundError: The owner has no such upload.
        """
        with self._changing(owner, id) as (connection, number, _):
            name = find_upload(connection, owner, upload).name
            position = _count(connection, "media WHERE conversation = ?", number)
            turn = _turns(connection, number)
            connection.execute(
                "INSERT INTO media (conversation, position, upload, name, options, turn) "
                "VALUES (?, ?, (SELECT number FROM uploads WHERE id = ?), ?, ?, ?)",
                (number, position, upload, name, to_json(options), turn),
            )
        return Medium(upload, name, options, turn)

    def set_options(self, owner: str, id: str, position: int, options: dict[str, Any]) -> None:
        """Notes that a medium is read otherwise from now on.

        Args:
            owner: Whose conversation it is.
            id: The conversation.
            position: Which medium, from 0.
            options: How it is read, as plain JSON types.

        Raises:
            NotFoundError: There is no such medium.
        """
        with self._changing(owner, id) as (connection, number, _):
            count = _count(connection, "media WHERE conversation = ?", number)
            if not 0 <= position < count:
                raise NotFoundError(f"there is no medium {position}: the conversation has {count}, from 0")
            connection.execute(
                "UPDATE media SET options = ? WHERE conversation = ? AND position = ?",
                (to_json(options), number, position),
            )

    def append(self, owner: str, id: str, turn: Turn) -> int:
        """Appends a turn.

        Args:
            owner: Whose conversation it is.
            id: The conversation.
            turn: The turn; when it was created is set here.

        Returns:
            Its position, from 0.

        Raises:
            LimitError: The conversation has as many turns as may be.
        """
        with self._changing(owner, id) as (connection, number, now_s):
            position = _turns(connection, number)
            if position >= self._most_turns:
                raise LimitError(
                    f"the conversation has {position} turns, of at most {self._most_turns}: begin a new one"
                )
            connection.execute(
                f"INSERT INTO turns (conversation, position, {TURN_COLUMNS}) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, position, *columns_of(turn), now_s),
            )
            _entitle(connection, number)
        return position

    def replace_last(self, owner: str, id: str, turn: Turn) -> None:
        """Puts a turn in the place of the last one, whose time of creation stays: an answer that has ended.

        Args:
            owner: Whose conversation it is.
            id: The conversation.
            turn: The turn as it is now.

        Raises:
            NotFoundError: The conversation has no turn.
        """
        with self._changing(owner, id) as (connection, number, _):
            position = _turns(connection, number) - 1
            if position < 0:
                raise NotFoundError("the conversation has no turn: it was taken back")
            connection.execute(
                "UPDATE turns SET question = ?, text = ?, failed = ?, remembered = ?, stopped = ?, "
                "evidence = ?, usage = ? WHERE conversation = ? AND position = ?",
                (*columns_of(turn), number, position),
            )
            _entitle(connection, number)

    def truncate(self, owner: str, id: str, position: int) -> None:
        """Takes a turn back, and all that came after it; media that did now stand before the next question.

        Args:
            owner: Whose conversation it is.
            id: The conversation.
            position: Which turn, from 0.

        Raises:
            NotFoundError: There is no such turn.
        """
        with self._changing(owner, id) as (connection, number, _):
            count = _turns(connection, number)
            if not 0 <= position < count:
                raise NotFoundError(f"there is no turn {position}: the conversation has {count}, from 0")
            connection.execute(
                "DELETE FROM turns WHERE conversation = ? AND position >= ?", (number, position)
            )
            connection.execute(
                "UPDATE media SET turn = ? WHERE conversation = ? AND turn > ?", (position, number, position)
            )
            _entitle(connection, number)

    @contextmanager
    def _changing(self, owner: str, id: str) -> Iterator[tuple[sqlite3.Connection, int, float]]:
        """Gives the connection, the number of a conversation and the time, which is noted as that of its change."""
        now_s = self._clock()
        with self._database.writing() as connection:
            number = _find(connection, owner, id)
            yield connection, number, now_s
            connection.execute("UPDATE conversations SET updated_s = ? WHERE number = ?", (now_s, number))


def _summary(row: tuple[Any, ...]) -> ConversationSummary:
    id, title, medium, updated_s, turns = row
    return ConversationSummary(id, title or title_of(medium or ""), updated_s, turns)


def _find(connection: sqlite3.Connection, owner: str, id: str) -> int:
    """The number of a conversation, by which the other tables know it."""
    found = connection.execute(
        "SELECT number FROM conversations WHERE owner = ? AND id = ?", (owner, id)
    ).fetchone()
    if found is None:
        raise NotFoundError("there is no such conversation: it was deleted, or never was")
    return int(found[0])


def _turns(connection: sqlite3.Connection, number: int) -> int:
    return _count(connection, "turns WHERE conversation = ?", number)


def _count(connection: sqlite3.Connection, rows: str, value: str | int) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {rows}", (value,)).fetchone()[0])


def _entitle(connection: sqlite3.Connection, number: int) -> None:
    """Makes the title of the first question, unless a person gave one."""
    found = connection.execute(
        "SELECT question FROM turns WHERE conversation = ? AND question IS NOT NULL ORDER BY position LIMIT 1",
        (number,),
    ).fetchone()
    connection.execute(
        "UPDATE conversations SET title = ? WHERE number = ? AND NOT renamed",
        (title_of(found[0]) if found else "", number),
    )
