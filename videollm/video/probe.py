"""What a file says about its picture, before any of it is looked at."""

from __future__ import annotations

import os

from ..values import VideoInfo
from .limits import DecodeLimits
from .paths import readable_path
from .reading import describe_file
from .worker import run_in_worker


def probe(path: str | os.PathLike[str], *, limits: DecodeLimits = DecodeLimits()) -> VideoInfo:
    """Describes a video or image file: size, duration, frames, codec, keyframe distance, signs of damage.

    Reads all packets of the picture track and decodes its first picture, in a worker process.

    Args:
        path: A video, an animation or an image.
        limits: What reading it may cost.

    Raises:
        UnreadableVideoError: One line that names the file, says what is wrong with it and what to do.
    """
    file = readable_path(path)
    info, _ = run_in_worker(describe_file, file, limits, limits=limits, subject=str(file))
    assert isinstance(info, VideoInfo)
    return info
