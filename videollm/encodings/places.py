"""Where programs keep what they can make again, and how much of it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ..errors import ConfigError
from .cache import EncodedCache
from .disk import DiskCache
from .memory import MemoryCache

_MEBIBYTE = 1 << 20
_USUAL_MB = 1024
_FOLDER = "encodings"

_logger = logging.getLogger(__name__)


def cache_directory() -> Path:
    """Returns the directory of what can be made again: ``$VIDEOLLM_CACHE``, or the user's cache directory.

    Raises:
        ConfigError: The variable is not set, and the user has no home directory.
    """
    if own := os.environ.get("VIDEOLLM_CACHE"):
        return Path(own)
    if of_all_programs := os.environ.get("XDG_CACHE_HOME"):
        return Path(of_all_programs) / "videollm"
    try:
        return Path.home() / ".cache" / "videollm"
    except RuntimeError as error:
        raise ConfigError(
            "there is no home directory to keep files in: set $VIDEOLLM_CACHE to a directory"
        ) from error


def open_disk_cache() -> DiskCache:
    """Returns the user's encoded media on disk; nothing is read or made yet.

    Its size is at most 1 GiB, or ``$VIDEOLLM_CACHE_MB`` MiB.

    Raises:
        ConfigError: There is no place for it, or the size is not a number of at least 0.
    """
    return DiskCache(cache_directory() / _FOLDER, _max_bytes())


def open_cache() -> EncodedCache:
    """Returns what the programs of the shell keep encoded media in: fresh memory over the user's disk.

    Raises:
        ConfigError: ``$VIDEOLLM_CACHE_MB`` is not a number of at least 0.
    """
    max_bytes = _max_bytes()
    try:
        directory = cache_directory()
    except ConfigError as error:  # as in a container; one can ask all the same
        _logger.warning("encoded videos are kept in memory only: %s", error)
        return EncodedCache(MemoryCache())
    return EncodedCache(MemoryCache(), DiskCache(directory / _FOLDER, max_bytes))


def _max_bytes() -> int:
    text = os.environ.get("VIDEOLLM_CACHE_MB") or str(_USUAL_MB)
    # No signs, exponents or fractions: a megabyte more or less is no matter.
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"$VIDEOLLM_CACHE_MB must be a whole number of at least 0, got {text!r}")
    return int(text) * _MEBIBYTE
