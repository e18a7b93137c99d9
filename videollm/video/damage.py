"""Signs of damage: what FFmpeg complains of, and where a file does not hold what it declares.

Decoders hide damage: they fill holes from neighbouring pictures and go on. But they write it to their log, demuxers
mark packets that they know to be incomplete, and containers declare what they should hold. Together these tell of
nearly all damage that shows; ``benchmarks/reading_damage`` counts how much.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import av
import numpy as np

from .timeline import PacketTable, Timeline

# What sound streams cause too when decoding starts amid them.
_HARMLESS = ("mmco: unref short failure", "number of reference frames")
# Containers without an index of all frames: a frame that was lost there leaves a hole in time and no other trace.
_WITHOUT_FULL_INDEX = frozenset({"mpegts", "mpeg", "matroska,webm", "flv", "ogg", "asf"})
_STEADY_SHARE = 0.95  # frames that must follow each other evenly before a hole means that some are missing
_HOLE = 1.5  # in frame durations
_SHORTEST_FRAME_S, _LONGEST_FRAME_S = 1e-4, 3600.0  # from high-speed cameras to slow time lapses
_SHORTFALL_S = 0.5  # tracks of one file need not end together to the frame


class DecoderLog(logging.Handler):
    """Counts the errors that FFmpeg reports while it reads one file, and keeps examples of each of its components."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._least: dict[str, str] = {}
        self._ignored: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Takes one line of FFmpeg's log."""
        self.note(record.name.rpartition(".")[2], record.getMessage())

    def note(self, component: str, message: str) -> None:
        """Counts an error, also one that reached us in another way than through FFmpeg's log."""
        if component == self._ignored or message.startswith(_HARMLESS):
            return
        self._counts[component] += 1
        told = f"{component}: {message.strip()}"
        self._first.setdefault(component, told)
        self._least[component] = min(self._least.get(component, told), told)

    def forget(self, component: str) -> None:
        """Drops what a component has reported so far."""
        self._counts.pop(component, None)
        self._first.pop(component, None)
        self._least.pop(component, None)

    @contextmanager
    def ignoring(self, component: str) -> Iterator[None]:
        """Pays no attention to a component while the context is open."""
        self._ignored = component
        try:
            yield
        finally:
            self._ignored = None

    @property
    def first(self) -> str:
        """The first error, or an empty string."""
        return next(iter(self._first.values()), "")

    @property
    def phrases(self) -> tuple[str, ...]:
        """The errors as at most one phrase: the same each time, though threads that decode report in any order."""
        count = self._counts.total()
        return (f"{_many(count, 'decoding error')} (such as {min(self._least.values())})",) if count else ()


@contextmanager
def decoder_log() -> Iterator[DecoderLog]:
    """Collects FFmpeg's errors, of all its threads, while the context is open."""
    log = DecoderLog()
    logger = logging.getLogger("libav")
    was_passed_on, logger.propagate = logger.propagate, False
    logger.addHandler(log)
    av.logging.set_skip_repeated(False)  # else the same error in the next file would go unheard
    av.logging.set_level(av.logging.ERROR)
    try:
        yield log
    finally:
        av.logging.set_level(None)
        logger.removeHandler(log)
        logger.propagate = was_passed_on


@dataclass(frozen=True, slots=True)
class Declared:
    """What a container says of itself.

    Attributes:
        container: FFmpeg's name of it.
        frames: Frames of the picture track; 0 where it does not say exactly.
        end_s: Length of the picture track in seconds; ``None`` where it does not say.
    """

    container: str
    frames: int
    end_s: float | None


def packet_damage(corrupt: int, zeroed: int) -> tuple[str, ...]:
    """Returns phrases for packets that are marked as damaged, and for those that were partly wiped out."""
    phrases = []
    if corrupt:
        phrases.append(_many(corrupt, "corrupt packet"))
    if zeroed:
        phrases.append(f"{_many(zeroed, 'packet')} overwritten with zeros")
    return tuple(phrases)


def declared_damage(declared: Declared, table: PacketTable, timeline: Timeline) -> tuple[str, ...]:
    """Returns phrases for what the container declares but does not hold, and for times that make no sense."""
    phrases = []
    if len(table) < declared.frames:
        phrases.append(f"only {len(table)} of {declared.frames} declared frames are there")
    # AVI counts the frames of the track itself; elsewhere a track may end a little before the file.
    shortfall_s = timeline.tick_s / 2 if declared.container == "avi" else _SHORTFALL_S
    if declared.end_s is not None and timeline.end_s < declared.end_s - shortfall_s:
        phrases.append(f"the file ends at {timeline.end_s:.2f} s of {declared.end_s:.2f} s")
    if len(timeline) > 1 and not _SHORTEST_FRAME_S <= _usual_step(timeline) <= _LONGEST_FRAME_S:
        phrases.append(f"frames of {_usual_step(timeline):.2g} s cannot be meant")
    twice = int(table.is_shown.sum()) - len(np.unique(table.pts[table.is_shown]))
    if twice:
        phrases.append(f"{_many(twice, 'frame')} at the time of another")
    if declared.container in _WITHOUT_FULL_INDEX:
        phrases.extend(_holes(timeline))
    return tuple(phrases)


def _holes(timeline: Timeline) -> Iterator[str]:
    steps = np.diff(timeline.times_s)
    if not len(steps):
        return
    usual = _usual_step(timeline)
    is_steady = np.abs(steps - usual) <= 0.1 * usual + timeline.tick_s
    holes = np.flatnonzero(steps > _HOLE * usual + timeline.tick_s)
    if len(holes) and is_steady.mean() >= _STEADY_SHARE:
        yield f"frames are missing at {_many(len(holes), 'place')} (first: {timeline.times_s[holes[0]]:.1f} s)"


def _usual_step(timeline: Timeline) -> float:
    return float(np.median(np.diff(timeline.times_s)))


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
