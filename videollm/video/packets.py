"""Reading all packets of a track, without decoding more than the first picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from .damage import DecoderLog
from .opening import reason_of
from .timeline import PacketTable

NO_TIME = int(np.iinfo(np.int64).min)
_DEMUXER_RETRIES = 16
# Codecs whose packets are dense: entropy coding, or rules against false start codes, leave no long run of zeros.
_DENSE_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "libdav1d", "mpeg4"})
_ZEROS = bytes(64)

if TYPE_CHECKING:
    VideoPacket = Packet[VideoStream]


@dataclass(frozen=True, slots=True, eq=False)
class PacketScan:
    """What one pass over the packets gave.

    Attributes:
        table: The packets.
        first_frame: The first picture that could be decoded.
        corrupt_packets: Packets that the demuxer itself knows to be damaged or cut short.
        zeroed_packets: Packets that hold more zeros in a row than compressed data ever does.
    """

    table: PacketTable
    first_frame: av.VideoFrame | None
    corrupt_packets: int
    zeroed_packets: int

    @property
    def has_all_times(self) -> bool:
        """Whether every packet says when its frame is shown."""
        return bool((self.table.pts != NO_TIME).all())


def scan_packets(container: InputContainer, stream: VideoStream, log: DecoderLog) -> PacketScan:
    """Reads a freshly opened track to its end."""
    rows: list[tuple[int, ...]] = []
    # To work out a stream's format FFmpeg has already decoded a little, perhaps from amid a group of pictures.
    log.forget(stream.codec_context.name)
    has_started = False
    first_frame: av.VideoFrame | None = None
    corrupt = zeroed = 0
    may_hold_zeros = stream.codec_context.name not in _DENSE_CODECS
    stream.codec_context.thread_count = 1
    for packet in demux_stubbornly(container, stream, log):
        has_started = has_started or packet.is_keyframe
        if has_started and first_frame is None:
            first_frame = next(iter(decode_packet(stream, packet, log)), None)
        if packet.size:
            rows.append(_row(packet))
            corrupt += packet.is_corrupt
            zeroed += not may_hold_zeros and _ZEROS in bytes(packet)
    if first_frame is None:
        first_frame = next(iter(drain(stream, log)), None)
    return PacketScan(_table(rows), first_frame, corrupt, zeroed)


def demux_stubbornly(
    container: InputContainer, stream: VideoStream, log: DecoderLog
) -> Iterator[VideoPacket]:
    """Yields the packets of a track, going on behind broken spots where the demuxer can."""
    for _ in range(_DEMUXER_RETRIES):
        try:
            for packet in container.demux(stream):
                if (
                    packet.size
                ):  # the empty packet at the end is a request to drain, which readers do by themselves
                    yield packet
            return
        except av.error.FFmpegError as error:
            log.note(container.format.name, reason_of(error))


def decode_packet(stream: VideoStream, packet: VideoPacket, log: DecoderLog) -> list[av.VideoFrame]:
    """Returns the frames that come out when a packet goes in; none, and a note in the log, if it is refused."""
    try:
        return stream.codec_context.decode(packet)
    except av.error.FFmpegError as error:
        log.note(stream.codec_context.name, reason_of(error))
        return []


def drain(stream: VideoStream, log: DecoderLog) -> list[av.VideoFrame]:
    """Returns the frames that the decoder still holds back; it must be flushed before it takes packets again."""
    try:
        return stream.codec_context.decode(None)
    except av.error.EOFError:
        return []  # already drained
    except av.error.FFmpegError as error:
        log.note(stream.codec_context.name, reason_of(error))
        return []


def _row(packet: VideoPacket) -> tuple[int, ...]:
    pts, dts = packet.pts, packet.dts
    return (
        NO_TIME if pts is None else pts,
        NO_TIME if dts is None else dts,
        packet.duration or 0,
        packet.size,
        packet.is_keyframe,
        not packet.is_discard,
    )


def _table(rows: list[tuple[int, ...]]) -> PacketTable:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 6).T
    return PacketTable(columns[0], columns[1], columns[2], columns[3], columns[4] > 0, columns[5] > 0)
