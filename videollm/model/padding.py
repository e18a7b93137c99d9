"""Segments of many videos side by side, as the learned parts of a compressor read them.

Shapes: S segments, M tokens of the longest, C width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .segments import MergedSegments


@dataclass(frozen=True, slots=True, eq=False)
class PaddedSegments:
    """Segments of one or many videos side by side, padded to the longest.

    Attributes:
        tokens_SMC: Tokens, (S, M, C), any float dtype; zero in the padding.
        sizes_SM: Patches each token stands for, positive, float32, (S, M); 1 in the padding, so that its logarithm is
            finite.
        positions_SM3: Mean second, row and column of these patches, float32, (S, M, 3); rows and columns are fractions
            of the picture, from 0 to 1.
        mask_SM: True where there is a token, bool, (S, M); each segment has at least one.
        spans_S2: Start and end of each segment in seconds, float32, (S, 2).
    """

    tokens_SMC: Tensor
    sizes_SM: Tensor
    positions_SM3: Tensor
    mask_SM: Tensor
    spans_S2: Tensor

    @classmethod
    def of(cls, batch: Sequence[MergedSegments]) -> PaddedSegments:
        """Lines up all segments of all videos, video after video."""
        lengths = torch.cat([video.lengths_S for video in batch])
        mask = (torch.arange(int(lengths.max())) < lengths[:, None]).to(batch[0].tokens_MC.device)

        def pad(columns: Sequence[Tensor], fill: float) -> Tensor:
            rows = torch.cat(list(columns))
            padded = rows.new_full((*mask.shape, *rows.shape[1:]), fill)
            padded[mask] = rows
            return padded

        return cls(
            tokens_SMC=pad([video.tokens_MC for video in batch], 0),
            sizes_SM=pad([video.sizes_M for video in batch], 1),
            positions_SM3=pad([video.positions_M3 for video in batch], 0),
            mask_SM=mask,
            spans_S2=torch.cat([video.spans_S2 for video in batch]),
        )
