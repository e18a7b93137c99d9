"""Clips as real files, and frames as they look after a real codec."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from PIL import Image

from ..errors import ConfigError
from .rendering import ClipRenderer
from .scenes import Clip

_SAMPLE_RATE = 48_000


@dataclass(frozen=True, slots=True)
class _Codec:
    """How a codec is written.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        pixel_format: What it takes unless the caller says otherwise.
        crf: Usual quality on its own scale; ``None`` where it has none.
        options: Encoder options: fast, quiet, and on one thread, which makes files repeatable.
        quantiser: Whether ``crf`` is a fixed quantiser (2 to 31) rather than a rate factor.
        even: Whether halved chroma asks for even sizes.
    """

    encoder: str
    pixel_format: str = "yuv420p"
    crf: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    quantiser: bool = False
    even: bool = False

    def encoder_options(self, *, reorder: bool) -> dict[str, str]:
        """Returns the encoder's options, perhaps with frames coded in their order in time."""
        ordered = {"bf": "0"} if self.encoder == "libx264" and not reorder else {}
        return dict(self.options) | ordered


_CODECS = {
    # On a busy machine x264's macroblock tree gave several files of one clip, even on one thread.
    "h264": _Codec(
        "libx264",
        crf=20,
        options=(("preset", "veryfast"), ("threads", "1"), ("x264-params", "mbtree=0")),
        even=True,
    ),
    "hevc": _Codec(
        "libx265",
        crf=22,
        options=(("preset", "superfast"), ("x265-params", "log-level=error:pools=none:frame-threads=1")),
        even=True,
    ),
    "vp8": _Codec("libvpx", crf=12, options=(("deadline", "realtime"), ("cpu-used", "8"), ("b", "4M"))),
    "vp9": _Codec("libvpx-vp9", crf=28, options=(("deadline", "realtime"), ("cpu-used", "8"), ("b", "0"))),
    "av1": _Codec("libsvtav1", crf=30, options=(("preset", "10"), ("svtav1-params", "lp=1"))),
    "mpeg4": _Codec("mpeg4", crf=4, quantiser=True),
    "mjpeg": _Codec("mjpeg", "yuvj420p", crf=4, quantiser=True),
    "gif": _Codec("gif", "pal8"),
}
# Codecs that a container holds, the usual one first, and the encoder of its sound.
_CONTAINERS = {
    ".mp4": (("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg"), "aac"),
    ".mov": (("h264", "hevc", "mpeg4", "mjpeg"), "aac"),
    ".mkv": (("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg"), "aac"),
    ".webm": (("vp9", "vp8", "av1"), "libopus"),
    ".avi": (("mpeg4", "mjpeg", "h264"), "pcm_s16le"),
    ".gif": (("gif",), ""),
}


