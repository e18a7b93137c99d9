"""What each patch of a frame shows, by the renderer's exact truth: a target for every patch instead of one a frame.

Captions alone teach a small ViT slowly, because a word about a small object has to find its patch first. This loss is
thrown away with its head after pretraining, like the caption head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from videollm.model.preprocessing import letterbox
from videollm.synthetic import motion
from videollm.synthetic.rendering import screen_centre, shot_index
from videollm.synthetic.scenes import COLOURS, SHAPES, SIZES, Clip

_TRAITS = (COLOURS, SHAPES, SIZES)
_SEEN_FROM_OPACITY = 0.4
# Of the circle around an object's bounding box, what every shape but the thinnest fills.
_FILLED = 0.8
# Patches without an object are many and easy.
_EMPTY_WEIGHT = 0.05


def patch_labels(clip: Clip, time_s: float, image_size: int, grid: int) -> torch.Tensor:
    """Returns the traits of the object that each patch shows.

    Args:
        clip: The clip.
        time_s: When.
        image_size: Side of the letterboxed frame in pixels.
        grid: Patches along a side.

    Returns:
        Indices of colour, shape and size, each plus one and 0 where there is no object; (grid * grid, 3) int64 in
        raster order.
    """
    labels_RC3 = torch.zeros(grid, grid, 3, dtype=torch.long)
    shot = clip.shots[shot_index(clip, time_s)]
    top, left, high, wide = letterbox(clip.height, clip.width, image_size)
    middles = (torch.arange(grid) + 0.5) * image_size / grid
    view = motion.view(shot, time_s)
    for thing in shot.objects:
        pose = motion.pose(thing, time_s)
        x, y = screen_centre(pose, view)
        if pose.opacity < _SEEN_FROM_OPACITY or not (0 <= x < 1 and 0 <= y < 1):
            continue
        across, down = left + x * wide, top + y * high
        radius = _FILLED * thing.extent * min(high, wide) * pose.scale * view.scale / 2
        covered_RC = (middles[:, None] - down) ** 2 + (middles[None, :] - across) ** 2 <= radius**2
        covered_RC[int(down * grid / image_size), int(across * grid / image_size)] = True
        traits = (thing.colour, thing.shape, thing.size)
        labels_RC3[covered_RC] = torch.tensor(
            [names.index(trait) + 1 for names, trait in zip(_TRAITS, traits, strict=True)]
        )
    return labels_RC3.flatten(0, 1)


class PatchHead(nn.Module):
    """Linear classifiers of colour, shape and size on every patch.

    Args:
        width: Width of the patches.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.traits = nn.ModuleList(nn.Linear(width, len(names) + 1) for names in _TRAITS)

    def forward(self, patches_BPD: torch.Tensor, labels_BP3: torch.Tensor) -> torch.Tensor:
        """Returns the weighted mean cross-entropy over patches and traits."""
        hidden_ND = self.norm(patches_BPD).flatten(0, 1)
        labels_N3 = labels_BP3.flatten(0, 1)
        weights_N = torch.where(labels_N3[:, 0] > 0, 1.0, _EMPTY_WEIGHT)
        losses = [
            F.cross_entropy(head(hidden_ND).float(), labels_N3[:, trait], reduction="none") @ weights_N
            for trait, head in enumerate(self.traits)
        ]
        return torch.stack(losses).sum() / weights_N.sum()
