"""BLIP-2's Q-Former over single frames (Li et al., arXiv 2301.12597): a few queries read all that the ViT says of each.

In the models of that family it stands between the ViT and everything else, so that what it gives counts as the frame's
patches here. InstructBLIP's (Dai et al., arXiv 2305.06500) reads the question together with the frame: its queries and
the question's words see one another, and only the queries see the frame. Both are transformers' own modules; LongVLM's
and Video-LLaMA's queries over segments are in :mod:`.qformer`.

Shapes: T frames, N tokens of the ViT with its class token, C its width, Q queries, H width of the queries, L ids of the
question.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    Blip2QFormerConfig,
    Blip2QFormerModel,
    InstructBlipQFormerConfig,
    InstructBlipQFormerModel,
)

from .settings import FrameQueriesSettings


class FrameQueries(nn.Module):
    """Learned queries that read each frame on its own.

    Attributes:
        query_tokens: The queries, (1, Q, H).
        qformer: transformers' Q-Former.
        reads_questions: Whether it reads a question together with each frame.
    """

    def __init__(self, settings: FrameQueriesSettings, encoder_width: int) -> None:
        """Builds the module with fresh weights.

        Args:
            settings: Its sizes.
            encoder_width: Width C of the ViT.
        """
        super().__init__()
        sizes: dict[str, Any] = {
            "hidden_size": settings.hidden_size,
            "num_hidden_layers": settings.layers,
            "num_attention_heads": settings.heads,
            "intermediate_size": settings.intermediate_size,
            "cross_attention_frequency": settings.cross_attention_every,
            "encoder_hidden_size": encoder_width,
        }
        self.query_tokens = nn.Parameter(torch.zeros(1, settings.num_queries, settings.hidden_size))
        self.reads_questions = settings.question is not None
        self.qformer: Any
        if settings.question is None:
            self.qformer = Blip2QFormerModel(Blip2QFormerConfig(**sizes))
        else:
            sizes["vocab_size"] = settings.question.vocab_size
            sizes["max_position_embeddings"] = settings.question.most_tokens
            self.qformer = InstructBlipQFormerModel(InstructBlipQFormerConfig(**sizes))

    def forward(self, states_TNC: Tensor, question_L: Tensor | None = None) -> Tensor:
        """Reads each frame on its own.

        Args:
            states_TNC: What the ViT says of the frames.
            question_L: Ids of the question, int64; for queries that read one, and only for those.

        Returns:
            What the queries read of each frame, (T, Q, H).
        """
        assert self.reads_questions == (question_L is not None)
        words = {} if question_L is None else {"input_ids": question_L.expand(len(states_TNC), -1)}
        queries = self.query_tokens.expand(len(states_TNC), -1, -1)
        read = self.qformer(query_embeds=queries, encoder_hidden_states=states_TNC, **words)
        rows: Tensor = read.last_hidden_state[:, : queries.shape[1]]
        return rows
