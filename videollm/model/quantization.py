"""Seeded k-means over tokens: a codebook for a whole video, or few tokens for each of its segments.

VQToken (Zhang et al., arXiv 2503.16980) clusters the tokens of one video by cosine k-means at run time; what becomes of
the codes and of the map of where each was seen is in ``vq_attention``. Deliberate differences:

- k-means is seeded and starts from greedy k-means++ (Arthur and Vassilvitskii, "k-means++", 2007): one video has one
  codebook. All rows of a batch use the same random numbers, so that none depends on its neighbours.
- Codes are ordered by the first token they stand for: nothing depends on the labels that a clustering happens to give.
- The first codes are drawn from a stratified sample and settle on it, then on a larger one; all tokens of a long video
  are touched only twice, to be assigned and to be averaged.
- An adaptive size is read off the errors along one seeding, whose first k seeds are a seeding of size k, so that it is
  chosen before anything is refined.

Similarities are cosines (on a grid of 2⁻¹⁶, ties to the earlier code, as in ``merging``), distances are 1 - cosine, and
a code is the size-weighted mean of its tokens.

Shapes: B batch, N tokens, S sampled tokens, C width, K codes, M compared width (C, or C / heads).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .checks import check_features, check_sizes, check_tokens, check_whole
from .merging import Merged, average_groups, order_by_mean_index, rename_groups

_GRID = 2**16
# The first codes are drawn from so many tokens for each code, and from no fewer than these; they settle on as many as
# are cheap to hold, which are all of them but in long videos.
_DRAWN_PER_CODE = 64
_FEWEST_DRAWN = 2048
_MOST_SETTLED = 2**16
_MOST_ITERATIONS = 10
# Codes are settled when fewer tokens than this change theirs.
_RESTLESS_SHARE = 0.008
# Similarities held at once while all tokens are assigned; they, and the tokens made comparable, stay in a cache.
_MAX_SIMILARITIES = 2**18


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """The codes of one video.

    Attributes:
        codes_KC: Size-weighted mean of each code's tokens, (K, C), in their dtype and in order of the first of them.
        sizes_K: What each code stands for, positive, float32, (K,); they sum to what went in.
        labels_N: Code of each token, int64, (N,).
        error: Mean distance, weighted by size, of a token to the direction of its code.
    """

    codes_KC: Tensor
    sizes_K: Tensor
    labels_N: Tensor
    error: float


def quantize(tokens_NC: Tensor, count: int, *, sizes_N: Tensor | None = None, seed: int = 0) -> Codebook:
    """Clusters the tokens of a video into exactly ``count`` codes, none of them empty.

    Differentiable with respect to the tokens through the means; which code a token belongs to passes no gradient.

    Args:
        tokens_NC: Tokens in order of time, (N, C), any float dtype, N at least 1; sums are made in float32 or wider.
        count: Codes, from 1 to N.
        sizes_N: What each token stands for, (N,); 1 each by default. They must be positive, which is not checked.
        seed: Draws the sample and the first codes.

    Returns:
        The codebook; always the same for the same input.

    Raises:
        ConfigError: A tensor has the wrong shape or dtype, or ``count`` is out of range.
    """
    _check_video(tokens_NC, sizes_N)
    check_whole("count", count, 1, len(tokens_NC), "the number of tokens")
    tokens = tokens_NC[None]
    with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
        sizes = _sizes(tokens, None if sizes_N is None else sizes_N[None])
        labels, similarity = _cluster(tokens, sizes, count, heads=1, seed=seed)
        labels = rename_groups(labels, _first_token(labels, count))
        error = 1 - float((similarity * sizes).sum() / sizes.sum())
    codes = average_groups(tokens, labels, count, sizes=sizes)
    return Codebook(codes.tokens[0], codes.sizes[0], labels[0], error)


def choose_count(
    tokens_NC: Tensor, most: int, *, fewest: int = 1, sizes_N: Tensor | None = None, seed: int = 0
) -> int:
    """Chooses how many codes a video deserves: the elbow of its error over the number of codes.

    The elbow is the point of the curve from 1 to ``most`` codes that lies farthest below the straight line between its
    ends, both axes scaled to 0..1 (Satopää et al., "Finding a Kneedle in a Haystack", 2011).

    Args:
        tokens_NC: Tokens, (N, C), any float dtype, N at least 1.
        most: Most codes, at least 1; where there are fewer tokens, so many.
        fewest: Fewest codes, from 1 to ``most``.
        sizes_N: What each token stands for, (N,); 1 each by default. They must be positive, which is not checked.
        seed: Draws the sample and the codes.

    Returns:
        A number from ``fewest`` to ``most``. An elbow needs three points: where there are at most two codes or tokens,
        or all tokens are alike, it is ``fewest``.

    Raises:
        ConfigError: A tensor has the wrong shape or dtype, or ``fewest`` or ``most`` is out of range.
    """
    _check_video(tokens_NC, sizes_N)
    check_whole("most", most, 1)
    limit = "the number of tokens" if len(tokens_NC) < most else "the most codes"
    most = min(most, len(tokens_NC))
    check_whole("fewest", fewest, 1, most, limit)
    tokens = tokens_NC[None]
    with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
        sizes = _sizes(tokens, None if sizes_N is None else sizes_N[None])
        drawn, weights = _sample(tokens, sizes, _drawn(most), seed)
        _, errors_BK = _seed_codes(_units(drawn, heads=1), weights, most, seed)
    return max(fewest, 1 + _elbow(errors_BK[0]))


def cluster_tokens(
    tokens: Tensor,
    target: int,
    *,
    sizes: Tensor | None = None,
    positions: Tensor | None = None,
    heads: int = 1,
    seed: int = 0,
) -> Merged:
    """Clusters each row of tokens into ``target`` tokens by seeded k-means.

    Takes and gives what ``merging.merge_tokens`` does, but for ``seed`` in place of ``share``.

    Args:
        tokens: Features, (B, N, C), any float dtype, N at least 1; sums are made in float32 or wider.
        target: Tokens to keep, from 1 to N.
        sizes: How much each token already stands for, (B, N); 1 each by default. They must be positive, which is not
            checked.
        positions: Scalars to carry along as size-weighted means, (B, N, P).
        heads: The compared metric is the features split into this many heads and averaged over them; 1 compares whole
            features.
        seed: Draws the sample and the first codes.

    Returns:
        The kept tokens, each the size-weighted mean of its cluster, in the order that ``merge_tokens`` has.

    Raises:
        ConfigError: A tensor has the wrong shape or dtype, ``target`` is out of range, or ``heads`` does not divide the
            width.
    """
    check_tokens(tokens, sizes, positions, heads)
    check_whole("target", target, 1, tokens.shape[1], "the number of tokens")
    with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
        weights = _sizes(tokens, sizes)
        labels, _ = _cluster(tokens, weights, target, heads=heads, seed=seed)
        labels = order_by_mean_index(labels, weights, target)
    return average_groups(tokens, labels, target, sizes=weights, positions=positions)


def _check_video(tokens_NC: Tensor, sizes_N: Tensor | None) -> None:
    check_features("tokens_NC", tokens_NC, "NC")
    check_sizes("sizes_N", sizes_N, tokens_NC)


def _sizes(tokens: Tensor, sizes: Tensor | None) -> Tensor:
    return torch.ones(tokens.shape[:2], device=tokens.device) if sizes is None else sizes.float()


def _cluster(tokens: Tensor, sizes: Tensor, count: int, *, heads: int, seed: int) -> tuple[Tensor, Tensor]:
    """Code of every token, each code used, and the similarity to it; (B, N) each."""
    sample, weights = _sample(tokens, sizes, _MOST_SETTLED, seed)
    units = _units(sample, heads)
    drawn = _sample(units, weights, _drawn(count), seed)
    directions, _ = _seed_codes(*drawn, count, seed)
    for settled in (drawn, (units, weights)):
        directions = _refine(*settled, directions)
    step = max(1, _MAX_SIMILARITIES // max(1, directions.shape[:2].numel()))
    parts = [_nearest(_units(part, heads), directions) for part in tokens.split(step, dim=1)]
    labels, similarity = (torch.cat(column, dim=1) for column in zip(*parts, strict=True))
    for row in range(len(labels)):
        _fill_empty(labels[row], similarity[row], count)
    return labels, similarity


def _drawn(count: int) -> int:
    return max(_FEWEST_DRAWN, _DRAWN_PER_CODE * count)


def _units(tokens: Tensor, heads: int) -> Tensor:
    """What is compared: the mean over heads at length 1, float32, (B, ·, M)."""
    if heads > 1:
        batch, count, width = tokens.shape
        tokens = tokens.reshape(batch, count, heads, width // heads).mean(dim=2, dtype=torch.float32)
    return functional.normalize(tokens.float(), dim=-1)


def _sample(tokens: Tensor, sizes: Tensor, most: int, seed: int) -> tuple[Tensor, Tensor]:
    """A token drawn from each of at most ``most`` equal stretches, (B, S, ·), and their sizes, (B, S)."""
    total = tokens.shape[1]
    if total <= most:
        return tokens, sizes
    places = (torch.arange(most) + _random(seed, most)) * (total / most)
    index = places.long().clamp_(max=total - 1).to(tokens.device)
    return tokens[:, index], sizes[:, index]


def _random(seed: int, *shape: int) -> Tensor:
    """Uniform numbers from 0 to 1, float64; drawn on the CPU so that every device uses the same."""
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _seed_codes(units: Tensor, weights: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Greedy k-means++: of a few tokens drawn in proportion to their distance, the one that lowers the error most.

    Returns:
        The seeds, (B, K, M), and the mean distance to the nearest of the first 1, 2, … K seeds, (B, K).
    """
    trials = 2 + int(math.log(count))
    draws = _random(seed, count, trials).to(units.device)
    rows = torch.arange(len(units), device=units.device)
    total = weights.sum(dim=1)
    distances = torch.ones_like(weights)
    seeds: list[Tensor] = []
    errors: list[Tensor] = []
    for draw in draws:
        candidates = units[rows[:, None], _draw(distances * weights, draw)]
        found = torch.bmm(candidates, units.mT).mul_(-_GRID).add_(_GRID).round_().div_(_GRID)
        reached = torch.minimum(found, distances[:, None]) if seeds else found
        sums = (reached * weights[:, None]).sum(dim=2)
        best = sums.argmin(dim=1)
        distances = reached[rows, best].clamp_(min=0)
        seeds.append(candidates[rows, best])
        errors.append(sums[rows, best] / total)
    return torch.stack(seeds, dim=1), torch.stack(errors, dim=1)


