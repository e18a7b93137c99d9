"""The segment Q-Former: learned queries read the tokens of one segment and become its summary.

BLIP-2's querying transformer (Li et al., arXiv 2301.12597; transformers' ``Blip2QFormerModel``), over segments as
in Video-LLaMA (arXiv 2306.02858). Deliberate differences:

- Time is written in seconds, absolute and within the segment, as Fourier features: there is no table of frames
  that ends.
- A token that stands for n patches counts n-fold: softmax(QKᵀ/√d + log n), ToMe's proportional attention
  (arXiv 2210.09461).
- Queries are nested: each sees itself and earlier ones only, so that any number of leading queries is a valid, coarser
  summary and one trained model serves any token budget.

Shapes: S segments, M tokens, K queries, C token width, H query width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import Blip2QFormerConfig, Blip2QFormerModel

from .checks import check_whole
from .compressor_config import QFormerConfig
from .fourier import fourier_features, place_features
from .padding import PaddedSegments

# Large beside the time that is added to all queries alike: after the first layer norm they must still differ.
_QUERY_STD = 0.2
# When and where a token is, beside what it shows, which has a standard deviation of 1: weaker, and training is slow to
# find out that either matters.
_WHERE_STD = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Queried:
    """What the queries found.

    Attributes:
        tokens_SKH: One token for each query, (S, K, H), in the dtype of the weights.
        attention_SKM: How much each query looked at each token, (S, K, M), mean over heads and layers; rows sum to 1.
            ``None`` unless asked for.
    """

    tokens_SKH: Tensor
    attention_SKM: Tensor | None


class SegmentQFormer(nn.Module):
    """Learned queries over a segment's tokens."""

    def __init__(self, config: QFormerConfig, *, token_width: int, num_queries: int) -> None:
        """Builds the module with fresh weights.

        Args:
            config: Sizes; its ``hidden_size`` is the width H of what comes out.
            token_width: Width C of the tokens that are read.
            num_queries: Most queries, at least 1.

        Raises:
            ConfigError: ``num_queries`` is no whole number of at least 1.
        """
        check_whole("num_queries", num_queries, 1)
        super().__init__()
        self.config = config
        self.queries_KH = nn.Parameter(torch.randn(num_queries, config.hidden_size) * _QUERY_STD)
        self.token_norm = nn.LayerNorm(token_width)
        self.token_time = nn.Linear(4 * config.time_frequencies, token_width)
        self.token_place = (
            nn.Linear(4 * config.place_frequencies, token_width) if config.place_frequencies else None
        )
        self.query_time = nn.Linear(2 * config.time_frequencies, config.hidden_size)
        self.transformer = Blip2QFormerModel(
            Blip2QFormerConfig(
                hidden_size=config.hidden_size,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                intermediate_size=config.intermediate_size,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
                cross_attention_frequency=config.cross_attention_every,
                encoder_hidden_size=token_width,
            )
        )
        # The other implementations hand out no attention weights, and for so few queries this one is as fast.
        self.transformer.set_attn_implementation("eager")
        for layer in (self.token_time, self.token_place):
            if layer is not None:
                # Sines and cosines have a mean square of one half.
                nn.init.normal_(layer.weight, std=_WHERE_STD * (layer.in_features / 2) ** -0.5)
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.query_time.weight, std=0.02)
        nn.init.zeros_(self.query_time.bias)

    def forward(
        self, segments: PaddedSegments, num_queries: int | None = None, *, with_attention: bool = False
    ) -> Queried:
        """Reads each segment on its own.

        Args:
            segments: The tokens, in any float dtype.
            num_queries: How many leading queries to use; all by default. Fewer give the leading tokens of more, up to
                rounding.
            with_attention: Whether to return where the queries looked.

        Returns:
            The queries' tokens, in the order of segments and queries.

        Raises:
            ConfigError: No queries, or more than there are, were asked for.
        """
        available = len(self.queries_KH)
        count = available if num_queries is None else num_queries
        check_whole("num_queries", count, 1, available)
        if with_attention:
            # Choosing another implementation for the whole model chooses it here too.
            self.transformer.set_attn_implementation("eager")
        out = self.transformer(
            query_embeds=self._embed_queries(segments, count),
            attention_mask=self._query_mask(count),
            encoder_hidden_states=self._embed_tokens(segments),
            encoder_attention_mask=self._token_bias(segments),
            output_attentions=with_attention,
        )
        looks = torch.stack(out.cross_attentions).mean(dim=(0, 2)) if with_attention else None
        return Queried(out.last_hidden_state, looks)

    def _embed_tokens(self, segments: PaddedSegments) -> Tensor:
        """Tokens with their seconds (absolute, and since the segment began) and mean place added, (S, M, C)."""
        seconds = segments.positions_SM3[..., 0]
        times = torch.cat([self._seconds(seconds), self._seconds(seconds - segments.spans_S2[:, :1])], dim=-1)
        dtype = self.token_norm.weight.dtype
        tokens: Tensor = self.token_norm(segments.tokens_SMC.to(dtype)) + self.token_time(times.to(dtype))
        if self.token_place is not None:
            places = place_features(segments.positions_SM3[..., 1:], self.config.place_frequencies)
            tokens = tokens + self.token_place(places.to(dtype))
        return tokens

    def _embed_queries(self, segments: PaddedSegments, count: int) -> Tensor:
        """The leading queries, told the mean second of what they will read, (S, count, H)."""
        weights = segments.sizes_SM * segments.mask_SM
        means = (segments.positions_SM3[..., 0] * weights).sum(dim=1) / weights.sum(dim=1)
        times: Tensor = self.query_time(self._seconds(means).to(self.queries_KH.dtype))
        return self.queries_KH[:count] + times[:, None]

    def _seconds(self, seconds: Tensor) -> Tensor:
        config = self.config
        return fourier_features(
            seconds, config.time_frequencies, config.shortest_period_s, config.longest_period_s
        )

    def _query_mask(self, count: int) -> Tensor:
        """Added to the queries' attention scores so that none sees a later one, (1, 1, K, K)."""
        closed = self.queries_KH.new_full((count, count), torch.finfo(self.queries_KH.dtype).min)
        return closed.triu(1)[None, None]

    def _token_bias(self, segments: PaddedSegments) -> Tensor:
        """Added to the scores of tokens: logarithm of size, and what shuts out padding, (S, 1, 1, M)."""
        dtype = self.queries_KH.dtype
        sizes = segments.sizes_SM
        bias = sizes.log() if self.config.proportional_attention else torch.zeros_like(sizes)
        return bias.to(dtype).masked_fill(~segments.mask_SM, torch.finfo(dtype).min)[:, None, None]
