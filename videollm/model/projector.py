"""The projector: visual tokens into the width and scale of the language model's word embeddings.

An MLP as in LLaVA-1.5 (Liu et al., arXiv 2310.03744), usually with a LayerNorm in front, because tokens of merged
patches, of queries and of memory differ in scale. If asked to, it reads beside each token when that begins and ends, as
sines and cosines of several periods: a prompt is then spared a written time for each token, and tenths of a second are
told.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from .fourier import fourier_features
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
        # Start and end, a sine and a cosine of each frequency.
        widths = [token_width + 4 * settings.time_frequencies, *[inner] * (settings.layers - 1), text_width]
        self.norm = nn.LayerNorm(token_width) if settings.norm else nn.Identity()
        self.layers = nn.Sequential()
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            if index:
                self.layers.append(nn.GELU())
            self.layers.append(nn.Linear(before, after))

    def forward(self, tokens_KC: Tensor, spans_K2: Tensor | None = None) -> Tensor:
        """Maps tokens to the language model.

        Args:
            tokens_KC: Tokens, (K, token_width).
            spans_K2: Start and end second of what each stands for; read only where the settings ask for times.

        Returns:
            (K, text_width) in the module's dtype.
        """
        normed: Tensor = self.norm(tokens_KC.to(next(self.layers.parameters()).dtype))
        if self.settings.time_frequencies:
            assert spans_K2 is not None
            normed = torch.cat([normed, self._times(spans_K2).to(normed.dtype)], dim=-1)
        projected: Tensor = self.layers(normed)
        return projected

    def _times(self, spans_K2: Tensor) -> Tensor:
        settings = self.settings
        return fourier_features(
            spans_K2, settings.time_frequencies, settings.shortest_period_s, settings.longest_period_s
        ).flatten(-2)
