"""Learning what a file holds and where: its frames' true times, its keyframes, its display size, its damage."""

from __future__ import annotations

import dataclasses
import functools
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from ..clock import parse_clock
from ..errors import UnreadableVideoError
from ..values import VideoInfo
from .damage import Declared, DecoderLog, declared_damage, decoder_log, packet_damage
from .opening import open_video
from .packets import PacketScan, scan_packets
from .pictures import Display, display_of
from .timeline import PacketTable, Timeline, build_timeline

_KEPT_SURVEYS = 8
_FALLBACK_RATE = Fraction(25)  # FFmpeg's own assumption for streams that say nothing about time
_ESTIMATED = frozenset({"mpegts", "mpeg", "ogg"})  # FFmpeg measures their length, the files do not declare it
_VARIABLE_SHARE = 0.1  # frame durations that differ by more than this make a variable frame rate


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What is known of a file once its packets have been read.

    Attributes:
        info: The part of it that callers see.
        timeline: When each frame is shown and from where it is decoded.
        table: The packets in order of decoding.
        display: How its pictures are displayed.
        options: Options that the demuxer needs for this file.
        max_pixels: Pixels of one stored picture that are allowed.
        decoder: FFmpeg's name of the decoder at work.
        is_counted: Whether the file has no times of its own: its frames are then told apart by counting them.
    """

    info: VideoInfo
    timeline: Timeline
    table: PacketTable
    display: Display
    options: dict[str, str]
    max_pixels: int
    decoder: str
    is_counted: bool


def survey_file(path: Path, max_pixels: int) -> Survey:
    """Surveys a video file, or remembers what was found when the file has not changed since.

    Raises:
        UnreadableVideoError: It has no picture that can be decoded, or larger ones than ``max_pixels``.
    """
    status = os.stat(path)
    return _survey(path, max_pixels, (status.st_size, status.st_mtime_ns, status.st_ino))


@functools.lru_cache(maxsize=_KEPT_SURVEYS)
def _survey(path: Path, max_pixels: int, _version: tuple[int, int, int]) -> Survey:
    for options in ({}, {"fflags": "+genpts"}):
        with decoder_log() as log, open_video(path, max_pixels, options) as (container, stream):
            _check_size(path, stream, max_pixels)
            scan = scan_packets(container, stream, log)
            if scan.has_all_times or options:
                return _conclude(path, container, stream, scan, log, options, max_pixels)
            # Packets without times (AVI and the like): FFmpeg can work them out when asked to.
    raise AssertionError("the second round always returns")


def _check_size(path: Path, stream: VideoStream, max_pixels: int) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > max_pixels:
        raise UnreadableVideoError(
            f"{path}: its pictures of {width} x {height} are larger than the {max_pixels} pixels allowed; "
            "shrink the video or allow more"
        )


def _conclude(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    scan: PacketScan,
    log: DecoderLog,
    options: dict[str, str],
    max_pixels: int,
) -> Survey:
    table, tick = scan.table, stream.time_base or Fraction(1)
    is_counted = not scan.has_all_times or _has_made_up_times(container, stream)
    if is_counted:
        table, tick = _counted(table), 1 / (stream.average_rate or _FALLBACK_RATE)
    if scan.first_frame is None or not (table.is_keyframe.any() and table.is_shown.any()):
        raise UnreadableVideoError(
            f"{path}: no picture can be decoded from it{_why(log)}; the file is broken or cut off, try to re-encode it"
        )
    timeline = build_timeline(table, float(tick))
    display = display_of(scan.first_frame, float(stream.sample_aspect_ratio or 1))
    info = VideoInfo(
        path=path,
        kind="video",
        duration_s=timeline.end_s,
        width=display.width,
        height=display.height,
        fps=len(timeline) / timeline.end_s if timeline.end_s > 0 else float(stream.average_rate or 0),
        frame_count=len(timeline),
        codec=stream.codec_context.codec.canonical_name,
        container=container.format.name,
        pixel_format=scan.first_frame.format.name,
        rotation_deg=display.rotation_deg,
        sample_aspect=display.sample_aspect,
        has_audio=bool(container.streams.audio),
        variable_frame_rate=_is_variable(timeline, float(tick)),
        keyframe_gap_s=timeline.keyframe_gap_s,
        damage=(
            *packet_damage(scan.corrupt_packets, scan.zeroed_packets),
            *log.phrases,
            *declared_damage(_declared(container, stream, timeline), table, timeline),
        ),
    )
    return Survey(info, timeline, table, display, options, max_pixels, stream.codec_context.name, is_counted)


def _declared(container: InputContainer, stream: VideoStream, timeline: Timeline) -> Declared:
    name = container.format.name
    if name.startswith("mov"):
        return Declared(name, stream.frames, _stream_end(stream))
    if name in ("matroska,webm", "avi"):
        end_s = _matroska_end(container, stream) if name != "avi" else _avi_end(stream)
        # There it is a point on the container's clock, not a length.
        return Declared(name, 0, None if end_s is None else end_s - float(timeline.pts[0] * timeline.tick_s))
    if name in _ESTIMATED or container.duration is None or container.streams.audio:
        return Declared(name, 0, None)
    return Declared(name, 0, container.duration / av.time_base)


def _stream_end(stream: VideoStream) -> float | None:
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def _avi_end(stream: VideoStream) -> float | None:
    # AVI counts the ticks of a track, empty ones included. FFmpeg calls them frames, and works its duration out anew
    # when the index is broken.
    return float(stream.frames * stream.time_base) if stream.frames and stream.time_base else None


def _matroska_end(container: InputContainer, stream: VideoStream) -> float | None:
    end_s = parse_clock(stream.metadata.get("DURATION", ""))  # h:mm:ss.fraction, for this track alone
    if end_s is not None:
        return end_s
    if container.duration is None or container.streams.audio:
        return None
    return container.duration / av.time_base


def _has_made_up_times(container: InputContainer, stream: VideoStream) -> bool:
    # AVI stores frames in order of decoding, without times. FFmpeg then numbers them in that order, which is wrong for
    # these codecs when frames refer to later ones.
    codec = stream.codec_context
    return container.format.name == "avi" and codec.name in ("h264", "hevc") and codec.has_b_frames


def _counted(table: PacketTable) -> PacketTable:
    """Times for frames that are told apart by counting: decoding can then only start at the first keyframe."""
    number = np.arange(len(table))
    is_first_keyframe = number == int(np.argmax(table.is_keyframe))
    return dataclasses.replace(
        table,
        pts=number,
        dts=number,
        duration=np.ones_like(number),
        is_keyframe=table.is_keyframe & is_first_keyframe,
    )


def _why(log: DecoderLog) -> str:
    return f" ({log.first})" if log.first else ""


def _is_variable(timeline: Timeline, tick_s: float) -> bool:
    durations = np.diff(timeline.times_s)
    if not len(durations):
        return False
    # Containers round times to their ticks: a difference of one tick says nothing.
    return bool(durations.max() - durations.min() > _VARIABLE_SHARE * np.median(durations) + 1.5 * tick_s)
