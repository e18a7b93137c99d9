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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import ConfigError
from .checks import check_features, check_tokens, check_whole

_SIMILARITY_GRID = 2**16
# Elements worked on at once. On the CPU similarities then stay in the cache between product and search, and copies stay
# far below 32 MiB, from where on glibc maps fresh pages for each: touching those costs more than the arithmetic.
_CPU_PART = 2**20
_DEVICE_PART = 2**26
# Multiplications from which oneDNN is faster despite the copies from and to its own kind of tensors.
_ONEDNN_WORK = 2**23


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The outcome of :func:`merge_tokens`.

    Attributes:
        tokens: Size-weighted means of the merged tokens, (B, M, C), in the dtype of the input and in order of the mean
            index of the input tokens they stand for, each weighted by its size.
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
        tokens: Tokens at the start, at least 1.
        target: Tokens wanted, from 1 to ``tokens``.
        share: Largest part that may disappear in one step, above 0 and at most one half. Half forces every second
            token into a partner; less lets the tokens that resemble nothing survive longer, at the price of more steps.

    Returns:
        One positive number for each step; they sum to ``tokens - target``.

    Raises:
        ConfigError: An argument is out of range, or ``tokens`` or ``target`` is no whole number.
    """
    check_whole("tokens", tokens, 1)
    check_whole("target", target, 1, tokens, "the number of tokens")
    if not (isinstance(share, Real) and 0 < share <= 0.5):
        raise ConfigError(f"share must be a number above 0 and at most 0.5, got {share!r}")
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

    What was merged may be merged again, with its sizes. The order then is that of the tokens passed in, not of the
    patches behind them, and ``second.sources.gather(1, first.sources)`` traces the patches through both.

    Args:
        tokens: Features, (B, N, C), any float dtype, N at least 1; sums are made in float32 or wider.
        target: Tokens to keep, from 1 to N.
        sizes: How much each token already stands for, (B, N); 1 each by default. They must be positive, which is not
            checked.
        positions: Scalars to carry along as size-weighted means, (B, N, P).
        heads: The compared metric is the features split into this many heads and averaged over them (LongVLM: 16);
            1 compares whole features.
        share: See :func:`merge_schedule`.

    Returns:
        The kept tokens in order of the mean index of the input tokens they stand for, weighted by size.

    Raises:
        ConfigError: A tensor has the wrong shape or dtype, ``target`` or ``share`` is out of range, or ``heads`` does
            not divide the width.
    """
    check_tokens(tokens, sizes, positions, heads)
    batch, count, _ = tokens.shape
    schedule = merge_schedule(count, target, share)
    # Under autocast the similarities would silently become bfloat16.
    with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
        weights = torch.ones(batch, count, device=tokens.device) if sizes is None else sizes.float()
        metric = tokens if heads == 1 else _mean_heads(tokens, heads)
        sources = _in_parts(partial(_assign, schedule=schedule), metric, weights)
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
        return _weighted_sums(values, sources, sizes, count=count) / group_sizes

    return Merged(
        tokens=means(tokens).to(tokens.dtype),
        sizes=group_sizes[..., 0],
        positions=None if positions is None else means(positions),
        sources=sources,
    )


def order_by_mean_index(groups: Tensor, sizes: Tensor, count: int) -> Tensor:
    """Renames the ``count`` groups, (B, N), in order of the mean index of their tokens weighted by size, (B, N)."""
    index = torch.arange(groups.shape[1], device=groups.device)
    totals = _sum_groups(torch.stack([sizes * index, sizes], dim=-1), groups, count)
    return rename_groups(groups, totals[..., 0] / totals[..., 1])


def rename_groups(groups: Tensor, keys: Tensor) -> Tensor:
    """Renames groups, (B, N), so that their keys, (B, groups), ascend."""
    # Sorting an order gives its inverse: the rank of each.
    ranks = keys.argsort(dim=1, stable=True).argsort(dim=1)
    return ranks.gather(1, groups)


def memory_tokens(cls_LTC: Tensor, count: int) -> Tensor:
    """Global memory of LongVLM: the class token of the last hidden states, each averaged over all frames.

    Args:
        cls_LTC: Class tokens of the last L hidden states, (L, T, C), any float dtype, shallow before deep.
        count: How many of them to keep, the deepest ones; from 0 to L.

    Returns:
        (count, C), shallow before deep, in the dtype of the class tokens.

    Raises:
        ConfigError: The class tokens are not (L, T, C), or there are fewer than ``count``.
    """
    check_features("cls_LTC", cls_LTC, "LTC")
    check_whole("count", count, 0, len(cls_LTC), "the number of layers")
    return cls_LTC[cls_LTC.shape[0] - count :].mean(dim=1)


def _part_size(tensor: Tensor) -> int:
    """Elements to work on at once where the tensor is."""
    return _CPU_PART if tensor.is_cpu else _DEVICE_PART


