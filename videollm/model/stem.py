"""A convolutional stem in front of the vision transformer, which may look at neighbouring frames too.

A few small convolutions with strides take the place of one large patch embedding: small transformers then learn to see
with far fewer examples (Xiao et al., "Early Convolutions Help Transformers See Better", arXiv 2106.14881). Stacking
each frame with its neighbours before the first one lets it see motion, as the tubelets of ViViT do (Arnab et al., arXiv
2103.15691), while frames stay the unit that everything else plans, caches and cites; beyond a video's ends its first
and last frame go on, so that an image is a still video. Deliberate differences from Xiao et al.: GELU, and no batch
normalisation, since the brightness of a frame is something to see; only what comes out is normalised, place by place.
Else it grows in training until the position embeddings added to it drown, and with them every direction. Between the
convolutions residual blocks (He et al., arXiv 1512.03385) may look closer: shapes of few pixels are told there.

The transformer stays transformers' own: the stem's output is its picture, in patches of one pixel.

Shapes: T frames, K frames seen together, F channels of the output.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .settings import StemSettings


class StemConvolution(nn.Conv2d):
    """A convolution whose fresh weights keep the strength of the signal (He et al., arXiv 1502.01852).

    Args:
        before: Channels of the input.
        after: Channels of the output.
        stride: Stride; the kernel covers it and a rim around it.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        rim = (stride + stride % 2) // 2
        super().__init__(before, after, kernel_size=2 * rim + 1, stride=stride, padding=rim)

    def reset_parameters(self) -> None:
        """Draws the weights; biases are zero."""
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        assert self.bias is not None
        nn.init.zeros_(self.bias)


class SilentConvolution(nn.Conv2d):
    """A convolution of single places that gives nothing until it has learnt (cf. Goyal et al., arXiv 1706.02677).

    Args:
        before: Channels of the input.
        after: Channels of the output.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, kernel_size=1)

    def reset_parameters(self) -> None:
        """Sets weights and biases to zero."""
        assert self.bias is not None
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


class StemBlock(nn.Module):
    """A closer look at each place and those around it, added to what is there.

    It adds nothing at first, so that a stem that has learnt may be given some.

    Args:
        channels: Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = StemConvolution(channels, channels, 1)
        self.tell = SilentConvolution(channels, channels)

    def forward(self, hidden_TFhw: Tensor) -> Tensor:
        """Returns the picture with what was seen added, (T, F, h, w)."""
        seen: Tensor = self.tell(F.gelu(self.look(hidden_TFhw)))
        return hidden_TFhw + seen


class ConvStem(nn.Module):
    """Convolutions from stacked frames to the transformer's picture."""

    def __init__(self, settings: StemSettings) -> None:
        """Builds the stem with fresh weights.

        Args:
            settings: Sizes.
        """
        super().__init__()
        self.frames = settings.frames
        inputs = (3 * settings.frames, *settings.channels[:-1])
        self.layers = nn.ModuleList(
            StemConvolution(before, after, stride)
            for before, after, stride in zip(inputs, settings.channels, settings.strides, strict=True)
        )
        counts = settings.blocks or (0,) * len(self.layers)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(StemBlock(channels) for _ in range(count)))
            for channels, count in zip(settings.channels, counts, strict=True)
        )
        self.norm = nn.LayerNorm(settings.channels[-1])

    def forward(self, frames_T3HW: Tensor, neighbours_TK: Tensor) -> Tensor:
        """Sees frames together with their neighbours.

        Args:
            frames_T3HW: Normalised frames whose sides the strides divide.
            neighbours_TK: Frames that are seen together, by their indices; see :func:`neighbours`.

        Returns:
            (T, F, H / stride, W / stride).
        """
        hidden = frames_T3HW[neighbours_TK].flatten(1, 2)
        for layer, blocks in zip(self.layers, self.blocks, strict=True):
            hidden = blocks(F.gelu(layer(hidden)))
        normed: Tensor = self.norm(hidden.movedim(1, -1))
        return normed.movedim(-1, 1)


def neighbours(runs: Iterable[tuple[int, int]], count: int) -> Tensor:
    """Indices of each frame and the frames before and after it within its own run, (T, count) int64.

    Args:
        runs: First frame of each run, such as a video, and the one past its last.
        count: Frames seen together, odd; beyond the ends of a run its first and last frame go on.
    """
    offsets = torch.arange(count) - count // 2
    rows = [(torch.arange(first, past)[:, None] + offsets).clamp(first, past - 1) for first, past in runs]
    return torch.cat(rows)


def middle(neighbours_TK: Tensor, count: int) -> Tensor:
    """Of frames and their neighbours, (T, K), the frames themselves and the nearest, (T, count), count odd."""
    rim = (neighbours_TK.shape[1] - count) // 2
    return neighbours_TK[:, rim : rim + count]
