"""The frame encoder: a CLIP vision transformer (Radford et al., arXiv 2103.00020) read at an inner layer.

As in LLaVA and LongVLM, patch features come from a late hidden state rather than the last one, whose patches were never
trained to mean anything; class tokens of the last hidden states are kept for the global memory.

Shapes: T frames, P patches a frame in raster order, C width, L class tokens (shallow before deep).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from ..errors import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Features of frames.

    Attributes:
        patches_TPC: Patch features in raster order.
        cls_LTC: Class tokens of the last L hidden states, shallow before deep.
    """

    patches_TPC: Tensor
    cls_LTC: Tensor


class FrameEncoder(nn.Module):
    """Turns frames into patch features and class tokens, a few frames at a time.

    Attributes:
        tower: transformers' vision model.
        grid: Rows and columns of patches.
        width: Width C of the features.
    """

    def __init__(
        self, config: CLIPVisionConfig, *, select_layer: int = -2, cls_layers: int = 0, chunk_frames: int = 4
    ) -> None:
        """Builds the tower with fresh weights.

        Args:
            config: The tower's settings.
            select_layer: Hidden state the patches are read from: 0 is the embeddings, -1 the last layer.
            cls_layers: How many of the last hidden states give their class token.
            chunk_frames: Frames that pass through the tower together. Few at a time stay in the processor's caches;
                the result does not depend on it.

        Raises:
            ConfigError: A setting is out of range.
        """
        super().__init__()
        size, patch = config.image_size, config.patch_size
        if not (isinstance(size, int) and isinstance(patch, int)):
            raise ConfigError(f"the encoder needs square frames and patches, got sizes {size} and {patch}")
        states = config.num_hidden_layers + 1
        if not -states <= select_layer < states:
            raise ConfigError(f"select_layer must be from {-states} to {states - 1}, got {select_layer}")
        if not 0 <= cls_layers <= states:
            raise ConfigError(
                f"the encoder has {states} class tokens of a frame to remember, got {cls_layers}"
            )
        if chunk_frames < 1:
            raise ConfigError(f"chunk_frames must be at least 1, got {chunk_frames}")
        self.select_layer = select_layer
        self.cls_layers = cls_layers
        self.chunk_frames = chunk_frames
        self.grid = (size // patch, size // patch)
        self.width = config.hidden_size
        self.tower = CLIPVisionModel(config)

    def forward(self, frames_T3HW: Tensor) -> Patches:
        """Encodes frames.

        Args:
            frames_T3HW: Normalised frames of the tower's size; cast to the tower's dtype.

        Returns:
            Their features, in the order of the frames.
        """
        frames = frames_T3HW.to(self.tower.dtype)
        chunks = [self._encode(chunk) for chunk in torch.split(frames, self.chunk_frames)]
        patches, classes = zip(*chunks, strict=True)
        return Patches(torch.cat(patches), torch.cat(classes, dim=1))

    def _encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        states = self.tower(pixel_values=frames, output_hidden_states=True).hidden_states
        classes = torch.stack([state[:, 0] for state in states])
        return states[self.select_layer][:, 1:], classes[len(states) - self.cls_layers :]