def _in_parts(function: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """Calls ``function`` with as many rows of the batches at once as make a part of the first one."""
    rows = max(1, _part_size(batches[0]) // batches[0].shape[1:].numel())
    if rows >= len(batches[0]):
        return function(*batches)
    parts = zip(*(batch.split(rows) for batch in batches), strict=True)
    return torch.cat([function(*part) for part in parts])


def _mean_heads(tokens: Tensor, heads: int) -> Tensor:
    """Features split into heads and averaged over them, float32, (B, N, C / heads)."""
    split = tokens.reshape(-1, heads, tokens.shape[2] // heads)
    means = torch.empty(len(split), split.shape[2], dtype=torch.float32, device=tokens.device)
    # Means allocated one by one between the widened parts would keep each part from the memory of the one before.
    at_once = max(1, _part_size(tokens) // tokens.shape[2])
    for part, mean in zip(split.split(at_once), means.split(at_once), strict=True):
        torch.mean(part.float(), dim=1, out=mean)
    return means.view(*tokens.shape[:2], -1)


def _assign(metric: Tensor, sizes: Tensor, *, schedule: Sequence[int]) -> Tensor:
    """Kept index of every token, (B, N)."""
    batch, count, _ = metric.shape
    index = torch.arange(count, device=sizes.device)
    sources = index.expand(batch, count)
    # Cosines do not see the scale, so sums over the merged tokens do for their means.
    sums = metric.float() * sizes[..., None]
    for step in schedule:
        groups = _match(sums, step)
        sums = _sum_groups(sums, groups, sums.shape[1] - step)
        sources = groups.gather(1, sources)
    return order_by_mean_index(sources, sizes, sums.shape[1])


def _match(metric: Tensor, step: int) -> Tensor:
    """One matching step: group of every token, (B, N), where the ``step`` closest even tokens join an odd one."""
    batch, count, _ = metric.shape
    metric = functional.normalize(metric, dim=-1)
    similarity, partner = _best_partners(metric[:, 0::2], metric[:, 1::2])
    closest = similarity.argsort(dim=1, descending=True, stable=True)[:, :step]
    index = torch.arange(count, device=metric.device).expand(batch, count)
    leader = index.scatter(1, 2 * closest, 2 * partner.gather(1, closest) + 1)
    rank = (leader == index).cumsum(dim=1) - 1
    return rank.gather(1, leader)


def _best_partners(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Highest similarity of each row of ``a`` to the rows of ``b``, and the first row that reaches it; (B, Na) each."""
    if a.shape[:2].numel() <= max(1, _part_size(a) // b.shape[1]):
        return _first_highest(_products(a, b).mul_(_SIMILARITY_GRID).round_())
    dim = 0 if len(a) > 1 else 1
    halves = zip(a.chunk(2, dim), b.chunk(2) if dim == 0 else (b, b), strict=True)
    highest, first = zip(*(_best_partners(*half) for half in halves), strict=True)
    return torch.cat(highest, dim), torch.cat(first, dim)


def _products(a: Tensor, b: Tensor) -> Tensor:
    """Products of the rows: (B, Na, C) and (B, Nb, C) give (B, Na, Nb)."""
    # For single precision torch takes MKL, which leaves half of AVX-512 idle on AMD's processors; oneDNN does not.
    onednn = a.is_cpu and len(a) == 1 and torch.backends.mkldnn.is_available()
    if onednn and a.numel() * b.shape[1] >= _ONEDNN_WORK:
        return functional.linear(a[0].to_mkldnn(), b[0]).to_dense()[None]
    return torch.bmm(a, b.mT)


def _first_highest(values: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum over the last dimension, and the first index that reaches it."""
    # On the CPU torch looks at one element after the other when it wants the index too; NumPy does not.
    index = torch.from_numpy(values.numpy().argmax(axis=-1)) if values.is_cpu else values.argmax(dim=-1)
    return values.gather(-1, index.unsqueeze(-1)).squeeze(-1), index


def _sum_groups(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """Sum of the rows of each group: (B, N, ·) and group indices (B, N) give (B, count, ·)."""
    batch, _, width = values.shape
    index, rows = _flat_groups(groups, count), values.flatten(0, 1)
    out = values.new_zeros(batch * count, width)
    # On CUDA index_add adds in any order; index_put sorts first and so gives the same sum every time.
    summed = out.index_put((index,), rows, accumulate=True) if rows.is_cuda else out.index_add(0, index, rows)
    return summed.view(batch, count, width)


def _weighted_sums(values: Tensor, groups: Tensor, weights: Tensor, *, count: int) -> Tensor:
    """As :func:`_sum_groups`, of the rows times their weights (B, N), in float32 or wider.

    Rows in float32 are read where they lie, without a weighted copy of them; narrower ones are widened in parts.
    """
    batch, tokens, width = values.shape
    dtype = torch.promote_types(values.dtype, torch.float32)
    if values.dtype != dtype and batch * tokens > max(1, _part_size(values) // width):
        dim = 0 if batch > 1 else 1
        halves = zip(*(tensor.chunk(2, dim) for tensor in (values, groups, weights)), strict=True)
        first, second = (_weighted_sums(*half, count=count) for half in halves)
        return first + second if dim else torch.cat([first, second])
    index = _flat_groups(groups, count)
    order = index.argsort(stable=True)
    members = torch.bincount(index, minlength=batch * count)
    sums = functional.embedding_bag(
        order,
        values.flatten(0, 1).to(dtype),
        members.cumsum(0) - members,
        mode="sum",
        per_sample_weights=weights.take(order).to(dtype),
    )
    return sums.view(batch, count, width)


def _flat_groups(groups: Tensor, count: int) -> Tensor:
    """Indices of groups in a batch, (B, N), as indices among the groups of all its rows, (B * N,)."""
    offsets = torch.arange(0, len(groups) * count, count, device=groups.device)
    return (groups + offsets[:, None]).flatten()
