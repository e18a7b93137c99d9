"""Uploads whose time is over are removed while a server runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from videollm.errors import VideoLLMError

if TYPE_CHECKING:
    from .store.uploads import Uploads

_logger = logging.getLogger(__name__)
_EVERY_S = 600.0


@contextmanager
def sweeping(uploads: Uploads, every_s: float = _EVERY_S) -> Iterator[None]:
    """Removes expired uploads now, and again and again until the block ends.

    Args:
        uploads: The uploads.
        every_s: Seconds between two sweeps.
    """
    ending = threading.Event()

    def sweep() -> None:
        while not ending.is_set():
            try:
                uploads.sweep(time.time())
            except VideoLLMError as error:
                _logger.warning("uploads could not be swept: %s", error)
            ending.wait(every_s)

    thread = threading.Thread(target=sweep, name="sweeping", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
