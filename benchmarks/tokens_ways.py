"""All ways of compressing that ``tokens.py`` measures, the library's among them.

Shapes: S segments of N patches each, C width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import torch
from tokens_plain import (
    HEAD_WIDTH,
    Outcome,
    Video,
    mini_batch_kmeans,
    pool_1d,
    pool_2d,
    pool_3d,
    pool_copied,
    pool_reshape,
    pool_scatter,
    pool_slices,
    pool_time_and_space,
    published,
)
from torch import Tensor

from videollm.model.compressor import Compressor
from videollm.model.compressor_config import CompressorConfig
from videollm.model.merging import memory_tokens, merge_tokens
from videollm.model.quantization import choose_count, cluster_tokens, quantize
from videollm.values import FramePlan

# Segments that any way compresses together, so that memory does not grow with the video.
MOST_SEGMENTS = 32
# Tokens that a segment is merged into before queries read it.
READ_BY_QUERIES = 48

Compress = Callable[[Tensor, int, Video], Outcome]


@dataclass(frozen=True, slots=True)
class Way:
    """A way of compressing.

    Attributes:
        name: What it is called in the tables.
        compress: Takes patches (S, N, C), the tokens wanted of each segment, and the video they are from.
        scope: ``"segments"``: sees a batch of segments at a time; ``"video"``: sees all patches as one segment;
            ``"module"``: takes the segments of the whole video and cares for batches itself.
        ours: Whether it is the library's.
        most_patches: Longer videos are not given to it.
    """

    name: str
    compress: Compress
    scope: Literal["segments", "video", "module"] = "segments"
    ours: bool = False
    most_patches: float = float("inf")

    def run(self, video: Video, count: int, codes: int) -> list[Outcome]:
        """Compresses a video.

        Args:
            video: The video.
            count: Tokens wanted of each segment.
            codes: Tokens wanted of the whole video, if the way looks at that.

        Returns:
            One outcome for each batch of segments. Memory tokens are made, so that they are in the time, and dropped.
        """
        if self.scope == "video":
            return [self.compress(video.tokens_SNC.flatten(0, 1)[None], codes, video)]
        if self.scope == "module":
            return [self.compress(video.tokens_SNC, count, video)]
        memory_tokens(video.cls_LTC, len(video.cls_LTC))
        return [self.compress(part, count, video) for part in video.tokens_SNC.split(MOST_SEGMENTS)]


def merge(tokens: Tensor, count: int, video: Video, *, share: float, one_head: bool = False) -> Outcome:
    merged = merge_tokens(tokens, count, heads=1 if one_head else video.heads, share=share)
    return Outcome(merged.tokens, merged.sources)


def cluster(tokens: Tensor, count: int, video: Video, *, one_head: bool) -> Outcome:
    clustered = cluster_tokens(tokens, count, heads=1 if one_head else video.heads, seed=0)
    return Outcome(clustered.tokens, clustered.sources)


def codebook(tokens: Tensor, count: int, video: Video) -> Outcome:
    found = quantize(tokens[0], count, seed=0)
    return Outcome(found.codes_KC[None], found.labels_N[None])


def adaptive_codebook(tokens: Tensor, count: int, video: Video) -> Outcome:
    return codebook(tokens, choose_count(tokens[0], count, seed=0), video)


def through_compressor(tokens: Tensor, count: int, video: Video, **settings: Any) -> Outcome:
    """The library's module with random weights: times and places carried along, sources of every token told."""
    segments, patches, width = tokens.shape
    frames = patches // video.side**2
    runs = tuple((segment * frames, (segment + 1) * frames) for segment in range(segments))
    total = segments * frames
    plan = FramePlan(tuple(second + 0.5 for second in range(total)), runs, 0.0, float(total), resolved=True)
    module = _compressor(width, video.side, len(video.cls_LTC), count, **settings)
    with torch.no_grad():
        found = module(tokens.view(total, -1, width), video.cls_LTC, plan)
    return Outcome(found.tokens_KD[None])


@lru_cache
def _compressor(width: int, side: int, memory: int, count: int, **settings: Any) -> Compressor:
    config = CompressorConfig(
        merged_tokens=READ_BY_QUERIES if settings["kind"] == "merge+qformer" else count,
        num_queries=count,
        merge_heads=width // HEAD_WIDTH,
        memory_layers=memory,
        **settings,
    )
    torch.manual_seed(0)
    return Compressor(config, encoder_width=width, grid=(side, side)).eval()


def _module(name: str, most_patches: float = float("inf"), **settings: Any) -> Way:
    return Way(f"Compressor, {name}", partial(through_compressor, **settings), "module", True, most_patches)


# So many patches fit into memory in float32, several times over.
_SHORT, _TEN_MINUTES = 30_000, 160_000
FLOOR, FLOOR_3D = "mean: adaptive_avg_pool1d", "mean: adaptive_avg_pool3d"
WHOLE_FLOOR, TIME_AND_SPACE = "mean of the video: adaptive_avg_pool1d", "mean over time and mean over space"
PUBLISHED = "published steps, scatter_reduce"
CODES, ADAPTIVE, SKLEARN = "quantize", "choose_count, then quantize", "MiniBatchKMeans"

WAYS = (
    Way(FLOOR, pool_1d),
    Way("mean: adaptive_avg_pool1d of a channels-first copy", pool_copied),
    Way("mean: scatter_reduce", pool_scatter),
    Way("mean: one slice after the other", pool_slices),
    Way("mean: reshape(...).mean, next divisor", pool_reshape),
    Way("mean: adaptive_avg_pool2d of each frame", pool_2d),
    Way(FLOOR_3D, pool_3d),
    Way(PUBLISHED, partial(published, scatter=True)),
    Way("published steps, index_add", partial(published, scatter=False)),
    Way("merge_tokens, share 0.5", partial(merge, share=0.5), ours=True),
    Way("merge_tokens, share 0.25", partial(merge, share=0.25), ours=True),
    Way("merge_tokens, share 0.25, 1 head", partial(merge, share=0.25, one_head=True), ours=True),
    Way("cluster_tokens, 1 head", partial(cluster, one_head=True), ours=True),
    Way("cluster_tokens", partial(cluster, one_head=False), ours=True),
    Way(WHOLE_FLOOR, pool_1d, scope="video"),
    Way("mean of the video: reshape(...).mean, next divisor", pool_reshape, scope="video"),
    Way("mean of the video: adaptive_avg_pool3d", pool_3d, scope="video"),
    Way(TIME_AND_SPACE, pool_time_and_space, scope="video", most_patches=_SHORT),
    Way(SKLEARN, mini_batch_kmeans, scope="video", most_patches=_TEN_MINUTES),
    Way(CODES, codebook, scope="video", ours=True),
    Way(ADAPTIVE, adaptive_codebook, scope="video", ours=True),
    _module("pool", _TEN_MINUTES, kind="pool"),
    _module("merge", kind="merge"),
    _module("merge by k-means", kind="merge", merge_method="kmeans"),
    _module("merge+qformer", kind="merge+qformer"),
    _module("vq", kind="vq"),
    _module("merge+vq", kind="merge+vq"),
    _module("qformer", _SHORT, kind="qformer"),
)
BY_NAME = {way.name: way for way in WAYS}
