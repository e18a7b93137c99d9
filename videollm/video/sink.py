"""Where decoded frames go: painted straight into one array, so that memory holds what was asked for, nothing more."""

from __future__ import annotations

import av

from .pictures import Painter
from .shared import SharedRows
from .timeline import Integers, Timeline


class FrameSink:
    """Takes wanted frames in any order, from several threads, and puts them in order of time.

    Attributes:
        rows: The frames; only the first rows are used in the end.
    """

    def __init__(self, frames: Integers, painter: Painter) -> None:
        self.rows = SharedRows(painter.shape)
        self._painter = painter
        self._row_of = {int(frame): row for row, frame in enumerate(frames)}
        self._time_of: dict[int, int] = {}

    def take(self, frame: int, picture: av.VideoFrame, pts: int) -> None:
        """Paints the picture that is shown at the time of a wanted frame.

        Args:
            frame: The wanted frame.
            picture: The decoded picture: the frame itself or, where it does not exist, the one before.
            pts: The picture's own time in ticks.
        """
        self.rows.write(self._row_of[frame], self._painter.paint(picture))
        self._time_of[frame] = pts

    def close_gaps(self) -> int:
        """Moves the rows together, each picture once, and returns how many there are."""
        count = 0
        last_pts: int | None = None
        for frame, row in self._row_of.items():
            pts = self._time_of.get(frame)
            if pts is None or (last_pts is not None and pts <= last_pts):
                continue
            if count != row:
                self.rows.move(row, count)
            count, last_pts = count + 1, pts
        return count

    def seconds(self, wanted: Integers, timeline: Timeline) -> list[float | None]:
        """Returns the true second of the picture for each wanted frame, ``None`` where it could not be read."""
        times = (self._time_of.get(int(frame)) for frame in wanted)
        return [None if pts is None else timeline.seconds_of(pts) for pts in times]
