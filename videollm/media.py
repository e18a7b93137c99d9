"""From a file to what the language model sees: probe, plan, decode, prepare, encode, each medium once.

:func:`read_frames` needs no torch, so a program can read the video while torch is still being imported;
:func:`encode_frames` does the rest. :func:`read_media` is both, with a cache in memory that knows a medium by its
content.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from .errors import ConfigError, DataError
from .model.settings import ImageSettings, VideoSettings
from .values import EncodedVideo, FramePlan, VideoInfo
from .video import DecodeLimits, decode_frames, plan_frames, probe
from .video.paths import readable_path
from .video.plan import check_counts, check_window

if TYPE_CHECKING:
    from PIL.Image import Image

    from .model.modeling import VideoLLM
    from .model.processing import VideoLLMProcessor
    from .video.reading import Backend

#: A video or image file, or a picture in memory: a Pillow image or uint8 RGB of shape (H, W, 3).
Source: TypeAlias = "str | os.PathLike[str] | Image | npt.NDArray[np.uint8]"

# Frames are decoded at up to this many times the encoder's side: enough for its own antialiased resizing to look like
# one from full size, small enough to bound memory and time.
_DECODED_SIDES = 2
_CACHE_BYTES = 256 << 20
# "Up to 0:10" of a clip that lasts 9.97 s asks for nothing that is not there.
_WINDOW_SLACK_S = 0.5


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a caller may say about reading; ``None`` leaves the checkpoint's own setting.

    Attributes:
        start_s: Start of the window in seconds; ``None`` for the start of the video.
        end_s: End of the window; ``None`` for the end of the video.
        fps: Frames looked at in each second.
        max_frames: Most frames of one video.
        max_visual_tokens: Most rows of one video in the prompt.
        backend: ``"auto"``, ``"pyav"`` or ``"decord"``.
        limits: What reading one file may cost before it is given up.

    Raises:
        ConfigError: A number is out of range whatever the medium is.
    """

    start_s: float | None = None
    end_s: float | None = None
    fps: float | None = None
    max_frames: int | None = None
    max_visual_tokens: int | None = None
    backend: Backend = "auto"
    limits: DecodeLimits = field(default_factory=DecodeLimits)

    def __post_init__(self) -> None:
        check_window(self.start_s, self.end_s)
        check_counts(max_frames=self.max_frames, max_visual_tokens=self.max_visual_tokens, fps=self.fps)

    def plan(self, info: VideoInfo, video: VideoSettings) -> FramePlan:
        """Plans the frames of a file: by these options, and by a checkpoint's settings where they say nothing.

        Raises:
            ConfigError: A setting is out of range, or the window holds nothing.
        """
        return plan_frames(
            info,
            fps=video.fps if self.fps is None else self.fps,
            max_frames=video.max_frames if self.max_frames is None else self.max_frames,
            frames_per_segment=video.frames_per_segment,
            seconds_per_segment=video.seconds_per_segment,
            max_segments=video.max_segments,
            start_s=self.start_s,
            end_s=self.end_s,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Frames of a medium, read but not yet encoded.

    Attributes:
        frames_THW3: RGB, uint8, shape (T, H, W, 3).
        plan: The resolved plan of the T frames.
        source: Where they come from, for people.
        info: What the file says of itself; ``None`` for a picture in memory.
        notices: What the person should know: signs of damage, a window that reaches beyond the end.
        seconds: What reading cost.
    """

    frames_THW3: npt.NDArray[np.uint8]
    plan: FramePlan
    source: str = ""
    info: VideoInfo | None = None
    notices: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Medium:
    """An encoded medium with what came of reading it.

    Attributes:
        encoded: The medium as the language model sees it.
        notices: What the person should know; see :class:`Frames`.
        read_s: Seconds that reading took; 0 from the cache.
        vision_s: Seconds that encoding took; 0 from the cache.
    """

    encoded: EncodedVideo
    notices: tuple[str, ...] = ()
    read_s: float = 0.0
    vision_s: float = 0.0


def read_frames(source: Source, video: VideoSettings, image: ImageSettings, options: ReadOptions) -> Frames:
    """Probes, plans and decodes one medium.

    Args:
        source: A video or image file, or a picture in memory.
        video: How the checkpoint reads videos.
        image: How it prepares pictures.
        options: What the caller wants otherwise.

    Raises:
        UnreadableVideoError: The file cannot be read; one line for a person.
        ConfigError: A setting is out of range, or the window holds nothing.
        DataError: A picture in memory has the wrong shape or type.
    """
    started = time.perf_counter()
    if not isinstance(source, str | os.PathLike):
        return _read_picture(source)
    info = probe(source, limits=options.limits)
    plan = options.plan(info, video)
    side = image.size if info.kind == "video" else image.largest_side
    decoded = decode_frames(
        source, plan, backend=options.backend, max_side=_DECODED_SIDES * side, limits=options.limits
    )
    return Frames(
        frames_THW3=decoded.frames_THW3,
        plan=decoded.plan,
        source=os.fspath(source),
        info=info,
        notices=(*_damage_notice(info, decoded.damage), *_window_notice(info, options.end_s)),
        seconds=time.perf_counter() - started,
    )


def encode_frames(model: VideoLLM, frames: Frames, max_visual_tokens: int | None) -> Medium:
    """Prepares and encodes frames that were read.

    Args:
        model: A model of :func:`~videollm.checkpoints.load_model`.
        frames: What :func:`read_frames` gave.
        max_visual_tokens: Most rows in the prompt; ``None`` for the checkpoint's own setting.
    """
    started = time.perf_counter()
    prepared = processor_of(model).prepare(frames.frames_THW3, frames.plan)
    encoded = model.encode_video(
        prepared, frames.plan, max_visual_tokens=max_visual_tokens, source=frames.source
    )
    return Medium(encoded, frames.notices, frames.seconds, time.perf_counter() - started)


def load_medium(
    model: VideoLLM,
    source: Source | Frames | Medium | EncodedVideo,
    options: ReadOptions = ReadOptions(),
    *,
    cache: MediaCache | None = None,
) -> Medium:
    """Reads and encodes one medium, or finds it in the cache; what is encoded already is taken as it is.

    Args:
        model: A model of :func:`~videollm.checkpoints.load_model`.
        source: A file, a picture in memory, or something further on the way.
        options: What is looked at, and how closely.
        cache: Where encoded media are kept; ``None`` for the process's own.

    Raises:
        UnreadableVideoError: The file cannot be read; one line for a person.
        ConfigError: A setting is out of range, or the window holds nothing.
        DataError: A picture in memory has the wrong shape or type.
    """
    if isinstance(source, Medium):
        return source
    if isinstance(source, EncodedVideo):
        return Medium(source)
    if isinstance(source, Frames):
        return encode_frames(model, source, options.max_visual_tokens)
    store = PROCESS_CACHE if cache is None else cache
    # The model's own reading settings are part of the key: its fingerprint covers only what happens after reading.
    key = (content_hash(source), options, model.config.video, model.fingerprint())
    known = store.get(key)
    if known is None:
        frames = read_frames(source, model.config.video, model.config.image, options)
        known = encode_frames(model, frames, options.max_visual_tokens)
        store.put(key, replace(known, read_s=0.0, vision_s=0.0))
    return known


def read_media(
    model: VideoLLM,
    source: Source | Frames | Medium | EncodedVideo,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    fps: float | None = None,
    max_frames: int | None = None,
    max_visual_tokens: int | None = None,
    backend: Backend = "auto",
) -> EncodedVideo:
    """Returns one medium as the language model sees it; :func:`load_medium` without notices and costs.

    Args:
        model: A model of :func:`~videollm.checkpoints.load_model`.
        source: A video or image file, or a picture in memory; an encoded one is returned as it is.
        start_s: Start of the window in seconds.
        end_s: End of the window in seconds.
        fps: Frames to look at in each second; ``None`` for the checkpoint's own setting.
        max_frames: Most frames; ``None`` for the checkpoint's own setting.
        max_visual_tokens: Most rows in the prompt; ``None`` for the checkpoint's own setting.
        backend: ``"auto"``, ``"pyav"`` or ``"decord"``.

    Raises:
        UnreadableVideoError: The file cannot be read; one line for a person.
        ConfigError: A setting is out of range, or the window holds nothing.
        DataError: A picture in memory has the wrong shape or type.
    """
    options = ReadOptions(start_s, end_s, fps, max_frames, max_visual_tokens, backend)
    return load_medium(model, source, options).encoded


def processor_of(model: VideoLLM) -> VideoLLMProcessor:
    """Returns a model's processor.

    Raises:
        ConfigError: It has none.
    """
    if model.processor is None:
        raise ConfigError(
            "the model has no processor; load it with load_model, or give it one with model.attach"
        )
    return model.processor


class MediaCache:
    """Encoded media in memory, the least recently used dropped first; safe for several threads.

    Args:
        max_bytes: Most bytes of visual tokens and spans to keep.
    """

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self.max_bytes = max_bytes
        self._media: OrderedDict[Hashable, Medium] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._media)

    def get(self, key: Hashable) -> Medium | None:
        """Returns what is kept under a key, or ``None``."""
        with self._lock:
            if key in self._media:
                self._media.move_to_end(key)
            return self._media.get(key)

    def put(self, key: Hashable, medium: Medium) -> None:
        """Keeps a medium, and drops others until all fit; one that is too large by itself is not kept."""
        with self._lock:
            self._bytes -= _size(self._media.pop(key, None))
            self._media[key] = medium
            self._bytes += _size(medium)
            while self._bytes > self.max_bytes:
                self._bytes -= _size(self._media.popitem(last=False)[1])

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._media.clear()
            self._bytes = 0


def content_hash(source: Source) -> str:
    """Returns a hash of a medium's content: a file's bytes, streamed, or a picture's pixels.

    A file that has the same size, time of change and inode as when it was hashed last is not read again.

    Raises:
        UnreadableVideoError: The file cannot be opened.
        DataError: A picture has the wrong shape or type.
    """
    if not isinstance(source, str | os.PathLike):
        pixels = _pixels(source)
        return hashlib.blake2b(pixels.tobytes() + repr(pixels.shape).encode()).hexdigest()
    path = readable_path(source)
    found = path.stat()
    state = (found.st_size, found.st_mtime_ns, found.st_ino)
    known = _HASHES.get(path)
    if known is None or known[0] != state:
        with path.open("rb") as file:
            known = (state, hashlib.file_digest(file, "blake2b").hexdigest())
        _HASHES[path] = known
    return known[1]


def _damage_notice(info: VideoInfo, damage: tuple[str, ...]) -> Iterator[str]:
    if damage:
        yield f"{info.path.name} is damaged ({'; '.join(damage)}): what was lost cannot be seen"


def _window_notice(info: VideoInfo, end_s: float | None) -> Iterator[str]:
    if end_s is not None and info.kind == "video" and end_s > info.duration_s + _WINDOW_SLACK_S:
        yield f"{info.path.name} ends at {info.duration_s:.1f} s, before the end of the window at {end_s:g} s"


def _read_picture(picture: Image | npt.NDArray[np.uint8]) -> Frames:
    pixels = _pixels(picture)
    size_px = (pixels.shape[0], pixels.shape[1])
    plan = FramePlan((0.0,), ((0, 1),), 0.0, 0.0, resolved=True, kind="image", size_px=size_px)
    return Frames(pixels[None], plan, source="picture")


def _pixels(picture: Image | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    pixels = np.array(picture if isinstance(picture, np.ndarray) else picture.convert("RGB"))
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise DataError(
            f"a picture must be uint8 RGB of shape (H, W, 3), got {pixels.dtype} of shape {pixels.shape}"
        )
    return pixels


def _size(medium: Medium | None) -> int:
    if medium is None:
        return 0
    encoded = medium.encoded
    kept = 0 if encoded.states is None else encoded.states.states_TNC.nbytes
    return encoded.tokens_KD.nbytes + encoded.spans_K2.nbytes + kept


#: Where media are kept unless a caller brings a cache of its own.
PROCESS_CACHE = MediaCache()
_HASHES: dict[Path, tuple[tuple[int, int, int], str]] = {}
