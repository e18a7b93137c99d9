"""From a file to what the language model sees: probe, plan, decode, prepare, encode, each medium once.

:func:`read_frames` needs no torch, so a program can read the video while torch is still being imported;
:func:`encode_frames` does the rest. :func:`read_media` is both, with a cache in memory that knows a medium by its
content; :func:`load_medium` takes other caches too, such as one that lasts from run to run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .encodings.cache import Cache, EncodedCache
from .encodings.content import Source as Source
from .encodings.content import content_hash as content_hash
from .encodings.content import pixels_of
from .encodings.keys import EncodingKey, describe_look
from .encodings.medium import Medium as Medium
from .encodings.memory import MemoryCache
from .errors import ConfigError, UnreadableVideoError
from .model.settings import ImageSettings, VideoSettings
from .values import EncodedVideo, FramePlan, VideoInfo
from .video import DecodeLimits, decode_frames, plan_frames, probe
from .video.plan import check_counts, check_window

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from .model.modeling import VideoLLM
    from .model.processing import VideoLLMProcessor
    from .video.reading import Backend

# Frames are decoded at up to this many times the encoder's side: enough for its own antialiased resizing to look like
# one from full size, small enough to bound memory and time.
_DECODED_SIDES = 2
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


@dataclass(frozen=True, slots=True, eq=False)
class ReadAhead:
    """What could be done about a file before there was a model; see :func:`read_ahead`.

    Attributes:
        content: Hash of what the file held.
        frames: Its frames; ``None`` where the cache seemed to hold what comes of them.
    """

    content: str
    frames: Frames | None


def read_ahead(
    source: Source, video: VideoSettings, image: ImageSettings, options: ReadOptions, cache: EncodedCache
) -> ReadAhead:
    """Reads the frames of a medium, unless some model's encoding of it lies on the disk; this needs no torch.

    Args:
        source: A video or image file, or a picture in memory.
        video: How the checkpoint reads videos.
        image: How it prepares pictures.
        options: What the caller wants otherwise.
        cache: Where :func:`load_medium` will look.

    Raises:
        UnreadableVideoError: The file cannot be read; one line for a person.
        ConfigError: A setting is out of range, or the window holds nothing.
        DataError: A picture in memory has the wrong shape or type.
    """
    content = content_hash(source)
    expected = cache.expects(_look(content, options, video))
    return ReadAhead(content, None if expected else read_frames(source, video, image, options))


def load_medium(
    model: VideoLLM,
    source: Source | Frames | Medium | EncodedVideo,
    options: ReadOptions = ReadOptions(),
    *,
    cache: Cache | None = None,
    ahead: ReadAhead | None = None,
) -> Medium:
    """Reads and encodes one medium, or finds it in the cache; what is encoded already is taken as it is.

    Args:
        model: A model of :func:`~videollm.checkpoints.load_model`.
        source: A file, a picture in memory, or something further on the way.
        options: What is looked at, and how closely.
        cache: Where encoded media are kept; ``None`` for the process's own memory.
        ahead: What :func:`read_ahead` gave for this file and these options, if it was asked.

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
    content = content_hash(source)
    if (known := _find(model, source, content, options, store)) is not None:
        return known
    frames = ahead.frames if ahead is not None and ahead.content == content else None
    if frames is None:
        frames = read_frames(source, model.config.video, model.config.image, options)
    fresh = encode_frames(model, frames, options.max_visual_tokens)
    if _still_holds(source, content):
        store.put(_key(model, content, options), replace(fresh, read_s=0.0, vision_s=0.0))
    return fresh


def find_medium(
    model: VideoLLM, source: Source, options: ReadOptions = ReadOptions(), *, cache: Cache | None = None
) -> Medium | None:
    """Returns an encoded medium if the cache has it, in which case the model has nothing to do.

    Args:
        model: A model of :func:`~videollm.checkpoints.load_model`.
        source: A file or a picture in memory.
        options: What is looked at, and how closely.
        cache: Where encoded media are kept; ``None`` for the process's own memory.

    Raises:
        UnreadableVideoError: There is no such file.
        DataError: A picture in memory has the wrong shape or type.
    """
    store = PROCESS_CACHE if cache is None else cache
    return _find(model, source, content_hash(source), options, store)


def _find(model: VideoLLM, source: Source, content: str, options: ReadOptions, cache: Cache) -> Medium | None:
    known = cache.get(_key(model, content, options))
    return None if known is None else _as_asked_for(known, source, model.device)


def _key(model: VideoLLM, content: str, options: ReadOptions) -> EncodingKey:
    return EncodingKey(_look(content, options, model.config.video), model.fingerprint())


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


def _damage_notice(info: VideoInfo, damage: tuple[str, ...]) -> Iterator[str]:
    if damage:
        yield f"{info.path.name} is damaged ({'; '.join(damage)}): what was lost cannot be seen"


def _window_notice(info: VideoInfo, end_s: float | None) -> Iterator[str]:
    if end_s is not None and info.kind == "video" and end_s > info.duration_s + _WINDOW_SLACK_S:
        yield f"{info.path.name} ends at {info.duration_s:.1f} s, before the end of the window at {end_s:g} s"


def _read_picture(picture: Image | npt.NDArray[np.uint8]) -> Frames:
    pixels = pixels_of(picture)
    size_px = (pixels.shape[0], pixels.shape[1])
    plan = FramePlan((0.0,), ((0, 1),), 0.0, 0.0, resolved=True, kind="image", size_px=size_px)
    return Frames(pixels[None], plan, source="picture")


def _look(content: str, options: ReadOptions, video: VideoSettings) -> str:
    """What is looked at, for a key: all that frames and budget depend on.

    The model's own reading settings belong to it, as its fingerprint covers only what happens after reading. The limits
    do not: a file that reaches one gives no frames at all.
    """
    numbers = {"start_s": options.start_s, "end_s": options.end_s, "fps": options.fps}
    return describe_look(
        content=content,
        **{name: None if number is None else float(number) for name, number in numbers.items()},
        max_frames=options.max_frames,
        max_visual_tokens=options.max_visual_tokens,
        backend=options.backend,
        video=asdict(video),
    )


def _still_holds(source: Source, content: str) -> bool:
    """Whether what was read just now is what was hashed before: a file may grow, or be replaced, in between."""
    try:
        return content_hash(source) == content
    except UnreadableVideoError:  # it was removed
        return False


def _as_asked_for(known: Medium, source: Source, device: torch.device) -> Medium:
    """What a cache kept, on the model's device and under the name by which it is asked for now."""
    encoded = known.encoded
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else encoded.source
    if name == encoded.source and encoded.tokens_KD.device == device:
        return known
    states = encoded.states
    moved = replace(
        encoded,
        tokens_KD=encoded.tokens_KD.to(device),
        spans_K2=encoded.spans_K2.to(device),
        states=None if states is None else replace(states, states_TNC=states.states_TNC.to(device)),
        source=name,
    )
    before, now = Path(encoded.source).name, Path(name).name
    return replace(
        known, encoded=moved, notices=tuple(_renamed(notice, before, now) for notice in known.notices)
    )


def _renamed(notice: str, before: str, now: str) -> str:
    """A notice that begins with the file's name, about the same file by another name."""
    return now + notice.removeprefix(before) if before and notice.startswith(before) else notice


#: Where media are kept unless a caller brings a cache of its own.
PROCESS_CACHE = MemoryCache()
