"""Test clips whose every frame carries its own number, so that a reader can be caught giving the wrong one.

The number stands in the picture as a pattern of black and white blocks that survives coarse compression, shrinking and
turning. Everything is made by seed; nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

_ROWS, _COLUMNS = 2, 8
_STAMP_SHARE = 3  # the stamp covers the top third of the picture
_PAN_STEP = 2

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """A clip to make.

    Attributes:
        codec: FFmpeg's name of the encoder.
        seconds: Length.
        fps: Frames per second.
        width: Displayed width, but for the sample aspect.
        height: Displayed height.
        gop: Most frames between keyframes.
        pixel_format: FFmpeg's name of the stored pixel format.
        options: Options of the encoder.
        noise: Standard deviation of the grain on the picture, in 8-bit steps.
        frame_times: Time of each frame in milliseconds, instead of ``fps`` and ``seconds``: a variable frame rate.
        has_audio: Whether a tone goes with it.
        rotation_deg: Counterclockwise rotation that the container asks of the player.
        sample_aspect: Width of a pixel divided by its height.
        is_streamable: Whether an MP4's index stands at its front.
    """

    codec: str
    seconds: float
    fps: int = 30
    width: int = 320
    height: int = 240
    gop: int = 60
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    noise: float = 0.0
    frame_times: tuple[int, ...] = ()
    has_audio: bool = False
    rotation_deg: int = 0
    sample_aspect: Fraction = Fraction(1)
    is_streamable: bool = False

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return len(self.frame_times) or max(1, round(self.seconds * self.fps))


def stamp(picture: Picture, number: int) -> None:
    """Writes a number below 65,536 into the top of a greyscale (H, W) or RGB (H, W, 3) picture."""
    height, width = picture.shape[0] // _STAMP_SHARE, picture.shape[1]
    for bit in range(_ROWS * _COLUMNS):
        row, column = divmod(bit, _COLUMNS)
        rows = slice(row * height // _ROWS, (row + 1) * height // _ROWS)
        columns = slice(column * width // _COLUMNS, (column + 1) * width // _COLUMNS)
        picture[rows, columns] = 235 if number >> bit & 1 else 16


def read_stamp(picture: Picture) -> int:
    """Reads the number back from an RGB picture of any size."""
    grey = picture.mean(axis=2) if picture.ndim == 3 else picture
    height, width = grey.shape[0] / _STAMP_SHARE, grey.shape[1]
    number = 0
    for bit in range(_ROWS * _COLUMNS):
        row, column = divmod(bit, _COLUMNS)
        top, left = (row + 0.25) * height / _ROWS, (column + 0.25) * width / _COLUMNS
        bottom, right = top + height / _ROWS / 2, left + width / _COLUMNS / 2
        block = grey[
            round(top) : max(round(bottom), round(top) + 1), round(left) : max(round(right), round(left) + 1)
        ]
        number |= int(block.mean() > 125) << bit
    return number


def write_clip(path: Path, spec: ClipSpec, seed: int = 0) -> Path:
    """Encodes a numbered clip; the container follows from the name's ending."""
    backdrop = _backdrop(spec, seed)
    options = {"movflags": "+faststart"} if spec.is_streamable and path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(spec.codec, rate=spec.fps, options=spec.options)
        width, height = (spec.height, spec.width) if spec.rotation_deg % 180 else (spec.width, spec.height)
        stream.width, stream.height, stream.pix_fmt = width, height, spec.pixel_format
        stream.codec_context.gop_size = spec.gop
        if spec.sample_aspect != 1:
            stream.codec_context.sample_aspect_ratio = spec.sample_aspect
        if spec.frame_times:
            stream.codec_context.time_base = Fraction(1, 1000)
        if spec.rotation_deg:
            stream.set_display_rotation(spec.rotation_deg)
        tone = (
            container.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48000)
            if spec.has_audio
            else None
        )
        for number in range(spec.frame_count):
            stored = np.rot90(_picture(spec, backdrop, number), -spec.rotation_deg // 90)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), format="gray")
            frame = frame.reformat(format=spec.pixel_format, threads=1)
            frame.pts = spec.frame_times[number] if spec.frame_times else number
            frame.time_base = Fraction(1, 1000) if spec.frame_times else Fraction(1, spec.fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            _write_tone(container, tone, spec.frame_count / spec.fps)
    return path


def _write_tone(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    times = np.arange(int(48000 * seconds)) / 48000
    samples = (0.2 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _backdrop(spec: ClipSpec, seed: int) -> Picture:
    """A texture twice the size of the picture, over which the camera pans to and fro."""
    random = np.random.default_rng(seed)
    height, width = spec.height * 2, spec.width * 2
    coarse = random.uniform(30, 220, (9, 9))
    rows, columns = np.linspace(0, 8, height), np.linspace(0, 8, width)
    smooth = np.stack([np.interp(columns, range(9), line) for line in coarse])
    smooth = np.stack([np.interp(rows, range(9), smooth[:, column]) for column in range(width)], axis=1)
    return (smooth + random.normal(0, spec.noise, smooth.shape)).clip(0, 255).astype(np.uint8)


def _picture(spec: ClipSpec, backdrop: Picture, number: int) -> Picture:
    shift = _PAN_STEP * number
    top, left = _to_and_fro(shift // 2, spec.height), _to_and_fro(shift, spec.width)
    picture = backdrop[top : top + spec.height, left : left + spec.width].copy()
    stamp(picture, number)
    return picture


def _to_and_fro(step: int, length: int) -> int:
    step %= 2 * length
    return min(step, 2 * length - step)