def _draw(mass: Tensor, uniform: Tensor) -> Tensor:
    """Indices drawn in proportion to ``mass``, (B, trials); of a row without mass the last."""
    # In float64 the sums of distances on a grid are exact, in whatever order they are made.
    reached = mass.double().cumsum(dim=1)
    wanted = reached[:, -1:] * uniform
    return torch.searchsorted(reached, wanted, right=True).clamp_(max=mass.shape[1] - 1)


def _refine(units: Tensor, weights: Tensor, directions: Tensor) -> Tensor:
    """Lloyd's iterations on the sphere: assign, then turn each code to the mean of its tokens; (B, K, M)."""
    previous = torch.full(units.shape[:2], -1, device=units.device)
    moving = torch.ones(len(units), 1, 1, dtype=torch.bool, device=units.device)
    for _ in range(_MOST_ITERATIONS):
        labels, _ = _nearest(units, directions)
        # By row: when a row rests, its neighbours in the batch may go on.
        moving &= (labels != previous).float().mean(dim=1)[:, None, None] >= _RESTLESS_SHARE
        if not moving.any():
            break
        shares = functional.one_hot(labels, directions.shape[1]).to(weights.dtype) * weights[..., None]
        means = functional.normalize(torch.bmm(shares.mT, units), dim=-1)
        # A code that lost all of its tokens stays where it was.
        directions = torch.where(means.any(dim=-1, keepdim=True) & moving, means, directions)
        previous = labels
    return directions


