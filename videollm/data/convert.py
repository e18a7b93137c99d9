"""Any data file as the project's own records."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .problems import Problem
from .reading import read_records


def convert_file(
    path: Path, out: Path, *, format: str | None = None, media: Sequence[Path] = ()
) -> list[Problem]:
    """Writes the records of a data file, a line each; relative paths are from the new file's directory.

    Args:
        path: The data file.
        out: The file to write; it is replaced as a whole, or not at all.
        format: Name of the rows' format; found out if ``None``.
        media: Directories to look for media in, before the data file's own.

    Returns:
        What is wrong with the file; nothing is written then.

    Raises:
        ConfigError: There is no format of that name.
        DataError: The file is missing or of an unknown type.
    """
    problems: list[Problem] = []
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("w", encoding="utf-8") as file:
            for found in read_records(path, format=format, media=media):
                if isinstance(found, Problem):
                    problems.append(found)
                elif not problems:
                    record = found.record
                    moved = [
                        one.model_copy(update={"path": _from(one.path, out.parent)}) for one in record.media
                    ]
                    source = record.source or f"{path.name}:{found.line}"
                    changed = record.model_copy(update={"media": tuple(moved), "source": source})
                    file.write(f"{changed.to_json()}\n")
        if not problems:
            partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return problems


def _from(path: str, directory: Path) -> str:
    return path if os.path.isabs(path) else os.path.relpath(path, directory)
