"""The compressor: patches of a whole video in, few tokens in order of time out.

    patches ─merge_only─▶ MergedSegments ─arrange─▶ runs of the token plan ─queries─▶ tokens_KD
                                         ╰───────────── query (batched) ─────────────╯

``merge_only`` has no weights and does not know the budget: its result may be kept on disk and used at any budget, in
training as in chat. ``query`` fits it to a token plan and does all that is learned, for many videos at once.
``forward`` is both in a row for one video. Merging and global memory follow LongVLM (arXiv 2404.03384), queries over
segments Video-LLaMA (arXiv 2306.02858).

Shapes: T frames, P patches a frame, C encoder width, L class tokens, K kept tokens, D width of the kept tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ..errors import ConfigError, DataError
from ..values import FramePlan
from .budget import TokenPlan, plan_tokens, pool_cells
from .compressor_config import CompressorConfig
from .merging import memory_tokens, merge_tokens
from .padding import PaddedSegments
from .qformer import SegmentQFormer
from .quantization import cluster_tokens
from .runs import Merge
from .segments import MergedSegments
from .settings import ImageSettings
from .sources import Sources, shares_from_attention
from .vq_attention import VQAttention, occupancy_statistics

__all__ = ["Compressed", "Compressor", "TokenPlan", "plan_tokens"]

# Of the shuffled map that an ablation reads.
_SHUFFLE_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Compressed:
    """A compressed video.

    Attributes:
        tokens_KD: Kept tokens: memory tokens first, then those of the segments in order of time (codes of a codebook
            in order of the first patch they stand for).
        sizes_K: Patches each token stands for, float32; they sum to T·P, memory tokens counting none.
        extents_K23: Second, row and column where what each token stands for begins, and where it ends, float32.
        token_plan: How many tokens stand for which frames.
        plan: The frame plan with the segments that were compressed.
        sources: Which patches each token came from.
    """

    tokens_KD: Tensor
    sizes_K: Tensor
    extents_K23: Tensor
    token_plan: TokenPlan
    plan: FramePlan
    sources: Sources

    @property
    def spans_K2(self) -> Tensor:
        """Start and end second of what each token stands for, float32."""
        return self.extents_K23[..., 0]


class Compressor(nn.Module):
    """Merging, global memory and segment Q-Former, as the kind in the settings asks.

    Attributes:
        config: The settings.
        grid: Rows and columns of patches of a frame.
        width: Width D of the kept tokens: the Q-Former's for kinds with queries, else the encoder's.
    """

    def __init__(
        self,
        config: CompressorConfig,
        *,
        encoder_width: int,
        grid: tuple[int, int],
        image: ImageSettings | None = None,
    ) -> None:
        """Builds the module with fresh weights (none for kinds without queries).

        Args:
            config: The settings.
            encoder_width: Width C of the patches.
            grid: Rows and columns of patches of a frame.
            image: How pictures are prepared; needed where images are cut into tiles.

        Raises:
            ConfigError: The merge heads do not divide the width, or ``frames.pool`` the grid.
        """
        super().__init__()
        if encoder_width % config.merge_heads:
            raise ConfigError(
                f"compressor.merge_heads must divide the encoder's width {encoder_width}, got {config.merge_heads}"
            )
        if any(side % config.frames.pool for side in grid):
            raise ConfigError(
                f"frames.pool must divide the {grid[0]} rows and {grid[1]} columns of patches, got {config.frames.pool}"
            )
        self.config = config
        self.grid = grid
        self._image = image
        self.width = config.qformer.hidden_size if config.has_queries else encoder_width
        if config.has_queries:
            self.qformer = SegmentQFormer(
                config.qformer, token_width=encoder_width, num_queries=config.num_queries
            )
            if config.memory_layers:
                self.memory_norm = nn.LayerNorm(encoder_width)
                self.memory_projection = nn.Linear(encoder_width, self.width)
        if config.has_codebook and config.vq.map != "none":
            self.vq_attention = VQAttention(config.vq, width=encoder_width)

    def plan_tokens(
        self, plan: FramePlan, budget: int | None = None, *, merged: MergedSegments | None = None
    ) -> TokenPlan:
        """Says how many tokens a video will give; see ``videollm.model.budget``.

        Args:
            plan: The frames and segments, as planned.
            budget: Most rows in all.
            merged: What :meth:`merge_only` gave, for a compressor that goes by content: without it the plan is an upper
                bound.
        """
        if merged is None or not self.config.needs_scouting:
            return plan_tokens(plan, self.config, budget, grid=self.grid, image=self._image)
        scouting = merged.scout(self.config.vq if self.config.has_codebook else None)
        # Codes are of the whole video: of the segments that they were made of only their number counts.
        segments = plan if self.config.has_codebook else merged.adapt(plan)
        return plan_tokens(segments, self.config, budget, grid=self.grid, scouting=scouting)

    def forward(
        self, patches_TPC: Tensor, cls_LTC: Tensor, plan: FramePlan, budget: int | None = None
    ) -> Compressed:
        """Compresses one video.

        Args:
            patches_TPC: Patch features in raster order.
            cls_LTC: Class tokens of the last L hidden states, shallow before deep; L is ``config.memory_layers``.
            plan: The frames' times and segments.
            budget: Most tokens, memory tokens included.

        Returns:
            Exactly as many tokens as :meth:`plan_tokens` says, once it knows the merged segments.

        Raises:
            ConfigError: The budget cannot be met.
            DataError: Patches, class tokens and plan do not belong together.
        """
        return self.compress(self.merge_only(patches_TPC, cls_LTC, plan), plan, budget)

    def compress(self, merged: MergedSegments, plan: FramePlan, budget: int | None = None) -> Compressed:
        """The rest of :meth:`forward`: from merged segments to what the budget leaves of them.

        Args:
            merged: What :meth:`merge_only` gave.
            plan: The plan it was made with.
            budget: Most tokens, memory tokens included.

        Returns:
            As :meth:`forward`.

        Raises:
            ConfigError: The budget cannot be met.
        """
        token_plan = self.plan_tokens(plan, budget, merged=merged)
        segments = self.arrange(merged, token_plan)
        rows, attention = self._read([segments], token_plan.counts, with_attention=True)
        shares = None
        if attention is not None:
            shares = shares_from_attention(attention, token_plan.counts, segments.lengths_S.tolist())
        merged_TP = segments.sources_N.view(plan.frame_count, -1)
        sources = Sources(merged_TP, segments.sizes_M, shares, token_plan.memory)
        return Compressed(
            tokens_KD=self._with_memory(segments, token_plan, rows),
            sizes_K=sources.sizes_K(),
            extents_K23=self.token_extents(segments, token_plan, plan),
            token_plan=token_plan,
            plan=merged.adapt(plan),
            sources=sources,
        )

    def merge_only(self, patches_TPC: Tensor, cls_LTC: Tensor, plan: FramePlan) -> MergedSegments:
        """The part without weights: segments, merged or quantized, whatever the budget.

        Args:
            patches_TPC: Patch features in raster order.
            cls_LTC: Class tokens, as :meth:`forward`.
            plan: The frames' times and segments.

        Returns:
            The segments' tokens: merged or quantized for kinds that do so, every patch for the others.

        Raises:
            DataError: Patches, class tokens and plan do not belong together.
        """
        self._check_inputs(patches_TPC, cls_LTC, plan)
        memory = memory_tokens(cls_LTC, self.config.memory_layers)
        return self.merge_patches(MergedSegments.of_patches(patches_TPC, memory, plan, self.grid))

    def merge_patches(self, segments: MergedSegments) -> MergedSegments:
        """The same from segments in which every token still is a patch, such as a cache that serves several kinds."""
        if self.config.segments == "content":
            segments = segments.cut_by_content()
        if self.config.merges:
            segments = self._merge(segments)
        if self.config.has_codebook:
            segments = self._quantize(segments, min(self.config.vq.codes, len(segments.tokens_MC)))
        return segments

    def query(self, batch: Sequence[MergedSegments], token_plans: Sequence[TokenPlan]) -> list[Tensor]:
        """The learned part: queries read all segments of all videos at once.

        Args:
            batch: What :meth:`merge_only` gave for each video, fresh or from disk; any float dtype.
            token_plans: A token plan for each of them, for any budget.

        Returns:
            For each video its kept tokens, (K, D), as :meth:`forward` gives them.

        Raises:
            DataError: A token plan does not belong to its video.
        """
        videos = [self.arrange(merged, planned) for merged, planned in zip(batch, token_plans, strict=True)]
        rows, _ = self._read(videos, [count for planned in token_plans for count in planned.counts])
        # Whole frames are laid out behind the projector, in more rows or fewer.
        queried = self.config.has_queries
        parts = torch.split(
            rows,
            [
                sum(planned.counts) if queried else len(video.tokens_MC)
                for video, planned in zip(videos, token_plans, strict=True)
            ],
        )
        return [self._with_memory(*video) for video in zip(videos, token_plans, parts, strict=True)]

    def arrange(self, merged: MergedSegments, token_plan: TokenPlan) -> MergedSegments:
        """One segment for each run of the token plan; kinds without queries give their final counts here.

        Arranging again by the same plan changes nothing, so :meth:`query` may be given what was arranged before.
        """
        joined = merged.join(token_plan.segments)
        match self.config.kind:
            case "merge":
                return joined.merge(token_plan.counts, self._merge_method())
            case "merge+qformer":
                return self._merge(joined)
            case "vq" | "merge+vq":
                return self._quantize(joined, token_plan.total - token_plan.memory)
            case "pool":
                runs = zip(token_plan.segments, token_plan.counts, strict=True)
                return joined.pool(
                    [pool_cells(past - first, *self.grid, count) for (first, past), count in runs], self.grid
                )
            case "frames" if token_plan.whole_frames is None:
                return joined.merge(token_plan.counts, self._merge_method())
            case "frames" if token_plan.whole_frames == "video":
                return self._pool_frames(joined)
            case _:
                return joined

    def _pool_frames(self, segments: MergedSegments) -> MergedSegments:
        """Averages squares of patches in each frame, where the settings ask for it and it was not done yet."""
        high, wide = (side // self.config.frames.pool for side in self.grid)
        frames = [past - first for first, past in segments.runs_S2.tolist()]
        if len(segments.tokens_MC) == sum(frames) * high * wide:
            return segments
        return segments.pool([(count, high, wide) for count in frames], self.grid)

    def _merge(self, segments: MergedSegments) -> MergedSegments:
        """Merges each segment into ``config.merged_tokens``; one that has no more stays as it is."""
        targets = [min(self.config.merged_tokens, length) for length in segments.lengths_S.tolist()]
        return segments.merge(targets, self._merge_method())

    def _quantize(self, segments: MergedSegments, count: int) -> MergedSegments:
        # What was merged counts once: a small thing is as much worth a code as the wall behind it.
        return segments.quantize(count, by_size=not self.config.merges)

    def _merge_method(self) -> Merge:
        heads = self.config.merge_heads
        if self.config.merge_method == "kmeans":
            return partial(cluster_tokens, heads=heads)
        return partial(merge_tokens, heads=heads, share=self.config.merge_share)

    def _read(
        self, videos: Sequence[MergedSegments], counts: Sequence[int], *, with_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Kept tokens of all segments one after the other, and where queries looked (if asked, and there are any)."""
        if self.config.has_codebook and self.config.vq.map != "none":
            return self._read_codes(videos), None
        if not self.config.has_queries:
            return torch.cat([segments.tokens_MC for segments in videos]), None
        found = self.qformer(PaddedSegments.of(videos), max(counts), with_attention=with_attention)
        leading = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
        return found.tokens_SKH[leading.to(found.tokens_SKH.device)], found.attention_SKM

    def _read_codes(self, videos: Sequence[MergedSegments]) -> Tensor:
        """Codes of all videos one after the other, with what their maps say written into them."""
        padded = PaddedSegments.of(videos)
        statistics = torch.cat([self._statistics(video) for video in videos])
        padded_statistics = statistics.new_zeros(*padded.mask_SM.shape, statistics.shape[1])
        padded_statistics[padded.mask_SM] = statistics
        tokens: Tensor = self.vq_attention(padded.tokens_SMC, padded_statistics, padded.mask_SM)
        return tokens[padded.mask_SM]

    def _statistics(self, video: MergedSegments) -> Tensor:
        """What the map of a video says of each of its codes."""
        labels = video.sources_N
        if self.config.vq.map == "random":
            shuffle = torch.randperm(len(labels), generator=torch.Generator().manual_seed(_SHUFFLE_SEED))
            labels = labels[shuffle.to(labels.device)]
        start, end = video.spans_S2[0].tolist()
        positions = video.patch_positions(self.grid)
        return occupancy_statistics(labels, positions, len(video.sizes_M), (start, end), self.config.vq)

    def _with_memory(self, segments: MergedSegments, token_plan: TokenPlan, rows: Tensor) -> Tensor:
        """Puts the deepest memory tokens, in the width of ``rows``, before them."""
        available = len(segments.memory_LC)
        if token_plan.memory > available:
            raise DataError(
                f"the token plan wants {token_plan.memory} memory tokens of a video that has {available}"
            )
        if token_plan.memory == 0:
            return rows
        memory = segments.memory_LC[available - token_plan.memory :]
        if self.config.has_queries:
            memory = self.memory_projection(self.memory_norm(memory.to(self.memory_norm.weight.dtype)))
        return torch.cat([memory, rows])

    def token_extents(self, arranged: MergedSegments, token_plan: TokenPlan, plan: FramePlan) -> Tensor:
        """Second, row and column where each kept token begins, and where it ends, (K, 2, 3).

        A query's are those of the whole segment it read, a memory token's those of the video: the middle of the frame.

        Args:
            arranged: What :meth:`arrange` gave for this token plan.
            token_plan: The token plan.
            plan: The frame plan.
        """
        if self.config.has_queries:
            counts = torch.tensor(token_plan.counts, device=arranged.spans_S2.device)
            extents = _of_whole_frames(arranged.spans_S2.repeat_interleave(counts, dim=0))
        else:
            extents = arranged.token_extents(plan, self.grid)
        video = extents.new_tensor([plan.spans_s[0][0], plan.spans_s[-1][1]])
        return torch.cat([_of_whole_frames(video.expand(token_plan.memory, 2)), extents])

    def _check_inputs(self, patches_TPC: Tensor, cls_LTC: Tensor, plan: FramePlan) -> None:
        frames, patches, _ = patches_TPC.shape
        if frames != plan.frame_count:
            raise DataError(f"got {frames} encoded frames for a plan of {plan.frame_count}")
        if patches != math.prod(self.grid):
            raise DataError(f"got {patches} patches a frame for a grid of {self.grid[0]} x {self.grid[1]}")
        expected = (self.config.memory_layers, frames)
        if cls_LTC.shape[:2] != expected:
            raise DataError(
                f"got class tokens of {cls_LTC.shape[0]} layers and {cls_LTC.shape[1]} frames, "
                f"expected {expected[0]} and {expected[1]}"
            )


def _of_whole_frames(spans_K2: Tensor) -> Tensor:
    """Extents (K, 2, 3) of what stands for all places of its frames."""
    middle = torch.full((len(spans_K2), 2, 2), 0.5, dtype=spans_K2.dtype, device=spans_K2.device)
    return torch.cat([spans_K2[..., None], middle], dim=-1)
