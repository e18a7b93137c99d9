"""BLIP-2's Q-Former over single frames (Li et al., arXiv 2301.12597): a few queries read all that the ViT says of each.

In the models of that family it stands between the ViT and everything else, so that what it gives counts as the frame's
patches here. It is transformers' own module; LongVLM's and Video-LLaMA's queries over segments are in :mod:`.qformer`.

Shapes: T frames, N tokens of the ViT with its class token, C its width, Q queries, H width of the queries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from .settings import FrameQueriesSettings


class FrameQueries(nn.Module):
    """Learned queries that read each frame on its own.

    Attributes:
        query_tokens: The queries, (1, Q, H).
        qformer: transformers' Q-Former.
    """

    def __init__(self, settings: FrameQueriesSettings, encoder_width: int) -> None:
        """Builds the module with fresh weights.

        Args:
            settings: Its sizes.
            encoder_width: Width C of the ViT.
        """
        super().__init__()
        config = Blip2QFormerConfig(
            hidden_size=settings.hidden_size,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            intermediate_size=settings.intermediate_size,
            cross_attention_frequency=settings.cross_attention_every,
            encoder_hidden_size=encoder_width,
        )
        self.query_tokens = nn.Parameter(torch.zeros(1, settings.num_queries, settings.hidden_size))
        self.qformer = Blip2QFormerModel(config)

    def forward(self, states_TNC: Tensor) -> Tensor:
        """Returns what the queries read of each frame, (T, Q, H)."""
        queries = self.query_tokens.expand(len(states_TNC), -1, -1)
        read: Tensor = self.qformer(query_embeds=queries, encoder_hidden_states=states_TNC).last_hidden_state
        return read
