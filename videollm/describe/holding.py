"""One program at a time in a directory."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError, OutputError

#: The file that is locked, and says by whom.
NAME = ".lock"


@contextmanager
def holding(directory: Path, option: str = "--out") -> Iterator[None]:
    """Holds a directory, which is made if need be; the system lets go of it however the program ends.

    Args:
        directory: The directory.
        option: By which option of the program another is chosen.

    Raises:
        ConfigError: Another program holds it; the message says which.
        OutputError: The directory cannot be made or written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OutputError(
            f"{directory} cannot be written ({error.strerror}): choose another {option}"
        ) from error
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{directory} is in use by {_holder(file.read())}: wait for it, or choose another {option}"
            ) from None
        try:
            file.truncate(0)
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}, file)
            file.flush()
        except OSError as error:
            raise OutputError(
                f"{directory} cannot be written ({error.strerror}): make room, or choose another {option}"
            ) from error
        yield


def _holder(text: str) -> str:
    """Who holds it, as far as is known: whoever does may just have begun to write it down."""
    try:
        found = json.loads(text)
    except ValueError:
        return "another program"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found["since"]))
    return f"process {found['pid']} on {found['host']} since {since}"
