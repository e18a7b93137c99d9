"""The projector: visual tokens into the width and scale of the language model's word embeddings.

An MLP as in LLaVA-1.5 (Liu et al., arXiv 2310.03744), usually with a LayerNorm in front, because tokens of merged
patches, of queries and of memory differ in scale. If asked to, it reads beside each token when and where that begins
and ends, as sines and cosines of several periods. A prompt is then spared a written time for each token, and tenths of
a second are told; and places are exact, whatever merging has left of the encoder's position embeddings.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from .fourier import fourier_features, place_features
from .settings import ProjectorSettings


class Projector(nn.Module):
    """LayerNorm, then linear layers with GELU between them."""

    def __init__(self, settings: ProjectorSettings, *, token_width: int, text_width: int) -> None:
        """Builds the module with fresh weights.

        Args:
            settings: Number of layers and the width between them.
            token_width: Width of the compressor's tokens.
            text_width: Width of the language model.
        """
        super().__init__()
        self.settings = settings
        inner = settings.hidden_size or text_width
        # A sine and a cosine of each frequency: of two seconds, of two rows and two columns.
        extent_width = 4 * settings.time_frequencies + 8 * settings.place_frequencies
        widths = [token_width + extent_width, *[inner] * (settings.layers - 1), text_width]
        self.norm = nn.LayerNorm(token_width) if settings.norm else nn.Identity()
        self.layers = nn.Sequential()
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            if index:
                self.layers.append(nn.GELU())
            self.layers.append(nn.Linear(before, after))

    def forward(self, tokens_KC: Tensor, extents_K23: Tensor | None = None) -> Tensor:
        """Maps tokens to the language model.

        Args:
            tokens_KC: Tokens, (K, token_width).
            extents_K23: Second, row and column where each begins, and where it ends, as ``compressor.token_extents``
                gives them; read only where the settings ask for it.

        Returns:
            (K, text_width) in the module's dtype.
        """
        normed: Tensor = self.norm(tokens_KC.to(next(self.layers.parameters()).dtype))
        if self.settings.reads_extents:
            assert extents_K23 is not None
            normed = torch.cat([normed, self._written(extents_K23).to(normed.dtype)], dim=-1)
        projected: Tensor = self.layers(normed)
        return projected

    def _written(self, extents_K23: Tensor) -> Tensor:
        settings = self.settings
        times = fourier_features(
            extents_K23[..., 0],
            settings.time_frequencies,
            settings.shortest_period_s,
            settings.longest_period_s,
        )
        places = place_features(extents_K23[..., 1:], settings.place_frequencies)
        return torch.cat([times.flatten(1), places.flatten(1)], dim=-1)
