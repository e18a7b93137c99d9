"""Encoded media in memory: least recently used go first, and bytes are counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from videollm import VideoLLM
from videollm.encodings.medium import Medium
from videollm.encodings.memory import MemoryCache
from videollm.media import load_medium

Clips = tuple[Path, Path]
Make = Callable[..., Medium]


def test_the_memory_drops_what_was_used_least_recently(model: VideoLLM, clip_files: Clips) -> None:
    media = [load_medium(model, path) for path in clip_files]
    sizes = [medium.encoded.tokens_KD.nbytes + medium.encoded.spans_K2.nbytes for medium in media]
    cache = MemoryCache(max_bytes=sum(sizes) + min(sizes) - 1)
    cache.put("a", media[0])
    cache.put("b", media[1])
    assert cache.get("a") is media[0]
    cache.put("c", media[1])
    assert cache.get("b") is None
    assert len(cache) <= 2
    kept = [medium for medium in (cache.get(name) for name in "abc") if medium is not None]
    assert cache.nbytes == sum(medium.nbytes for medium in kept) > 0
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)


def test_what_is_larger_than_the_memory_is_not_kept(model: VideoLLM, clip_files: Clips) -> None:
    cache = MemoryCache(max_bytes=10)
    load_medium(model, clip_files[0], cache=cache)
    assert len(cache) == 0


def test_what_is_put_twice_is_counted_once(make: Make) -> None:
    medium = make(0)
    cache = MemoryCache(max_bytes=2 * medium.nbytes)
    for _ in range(3):
        cache.put("a", medium)
    cache.put("b", make(1))
    assert cache.get("a") is medium
