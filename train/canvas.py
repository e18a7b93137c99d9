"""Where a clip's picture and the things in it lie among the patches of a letterboxed frame."""

from __future__ import annotations

import torch

from videollm.model.preprocessing import letterbox
from videollm.synthetic.scenes import Clip

#: Of a fade's brightness, from where on what a frame shows is asked for.
SEEN_FROM_BRIGHTNESS = 0.15

# Of the circle around an object's bounding box, what every shape but the thinnest fills.
_FILLED = 0.8


class Canvas:
    """A letterboxed frame in patches. Places are fractions of the clip's picture, 0 at its left and top.

    Args:
        clip: The clip.
        image_size: Side of the letterboxed frame in pixels.
        grid: Patches along a side.

    Attributes:
        grid: Patches along a side.
        patch: Side of a patch in pixels.
        middles_G: Middles of the patches along a side, in pixels.
        box: Top, left, height and width of the picture, in pixels.
    """

    def __init__(self, clip: Clip, image_size: int, grid: int) -> None:
        self.box = letterbox(clip.height, clip.width, image_size)
        self.grid, self.patch = grid, image_size / grid
        self.middles_G = (torch.arange(grid) + 0.5) * self.patch

    def patch_of(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of the patch that shows a place of the picture."""
        across, down = self._pixels(x, y)
        return int(down / self.patch), int(across / self.patch)

    def covered(self, x: float, y: float, extent: float) -> torch.Tensor:
        """Patches (R, C) whose middles a thing covers, and the one that shows its own middle.

        Args:
            x: Middle of the thing.
            y: Middle of the thing.
            extent: Longer side of its bounding box as a fraction of the picture's shorter side.
        """
        across, down = self._pixels(x, y)
        radius = _FILLED * extent * min(self.box[2:]) / 2
        covered_RC = (self.middles_G[:, None] - down) ** 2 + (self.middles_G - across) ** 2 <= radius**2
        if 0 <= x < 1 and 0 <= y < 1:
            covered_RC[self.patch_of(x, y)] = True
        return covered_RC

    def places(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Across (C,) and down (R,), where in the picture the patches' middles are; beyond 0 to 1 in the bars."""
        top, left, high, wide = self.box
        return (self.middles_G - left) / wide, (self.middles_G - top) / high

    def _pixels(self, x: float, y: float) -> tuple[float, float]:
        top, left, high, wide = self.box
        return left + x * wide, top + y * high
