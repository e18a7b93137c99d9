"""The ways of compressing that ``tokens.py`` compares the library with: plain ones, the published one, scikit-learn's.

Each takes patches (S, N, C), the tokens wanted of each segment, and the video they are from.

Shapes: S segments of N patches each, C width, K tokens of a segment.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from videollm.model.merging import merge_schedule

HEAD_WIDTH = 64
# Cells (along time, rows, columns) of so many tokens.
CELLS = {30: (2, 3, 5), 32: (2, 4, 4)}
KMEANS = {"batch_size": 4096, "n_init": 1, "max_iter": 100, "random_state": 0, "init": "k-means++"}


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """What is compressed.

    Attributes:
        tokens_SNC: Patches.
        cls_LTC: Class tokens, for the memory tokens; none where L is 0.
        side: Patches along a side of a frame.
    """

    tokens_SNC: Tensor
    cls_LTC: Tensor
    side: int

    @property
    def heads(self) -> int:
        """Heads over which the compared metric is averaged, LongVLM's 16 at its width of 1024."""
        return self.tokens_SNC.shape[-1] // HEAD_WIDTH

    @property
    def patches(self) -> int:
        """Patches of the whole video."""
        return self.tokens_SNC.shape[0] * self.tokens_SNC.shape[1]

    def head(self, segments: int) -> Video:
        """The first so many segments."""
        frames = self.cls_LTC.shape[1] * segments // len(self.tokens_SNC)
        return Video(self.tokens_SNC[:segments], self.cls_LTC[:, :frames], self.side)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a way made of one batch of segments, or of a whole video.

    Attributes:
        tokens_SKC: The tokens.
        sources_SN: Which token stands for each patch; ``None`` where no single one does.
    """

    tokens_SKC: Tensor
    sources_SN: Tensor | None = None


def even_cells(parts: int, length: int) -> Tensor:
    """Cell of each of ``length`` things in ``parts`` equal ranges."""
    return torch.arange(length) * parts // length


def pool_1d(tokens: Tensor, count: int, video: Video) -> Outcome:
    pooled = F.adaptive_avg_pool1d(tokens.transpose(1, 2), count).transpose(1, 2)
    return Outcome(pooled.contiguous(), even_cells(count, tokens.shape[1]).expand(tokens.shape[:2]))


def pool_copied(tokens: Tensor, count: int, video: Video) -> Outcome:
    pooled = F.adaptive_avg_pool1d(tokens.transpose(1, 2).contiguous(), count).transpose(1, 2)
    return Outcome(pooled.contiguous(), even_cells(count, tokens.shape[1]).expand(tokens.shape[:2]))


def pool_scatter(tokens: Tensor, count: int, video: Video) -> Outcome:
    sources = even_cells(count, tokens.shape[1]).expand(tokens.shape[:2])
    pooled = tokens.new_zeros(len(tokens), count, tokens.shape[2]).scatter_reduce(
        1, sources[..., None].expand_as(tokens), tokens, "mean", include_self=False
    )
    return Outcome(pooled, sources)


def pool_slices(tokens: Tensor, count: int, video: Video) -> Outcome:
    means = [part.mean(dim=1) for part in tokens.tensor_split(count, dim=1)]
    lengths = torch.tensor([len(part) for part in torch.arange(tokens.shape[1]).tensor_split(count)])
    sources = torch.arange(count).repeat_interleave(lengths)
    return Outcome(torch.stack(means, dim=1), sources.expand(tokens.shape[:2]))


def pool_reshape(tokens: Tensor, count: int, video: Video) -> Outcome:
    """Only a divisor of N can be had: the next above ``count``, which flatters its error."""
    segments, patches, width = tokens.shape
    while patches % count:
        count += 1
    pooled = tokens.reshape(segments, count, -1, width).mean(dim=2)
    return Outcome(pooled, even_cells(count, patches).expand(segments, patches))


def pool_3d(tokens: Tensor, count: int, video: Video) -> Outcome:
    segments, patches, width = tokens.shape
    side, cells = video.side, CELLS[count]
    volume = tokens.view(segments, -1, side, side, width).permute(0, 4, 1, 2, 3)
    pooled = F.adaptive_avg_pool3d(volume, cells).flatten(2).transpose(1, 2).contiguous()
    time, row, column = torch.meshgrid(
        even_cells(cells[0], patches // side**2),
        even_cells(cells[1], side),
        even_cells(cells[2], side),
        indexing="ij",
    )
    sources = (time * cells[1] + row) * cells[2] + column
    return Outcome(pooled, sources.flatten().expand(segments, patches))


def pool_2d(tokens: Tensor, count: int, video: Video) -> Outcome:
    """Each frame on its own, in upright stripes: ``count`` must be a multiple of the frames of a segment."""
    segments, patches, width = tokens.shape
    side = video.side
    frames = patches // side**2
    pictures = tokens.view(segments * frames, side, side, width).permute(0, 3, 1, 2)
    pooled = F.adaptive_avg_pool2d(pictures, (1, count // frames)).flatten(2).transpose(1, 2)
    columns = even_cells(count // frames, side)
    sources = torch.arange(frames)[:, None, None] * (count // frames) + columns.expand(side, side)
    return Outcome(
        pooled.reshape(segments, count, width).contiguous(), sources.flatten().expand(segments, patches)
    )


def pool_time_and_space(tokens: Tensor, count: int, video: Video) -> Outcome:
    """Video-ChatGPT's: the mean over all frames (P tokens) and the mean of each frame (T tokens)."""
    frames = tokens.view(-1, video.side**2, tokens.shape[-1])
    return Outcome(torch.cat([frames.mean(dim=0), frames.mean(dim=1)])[None])


