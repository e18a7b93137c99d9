"""Opening a file with FFmpeg (through PyAV), its picture track, and the errors that this can end in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from ..errors import UnreadableVideoError


@contextmanager
def open_video(
    path: Path, options: dict[str, str] | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Opens a file and its picture track, with the packets of all other tracks switched off.

    Args:
        path: The file.
        options: Options of FFmpeg's demuxer.

    Raises:
        UnreadableVideoError: FFmpeg cannot make sense of the file, or it has no picture.
    """
    try:
        # "file:" keeps FFmpeg from reading a protocol into a name, the white list from following a file's references.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file", **(options or {})})
    except (av.error.FFmpegError, ValueError, UnicodeError) as error:
        raise UnreadableVideoError(
            f"{path}: not a video or image that can be read ({reason_of(error)})"
        ) from None
    with container:
        yield container, _picture_track(container, path)


def reason_of(error: BaseException) -> str:
    """Returns FFmpeg's own short words for an error, without the numbers and file names around it."""
    return str(getattr(error, "strerror", None) or error)


def _picture_track(container: InputContainer, path: Path) -> VideoStream:
    # The cover of a song is a video track of one picture: to a person that file has no picture.
    tracks = [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]
    if not tracks:
        if container.streams.audio:
            raise UnreadableVideoError(
                f"{path}: the file has sound but no picture; choose a video or an image"
            )
        raise UnreadableVideoError(f"{path}: the file has no picture track; choose a video or an image")
    track = container.streams.best("video")
    if track not in tracks:
        track = tracks[0]
    if track.codec_context is None:
        raise UnreadableVideoError(
            f"{path}: its video codec is unknown to FFmpeg; re-encode it, to H.264 for example"
        )
    for other in container.streams:
        if other is not track:
            other.discard = Discard.all
    return track
