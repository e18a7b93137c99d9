"""What reading a clip's file would give, without writing the file: planned frames at their true times."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ..model.settings import VideoSettings
from ..values import FramePlan, VideoInfo
from ..video.plan import plan_frames, resolve_plan
from .rendering import render_frames
from .scenes import Clip


def clip_info(clip: Clip) -> VideoInfo:
    """Returns what probing a file of the clip would say."""
    return VideoInfo(
        path=Path(f"{clip.split}-{clip.seed}.mp4"),
        kind="video",
        duration_s=clip.duration_s,
        width=clip.width,
        height=clip.height,
        fps=clip.fps,
        frame_count=math.ceil(clip.duration_s * clip.fps),
        codec="h264",
        container="mov,mp4,m4a,3gp,3g2,mj2",
        pixel_format="yuv420p",
        rotation_deg=0,
        sample_aspect=1.0,
        has_audio=False,
        variable_frame_rate=False,
        keyframe_gap_s=None,
    )


def plan_clip(clip: Clip, video: VideoSettings) -> FramePlan:
    """Plans frames as for a file of the clip.

    Args:
        clip: The clip.
        video: How videos are read.

    Returns:
        The resolved plan. A frame is the one that a file of ``clip.fps`` shows at the planned second, so its true time
        is a little earlier.
    """
    wanted = plan_frames(
        clip_info(clip),
        fps=video.fps,
        max_frames=video.max_frames,
        frames_per_segment=video.frames_per_segment,
        seconds_per_segment=video.seconds_per_segment,
        max_segments=video.max_segments,
    )
    return resolve_plan(wanted, [math.floor(time * clip.fps) / clip.fps for time in wanted.times_s])


def read_clip(clip: Clip, video: VideoSettings) -> tuple[np.ndarray, FramePlan]:
    """Returns the planned frames (T, H, W, 3) uint8, rendered without a file, and their resolved plan."""
    plan = plan_clip(clip, video)
    return render_frames(clip, plan.times_s), plan
