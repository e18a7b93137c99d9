"""Token merging without weights: many similar patches become few tokens, sizes and order of time are kept.

The primitive is bipartite soft matching (Bolya et al., "Token Merging: Your ViT But Faster", arXiv 2210.09461),
repeated by the schedule of LongVLM's hierarchical merging (Weng et al., arXiv 2404.03384). Deliberate differences:

- The schedule is computed from (tokens, target), so no list of literals can disagree with the number of tokens.
- Kept tokens come back sorted by the size-weighted mean index of what they stand for: a language model takes
  order for time.
- Matching looks at the metric alone; features are averaged once, at the end, through the final assignment. A token
  is the size-weighted mean of its patches either way, and the wide features are touched once, not at every step.
- Similarities are compared on a grid of 2⁻¹⁶, and ties go to the earlier token. Equal patches (plain backdrops, still
  pictures) then merge alike in any batch and on any device, whatever the rounding of its matrix product.

Shapes: B batch, N tokens, M kept tokens, C width, P scalars carried along (times, places).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import ConfigError

_SIMILARITY_GRID = 2**16
# Similarities held at once; 16 MiB of float32 stay in a cache, and a whole unsegmented video does not fill the memory.
_MAX_SIMILARITIES = 2**22


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The outcome of :func:`merge_tokens`.

    Attributes:
        tokens: Size-weighted means of the merged tokens, (B, M, C), in the dtype of the input and in order of the mean
            source index.
        sizes: How much each kept token stands for, float32, (B, M); each row sums to what went in.
        positions: Size-weighted means of the scalars carried along, float32, (B, M, P); ``None`` if none were given.
        sources: Index of the kept token that each input token went into, int64, (B, N).
    """

    tokens: Tensor
    sizes: Tensor
    positions: Tensor | None
    sources: Tensor


def merge_schedule(tokens: int, target: int, share: float = 0.5) -> list[int]:
    """How many tokens disappear in each step on the way from ``tokens`` to ``target``.

    r_k = min(⌊share·N_k⌋, N_k - target); with the default this gives LongVLM's published lists for their sizes.

    Args:
        tokens: Tokens at the start.
        target: Tokens wanted, from 1 to ``tokens``.
        share: Largest part that may disappear in one step, above 0 and at most one half. Half forces every second
            token into a partner; less lets the tokens that resemble nothing survive longer, at the price of more steps.

    Returns:
        One positive number for each step; they sum to ``tokens - target``.

    Raises:
        ConfigError: ``target`` or ``share`` is out of range.
    """
    if not 1 <= target <= tokens:
        raise ConfigError(
            f"cannot merge {tokens} tokens into {target}: the target must be from 1 to {tokens}"
        )
    if not 0 < share <= 0.5:
        raise ConfigError(f"the share merged in one step must be above 0 and at most 0.5, got {share}")
    steps = []
    while tokens > target:
        step = min(max(1, int(share * tokens)), tokens - target)
        steps.append(step)
        tokens -= step
    return steps


