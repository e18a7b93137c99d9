"""What the web needs of the store of uploads, and how it is asked: in threads, with errors that have a status."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread

from videollm.errors import OutputError

from ..store.errors import NotFoundError
from ..store.values import Upload
from .errors import RequestError

T = TypeVar("T")

# Threads of its own: while all of the page's wait for the model, files can still come and go.
_THREADS = anyio.CapacityLimiter(8)


class UploadStore(Protocol):
    """A store of uploads, as :class:`..store.uploads.Uploads` is one. What is another owner's is ``NotFoundError``."""

    @property
    def incoming(self) -> Path:
        """Directory for files while they arrive, on the same file system as those that are kept."""

    def add(self, owner: str, name: str, mime: str, kind: str, size: int, sha256: str, file: Path) -> Upload:
        """Keeps a file, which is moved away from where it is."""

    def get(self, owner: str, id: str) -> Upload:
        """Returns an upload."""

    def path(self, owner: str, id: str) -> Path:
        """Returns where the bytes of an upload lie."""

    def list(self, owner: str) -> Sequence[Upload]:
        """Returns the uploads of an owner, oldest first."""

    def delete(self, owner: str, id: str) -> None:
        """Removes an upload and its file."""

    def used(self, owner: str) -> int:
        """Returns the bytes of an owner's uploads."""

    def used_by_all(self) -> int:
        """Returns the bytes of all uploads."""


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Runs what reads or writes files in a thread.

    Raises:
        RequestError: There is no such upload (404), or it cannot be written (507).
    """
    try:
        return await anyio.to_thread.run_sync(partial(function, *arguments), limiter=_THREADS)
    except NotFoundError as error:
        raise RequestError(404, str(error), code="not_found") from None
    except (OSError, OutputError) as error:
        raise RequestError(
            507, "the server could not write the file: its disk may be full", code="storage_failed"
        ) from error
