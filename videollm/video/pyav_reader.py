"""Reading wanted frames with PyAV, along a walk that jumps over what nobody wants to see."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import chain
from typing import TYPE_CHECKING

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from .damage import DecoderLog
from .opening import open_video, reason_of
from .packets import NO_TIME, decode_packet, demux_stubbornly, drain
from .survey import Survey
from .timeline import Timeline
from .walk import Stretch, plan_walk

if TYPE_CHECKING:
    from .packets import VideoPacket

Deliver = Callable[[int, av.VideoFrame, int], None]
"""Takes a wanted frame's index in the timeline, the frame that is shown then, and that frame's own time in ticks."""

# Reading packets and dropping them is cheaper than a seek up to about this many.
_SEEK_FROM_PACKETS = 100
_MOST_PROCESSORS = 16
# Decoders that look at ``skip_frame`` anew for every packet. Others read it once (dav1d) or do not gain by it.
_SKIPPING_DECODERS = frozenset({"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video"})


def read_frames(survey: Survey, frames: Sequence[int], deliver: Deliver, log: DecoderLog) -> None:
    """Decodes the wanted frames and hands each over, in any order and from several threads.

    A frame may be handed over twice, when a longer run-up gave what a shorter one did not; the last one counts.

    Args:
        survey: What is known of the file.
        frames: Wanted frames as indices into its timeline, distinct and ascending.
        deliver: Called for each frame that could be decoded.
        log: Takes notes of what the decoder refuses.
    """
    missed = _read_along(survey, survey.timeline, frames, deliver, log)
    if missed and not survey.is_counted:
        _read_along(survey, survey.timeline.rewound(), missed, deliver, log)


def _read_along(
    survey: Survey, timeline: Timeline, frames: Sequence[int], deliver: Deliver, log: DecoderLog
) -> list[int]:
    """Reads along one walk and returns the frames for which only another one, or none, could be delivered."""
    walk = plan_walk(timeline, frames, min(_processors(), _MOST_PROCESSORS))
    shares: queue.SimpleQueue[tuple[Stretch, ...]] = queue.SimpleQueue()
    for share in walk.shares:
        shares.put(share)
    missed = set(frames)

    def work(reader: _Reader) -> None:
        for stretch in _taken(shares):
            for frame, picture, pts in reader.read(stretch):
                deliver(frame, picture, pts)
                if pts == timeline.pts[frame]:
                    missed.discard(frame)

    with ExitStack() as files:
        # While opening, FFmpeg decodes a little to work out the format; that does not touch our pictures.
        with log.ignoring(survey.decoder):
            opened = [
                files.enter_context(open_video(survey.info.path, survey.max_pixels, survey.options))
                for _ in range(walk.readers)
            ]
        _side_by_side(work, [_Reader(survey, *file, walk.threads, log) for file in opened])
    return sorted(missed)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _side_by_side(work: Callable[[_Reader], None], readers: Sequence[_Reader]) -> None:
    if len(readers) == 1:
        work(readers[0])
        return
    with ThreadPoolExecutor(len(readers)) as pool:
        for done in [pool.submit(work, reader) for reader in readers]:
            done.result()


def _taken(shares: queue.SimpleQueue[tuple[Stretch, ...]]) -> Iterator[Stretch]:
    while True:
        try:
            yield from shares.get_nowait()
        except queue.Empty:
            return


class _Reader:
    """One open file that is walked from stretch to stretch."""

    def __init__(
        self, survey: Survey, container: InputContainer, stream: VideoStream, threads: int, log: DecoderLog
    ) -> None:
        stream.codec_context.thread_count = threads
        stream.codec_context.thread_type = "AUTO"
        self._survey, self._table, self._timeline = survey, survey.table, survey.timeline
        self._container, self._stream, self._log = container, stream, log
        self._packets: Iterator[VideoPacket] = demux_stubbornly(container, stream, log)
        self._position = 0  # index of the packet that comes next

    def read(self, stretch: Stretch) -> Iterator[tuple[int, av.VideoFrame, int]]:
        """Yields (wanted frame, picture, the picture's time in ticks) of one stretch."""
        wanted = [(int(self._timeline.pts[frame]), frame) for frame in reversed(stretch.frames)]
        shown: tuple[av.VideoFrame, int] | None = None
        with closing(self._timed(self._decode(stretch))) as pictures:
            for picture, pts in pictures:
                # A packet need not become a frame (hidden frames, damage): what is shown then is the frame before.
                while wanted and wanted[-1][0] < pts and shown is not None:
                    yield wanted.pop()[1], *shown
                if wanted and wanted[-1][0] == pts:
                    yield wanted.pop()[1], picture, pts
                if not wanted:
                    return
                shown = picture, pts
        while wanted and shown is not None:
            yield wanted.pop()[1], *shown

    def _timed(self, pictures: Iterator[av.VideoFrame]) -> Generator[tuple[av.VideoFrame, int]]:
        if self._survey.is_counted:
            yield from zip(pictures, self._timeline.pts.tolist(), strict=False)
            return
        for picture in pictures:
            if picture.pts is not None:
                if picture.is_corrupt:
                    self._log.note(self._survey.decoder, "a picture is marked as corrupt")
                yield picture, picture.pts

    def _decode(self, stretch: Stretch) -> Iterator[av.VideoFrame]:
        context = self._stream.codec_context
        wanted = {int(self._timeline.pts[frame]) for frame in stretch.frames}
        may_skip = self._survey.decoder in _SKIPPING_DECODERS and not self._survey.is_counted
        try:
            for packet in self._packets_of(stretch):
                if may_skip:
                    # What no other frame refers to and nobody wants to see is not decoded at all.
                    context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
                yield from decode_packet(self._stream, packet, self._log)
        finally:
            # Also when nobody wants more: flushing a decoder whose threads are at work can lock up with its log.
            rest = drain(self._stream, self._log)
            context.flush_buffers()
        yield from rest

    def _packets_of(self, stretch: Stretch) -> Iterator[VideoPacket]:
        if self._survey.is_counted:
            yield from self._packets
            return
        first_pts, last_pts = int(self._table.pts[stretch.first]), int(self._table.pts[stretch.last])
        past_dts = int(self._table.dts[stretch.last])
        self._go_to(stretch.first)
        is_inside = False
        for packet in self._packets:
            is_inside = is_inside or packet.pts == first_pts
            is_last = packet.pts == last_pts or (packet.dts is not None and packet.dts > past_dts > NO_TIME)
            if is_last:
                self._position = stretch.last + 1
            if is_inside:
                yield packet
            if is_last:
                return

    def _go_to(self, index: int) -> None:
        if 0 <= index - self._position < _SEEK_FROM_PACKETS:
            return
        for target in (self._seek_time(index), self._seek_time(0)):
            landed = self._seek(target)
            if landed is not None and self._is_at_or_before(landed, index):
                self._packets = chain((landed,), self._packets)
                return
        self._log.note(self._container.format.name, "seeking failed")

    def _seek(self, target: int) -> VideoPacket | None:
        try:
            self._container.seek(target, stream=self._stream)
        except av.error.FFmpegError as error:
            self._log.note(self._container.format.name, reason_of(error))
            return None
        self._packets = demux_stubbornly(self._container, self._stream, self._log)
        return next(self._packets, None)

    def _seek_time(self, index: int) -> int:
        # Matroska's index is by the time of showing, the others' by the time of decoding.
        by_pts = self._container.format.name.startswith("matroska") or self._table.dts[index] == NO_TIME
        return int((self._table.pts if by_pts else self._table.dts)[index])

    def _is_at_or_before(self, packet: VideoPacket, index: int) -> bool:
        if packet.dts is None or self._table.dts[index] == NO_TIME:
            return packet.pts is not None and packet.pts <= self._table.pts[index]
        return packet.dts <= int(self._table.dts[index])