def merge_tokens(
    tokens: Tensor,
    target: int,
    *,
    sizes: Tensor | None = None,
    positions: Tensor | None = None,
    heads: int = 1,
    share: float = 0.5,
) -> Merged:
    """Merges each row of tokens into ``target`` tokens by repeated bipartite soft matching.

    Differentiable with respect to ``tokens`` and ``positions``; which tokens merge is a discrete choice and passes no
    gradient.

    Args:
        tokens: Features, (B, N, C), any float dtype; sums are made in float32 or wider.
        target: Tokens to keep, from 1 to N.
        sizes: How much each token already stands for, positive, (B, N); 1 each by default.
        positions: Scalars to carry along as size-weighted means, (B, N, P).
        heads: The compared metric is the features split into this many heads and averaged over them (LongVLM: 16);
            1 compares whole features.
        share: See :func:`merge_schedule`.

    Returns:
        The kept tokens in order of their mean source index.

    Raises:
        ConfigError: ``target`` or ``share`` is out of range, or ``heads`` does not divide the width.
    """
    batch, count, width = tokens.shape
    schedule = merge_schedule(count, target, share)
    if width % heads:
        raise ConfigError(f"merge heads must divide the token width {width}, got {heads}")
    # Under autocast the similarities would silently become bfloat16.
    with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
        weights = torch.ones(batch, count, device=tokens.device) if sizes is None else sizes.float()
        metric = tokens.reshape(batch, count, heads, width // heads).float().mean(dim=2)
        sources = _assign(metric * weights[..., None], weights, schedule)
    return average_groups(tokens, sources, target, sizes=weights, positions=positions)


def average_groups(
    tokens: Tensor, sources: Tensor, count: int, *, sizes: Tensor, positions: Tensor | None = None
) -> Merged:
    """Replaces each group of tokens by its size-weighted mean.

    Args:
        tokens: (B, N, C).
        sources: Group of each token, int64, (B, N); none of the ``count`` groups is empty.
        count: Number of groups.
        sizes: (B, N), positive.
        positions: (B, N, P).

    Returns:
        One token for each group, in the order of the groups.
    """
    group_sizes = _sum_groups(sizes[..., None], sources, count)

    def means(values: Tensor) -> Tensor:
        weighted = values.to(torch.promote_types(values.dtype, torch.float32)) * sizes[..., None]
        return _sum_groups(weighted, sources, count) / group_sizes

    return Merged(
        tokens=means(tokens).to(tokens.dtype),
        sizes=group_sizes[..., 0],
        positions=None if positions is None else means(positions),
        sources=sources,
    )


@dataclass(frozen=True, slots=True, eq=False)
class MergedRuns:
    """The outcome of :func:`merge_runs`: all runs one after the other.

    Attributes:
        tokens: (M, C), the kept tokens of all runs.
        sizes: float32, (M,).
        positions: float32, (M, P).
        sources: Index among all M kept tokens for each of the N input tokens, int64, (N,).
    """

    tokens: Tensor
    sizes: Tensor
    positions: Tensor
    sources: Tensor


def merge_runs(
    tokens: Tensor,
    lengths: Sequence[int],
    targets: Sequence[int],
    *,
    sizes: Tensor,
    positions: Tensor,
    heads: int = 1,
    share: float = 0.5,
) -> MergedRuns:
    """Merges runs of different lengths, each on its own; runs of equal length and target share one batch.

    Args:
        tokens: The runs' tokens one after the other, (N, C).
        lengths: Tokens of each run; they sum to N.
        targets: Tokens to keep of each run.
        sizes: (N,).
        positions: (N, P).
        heads: See :func:`merge_tokens`.
        share: See :func:`merge_schedule`.

    Returns:
        The kept tokens in the order of the runs.

    Raises:
        ConfigError: As :func:`merge_tokens`.
    """
    alike = defaultdict(list)
    for run, shape in enumerate(zip(lengths, targets, strict=True)):
        alike[shape].append(run)
    inputs = [torch.split(column, list(lengths)) for column in (tokens, sizes, positions)]
    offsets = torch.tensor([0, *targets], device=tokens.device).cumsum(0)
    pieces: dict[int, tuple[Tensor, ...]] = {}
    for (_, target), runs in alike.items():
        batch, weights, places = (torch.stack([column[run] for run in runs]) for column in inputs)
        merged = merge_tokens(batch, target, sizes=weights, positions=places, heads=heads, share=share)
        assert merged.positions is not None
        sources = merged.sources + offsets[runs, None]
        pieces.update(
            zip(runs, zip(merged.tokens, merged.sizes, merged.positions, sources, strict=True), strict=True)
        )
    columns = zip(*(pieces[run] for run in range(len(lengths))), strict=True)
    return MergedRuns(*(torch.cat(column) for column in columns))


def memory_tokens(cls_LTC: Tensor, count: int) -> Tensor:
    """Global memory of LongVLM: the class token of the last hidden states, each averaged over all frames.

    Args:
        cls_LTC: Class tokens of the last L hidden states, (L, T, C), shallow before deep.
        count: How many of them to keep, the deepest ones; from 0 to L.

    Returns:
        (count, C), shallow before deep.
    """
    return cls_LTC[cls_LTC.shape[0] - count :].mean(dim=1)


def _assign(metric_sums: Tensor, sizes: Tensor, schedule: Sequence[int]) -> Tensor:
    """Kept index of every token, (B, N). ``metric_sums`` is metric times size: cosines do not see the scale."""
    batch, count, _ = metric_sums.shape
    index = torch.arange(count, device=sizes.device)
    sources = index.expand(batch, count)
    for step in schedule:
        groups = _match(metric_sums, step)
        metric_sums = _sum_groups(metric_sums, groups, metric_sums.shape[1] - step)
        sources = groups.gather(1, sources)
    kept = metric_sums.shape[1]
    totals = _sum_groups(torch.stack([sizes * index, sizes], dim=-1), sources, kept)
    order = (totals[..., 0] / totals[..., 1]).argsort(dim=1, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(kept, device=sizes.device).expand(batch, kept)
    )
    return rank.gather(1, sources)


def _match(metric: Tensor, step: int) -> Tensor:
    """One matching step: group of every token, (B, N), where the ``step`` closest even tokens join an odd one."""
    batch, count, _ = metric.shape
    metric = functional.normalize(metric, dim=-1)
    similarity, partner = _best_partner(metric[:, 0::2], metric[:, 1::2])
    closest = similarity.argsort(dim=1, descending=True, stable=True)[:, :step]
    index = torch.arange(count, device=metric.device).expand(batch, count)
    leader = index.scatter(1, 2 * closest, 2 * partner.gather(1, closest) + 1)
    rank = (leader == index).cumsum(dim=1) - 1
    return rank.gather(1, leader)


def _best_partner(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Highest similarity of each row of ``a`` to the rows of ``b``, and the first row that reaches it; (B, Na) each."""
    rows = max(1, _MAX_SIMILARITIES // (b.shape[0] * b.shape[1]))
    transposed = b.transpose(1, 2)
    found = [
        torch.bmm(part, transposed).mul_(_SIMILARITY_GRID).round_().max(dim=2)
        for part in torch.split(a, rows, dim=1)
    ]
    return torch.cat([best.values for best in found], dim=1), torch.cat(
        [best.indices for best in found], dim=1
    )


def _sum_groups(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """Sum of the rows of each group: (B, N, ·) and group indices (B, N) give (B, count, ·)."""
    batch, _, width = values.shape
    offsets = torch.arange(batch, device=values.device)[:, None] * count
    index, rows = (groups + offsets).flatten(), values.flatten(0, 1)
    out = values.new_zeros(batch * count, width)
    # On CUDA index_add adds in any order; index_put sorts first and so gives the same sum every time.
    summed = out.index_put((index,), rows, accumulate=True) if rows.is_cuda else out.index_add(0, index, rows)
    return summed.view(batch, count, width)
