"""How what each patch shows moves between the frames before and after: targets in numbers, beside the classes.

That something "moves left" is one bit of a class among eleven; how far and which way every patch has gone, background
included, says the same a hundred times over in each frame. Optical flow as an auxiliary target is old; here it is known
exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from videollm.synthetic import motion
from videollm.synthetic.passers import passer_centre
from videollm.synthetic.rendering import screen_centre, shot_index
from videollm.synthetic.scenes import Clip, Shot

from .canvas import SEEN_FROM_BRIGHTNESS, Canvas

#: What is told of each patch, from the frame seen before to the one seen after: patches moved to the right and down,
#: logarithm of how many times as large it has become, and how much more of an object is to be seen (-1 to 1).
MOTIONS = ("right", "down", "larger", "clearer")

Times = tuple[float, float, float]

_STILL_WEIGHT = 0.2


def patch_motions(clip: Clip, times_s: Sequence[float], image_size: int, grid: int) -> torch.Tensor:
    """Tells how what patches show moves in frames that are seen one after another.

    Args:
        clip: The clip.
        times_s: When, ascending. At both ends a frame stands for its missing neighbour.
        image_size: Side of the letterboxed frame in pixels.
        grid: Patches along a side.

    Returns:
        (T, P, motions) float32, patches in raster order, in the order of ``MOTIONS``; not a number in bars and in the
        dark, and in frames beside a cut.
    """
    canvas = Canvas(clip, image_size, grid)
    frames = []
    for number, time in enumerate(times_s):
        before, after = times_s[max(number - 1, 0)], times_s[min(number + 1, len(times_s) - 1)]
        frames.append(_frame(canvas, clip, (before, time, after)).flatten(0, 1))
    return torch.stack(frames)


def _frame(canvas: Canvas, clip: Clip, times_s: Times) -> torch.Tensor:
    """Motions (R, C, motions) of one frame, by the seconds of the frame before, its own and of the one after."""
    shot = clip.shots[shot_index(clip, times_s[1])]
    cut = len({shot_index(clip, time) for time in times_s}) > 1
    if cut or min(motion.brightness(shot, time) for time in times_s) < SEEN_FROM_BRIGHTNESS:
        return torch.full((canvas.grid, canvas.grid, len(MOTIONS)), math.nan)
    motions_RCM = _scene(canvas, shot, times_s)
    for passer in shot.passers:
        poses = [motion.Pose(*passer_centre(passer, shot, time), 1.0, 0.0, 1.0) for time in times_s]
        _add(canvas, shot, times_s, poses, passer.extent, motions_RCM)
    for thing in shot.objects:
        poses = [motion.pose(thing, time) for time in times_s]
        if poses[1].opacity > 0:
            _add(canvas, shot, times_s, poses, thing.extent, motions_RCM)
    return motions_RCM


def _add(
    canvas: Canvas,
    shot: Shot,
    times_s: Times,
    poses: Sequence[motion.Pose],
    extent: float,
    motions_RCM: torch.Tensor,
) -> None:
    """Writes the motion of one thing into the patches that it covers now."""
    views = [motion.view(shot, time) for time in times_s]
    before, now, after = (screen_centre(pose, view) for pose, view in zip(poses, views, strict=True))
    sizes = [pose.scale * view.scale for pose, view in zip(poses, views, strict=True)]
    _, _, high, wide = canvas.box
    motions_RCM[canvas.covered(float(now[0]), float(now[1]), extent * sizes[1])] = torch.tensor(
        [
            (after[0] - before[0]) * wide / canvas.patch,
            (after[1] - before[1]) * high / canvas.patch,
            math.log(sizes[2] / sizes[0]),
            poses[2].opacity - poses[0].opacity,
        ],
        dtype=torch.float32,
    )


def _scene(canvas: Canvas, shot: Shot, times_s: Times) -> torch.Tensor:
    """Motions (R, C, motions) of what is behind everything: the camera's."""
    across_C, down_R = canvas.places()
    before, now, after = (motion.view(shot, time) for time in times_s)
    x_C = (across_C - 0.5) / now.scale + 0.5 + now.shift_x
    y_R = (down_R - 0.5) / now.scale + 0.5 + now.shift_y
    _, _, high, wide = canvas.box
    motions_RCM = torch.zeros(canvas.grid, canvas.grid, len(MOTIONS))
    for sign, view in ((-1, before), (1, after)):
        motions_RCM[..., 0] += sign * (x_C - view.shift_x - 0.5) * view.scale * wide / canvas.patch
        motions_RCM[..., 1] += sign * ((y_R - view.shift_y - 0.5) * view.scale * high / canvas.patch)[:, None]
    motions_RCM[..., 2] = math.log(after.scale / before.scale)
    motions_RCM[:, (across_C < 0) | (across_C > 1)] = math.nan
    motions_RCM[(down_R < 0) | (down_R > 1)] = math.nan
    return motions_RCM


def motion_loss(told_NPM: torch.Tensor, true_NPM: torch.Tensor) -> torch.Tensor:
    """Smooth L1 (Huber) loss over what is known, summed over the motions.

    What moves or changes counts in full, what stays as it is little, since most does.

    Args:
        told_NPM: What the head says.
        true_NPM: As :func:`patch_motions` gives it.
    """
    known_NP = true_NPM.isfinite().all(dim=-1)
    true_XM = true_NPM[known_NP]
    losses_X = F.smooth_l1_loss(told_NPM[known_NP], true_XM, beta=0.2, reduction="none").sum(dim=-1)
    weights_X = torch.where(true_XM.abs().amax(dim=-1) > 0.02, 1.0, _STILL_WEIGHT)
    return losses_X @ weights_X / weights_X.sum().clamp(min=1)
