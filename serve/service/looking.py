"""Reading a medium so that both can use it: the model gets it encoded, the person sees the frames it was made from."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from videollm.errors import CancelledError
from videollm.media import (
    Frames,
    Medium,
    ReadAhead,
    ReadOptions,
    content_hash,
    find_medium,
    load_medium,
    read_frames,
)
from videollm.model.budget import plan_tokens
from videollm.values import FramePlan, VideoInfo
from videollm.video import given_up_when

from .engine import CLOSING
from .events import BroughtFile, MediumView, SeenFrame, Waiting

if TYPE_CHECKING:
    from videollm.encodings.cache import Cache
    from videollm.model.modeling import VideoLLM

    from .engine import Engine
    from .prefixes import PrefixCaches

Result = TypeVar("Result")

_THUMBNAIL_HEIGHT = 144
_THUMBNAIL_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Eyes:
    """A model with all that it takes to look at media and answer.

    Attributes:
        name: What the model is called.
        model: The model; only the engine calls it.
        engine: What runs the model.
        cache: Encoded media, by content: what one person brings need not be encoded again for another.
        readers: Held while a file is decoded.
        prefixes: What it has read of conversations that may go on.
    """

    name: str
    model: VideoLLM
    engine: Engine
    cache: Cache
    readers: AbstractContextManager[Any]
    prefixes: PrefixCaches

    def encode(
        self, owner: str, path: Path, options: ReadOptions, should_stop: Callable[[], bool]
    ) -> Generator[Waiting, None, Medium]:
        """Reads and encodes a file, unless the same content was before.

        Args:
            owner: On whose behalf.
            path: The file.
            options: How it is looked at.
            should_stop: Whether nobody waits for it any more.

        Yields:
            How many others come before, while any do.

        Raises:
            UnreadableVideoError: The file cannot be read.
            ConfigError: A setting is out of range.
            BusyError: Too much waits already.
            CancelledError: Nobody waits for it any more.
        """
        with self.reading(should_stop):
            known = find_medium(self.model, path, options, cache=self.cache)
            if known is not None:
                return known
            ahead = self._read(path, options)
        return (yield from self._encode(owner, path, options, ahead, should_stop))

    def look_at(
        self, owner: str, file: BroughtFile, options: ReadOptions, should_stop: Callable[[], bool]
    ) -> Generator[Waiting, None, tuple[MediumView, Medium]]:
        """Reads and encodes a file, and keeps small pictures of the very frames that were encoded.

        Args:
            owner: On whose behalf.
            file: The file.
            options: How it is looked at.
            should_stop: Whether nobody waits for it any more.

        Yields:
            How many others come before, while any do.

        Returns:
            What a person sees of it, and what the language model does.

        Raises:
            UnreadableVideoError: The file cannot be read.
            ConfigError: A setting is out of range.
            BusyError: Too much waits already.
            CancelledError: Nobody waits for it any more.
        """
        with self.reading(should_stop):
            ahead = self._read(file.path, options)
        medium = yield from self._encode(owner, file.path, options, ahead, should_stop)
        assert ahead.frames is not None
        return _view(file, ahead.frames, medium), medium

    @contextmanager
    def reading(self, should_stop: Callable[[], bool], *, is_admitted: bool = False) -> Iterator[None]:
        """Waits until one more file may be decoded; what the block decodes ends as soon as nobody waits for it.

        Args:
            should_stop: Whether nobody waits for it any more.
            is_admitted: Whether it belongs to something that has begun, and is done though the server is ending.

        Raises:
            CancelledError: Nobody waits for it any more, or the server is ending.
        """

        def is_over() -> bool:
            return should_stop() or not self.engine.takes(is_admitted=is_admitted)

        with self.readers, given_up_when(is_over):
            try:
                yield
            except CancelledError:
                if not self.engine.takes(is_admitted=is_admitted):
                    raise CancelledError(CLOSING) from None
                raise

    def _read(self, path: Path, options: ReadOptions) -> ReadAhead:
        config = self.model.config
        return ReadAhead(content_hash(path), read_frames(path, config.video, config.image, options))

    def _encode(
        self,
        owner: str,
        path: Path,
        options: ReadOptions,
        ahead: ReadAhead,
        should_stop: Callable[[], bool],
    ) -> Generator[Waiting, None, Medium]:
        def work() -> Medium:
            return load_medium(self.model, path, options, cache=self.cache, ahead=ahead)

        return (yield from self.run(owner, work, should_stop))

    def run(
        self,
        owner: str,
        work: Callable[[], Result],
        should_stop: Callable[[], bool],
        *,
        is_admitted: bool = False,
    ) -> Generator[Waiting, None, Result]:
        """Has something done that takes the model.

        Args:
            owner: On whose behalf.
            work: What is done, in the engine's thread.
            should_stop: Whether nobody waits for it any more.
            is_admitted: Whether it belongs to something that has begun, and is done though the server is ending.

        Yields:
            How many others come before, while any do.

        Raises:
            BusyError: Too much waits already.
            CancelledError: Nobody waits for it any more.
        """
        task = self.engine.submit(owner, work, should_stop=should_stop, is_admitted=is_admitted)
        try:
            yield from (Waiting(place) for place in task if place)
        finally:
            task.cancel()  # without effect once it has begun
        return task.result()


def _view(file: BroughtFile, frames: Frames, medium: Medium) -> MediumView:
    assert frames.info is not None, "a file says something of itself"
    pictures = tuple(
        SeenFrame(time_s, _jpeg(picture))
        for time_s, picture in zip(frames.plan.times_s, frames.frames_THW3, strict=True)
    )
    notices = tuple(file.named_in(notice) for notice in medium.notices)
    return MediumView(file, frames.info, pictures, medium.encoded.token_count, notices)


def plan_look(model: VideoLLM, info: VideoInfo, options: ReadOptions) -> tuple[int, int]:
    """Returns how many frames a look would take and at most how many visual tokens it would give; nothing is decoded.

    Raises:
        ConfigError: A setting is out of range.
    """
    plan = options.plan(info, model.config.video)
    return plan.frame_count, model.plan_tokens(plan, options.max_visual_tokens).total


def most_visual_tokens(model: VideoLLM) -> int:
    """Returns how many visual tokens a medium gives when it fills every segment and nothing limits the compressor."""
    config = model.config
    runs = config.video.max_segments
    frames = math.ceil(config.video.max_frames / runs)
    segments = tuple((index * frames, (index + 1) * frames) for index in range(runs))
    times = tuple(float(index) for index in range(runs * frames))
    plan = FramePlan(times, segments, 0.0, float(runs * frames))
    return plan_tokens(plan, config.compressor, None, grid=model.vision.grid).total


def _jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    height, width = picture.shape[:2]
    image = Image.fromarray(picture)
    if height > _THUMBNAIL_HEIGHT:
        image = image.resize((max(1, round(width * _THUMBNAIL_HEIGHT / height)), _THUMBNAIL_HEIGHT))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_THUMBNAIL_QUALITY)
    return stream.getvalue()
