"""Encoded media in memory, as long as the process lives."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from .medium import Medium

_MAX_BYTES = 256 << 20


class MemoryCache:
    """Encoded media in memory, the least recently used dropped first; safe for several threads.

    Args:
        max_bytes: Most bytes of visual tokens and spans to keep.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._media: OrderedDict[Hashable, Medium] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._media)

    @property
    def nbytes(self) -> int:
        """Bytes of visual tokens and spans that are kept."""
        return self._bytes

    def get(self, key: Hashable) -> Medium | None:
        """Returns what is kept under a key, or ``None``."""
        with self._lock:
            if key in self._media:
                self._media.move_to_end(key)
            return self._media.get(key)

    def put(self, key: Hashable, medium: Medium) -> None:
        """Keeps a medium, and drops others until all fit; one that is too large by itself is not kept."""
        with self._lock:
            before = self._media.pop(key, None)
            self._bytes -= 0 if before is None else before.nbytes
            self._media[key] = medium
            self._bytes += medium.nbytes
            while self._bytes > self.max_bytes:
                self._bytes -= self._media.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._media.clear()
            self._bytes = 0
