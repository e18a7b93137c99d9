"""A cache that knows how often it was of use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videollm.encodings.cache import Cache
    from videollm.encodings.keys import EncodingKey
    from videollm.encodings.medium import Medium


class CountedCache:
    """Passes everything on to another cache, and counts.

    Args:
        cache: What keeps encoded media.

    Attributes:
        hits: Media that were found.
        misses: Media that were not.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        # A count that threads race for may miss one; a lock would cost more than that is worth.
        self.hits = self.misses = 0

    def get(self, key: EncodingKey) -> Medium | None:
        """Returns what is kept under a key, or ``None``."""
        found = self._cache.get(key)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def put(self, key: EncodingKey, medium: Medium) -> None:
        """Keeps a medium."""
        self._cache.put(key, medium)
