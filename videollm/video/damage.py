"""Signs of damage: what decoders complain of, and where a file does not hold what it declares."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import av


class DecoderLog(logging.Handler):
    """Counts the errors that FFmpeg reports while it reads one file, and keeps the first of them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Takes one line of FFmpeg's log."""
        self.note(f"{record.name.rpartition('.')[2]}: {record.getMessage()}")

    def note(self, message: str) -> None:
        """Counts an error that reached us in another way."""
        self.first = self.first or message.strip()
        self.count += 1

    @property
    def phrases(self) -> tuple[str, ...]:
        """The errors as at most one phrase."""
        if not self.count:
            return ()
        errors = "1 decoder error" if self.count == 1 else f"{self.count} decoder errors"
        return (f"{errors} (first: {self.first})",)


@contextmanager
def decoder_log() -> Iterator[DecoderLog]:
    """Collects FFmpeg's errors, of all its threads, while the context is open."""
    log = DecoderLog()
    logger = logging.getLogger("libav")
    was_passed_on, logger.propagate = logger.propagate, False
    logger.addHandler(log)
    av.logging.set_level(av.logging.ERROR)
    try:
        yield log
    finally:
        av.logging.set_level(None)
        logger.removeHandler(log)
        logger.propagate = was_passed_on
