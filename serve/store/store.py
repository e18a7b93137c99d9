"""A data directory: the database and the files that belong to it, held by one server at a time."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from videollm.describe.holding import holding
from videollm.errors import ConfigError, OutputError

from .conversations import Conversations
from .database import Database
from .descriptions import Descriptions
from .uploads import Uploads

NAME = "store.sqlite"


class Store:
    """What a server remembers, for any number of threads of one process; a context manager.

    ``store.sqlite`` holds the rows, ``uploads/`` a file for each upload, ``incoming/`` files that are still arriving.
    Nobody but the system's user who runs the server can read the directory.

    Args:
        directory: The data directory; made if need be.
        retention_s: Seconds until an upload expires.
        most_conversations: Most conversations of one owner.
        most_turns: Most turns of one conversation.
        clock: Says what time it is, in seconds since 1970.

    Attributes:
        conversations: The conversations.
        uploads: The uploads.
        descriptions: Descriptions of uploads.

    Raises:
        ConfigError: Another server holds the directory, what lies there is not ours or of a newer version, or others
            may read a directory that holds other files.
        OutputError: It cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        *,
        retention_s: float,
        most_conversations: int = 1000,
        most_turns: int = 1000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        with ExitStack() as opened:
            _make_private(directory)
            opened.enter_context(holding(directory, "--data"))
            database = Database(directory / NAME)
            opened.callback(database.close)
            self.conversations = Conversations(database, most_conversations, most_turns, clock)
            self.uploads = Uploads(database, directory, retention_s, clock)
            self.descriptions = Descriptions(database, clock)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Closes the database and lets go of the directory; a second time does nothing."""
        self._opened.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _make_private(directory: Path) -> None:
    """Makes the directory, or closes one to others; one that may be somebody else's is left as it is."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not stat.S_IMODE(directory.stat().st_mode) & 0o077:
            return
        if any(directory.iterdir()) and not (directory / NAME).exists():
            raise ConfigError(
                f"{directory} can be read by others and holds other files: "
                "choose a directory of its own for --data, or chmod 700 it"
            )
        directory.chmod(0o700)
    except OSError as error:
        raise OutputError(
            f"{directory} cannot be used ({error.strerror}): give access, or choose another --data"
        ) from error
