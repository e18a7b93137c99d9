"""Matching: where in the frames before and after what each place shows is found again.

Which way something moves is hard to learn from stacked frames: a small transformer sees along which line, but takes
very long to tell forwards from backwards. Comparing each place with those around it in a neighbouring frame gives it
away: FlowNet's correlation layer (Fischer et al., arXiv 1504.06852), as in MotionSqueeze (Kwon et al., arXiv
2007.09933) between features that are learnt with the rest. Deliberate differences from MotionSqueeze: similarities are
turned into a softmax over the places compared, and the whole of it is kept instead of its peak.

    frames ─▶ convolutions ─▶ unit vectors ─▶ similarity with the places around ─▶ softmax ─▶ convolutions ─▶ picture

Shapes: T frames, K frames seen together, C channels compared, h × w places compared, O places around each.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .settings import MatchingSettings
from .stem import SilentConvolution, StemConvolution

# Logarithm of what similarities, from -1 to 1, are multiplied by at first.
_SHARPNESS = 2.5


class FrameMatching(nn.Module):
    """Tells of each place of a frame where it is found again in its neighbours.

    Attributes:
        frames: Frames that are seen together: each with as many before as after it.
        radius: How many places away is looked, along both sides.
    """

    def __init__(self, settings: MatchingSettings, stride: int, channels: int) -> None:
        """Builds the module with fresh weights; what it gives is zero at first.

        Args:
            settings: Sizes.
            stride: Pixels of a frame that become one pixel of the picture, along each side; see
                :attr:`.StemSettings.stride`. A multiple of ``settings.stride``.
            channels: Channels F of the picture.
        """
        super().__init__()
        self.frames, self.radius = settings.frames, settings.radius
        inner = settings.stride // 2
        self.look = nn.Sequential(
            StemConvolution(3, settings.channels, inner),
            nn.GELU(),
            StemConvolution(settings.channels, settings.channels, 2),
        )
        # How much the most alike stands out from the rest; as with CLIP's temperature its logarithm is learnt.
        self.sharpness = nn.Parameter(torch.empty(()))
        around = (settings.frames - 1) * ((2 * settings.radius + 1) ** 2 + 1)
        self.tell = nn.Sequential(
            StemConvolution(around, settings.hidden_size, stride // settings.stride),
            nn.GELU(),
            SilentConvolution(settings.hidden_size, channels),
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets how sharp the comparison is; the convolutions initialise themselves."""
        nn.init.constant_(self.sharpness, _SHARPNESS)

    def looks(self, frames_T3HW: Tensor) -> Tensor:
        """What of frames is compared, (T, C, h, w): unit vectors.

        Args:
            frames_T3HW: Normalised frames.
        """
        looks_TChw: Tensor = self.look(frames_T3HW)
        return F.normalize(looks_TChw - looks_TChw.mean(dim=(2, 3), keepdim=True), dim=1)

    def forward(self, looks_SChw: Tensor, neighbours_TK: Tensor) -> Tensor:
        """Compares frames with their neighbours.

        Args:
            looks_SChw: What :meth:`looks` gave of all of them.
            neighbours_TK: Frames that are seen together, by their indices; see :func:`.stem.neighbours`.

        Returns:
            (T, F, H / stride, W / stride), to be added to the stem's picture.
        """
        middle = self.frames // 2
        here = looks_SChw[neighbours_TK[:, middle]]
        others = [neighbours_TK[:, number] for number in range(self.frames) if number != middle]
        found = [self._compare(here, looks_SChw[other]) for other in others]
        told: Tensor = self.tell(torch.cat(found, dim=1))
        return told

    def _compare(self, here_TChw: Tensor, there_TChw: Tensor) -> Tensor:
        """Softmax over the places around each, and the greatest similarity, (T, O + 1, h, w)."""
        alike_ThwO = _alike_around(here_TChw, there_TChw, self.radius)
        shares_ThwO = (self.sharpness.exp() * alike_ThwO).softmax(dim=-1)
        found_ThwO = torch.cat([shares_ThwO, alike_ThwO.amax(dim=-1, keepdim=True)], dim=-1)
        return found_ThwO.movedim(-1, 1)


def _alike_around(here_TChw: Tensor, there_TChw: Tensor, radius: int) -> Tensor:
    """Products of each place with those around it in another frame, in raster order; 0 for those outside, (T, h, w, O).

    Each row is multiplied with the rows around it as a whole, of which each place then takes its own stretch: several
    times as much arithmetic as is needed, and in one matrix product still the fastest.
    """
    count, _, height, width = here_TChw.shape
    side, wide = 2 * radius + 1, width + 2 * radius
    there_THCW = F.pad(there_TChw, (radius,) * 4).transpose(1, 2)
    rows_ThCB = torch.stack([there_THCW[:, row : row + height] for row in range(side)], dim=3).flatten(3)
    alike_ThwB = here_TChw.permute(0, 2, 3, 1) @ rows_ThCB
    # One row of places on, one column on: the stretch of a place begins one further than its left neighbour's.
    alike_ThwRR = alike_ThwB.contiguous().as_strided(
        (count * height, width, side, side), (width * side * wide, side * wide + 1, wide, 1)
    )
    return alike_ThwRR.reshape(count, height, width, side * side)
