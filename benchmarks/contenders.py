"""The usual ways to read frames, as people write them, to be measured beside ours.

Each takes a file and wanted seconds and returns the pictures, RGB (T, H, W, 3), at full size. They live in a module of
their own so that a worker process can import them: broken files hang and crash them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import decord
import numpy as np
import numpy.typing as npt

from videollm.video.shared import Reply, SharedRows

Pictures = npt.NDArray[np.uint8]


def decord_batch(path: Path, seconds: Sequence[float]) -> Pictures:
    """The way of decord's README: indices from the average rate, one ``get_batch``."""
    reader = decord.VideoReader(str(path))
    rate = reader.get_avg_fps()
    indices = [min(int(second * rate + 1e-3), len(reader) - 1) for second in seconds]
    pictures: Pictures = reader.get_batch(indices).asnumpy()
    return pictures


def pyav_one_pass(path: Path, seconds: Sequence[float]) -> Pictures:
    """PyAV with all its threads, every frame decoded, the wanted ones converted."""
    wanted = list(reversed(seconds))
    pictures = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        previous, start = None, None
        for frame in container.decode(stream):
            start = frame.time if start is None else start
            while wanted and previous is not None and frame.time - start > wanted[-1] + 1e-3:
                pictures.append(previous.to_ndarray(format="rgb24"))
                wanted.pop()
            if not wanted:
                break
            previous = frame
        pictures.extend(previous.to_ndarray(format="rgb24") for _ in wanted)
    return np.stack(pictures)


def pyav_seek(path: Path, seconds: Sequence[float]) -> Pictures:
    """PyAV, one seek for every wanted frame, decoding from the keyframe before it."""
    pictures = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        start = stream.start_time or 0
        for second in seconds:
            target = start + int((second + 1e-3) / stream.time_base)
            container.seek(target, stream=stream)
            previous = None
            for frame in container.decode(stream):
                if frame.pts > target and previous is not None:
                    break
                previous = frame
            pictures.append(previous.to_ndarray(format="rgb24"))
    return np.stack(pictures)


def opencv_one_pass(path: Path, seconds: Sequence[float]) -> Pictures:
    """OpenCV: ``grab`` every frame, ``retrieve`` the wanted ones."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise ValueError("OpenCV cannot open the file")
    rate = capture.get(cv2.CAP_PROP_FPS)
    pictures = []
    position = -1
    for index in (int(second * rate + 1e-3) for second in seconds):
        while position < index:
            if not capture.grab():
                raise ValueError("OpenCV came to the end of the file too early")
            position += 1
        pictures.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
    return np.stack(pictures)


CONTENDERS: dict[str, Callable[[Path, Sequence[float]], Pictures]] = {
    "decord": decord_batch,
    "PyAV one pass": pyav_one_pass,
    "PyAV seek": pyav_seek,
    "OpenCV": opencv_one_pass,
}


def in_worker(name: str, path: Path, seconds: Sequence[float]) -> Reply:
    """Runs a contender as a task of a worker process."""
    pictures = CONTENDERS[name](path, seconds)
    rows = SharedRows(pictures.shape[1:])
    for row, picture in enumerate(pictures):
        rows.write(row, picture)
    return Reply(None, rows, len(pictures))
