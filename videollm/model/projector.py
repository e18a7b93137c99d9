"""The projector: visual tokens into the width and scale of the language model's word embeddings.

An MLP as in LLaVA-1.5 (Liu et al., arXiv 2310.03744), with a LayerNorm in front, because tokens of merged patches, of
queries and of memory differ in scale.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

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
        inner = settings.hidden_size or text_width
        widths = [token_width, *[inner] * (settings.layers - 1), text_width]
        self.norm = nn.LayerNorm(token_width)
        self.layers = nn.Sequential()
        for index, (before, after) in enumerate(itertools.pairwise(widths)):
            if index:
                self.layers.append(nn.GELU())
            self.layers.append(nn.Linear(before, after))

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps tokens, (..., token_width), to (..., text_width) in the module's dtype."""
        projected: Tensor = self.layers(self.norm(tokens.to(self.norm.weight.dtype)))
        return projected
