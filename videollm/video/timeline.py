"""When each frame of a file is shown and where decoding must start to get it, from the packets alone.

The definition that every reader holds to: **the frame of a second is the one being shown then**, that is the last frame
whose time is not later. Times count from the first frame that is shown, whatever the container's clock says
(start offsets and edit lists do not shift a plan).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# A wanted second that falls short of a frame's time by rounding alone still means that frame.
_SLACK_SECONDS = 0.0005


@dataclass(frozen=True, slots=True)
class PacketTable:
    """The packets of one track in the order of the file, which is the order of decoding. Times are in ticks."""

    pts: Integers
    dts: Integers
    duration: Integers
    size: Integers
    is_keyframe: Flags
    is_shown: Flags

    def __len__(self) -> int:
        return len(self.pts)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The N shown frames of a track in order of time.

    Attributes:
        times_s: When each frame is shown, seconds from the first, ascending.
        end_s: When the last frame ends.
        pts: The same times in the container's ticks, its own origin.
        packet: Index of each frame's packet in decoding order.
        start: Index of the keyframe packet from which decoding must start to get the frame right.
        is_keyframe: Whether the frame can be decoded by itself.
        tick_s: Seconds of one tick.
    """

    times_s: npt.NDArray[np.float64]
    end_s: float
    pts: Integers
    packet: Integers
    start: Integers
    is_keyframe: Flags
    tick_s: float

    def __len__(self) -> int:
        return len(self.times_s)

    def seconds_of(self, pts: int) -> float:
        """Returns the second of a time in ticks."""
        return float((pts - self.pts[0]) * self.tick_s)

    def frames_at(self, seconds: npt.ArrayLike) -> Integers:
        """Returns for each second the index of the frame being shown then (the first one before the start)."""
        found = np.searchsorted(self.times_s, np.asarray(seconds) + _SLACK_SECONDS, side="right") - 1
        return np.maximum(found, 0)

    def frames_near(self, seconds: npt.ArrayLike, tolerance_s: float) -> Integers:
        """Like :meth:`frames_at`, but takes frames within ``tolerance_s`` that are cheaper to decode.

        That is the nearest keyframe where one is near enough. Of the other wanted frames of one group of pictures the
        last, and only that, gives way to the one within the tolerance that needs the fewest packets: those before it
        come out on the way there, and none takes the place of another.
        """
        wanted = np.asarray(seconds, dtype=np.float64)
        chosen = self.frames_at(wanted)
        if tolerance_s <= 0:
            return chosen
        nearest = self._nearest_keyframes(wanted)
        is_near = np.abs(self.times_s[nearest] - wanted) <= tolerance_s
        starts = np.where(is_near, -1, self.start[chosen])
        for start in np.unique(starts[~is_near]):
            group = starts == start
            frames = np.unique(chosen[group])
            before = frames[-2] if len(frames) > 1 else -1
            is_last = group & (chosen == frames[-1])
            # A frame may have been on show for longer than the tolerance; then nothing stands in for it.
            earliest = min(np.searchsorted(self.times_s, wanted[is_last].max() - tolerance_s), frames[-1])
            candidates = np.arange(max(earliest, before + 1), frames[-1] + 1)
            candidates = candidates[self.start[candidates] == start]
            chosen[is_last] = candidates[np.argmin(self.packet[candidates])]
        return np.where(is_near, nearest, chosen)

    def _nearest_keyframes(self, wanted: npt.NDArray[np.float64]) -> Integers:
        """Returns for each second the shown keyframe nearest to it; for a file without one, its first frame."""
        keyframes = np.flatnonzero(self.is_keyframe)
        if not len(keyframes):
            return np.zeros(wanted.shape, dtype=np.int64)
        times = self.times_s[keyframes]
        after = np.searchsorted(times, wanted).clip(max=len(keyframes) - 1)
        before = np.maximum(after - 1, 0)
        is_before = np.abs(times[before] - wanted) <= np.abs(times[after] - wanted)
        return keyframes[np.where(is_before, before, after)]

    def rewound(self) -> Timeline:
        """Returns the same frames, each to be decoded from one keyframe earlier.

        For streams whose keyframes only begin to restore the picture (periodic intra refresh): their decoders need more
        of a run-up than the flags of the packets promise.
        """
        starts = np.unique(self.start)
        return dataclasses.replace(self, start=starts[np.maximum(np.searchsorted(starts, self.start) - 1, 0)])

    @property
    def keyframe_gap_s(self) -> float | None:
        """Median distance of neighbouring keyframes in seconds; ``None`` with fewer than two."""
        gaps = np.diff(self.times_s[self.is_keyframe])
        return float(np.median(gaps)) if len(gaps) else None

    @property
    def frame_durations_s(self) -> npt.NDArray[np.float64]:
        """Seconds for which each frame is shown."""
        return np.diff(self.times_s, append=self.end_s)


def build_timeline(table: PacketTable, tick_s: float) -> Timeline:
    """Sorts the shown frames by time and finds the keyframe that each needs.

    A frame needs the last keyframe at or before it in decoding order; a *leading* frame, which is decoded after a
    keyframe but shown before it (open groups of pictures), may also use frames before that keyframe, so it needs the
    keyframe before.

    Args:
        table: The packets; at least one must be a shown keyframe or follow a keyframe.
        tick_s: Seconds of one tick.
    """
    keyframes = np.flatnonzero(table.is_keyframe)
    group = np.searchsorted(keyframes, np.arange(len(table)), side="right") - 1
    key_pts = table.pts[keyframes[np.maximum(group, 0)]]
    is_leading = (group >= 0) & (table.pts < key_pts)
    start_group = group - is_leading
    shown = np.flatnonzero(table.is_shown & (start_group >= 0))
    pts, first = np.unique(
        table.pts[shown], return_index=True
    )  # a damaged file may give one time to two packets
    shown = shown[first]
    times_s = (pts - pts[0]) * tick_s
    return Timeline(
        times_s=times_s,
        end_s=float(times_s[-1] + _last_duration(table, shown, pts) * tick_s),
        pts=pts,
        packet=shown,
        start=keyframes[start_group[shown]],
        is_keyframe=table.is_keyframe[shown],
        tick_s=tick_s,
    )


def _last_duration(table: PacketTable, shown: Integers, pts: Integers) -> int:
    declared = int(table.duration[shown[-1]])
    if declared > 0:
        return declared
    return int(np.median(np.diff(pts))) if len(pts) > 1 else 0
