"""The tasks that run in a worker process: describe a file, and read the frames of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import UnreadableVideoError
from ..values import FramePlan, VideoInfo
from . import decord_reader, pyav_reader
from .animations import is_animated_webp, probe_animation, read_animation
from .damage import decoder_log
from .images import probe_image, read_image
from .limits import DecodeLimits
from .pictures import Painter, fit_within
from .plan import resolve_plan
from .shared import Reply, SharedRows
from .sink import FrameSink
from .survey import Survey, survey_file
from .timeline import Timeline

Backend = Literal["auto", "pyav", "decord"]


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What to read; see :func:`~videollm.video.decode_frames`."""

    path: Path
    plan: FramePlan
    backend: Backend
    max_side: int | None
    tolerance_s: float
    limits: DecodeLimits


@dataclass(frozen=True, slots=True)
class ReadOutcome:
    """What was read, beside the pixels."""

    plan: FramePlan
    info: VideoInfo
    backend: str
    damage: tuple[str, ...]


_READERS = {"pyav": pyav_reader.read_frames, "decord": decord_reader.read_frames}


def choose_backend(backend: Backend, survey: Survey) -> str:
    """Returns who reads the file.

    ``auto`` is PyAV for every file: with readers that jump over what nobody wants it was at least as fast as decord on
    every kind of clip in ``benchmarks/reading``, it reads more formats, and it tells of damage.
    """
    return "pyav" if backend == "auto" else backend


def describe_file(path: Path, limits: DecodeLimits) -> VideoInfo:
    """Returns what a file says about its picture."""
    image = probe_image(path, limits.max_pixels)
    if image is not None:
        return image
    if is_animated_webp(path):
        return probe_animation(path, limits.max_pixels)[0]
    return survey_file(path, limits.max_pixels).info


def read_file(request: ReadRequest) -> Reply:
    """Reads the frames of a plan into a shared array, which the reply hands over with a :class:`ReadOutcome`."""
    image = probe_image(request.path, request.limits.max_pixels)
    if image is not None:
        return _read_still(request, image)
    if is_animated_webp(request.path):
        return _read_animation(request)
    return _read_video(request, survey_file(request.path, request.limits.max_pixels))


def _read_still(request: ReadRequest, info: VideoInfo) -> Reply:
    pixels, damage = read_image(request.path, request.max_side)
    rows = SharedRows(pixels.shape)
    rows.write(0, pixels)
    plan = resolve_plan(request.plan, [0.0] * request.plan.frame_count)
    return Reply(ReadOutcome(plan, info, "pillow", damage), rows, 1)


def _read_animation(request: ReadRequest) -> Reply:
    info, timeline = probe_animation(request.path, request.limits.max_pixels)
    wanted = timeline.frames_at(request.plan.times_s)
    frames = np.unique(wanted)
    width, height = fit_within(info.width, info.height, request.max_side)
    _check_memory(request, len(frames), (height, width, 3))
    rows = SharedRows((height, width, 3))
    for row, pixels in enumerate(read_animation(request.path, frames, request.max_side)):
        rows.write(row, pixels)
    plan = resolve_plan(request.plan, timeline.times_s[wanted].tolist())
    return Reply(ReadOutcome(plan, info, "pillow", ()), rows, len(frames))


def _read_video(request: ReadRequest, survey: Survey) -> Reply:
    timeline = survey.timeline
    wanted = timeline.frames_near(request.plan.times_s, request.tolerance_s)
    frames = np.unique(wanted)
    backend = choose_backend(request.backend, survey)
    # decord turns pictures upright by itself.
    painter = Painter(survey.display.upright if backend == "decord" else survey.display, request.max_side)
    _check_memory(request, len(frames), painter.shape)
    sink = FrameSink(frames, painter)
    with decoder_log() as log:
        _READERS[backend](survey, [int(frame) for frame in frames], sink.take, log)
    count = sink.close_gaps()
    if not count:
        raise UnreadableVideoError(
            f"{request.path}: none of the {len(frames)} wanted frames can be decoded; "
            "the file is broken, try to re-encode it"
        )
    plan = resolve_plan(request.plan, sink.seconds(wanted, timeline))
    damage = (*survey.info.damage, *_missing_end(request.plan, timeline), *log.phrases)
    return Reply(ReadOutcome(plan, survey.info, backend, damage), sink.rows, count)


def _missing_end(plan: FramePlan, timeline: Timeline) -> tuple[str, ...]:
    # A plan made from the same file never asks for more; one made from a sound copy of it may.
    behind = sum(time > timeline.end_s for time in plan.times_s)
    return (f"{behind} of the wanted seconds lie behind the end at {timeline.end_s:.1f} s",) if behind else ()


def _check_memory(request: ReadRequest, count: int, shape: tuple[int, int, int]) -> None:
    needed = count * int(np.prod(shape))
    if needed > request.limits.memory_bytes:
        raise UnreadableVideoError(
            f"{request.path}: {count} frames of {shape[1]} x {shape[0]} need {needed >> 20} MiB, more than the "
            f"{request.limits.memory_bytes >> 20} MiB allowed; ask for fewer or smaller frames"
        )
