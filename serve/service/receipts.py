"""What a look at a medium will take, told before it is taken: measured on a few frames of the very file."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from videollm.media import Frames, ReadOptions, encode_frames, find_medium
from videollm.video import decode_frames, probe

from .looking import plan_look

if TYPE_CHECKING:
    from videollm.values import FramePlan, VideoInfo

    from .events import BroughtFile, Waiting
    from .looking import Eyes

# What is looked at to know how long the whole takes; in the middle, where a seek costs what it usually does.
_SAMPLED_FRAMES = 4
# Shorter videos are read before anybody could make up their mind.
_SHORT_S = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a file is looked at.

    Attributes:
        start_s: Seconds before the first frame.
        read_s: Seconds until a frame is decoded.
        vision_s: Seconds until it is encoded.
        frame_bytes: Bytes of a frame while it is read and encoded.
        token_bytes: Bytes of a visual token, and of what the language model keeps of it.
    """

    start_s: float
    read_s: float
    vision_s: float
    frame_bytes: int
    token_bytes: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a look will take.

    Attributes:
        file: The file.
        info: What it says about itself.
        window_s: How many seconds of it are looked at.
        frames: How many frames are looked at.
        visual_tokens: How many visual tokens they become, at most.
        seconds: About how long it takes while nobody else wants anything.
        nbytes: About how much memory it takes while it is read, in bytes.
        pace: What the last two follow from.
    """

    file: BroughtFile
    info: VideoInfo
    window_s: float
    frames: int
    visual_tokens: int
    seconds: float
    nbytes: int
    pace: Pace


def write_receipt(
    eyes: Eyes, owner: str, file: BroughtFile, options: ReadOptions, should_stop: Callable[[], bool]
) -> Generator[Waiting, None, Receipt | None]:
    """Looks at a few frames of a long video, and says what all of them will take.

    Args:
        eyes: What looks.
        owner: On whose behalf.
        file: The file.
        options: How it is to be looked at.
        should_stop: Whether nobody waits for it any more.

    Yields:
        How many others come before, while any do.

    Returns:
        The receipt; ``None`` for what is too short to need one.

    Raises:
        UnreadableVideoError: The file cannot be read.
        ConfigError: A setting is out of range.
        BusyError: Too much waits already.
        CancelledError: Nobody waits for it any more.
    """
    with eyes.reading(should_stop):
        started = time.perf_counter()
        info = probe(file.path, limits=options.limits)
        start_s = time.perf_counter() - started
        if info.kind != "video" or info.duration_s < _SHORT_S:
            return None
        sample = _sample(eyes, file, options, options.plan(info, eyes.model.config.video))
    known = find_medium(eyes.model, file.path, options, cache=eyes.cache) is not None
    frames = len(sample.plan.times_s)
    vision_s, token_bytes = yield from eyes.run(owner, lambda: _measure(eyes, sample), should_stop)
    side = eyes.model.config.image.size
    pace = Pace(
        start_s,
        sample.seconds / frames,
        0.0 if known else vision_s / frames,
        # As it was decoded, and as three planes of 32-bit numbers.
        sample.frames_THW3.nbytes // frames + 12 * side**2,
        token_bytes,
    )
    return plan_receipt(eyes, Receipt(file, info, 0.0, 0, 0, 0.0, 0, pace), options)


def plan_receipt(eyes: Eyes, receipt: Receipt, options: ReadOptions) -> Receipt:
    """Returns what the same file takes with other options; nothing is decoded.

    Raises:
        ConfigError: A setting is out of range.
    """
    plan = options.plan(receipt.info, eyes.model.config.video)
    frames, tokens = plan_look(eyes.model, receipt.info, options)
    pace = receipt.pace
    return replace(
        receipt,
        window_s=plan.end_s - plan.start_s,
        frames=frames,
        visual_tokens=tokens,
        seconds=pace.start_s + frames * (pace.read_s + pace.vision_s),
        nbytes=frames * pace.frame_bytes + tokens * pace.token_bytes,
    )


def _sample(eyes: Eyes, file: BroughtFile, options: ReadOptions, plan: FramePlan) -> Frames:
    """Reads neighbouring frames of a plan."""
    first = max(0, len(plan.times_s) // 2 - _SAMPLED_FRAMES // 2)
    times_s = plan.times_s[first : first + _SAMPLED_FRAMES]
    part = replace(plan, times_s=times_s, segments=((0, len(times_s)),), start_s=times_s[0], end_s=plan.end_s)
    started = time.perf_counter()
    side = 2 * eyes.model.config.image.size
    decoded = decode_frames(file.path, part, backend=options.backend, max_side=side, limits=options.limits)
    return Frames(decoded.frames_THW3, decoded.plan, seconds=time.perf_counter() - started)


def _measure(eyes: Eyes, sample: Frames) -> tuple[float, int]:
    """Seconds to encode the frames, and bytes of a token."""
    medium = encode_frames(eyes.model, sample, None)
    width = medium.encoded.tokens_KD.shape[1] * medium.encoded.tokens_KD.element_size()
    return medium.vision_s, width + eyes.engine.kv_bytes_of_token()
