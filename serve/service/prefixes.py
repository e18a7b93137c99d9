"""What the language model has read of conversations, kept for their next question up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videollm.model.generation import PromptCache


class PrefixCaches:
    """Keys and values of conversations that may go on, the least recently used let go first; safe for threads.

    Whether a cache fits the question that it is taken for, it finds out itself when it is read on: what its prompt does
    not share is read anew.

    Args:
        max_bytes: Most bytes that are kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._caches: OrderedDict[Hashable, PromptCache] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        with self._lock:
            return sum(cache.nbytes for cache in self._caches.values())

    def take(self, conversation: Hashable) -> PromptCache | None:
        """Returns the cache of a conversation, and keeps it no longer.

        Args:
            conversation: What it was put under.
        """
        with self._lock:
            return self._caches.pop(conversation, None)

    def put(self, conversation: Hashable, cache: PromptCache) -> None:
        """Keeps a cache, and lets go of others until all fit; one that is too large by itself is not kept."""
        with self._lock:
            self._caches[conversation] = cache
            self._caches.move_to_end(conversation)
            size = sum(one.nbytes for one in self._caches.values())
            while size > self._max_bytes:
                size -= self._caches.popitem(last=False)[1].nbytes
