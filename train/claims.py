"""Directories of what was made once: a record beside it makes sure that everything in one was made alike."""

from __future__ import annotations

import json
import os
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
    if not path.exists():
        # Several processes may claim it at once: none of them reads a half-written record.
        partial = path.with_suffix(f".partial-{os.getpid()}")
        partial.write_text(json.dumps(record), encoding="utf-8")
        partial.rename(path)
    if json.loads(path.read_text("utf-8")) != record:
        raise DataError(f"{directory} holds {holds}; use a new directory")
