"""Both places where encoded media are kept, as one."""

from __future__ import annotations

from typing import Protocol

from .disk import DiskCache
from .keys import EncodingKey
from .medium import Medium
from .memory import MemoryCache


class Cache(Protocol):
    """Where encoded media are kept."""

    def get(self, key: EncodingKey, /) -> Medium | None:
        """Returns what is kept under a key, or ``None``."""

    def put(self, key: EncodingKey, medium: Medium, /) -> None:
        """Keeps a medium."""


class EncodedCache:
    """Encoded media in memory and, if there is a disk, from run to run; safe for several threads and processes.

    Args:
        memory: What is asked first, and keeps what was found on the disk.
        disk: What outlives the process; ``None`` for memory alone.
    """

    def __init__(self, memory: MemoryCache, disk: DiskCache | None = None) -> None:
        self.memory = memory
        self.disk = disk

    def get(self, key: EncodingKey) -> Medium | None:
        """Returns what is kept under a key, or ``None``; from the disk its tensors come on the CPU."""
        known = self.memory.get(key)
        if known is None and self.disk is not None:
            known = self.disk.get(key)
            if known is not None:
                self.memory.put(key, known)
        return known

    def put(self, key: EncodingKey, medium: Medium) -> None:
        """Keeps a medium in both places; a disk that is full or cannot be written is told of once, and no error."""
        self.memory.put(key, medium)
        if self.disk is not None:
            self.disk.put(key, medium)

    def expects(self, looked_at: str) -> bool:
        """Whether the disk holds what some model saw of this: known without a model, so a hint and no promise.

        Args:
            looked_at: The first part of an :class:`EncodingKey`.
        """
        return self.disk is not None and self.disk.expects(looked_at)
