"""Files that are there as a whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

# What a program that was killed leaves of a file that it was writing.
_PARTIAL = re.compile(r"\.[0-9a-f]{16}\.part")


def remove_partial(paths: Iterable[Path]) -> None:
    """Removes those of some files that programs did not live to complete; nobody may be writing them.

    Raises:
        OSError: Something cannot be removed.
    """
    for path in paths:
        if _PARTIAL.fullmatch(path.name):
            path.unlink()


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Gives a name beside ``path`` to write to; once that is done, the file there takes the place of ``path``.

    Where writing fails, what was at ``path`` stays as it was and nothing else is left. The folder is made if need be.

    Raises:
        OSError: The folder cannot be made, or the file not be moved.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own rather than the file's with an ending: that one may be as long as file systems allow already.
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    r"""Opens a text file that takes the place of ``path`` once it is written and on the disk.

    It is UTF-8 with ``\n`` at the ends of lines. Bytes of file names that are no text become ``\udc..``, the way in
    which JSON writes them.

    Raises:
        OSError: Something cannot be written; what was at ``path`` stays as it was.
    """
    with (
        aside(path) as temporary,
        temporary.open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        yield file
        file.flush()
        os.fsync(file.fileno())  # a full disk may say so only now, while the old file is still there
