"""How a file is walked: which stretches of packets are decoded for the wanted frames, by how many readers.

What costs time is decoding, and a frame can only be decoded from the keyframe before it. So the packets between one
wanted frame and the keyframe before the next are jumped over: with wanted frames far apart that is seeking, with wanted
frames closer together than keyframes it becomes one pass, and everything in between falls out by itself. The stretches
do not depend on each other, so several readers of one thread each share them; that uses the processors better than one
reader with many threads, which must fill and empty its pipeline at every jump.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from .timeline import Integers, Timeline

# Shares of the work handed out at a time: small enough to even out, large enough to keep neighbours together.
_SHARES_PER_READER = 4
# Readers that wait for the longest stretch this much beyond an even split are slower than threads inside one decoder.
_WORST_IMBALANCE = 1.3


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of packets that is decoded without a jump.

    Attributes:
        first: Index of the keyframe packet where it starts, in decoding order.
        last: Index of the last packet needed.
        frames: The wanted frames (indices into the timeline) that come out of it, ascending.
    """

    first: int
    last: int
    frames: tuple[int, ...]

    @property
    def cost(self) -> int:
        """Packets to decode."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Walk:
    """Stretches in shares that readers take in turn.

    Attributes:
        shares: Runs of neighbouring stretches.
        readers: How many readers work side by side.
        threads: Decoder threads of each.
    """

    shares: tuple[tuple[Stretch, ...], ...]
    readers: int
    threads: int


def plan_walk(timeline: Timeline, frames: Sequence[int] | Integers, processors: int) -> Walk:
    """Plans how to get the wanted frames (distinct, ascending indices into the timeline) with the least work."""
    stretches = stretches_for(timeline, frames)
    readers = _useful_readers(stretches, processors)
    shares = _shares(stretches, readers * _SHARES_PER_READER) if readers > 1 else (tuple(stretches),)
    return Walk(shares, min(readers, len(shares)), max(1, processors // readers))


def stretches_for(timeline: Timeline, frames: Sequence[int] | Integers) -> list[Stretch]:
    """Groups wanted frames by the keyframe that they are decoded from. The stretches ascend and do not overlap."""
    stretches: list[Stretch] = []
    for frame in frames:
        first, last = int(timeline.start[frame]), int(timeline.packet[frame])
        taken: tuple[int, ...] = (int(frame),)
        while stretches and first <= stretches[-1].last:
            previous = stretches.pop()
            first, last = min(first, previous.first), max(last, previous.last)
            taken = (*previous.frames, *taken)
        stretches.append(Stretch(first, last, taken))
    return stretches


def _useful_readers(stretches: list[Stretch], processors: int) -> int:
    readers = min(processors, len(stretches))
    loads = [0] * readers
    for cost in sorted((stretch.cost for stretch in stretches), reverse=True):
        heapq.heapreplace(loads, loads[0] + cost)
    total = sum(loads)
    return readers if max(loads) <= _WORST_IMBALANCE * total / processors else 1


def _shares(stretches: list[Stretch], count: int) -> tuple[tuple[Stretch, ...], ...]:
    total = sum(stretch.cost for stretch in stretches)
    shares: dict[int, list[Stretch]] = {}
    done = 0
    for stretch in stretches:
        shares.setdefault(done * count // total, []).append(stretch)
        done += stretch.cost
    return tuple(tuple(share) for share in shares.values())
