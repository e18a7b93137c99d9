"""Whole frames behind the projector, laid out as published models were trained on them.

LLaVA-OneVision shrinks each frame of a video bilinearly and ends the video with a learned row; Tarsier ends every row
and every frame of patches with one. LLaVA-1.5 and LLaVA-NeXT-Video lay patches out as they are.

Shapes: T frames, P tokens of a frame in raster order, K rows of the prompt, D width of the language model.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..values import FramePlan
from .budget import TokenPlan, WholeFramesOf
from .compressor_config import FramesConfig
from .tiling import Tiling


class WholeFrames(nn.Module):
    """Shrinks frames and puts learned rows between them, as the settings ask.

    Attributes:
        newline: The row behind rows of patches, and behind a whole video or image, (D,).
        frame_end: The row behind each frame, (D,).
    """

    def __init__(self, settings: FramesConfig, *, grid: tuple[int, int], width: int) -> None:
        """Builds the module with fresh weights.

        Args:
            settings: What is laid out how.
            grid: Rows and columns of patches of a frame.
            width: Width of the language model.
        """
        super().__init__()
        self.settings, self.grid = settings, grid
        if settings.has_newline:
            self.newline = nn.Parameter(torch.empty(width))
        if settings.frame_end:
            self.frame_end = nn.Parameter(torch.empty(width))

    def reset_parameters(self, std: float) -> None:
        """Draws the learned rows anew."""
        for row in self.parameters():
            nn.init.normal_(row, std=std)

    def forward(self, tokens_KD: Tensor, shown: WholeFramesOf) -> Tensor:
        """Lays out the projected tokens of a video or an image.

        Args:
            tokens_KD: Of all frames, one after the other.
            shown: What they are frames of.

        Returns:
            The rows of the prompt, as many as the token plan says.
        """
        if isinstance(shown, Tiling):
            return self._tiles(tokens_KD, shown)
        pool = self.settings.pool if shown == "video" else 1
        frames_THWD = tokens_KD.view(-1, *(side // pool for side in self.grid), tokens_KD.shape[-1])
        if shown == "video" and self.settings.shrink > 1:
            frames_THWD = self._shrunk(frames_THWD)
        if self.settings.row_end:
            frames_THWD = torch.cat([frames_THWD, self.newline.expand(*frames_THWD.shape[:2], 1, -1)], dim=2)
        rows_TPD = frames_THWD.flatten(1, 2)
        if self.settings.frame_end:
            rows_TPD = torch.cat([rows_TPD, self.frame_end.expand(len(rows_TPD), 1, -1)], dim=1)
        rows_KD = rows_TPD.flatten(0, 1)
        return torch.cat([rows_KD, self.newline[None]]) if self.settings.video_end else rows_KD

    def _tiles(self, tokens_KD: Tensor, tiling: Tiling) -> Tensor:
        """The whole picture, then the picture that its tiles make up, row by row."""
        count = math.prod(self.grid)
        picture_HWD = tiling.put_together(tokens_KD[count:].view(tiling.count, count, -1))
        if self.settings.tile_row_end:
            picture_HWD = torch.cat([picture_HWD, self.newline.expand(len(picture_HWD), 1, -1)], dim=1)
        return torch.cat([tokens_KD[:count], picture_HWD.flatten(0, 1)])

    def _shrunk(self, frames_THWD: Tensor) -> Tensor:
        sides = [self.settings.side(side, of_video=True) for side in self.grid]
        shrunk_TDHW = F.interpolate(frames_THWD.movedim(-1, 1), sides, mode="bilinear")
        return shrunk_TDHW.movedim(1, -1)


def row_spans(token_plan: TokenPlan, plan: FramePlan) -> Tensor:
    """Start and end second of what each row of whole frames stands for, float32, (K, 2): of its frame.

    Args:
        token_plan: How many rows each segment takes.
        plan: The frame plan; what ends the whole video is counted to its last frame, memory to all of it.
    """
    frames = tuple((frame, frame + 1) for frame in range(plan.frame_count))
    spans_T2 = torch.tensor(replace(plan, segments=frames).spans_s, dtype=torch.float32)
    total = sum(token_plan.counts)
    counts = torch.full((plan.frame_count,), total // plan.frame_count)
    counts[-1] += total % plan.frame_count
    video_2 = torch.stack([spans_T2[0, 0], spans_T2[-1, 1]])
    return torch.cat([video_2.expand(token_plan.memory, 2), spans_T2.repeat_interleave(counts, dim=0)])
