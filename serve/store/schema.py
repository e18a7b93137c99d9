"""The tables of the database, and the steps that bring a file of an older format to the present one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from videollm.errors import ConfigError

# "ViLM" in the file's header: it tells our databases from those of other programs.
_APPLICATION_ID = 0x56694C4D

# Numbers order rows and link tables; nobody outside sees them. A medium outlives its upload.
_FIRST = """
CREATE TABLE uploads (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    mime TEXT NOT NULL,
    kind TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    created_s REAL NOT NULL,
    expires_s REAL NOT NULL
);
CREATE INDEX uploads_by_owner ON uploads (owner, number);
CREATE INDEX uploads_by_expiry ON uploads (expires_s);
CREATE TABLE conversations (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    title TEXT NOT NULL DEFAULT '',
    renamed INTEGER NOT NULL DEFAULT 0,
    created_s REAL NOT NULL,
    updated_s REAL NOT NULL
);
CREATE INDEX conversations_by_owner ON conversations (owner, updated_s, number);
CREATE TABLE media (
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    upload INTEGER REFERENCES uploads (number) ON DELETE SET NULL,
    name TEXT NOT NULL,
    options TEXT NOT NULL,     -- a JSON object
    PRIMARY KEY (conversation, position)
);
CREATE INDEX media_by_upload ON media (upload);
CREATE TABLE turns (
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    question TEXT,
    text TEXT NOT NULL,
    failed INTEGER NOT NULL,
    remembered INTEGER NOT NULL,
    stopped INTEGER NOT NULL,
    evidence TEXT NOT NULL,    -- JSON: [[start_s, end_s, score, video], ...]
    usage TEXT,                -- a JSON object
    created_s REAL NOT NULL,
    PRIMARY KEY (conversation, position)
);
"""

# A description is of an upload, whatever conversation it was asked for in, and goes with it.
_SECOND = """
ALTER TABLE media ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
CREATE TABLE descriptions (
    number INTEGER PRIMARY KEY,
    upload INTEGER NOT NULL REFERENCES uploads (number) ON DELETE CASCADE,
    wish TEXT NOT NULL,          -- a JSON object, keys in order
    description TEXT NOT NULL,   -- a JSON object
    created_s REAL NOT NULL,
    UNIQUE (upload, wish)
);
"""

#: Step ``n`` (from 0) makes format ``n + 1`` of format ``n``; steps that were once released never change.
STEPS: tuple[str, ...] = (_FIRST, _SECOND)


def check_format(connection: sqlite3.Connection, path: Path, steps: Sequence[str] = STEPS) -> None:
    """Looks whether a file is one that :func:`migrate` can go on from.

    Raises:
        ConfigError: It belongs to another program or to a newer version of this one.
    """
    version = _pragma(connection, "user_version")
    if _pragma(connection, "application_id") != _APPLICATION_ID and (version or _has_tables(connection)):
        raise ConfigError(f"{path} is a database of another program: choose another --data, or move it away")
    if version > len(steps):
        raise ConfigError(
            f"{path} has format {version}, this version knows formats up to {len(steps)}: "
            "install the newer version that wrote it, or choose another --data"
        )


def migrate(connection: sqlite3.Connection, steps: Sequence[str] = STEPS) -> None:
    """Takes the steps that a file still lacks, each in a transaction of its own.

    Foreign keys have to be off: a step may rebuild a table that others refer to.

    Raises:
        sqlite3.Error: A step fails; the file has the format that it had before the step.
    """
    done = _pragma(connection, "user_version")
    for version, step in enumerate(steps[done:], done + 1):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{step}\nPRAGMA application_id = {_APPLICATION_ID};\n"
                f"PRAGMA user_version = {version};\nCOMMIT;"
            )
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