def published(tokens: Tensor, count: int, video: Video, *, scatter: bool) -> Outcome:
    """LongVLM's and ToMe's steps, written from the formulas of the papers: wide features are merged at every step."""
    segments, patches, _ = tokens.shape
    features = tokens.float()  # products of float16 are slow on processors
    sizes = features.new_ones(segments, patches, 1)
    sources = torch.arange(patches).expand(segments, patches)
    for step in merge_schedule(patches, count):
        order, partner = _closest(features, video.heads)
        joining, staying = order[:, :step], order[:, step:]
        into = partner.gather(1, joining)
        sources = _renamed(order, staying.shape[1], into, features.shape[1]).gather(1, sources)
        sums = _join(features * sizes, joining, staying, into, scatter=scatter)
        sizes = _join(sizes, joining, staying, into, scatter=scatter)
        features = sums / sizes
    return Outcome(features.to(tokens.dtype), sources)


def _closest(features: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Even tokens, those closest to an odd one first, and that odd one of each; (S, ⌈N/2⌉) both."""
    segments, patches, width = features.shape
    metric = F.normalize(features.view(segments, patches, heads, width // heads).mean(dim=2), dim=-1)
    similarity, partner = torch.bmm(metric[:, 0::2], metric[:, 1::2].transpose(1, 2)).max(dim=2)
    return similarity.argsort(dim=1, descending=True), partner


def _join(values: Tensor, joining: Tensor, staying: Tensor, into: Tensor, *, scatter: bool) -> Tensor:
    """Adds the joining even rows to their odd ones: [staying ; odd]."""
    segments, _, width = values.shape
    even, odd = values[:, 0::2], values[:, 1::2]
    moved = even.gather(1, joining[..., None].expand(-1, -1, width))
    kept = even.gather(1, staying[..., None].expand(-1, -1, width))
    if scatter:
        joined = odd.scatter_reduce(1, into[..., None].expand_as(moved), moved, "sum")
    else:
        rows = (into + torch.arange(segments)[:, None] * odd.shape[1]).flatten()
        joined = odd.flatten(0, 1).index_add(0, rows, moved.flatten(0, 1)).view_as(odd)
    return torch.cat([kept, joined], dim=1)


def _renamed(order: Tensor, stayed: int, into: Tensor, patches: int) -> Tensor:
    """Where each token of a step is afterwards, (S, N); only the error is interested."""
    segments = len(order)
    renamed = torch.empty(segments, patches, dtype=torch.long)
    renamed[:, 1::2] = stayed + torch.arange(patches // 2)
    even = torch.cat([stayed + into, torch.arange(stayed).expand(segments, -1)], dim=1)
    renamed[:, 0::2] = torch.empty_like(order).scatter_(1, order, even)
    return renamed


def mini_batch_kmeans(tokens: Tensor, count: int, video: Video) -> Outcome:
    """scikit-learn's on unit-normalised tokens; codes are the means of the raw ones."""
    from sklearn.cluster import MiniBatchKMeans  # takes a second to import; no other way needs it

    (rows,) = tokens
    units = F.normalize(rows.float(), dim=-1).numpy()
    labels = torch.from_numpy(MiniBatchKMeans(n_clusters=count, **KMEANS).fit_predict(units)).long()
    sums = torch.zeros(count, rows.shape[1]).index_add(0, labels, rows.float())
    means = sums / labels.bincount(minlength=count).clamp(min=1)[:, None]
    return Outcome(means[None].to(tokens.dtype), labels[None])
