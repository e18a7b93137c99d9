"""What the language model has read of conversations, kept for their next question up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from videollm.values import Message

if TYPE_CHECKING:
    from videollm.model.generation import PromptCache

_Key = tuple[str, tuple[Message, ...]]


class PrefixCaches:
    """Keys and values of conversations that may go on, the least recently used let go first; safe for threads.

    A program sends all of its conversation with every question. Which of the kept caches belongs to it, its turns up to
    the question say; whether that is right, the cache itself finds out when it is read on.

    Args:
        max_bytes: Most bytes that are kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._caches: OrderedDict[_Key, PromptCache] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        with self._lock:
            return sum(cache.nbytes for cache in self._caches.values())

    def take(self, owner: str, turns: tuple[Message, ...]) -> PromptCache | None:
        """Returns the cache of an owner's conversation that has come so far, and keeps it no longer.

        Args:
            owner: Whose conversation.
            turns: Its turns before the question.
        """
        with self._lock:
            return self._caches.pop((owner, turns), None)

    def put(self, owner: str, turns: tuple[Message, ...], cache: PromptCache) -> None:
        """Keeps a cache, and lets go of others until all fit; one that is too large by itself is not kept."""
        with self._lock:
            self._caches[owner, turns] = cache
            self._caches.move_to_end((owner, turns))
            size = sum(one.nbytes for one in self._caches.values())
            while size > self._max_bytes:
                size -= self._caches.popitem(last=False)[1].nbytes
