"""Patch features that say outright what the patches show: what a perfect encoder would hand to the compressor.

The language model and the compressor learn to read, count, order and time from these before the ViT can see, on clips
that need not be rendered. Every class of every trait of ``patch_labels`` has a fixed random vector; a patch's feature
is the sum of those of its classes and of its place. What cannot be told adds nothing.
"""

from __future__ import annotations

import torch

from videollm.model.fourier import fourier_features
from videollm.synthetic.scenes import Clip
from videollm.values import FramePlan

from .patch_labels import CLASSES, IGNORED, patch_labels

_SEED = 20
# Beside traits, of which each patch has about six that can be told and each adds one: a neighbour is not another thing.
_PLACE_STRENGTH = 0.7
_SHORTEST_PLACE, _LONGEST_PLACE = 0.25, 4.0


class ToldEncoder:
    """Stands for the ViT.

    Args:
        width: Width of the features.
        image_size: Side of the frames in pixels.
        grid: Patches along a side.
    """

    def __init__(self, width: int, image_size: int, grid: int) -> None:
        self.width, self._image_size, self._grid = width, image_size, grid
        random = torch.Generator().manual_seed(_SEED)
        self._tables = [torch.randn(count, width, generator=random) for count in CLASSES.values()]
        along_GE = fourier_features(
            (torch.arange(grid) + 0.5) / grid, width // 4, _SHORTEST_PLACE, _LONGEST_PLACE
        )
        places_PE = torch.cat([along_GE.repeat_interleave(grid, 0), along_GE.repeat(grid, 1)], dim=-1)
        # Sines and cosines have a mean square of one half.
        mix_EC = torch.randn(places_PE.shape[1], width, generator=random) * (places_PE.shape[1] / 2) ** -0.5
        self._places_PC = _PLACE_STRENGTH * places_PE @ mix_EC

    def see(self, clip: Clip, plan: FramePlan) -> torch.Tensor:
        """Returns the features of the patches of the planned frames, (T, P, C)."""
        classes_TPK = patch_labels(clip, plan.times_s, self._image_size, self._grid).classes_TPK
        patches_TPC = self._places_PC.repeat(len(classes_TPK), 1, 1)
        for trait, table in enumerate(self._tables):
            labels_TP = classes_TPK[..., trait]
            known_TP1 = (labels_TP != IGNORED)[..., None]
            patches_TPC += table[labels_TP.clamp(min=0)] * known_TP1
        return patches_TPC