def write_clip(
    clip: Clip,
    path: str | Path,
    *,
    codec: str | None = None,
    crf: int | None = None,
    pixel_format: str | None = None,
    audio: bool = False,
    rotation_deg: int = 0,
    variable_rate: bool = False,
    keyframe_gap: int | None = None,
    height: int | None = None,
    width: int | None = None,
) -> None:
    """Writes a clip as a video file; the suffix names the container (mp4, mov, mkv, webm, avi, gif).

    The frame at ``i / fps`` seconds is the clip at exactly that second. ``h264`` and ``hevc`` with halved chroma store
    even sizes only: an odd width or height gains a repeated last column or row. GIF rounds times to hundredths.

    Args:
        clip: The clip.
        path: File to write; an existing one is replaced.
        codec: ``h264``, ``hevc``, ``vp8``, ``vp9``, ``av1``, ``mpeg4``, ``mjpeg`` or ``gif``; the container's usual one
            by default.
        crf: Quality on the codec's own scale, lower is better: rate factor, or quantiser 2 to 31 for ``mpeg4`` and
            ``mjpeg``.
        pixel_format: FFmpeg's name, such as ``yuv420p10le`` for 10 bits or ``yuv444p``.
        audio: Whether to add a sound track (a quiet tone).
        rotation_deg: 0, 90, 180 or 270: the picture is stored turned, and players are asked to turn it clockwise by
            so much, which shows it upright.
        variable_rate: Drops about a third of the frames at random, so that frame durations differ; times stay exact.
        keyframe_gap: Most frames from one keyframe to the next.
        height: Height in pixels as displayed; the clip's own by default.
        width: Width in pixels as displayed; the clip's own by default.

    Raises:
        ConfigError: The container is unknown or cannot hold what is asked for.
    """
    path = Path(path)
    settings, sound = _chosen_codec(path, codec)
    _check_layout(path, audio=audio, rotation_deg=rotation_deg, variable_rate=variable_rate)
    renderer = ClipRenderer(clip, height=height, width=width)
    fps = frame_rate(clip)
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder prints its settings otherwise
    with av.open(str(path), "w") as container:
        # AVI stores no times, and MP4 takes its length from the decoding order: there frames keep their order.
        options = settings.encoder_options(reorder=not variable_rate and path.suffix.lower() != ".avi")
        stream = container.add_stream(settings.encoder, rate=fps, options=options)
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = pixel_format or settings.pixel_format
        sides = (
            (renderer.height, renderer.width)
            if rotation_deg % 180 == 0
            else (renderer.width, renderer.height)
        )
        stream.height, stream.width = _storable(sides, settings, stream.pix_fmt)
        _set_quality(stream.codec_context, settings, crf, keyframe_gap)
        if rotation_deg:
            stream.set_display_rotation(-rotation_deg)
        track = container.add_stream(sound, rate=_SAMPLE_RATE, layout="mono") if audio else None
        for number in _frame_numbers(clip, variable_rate=variable_rate):
            turned = np.rot90(renderer.frame(number / fps.numerator * fps.denominator), rotation_deg // 90)
            frame = _video_frame(_padded(turned, stream.height, stream.width), stream.pix_fmt)
            frame.pts, frame.time_base = number, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if isinstance(track, AudioStream):
            _add_tone(container, track, clip.duration_s)


def frame_rate(clip: Clip) -> Fraction:
    """Returns a clip's frame rate as the fraction that files carry (29.97 is 30000/1001)."""
    return Fraction(clip.fps).limit_denominator(1001)


def frame_count(clip: Clip) -> int:
    """Returns how many frames a clip has at its own rate."""
    return max(round(clip.duration_s * clip.fps), 1)


def _chosen_codec(path: Path, codec: str | None) -> tuple[_Codec, str]:
    """Returns how to write the picture, and the sound's encoder."""
    suffix = path.suffix.lower()
    if suffix not in _CONTAINERS:
        raise ConfigError(f"cannot write {path.name}: the suffix must be one of {', '.join(_CONTAINERS)}")
    codecs, sound = _CONTAINERS[suffix]
    name = codec or codecs[0]
    if name not in codecs:
        raise ConfigError(f"{suffix} files hold {', '.join(codecs)}, got codec {name!r}; choose one of these")
    return _CODECS[name], sound


def _check_layout(path: Path, *, audio: bool, rotation_deg: int, variable_rate: bool) -> None:
    suffix = path.suffix.lower()
    if rotation_deg not in (0, 90, 180, 270):
        raise ConfigError(f"rotation_deg must be 0, 90, 180 or 270, got {rotation_deg}")
    if rotation_deg and suffix not in (".mp4", ".mov", ".mkv"):
        raise ConfigError(f"{suffix} files carry no rotation; write mp4, mov or mkv")
    if audio and suffix == ".gif":
        raise ConfigError("GIF files carry no sound; write another container")
    if variable_rate and suffix == ".avi":
        raise ConfigError("AVI files carry no times of frames; write another container")


def _set_quality(
    context: VideoCodecContext, settings: _Codec, crf: int | None, keyframe_gap: int | None
) -> None:
    quality = settings.crf if crf is None else crf
    if settings.quantiser and quality is not None:
        context.qmin = context.qmax = quality
        context.bit_rate = 50_000_000  # else the rate control leaves the quantiser's range
    elif quality is not None:
        context.options = {**context.options, "crf": str(quality)}
    if keyframe_gap is not None:
        context.gop_size = keyframe_gap


def _storable(sides: tuple[int, int], settings: _Codec, pixel_format: str) -> tuple[int, int]:
    """Returns the height and width that the codec stores."""
    if not settings.even or av.VideoFormat(pixel_format).chroma_width(2) == 2:
        return sides
    return sides[0] + sides[0] % 2, sides[1] + sides[1] % 2


def _padded(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Repeats the last row and column up to a size."""
    missing = ((0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0))
    return np.ascontiguousarray(np.pad(pixels, missing, mode="edge"))


def _video_frame(pixels: np.ndarray, pixel_format: str) -> av.VideoFrame:
    """Wraps RGB pixels; for GIF with a palette of the frame's own, since a fixed one would bend the colours."""
    if pixel_format != "pal8":
        return av.VideoFrame.from_ndarray(pixels, format="rgb24")
    quantised = Image.fromarray(pixels).quantize(256)
    palette = np.full((256, 4), 255, dtype=np.uint8)
    shades = np.array(quantised.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    palette[: len(shades), 1:] = shades
    return av.VideoFrame.from_ndarray((np.asarray(quantised), palette), format="pal8")  # type: ignore[arg-type]  # the stub knows no pairs


def _frame_numbers(clip: Clip, *, variable_rate: bool) -> Iterator[int]:
    rng = np.random.default_rng(clip.seed)
    count = frame_count(clip)
    for number in range(count):
        if not variable_rate or number in (0, count - 1) or rng.random() > 1 / 3:
            yield number


def _add_tone(container: OutputContainer, track: AudioStream, duration_s: float) -> None:
    """Adds a quiet tone of 440 Hz over the whole clip."""
    samples = np.arange(round(duration_s * _SAMPLE_RATE), dtype=np.float32)
    tone = (0.1 * np.sin(2 * np.pi * 440 / _SAMPLE_RATE * samples)).astype(np.float32)
    for start in range(0, len(tone), _SAMPLE_RATE):
        frame = av.AudioFrame.from_ndarray(
            tone[None, start : start + _SAMPLE_RATE], format="flt", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = _SAMPLE_RATE, start, Fraction(1, _SAMPLE_RATE)
        container.mux(track.encode(frame))
    container.mux(track.encode())


def degrade(frames_THW3: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns frames as a real codec leaves them: block noise, halved chroma, often a lower resolution.

    Args:
        frames_THW3: uint8 frames, shape (T, H, W, 3).
        rng: Draws codec, quality and resolution.

    Returns:
        uint8 array of the same shape.
    """
    height, width = frames_THW3.shape[1:3]
    shrink = float(rng.uniform(0.6, 1.0)) if rng.random() < 0.35 else 1.0
    stored = tuple(max(round(side * shrink / 2) * 2, 16) for side in (width, height))
    name = str(rng.choice(("h264", "mpeg4", "mjpeg"), p=(0.6, 0.2, 0.2)))
    quality = int(rng.integers(18, 39) if name == "h264" else rng.integers(2, 16))
    small = [np.asarray(Image.fromarray(frame).resize(stored)) for frame in frames_THW3]
    decoded = _through_codec(small, name, quality, keyframe_gap=int(rng.integers(1, 25)))
    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height))) for frame in decoded])


def _through_codec(
    frames: list[np.ndarray], name: str, quality: int, *, keyframe_gap: int
) -> list[np.ndarray]:
    """Encodes and decodes frames of even size in memory, without a container."""
    settings = _CODECS[name]
    encoder = av.CodecContext.create(settings.encoder, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.options = dict(settings.options) | ({"preset": "ultrafast"} if name == "h264" else {})
    encoder.height, encoder.width = frames[0].shape[:2]
    encoder.pix_fmt = settings.pixel_format
    encoder.framerate, encoder.time_base = Fraction(8), Fraction(1, 8)
    _set_quality(encoder, settings, quality, keyframe_gap)
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    packets = []
    for number, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = number, encoder.time_base
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    assert len(decoded) == len(frames)
    return [frame.to_ndarray(format="rgb24") for frame in decoded]
