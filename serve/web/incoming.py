"""A file while it arrives: written as it comes, hashed on the way, gone without a trace if it does not arrive whole."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from types import TracebackType

from .kinds import HEAD_BYTES
from .storage import in_thread

# Written in pieces of this size: a thread for each packet would cost more than the writing.
_PIECE_BYTES = 1 << 20


class IncomingFile:
    """An asynchronous context manager; on leaving it, what was not moved away is removed.

    Args:
        directory: Where to write, under a random name.

    Attributes:
        path: The file; it is there once something has been written.
        size: Bytes received.
        head: The first bytes, enough to judge what the file is.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / secrets.token_urlsafe(16)
        self.size = 0
        self.head = b""
        self._hash = hashlib.sha256()
        self._pending = bytearray()
        self._descriptor: int | None = None

    async def __aenter__(self) -> IncomingFile:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Nothing is awaited: a cancelled request must not leave the file behind.
        self._close()
        self.path.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        """SHA-256 of what has been written, in hexadecimal digits."""
        return self._hash.hexdigest()

    async def write(self, data: bytes) -> None:
        """Takes the next bytes.

        Raises:
            RequestError: The disk takes no more.
        """
        self.size += len(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        self._pending += data
        if len(self._pending) >= _PIECE_BYTES:
            await in_thread(self._flush)

    async def finish(self) -> None:
        """Brings all of it to the disk.

        Raises:
            RequestError: The disk takes no more.
        """
        await in_thread(self._flush, True)

    def _flush(self, last: bool = False) -> None:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o600)
        self._hash.update(self._pending)
        left = memoryview(self._pending)
        while left:
            left = left[os.write(self._descriptor, left) :]
        self._pending = bytearray()
        if last:
            os.fsync(self._descriptor)
            self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
