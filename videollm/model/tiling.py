"""Pictures cut into tiles, as LLaVA-NeXT and LLaVA-OneVision look at images ("any resolution").

A picture is scaled into the best of some allowed sizes, each a grid of tiles; the encoder sees every tile, and before
them the whole picture stretched to one. Patches of the tiles are then put together again, and what lies beside the
picture is left out. The numbers are those of transformers' classes of these models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..values import FramePlan
from .settings import ImageSettings

# A picture of more patches than this times the limit is shrunk.
_TOLERANCE = 1.1


@dataclass(frozen=True, slots=True)
class Tiling:
    """How one picture is cut, in patches.

    Attributes:
        tiles: Rows and columns of tiles.
        grid: Rows and columns of patches of a tile.
        top: First row of the tiles' patches that shows the picture.
        left: First column.
        size: Rows and columns that show it.
        shrunk: Rows and columns that they are shrunk to.
    """

    tiles: tuple[int, int]
    grid: tuple[int, int]
    top: int
    left: int
    size: tuple[int, int]
    shrunk: tuple[int, int]

    @property
    def count(self) -> int:
        """Tiles, without the one of the whole picture."""
        return self.tiles[0] * self.tiles[1]

    def put_together(self, patches_NPC: Tensor) -> Tensor:
        """Puts the tiles' patches side by side, of which those that show the picture are kept.

        Args:
            patches_NPC: Patches of each tile in raster order, tiles in raster order.

        Returns:
            Rows and columns of the picture's patches, (high, wide, C).
        """
        picture_HWC = (
            patches_NPC.view(*self.tiles, *self.grid, -1).transpose(1, 2).flatten(2, 3).flatten(0, 1)
        )
        seen_HWC = picture_HWC[self.top : self.top + self.size[0], self.left : self.left + self.size[1]]
        if self.shrunk == self.size:
            return seen_HWC
        shrunk_1CHW = F.interpolate(seen_HWC.movedim(-1, 0)[None], self.shrunk, mode="bilinear")
        return shrunk_1CHW[0].movedim(0, -1)


def tile(size_px: tuple[int, int], image: ImageSettings, grid: tuple[int, int]) -> Tiling:
    """Says how a picture is cut.

    Args:
        size_px: Its height and width in pixels.
        image: What sizes are allowed, at least one.
        grid: Rows and columns of patches of a tile.
    """
    best = best_size(size_px, image.tiles)
    tiles = (best[0] // image.size, best[1] // image.size)
    whole = (tiles[0] * grid[0], tiles[1] * grid[1])
    # Whether the bars lie above and below or at the sides.
    if size_px[1] / size_px[0] > whole[1] / whole[0]:
        shown = int(round(size_px[0] * (whole[1] / size_px[1]), 7))
        top, left = (whole[0] - shown) // 2, 0
    else:
        shown = int(round(size_px[1] * (whole[0] / size_px[0]), 7))
        top, left = 0, (whole[1] - shown) // 2
    size = (whole[0] - 2 * top, whole[1] - 2 * left)
    return Tiling(tiles, grid, top, left, size, _shrunk(size, image.most_tiles, grid))


def plan_seen(
    plan: FramePlan, image: ImageSettings, grid: tuple[int, int], *, whole_videos: bool
) -> FramePlan:
    """Returns the plan of what the compressor gets: the same, with two exceptions.

    Args:
        plan: The frame plan.
        image: How pictures are prepared; of one that is cut it is the plan of the whole and its tiles.
        grid: Rows and columns of patches of a frame.
        whole_videos: Whether queries read a whole video, which then is one frame.
    """
    if whole_videos:
        return replace(plan, times_s=plan.times_s[:1], segments=((0, 1),))
    return with_tiles(plan, image, grid)


def with_tiles(plan: FramePlan, image: ImageSettings, grid: tuple[int, int]) -> FramePlan:
    """Returns the plan of what the encoder sees of a medium: of an image that is cut, the whole and the tiles.

    Args:
        plan: The plan of a video or image.
        image: How pictures are prepared.
        grid: Rows and columns of patches of a tile.
    """
    if plan.kind == "video" or not image.tiles or plan.size_px is None:
        return plan
    count = 1 + tile(plan.size_px, image, grid).count
    return replace(plan, times_s=plan.times_s * count, segments=((0, count),))


def _shrunk(size: tuple[int, int], most_tiles: int | None, grid: tuple[int, int]) -> tuple[int, int]:
    if most_tiles is None:
        return size
    ratio = math.sqrt(size[0] * size[1] / (most_tiles * grid[0] ** 2))
    return (int(size[0] // ratio), int(size[1] // ratio)) if ratio > _TOLERANCE else size


def best_size(size_px: tuple[int, int], allowed: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Returns the allowed size that shows most of a picture's pixels, and of those the one with the least beside it.

    Args:
        size_px: Height and width of the picture.
        allowed: Heights and widths to choose from; of equals the first.
    """

    def merit(size: tuple[int, int]) -> tuple[int, int]:
        scale = min(size[0] / size_px[0], size[1] / size_px[1])
        shown = min(int(size_px[0] * scale) * int(size_px[1] * scale), size_px[0] * size_px[1])
        return shown, shown - size[0] * size[1]

    return max(allowed, key=merit)


def cut(picture_3HW: Tensor, image: ImageSettings) -> Tensor:
    """Cuts a picture as :func:`tile` says, in values from 0 to 255.

    Args:
        picture_3HW: Red, green and blue, float32.
        image: What sizes are allowed.

    Returns:
        The whole picture, stretched, and the tiles in raster order, (1 + tiles, 3, size, size).
    """
    height, width = picture_3HW.shape[1:]
    best = best_size((height, width), image.tiles)
    across, down = best[1] / width, best[0] / height
    if across < down:
        wide, high = best[1], min(math.ceil(height * across), best[0])
    else:
        high, wide = best[0], min(math.ceil(width * down), best[1])
    top, left = (best[0] - high) // 2, (best[1] - wide) // 2
    framed = torch.zeros(3, *best, device=picture_3HW.device)
    framed[:, top : top + high, left : left + wide] = resize(picture_3HW[None], high, wide)[0]
    size = image.size
    tiles = framed.view(3, best[0] // size, size, best[1] // size, size).permute(1, 3, 0, 2, 4)
    return torch.cat([resize(picture_3HW[None], size, size), tiles.flatten(0, 1)])


def resize(frames_T3HW: Tensor, height: int, width: int) -> Tensor:
    """Scales pictures (bicubic, antialiased); values stay whole numbers from 0 to 255, as Pillow's are."""
    if frames_T3HW.shape[-2:] == (height, width):
        return frames_T3HW
    resized = F.interpolate(frames_T3HW, (height, width), mode="bicubic", antialias=True, align_corners=False)
    # Bicubic weights overshoot at edges.
    return resized.round_().clamp_(0, 255)