def _nearest(units: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """The most similar direction of each token, the first of equals, and the similarity; (B, ·) each."""
    best = torch.bmm(units, directions.mT).mul_(_GRID).round_().max(dim=2)
    return best.indices, best.values / _GRID


def _fill_empty(labels: Tensor, similarity: Tensor, count: int) -> None:
    """Gives each unused code the token that fits its own code worst, in place; a code's only token stays."""
    members = labels.bincount(minlength=count).tolist()
    empty = [code for code in range(count) if not members[code]]
    if not empty:
        return
    for token in similarity.argsort(stable=True).tolist():
        code = int(labels[token])
        if members[code] > 1:
            members[code] -= 1
            labels[token], similarity[token] = empty.pop(), 1
        if not empty:
            return


def _first_token(labels: Tensor, count: int) -> Tensor:
    """Index of the first token of each code, (B, K)."""
    index = torch.arange(labels.shape[1], device=labels.device).expand_as(labels)
    return index.new_full((len(labels), count), labels.shape[1]).scatter_reduce(1, labels, index, "amin")


def _elbow(errors: Tensor) -> int:
    """Index of the point farthest below the line between the ends of a falling curve; 0 if it does not fall."""
    fall = errors[0] - errors[-1]
    if len(errors) < 3 or fall <= 0:
        return 0
    heights = (errors - errors[-1]) / fall
    line = torch.linspace(1, 0, len(errors), device=errors.device)
    return int((line - heights).argmax())
