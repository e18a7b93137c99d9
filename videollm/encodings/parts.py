"""Files in the making, beside those that are done; what a killed program left of one can be told and removed."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: How the names of files in the making end.
SUFFIX = ".part"


@contextmanager
def written_aside(directory: Path, data: bytes) -> Iterator[Path]:
    """Gives a file with ``data``, safe on the disk, that is to be moved where it belongs; it is gone if it was not.

    The file is locked as long as it is in the making, and the system lets go of the lock however the program ends.

    Raises:
        OSError: The file cannot be written.
    """
    path, descriptor = _locked_file(directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            yield path
    finally:
        path.unlink(missing_ok=True)


def remove_abandoned(path: Path) -> bool:
    """Removes a file in the making that nobody makes any more, and says whether it did.

    Raises:
        OSError: The file cannot be opened or removed.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Done and moved meanwhile: then what was opened is no longer what stands under this name.
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _locked_file(directory: Path) -> tuple[Path, int]:
    """A new file that is locked and still there: between the two, another program may have taken it for abandoned."""
    while True:
        path = directory / f"{secrets.token_hex(8)}{SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                return path, descriptor
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        os.close(descriptor)
