"""Reading video: what a file holds, which of its seconds to look at, and the frames themselves.

    probe ─▶ VideoInfo ─plan_frames─▶ FramePlan ─decode_frames─▶ DecodedFrames (with the plan resolved to true times)

Files are opened only in worker processes that can be killed; see :mod:`videollm.video.worker`. No torch here.
"""

from __future__ import annotations

from .decode import DecodedFrames, decode_frames
from .limits import DecodeLimits
from .plan import plan_frames
from .probe import probe
from .worker import given_up_when, warm_up

__all__ = [
    "DecodeLimits",
    "DecodedFrames",
    "decode_frames",
    "given_up_when",
    "plan_frames",
    "probe",
    "warm_up",
]
