"""Directories of what was made once: a record beside it makes sure that everything in one was made alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from videollm.errors import DataError


def claim(directory: Path, name: str, record: dict[str, Any], holds: str) -> None:
    """Makes a directory, or makes sure that an existing one was made by the same settings.

    Args:
        directory: The directory.
        name: File of the record in it.
        record: Settings and versions that its contents depend on.
        holds: What else it would hold, for the message.

    Raises:
        DataError: Its record is another one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    if path.exists() and json.loads(path.read_text("utf-8")) != record:
        raise DataError(f"{directory} holds {holds}; use a new directory")
    path.write_text(json.dumps(record), encoding="utf-8")
