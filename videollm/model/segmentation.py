"""Segments by content: a video is cut where the picture changes most.

Shapes: T frames, P patches a frame, C width.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from .checks import check_features, check_whole

# Frames whose features are compared at once.
_CHUNK = 16
# What a cut loses by standing all of the video's length from where an even one would.
_EVENNESS = 1e-4


def frame_changes(patches_TPC: Tensor) -> Tensor:
    """How much each frame differs from the one before: 1 - cosine of patches at the same place, mean over the frame.

    Args:
        patches_TPC: Patch features, (T, P, C), any float dtype.

    Returns:
        float32, (T,); 0 for the first frame.

    Raises:
        ConfigError: The features have the wrong shape or dtype.
    """
    check_features("patches_TPC", patches_TPC, "TPC")
    # Results allocated one by one between the widened parts would keep each part from the memory of the one before.
    changes = patches_TPC.new_zeros(len(patches_TPC), dtype=torch.float32)
    with torch.no_grad(), torch.autocast(patches_TPC.device.type, enabled=False):
        for first in range(1, len(patches_TPC), _CHUNK):
            past = min(first + _CHUNK, len(patches_TPC))
            before, now = patches_TPC[first - 1 : past - 1].float(), patches_TPC[first:past].float()
            changes[first:past] = 1 - functional.cosine_similarity(before, now, dim=-1).mean(dim=1)
    return changes.clamp_(min=0)


def segments_by_change(changes_T: Tensor, count: int) -> tuple[tuple[int, int], ...]:
    """Cuts T frames into ``count`` segments so that the changes at the cuts sum to the most.

    No segment is shorter than half of an even one or longer than three: one restless second does not take all cuts,
    and the cost of merging a segment, which grows with the square of its length, stays bounded.

    Args:
        changes_T: Change of each frame to the one before, (T,), any float dtype, as :func:`frame_changes` gives it. The
            first, which no frame is before, does not count.
        count: Segments, from 1 to T.

    Returns:
        Half-open runs ``(first, past_last)`` of frame indices; where nothing changes, even ones.

    Raises:
        ConfigError: The changes have the wrong shape or dtype, or ``count`` is out of range.
    """
    check_features("changes_T", changes_T, "T")
    frames = len(changes_T)
    check_whole("count", count, 1, frames, "the number of frames")
    even = frames / count
    shortest, longest = max(1, int(even / 2)), min(frames, 3 * (int(even) + 1))
    # best[e]: largest sum for the segments so far if the last of them ends before frame e.
    best = torch.full((frames + 1,), -torch.inf, dtype=torch.float64)
    best[0] = 0
    gains = torch.cat([changes_T.double().cpu(), torch.zeros(1, dtype=torch.float64)])
    ends = torch.arange(frames + 1, dtype=torch.float64)
    cuts = []
    for segment in range(1, count + 1):
        best, previous = _extend(best, shortest, longest)
        cuts.append(previous)
        best = best + gains - _EVENNESS * (ends - segment * even).abs() / frames
    edges = [frames]
    for previous in reversed(cuts):
        edges.append(int(previous[edges[-1]]))
    return tuple(pairwise(reversed(edges)))


def _extend(best: Tensor, shortest: int, longest: int) -> tuple[Tensor, Tensor]:
    """Adds a segment: for each end the best sum of what may stand before it, and where that ends; (T + 1,) each."""
    window = longest - shortest + 1
    # Max pooling takes the first of equals, and tells where it was. It pads with -inf, which no start can beat.
    padded = functional.pad(best, (longest, 0), value=-torch.inf)[: len(best) + longest - shortest]
    found, index = functional.max_pool1d(padded[None, None], window, stride=1, return_indices=True)
    return found[0, 0], index[0, 0] - longest
