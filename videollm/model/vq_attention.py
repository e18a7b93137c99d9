"""What a codebook knows of space and time: a map of where each code was seen, read back into the codes.

VQToken (Zhang et al., arXiv 2503.16980, section 3): with codes B (K, C) and the map M (T, rows, columns) of the code at
each place, the tokens are MHA(Q = B·W_Q, K = B·W_K, V = MLP(M)·W_V). Deliberate differences:

- The MLP does not read M itself, whose numbers are labels without an order and whose size is that of one video, but
  statistics of each code's occupancy of it: share, seconds, spread, way through the picture, cells of a grid. They are
  the same for any number of frames, and for any order of the labels.
- The codes themselves stay in the sum, B + MHA(…): otherwise what a code looks like could only choose among places.

Shapes: V videos, N patches, K codes, C width, F statistics of a code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError
from .checks import check_features, check_whole
from .compressor_config import VQConfig
from .fourier import fourier_features

# Means of seconds that are written as Fourier features: of all of a code, of its first and of its last patch.
_TIMES = 3
# Logarithm of the share, spread of time, row and column, and how row and column go with time.
_MOMENTS = 6
# Below this a spread is noise, and what goes with it too.
_LEAST_VARIANCE = 1e-4


def statistics_width(config: VQConfig) -> int:
    """Number F of statistics of a code."""
    times = _TIMES * 2 * config.time_frequencies
    return times + _MOMENTS + 3 * config.time_bins + config.place_bins**2


def occupancy_statistics(
    labels_N: Tensor, positions_N3: Tensor, count: int, span_s: tuple[float, float], config: VQConfig
) -> Tensor:
    """Says of each code where and when it was seen.

    Args:
        labels_N: Code of each patch, int64, (N,), from 0 to ``count`` - 1. Every code must have a patch, which is not
            checked; one without gets statistics that are not a number.
        positions_N3: Second, row and column of each patch, (N, 3), any float dtype. Rows and columns are fractions of
            the picture, from 0 at the top and left to 1, which is not checked.
        count: Codes K.
        span_s: Start and end of the video in seconds.
        config: Bins and frequencies.

    Returns:
        float32, (K, F): Fourier features of the mean, first and last second; logarithm of the share of all patches;
        standard deviation of time (the video being 1 long), row and column; correlation of row and of column with
        time; for each stretch of the video the share of the code's patches in it and their mean row and column less the
        code's own; the share of its patches in each cell of a grid.

    Raises:
        ConfigError: A tensor has the wrong shape or dtype, or a label is not below ``count``.
    """
    _check_map(labels_N, positions_N3, count)
    with torch.autocast(labels_N.device.type, enabled=False):
        seconds, places = positions_N3[:, 0].float(), positions_N3[:, 1:].float()
        start, end = span_s
        unit_N3 = torch.cat(
            [((seconds - start) / max(end - start, 1e-6)).clamp(0, 1)[:, None], places], dim=1
        )
        sizes = labels_N.bincount(minlength=count).float()
        if len(sizes) > count:
            raise ConfigError(f"labels_N must be below count {count}, got {len(sizes) - 1}")
        times = _first_mean_last(seconds, labels_N, sizes)
        parts = [
            fourier_features(
                times, config.time_frequencies, config.shortest_period_s, config.longest_period_s
            ).flatten(1),
            _moments(unit_N3, labels_N, sizes),
            _path(unit_N3, labels_N, sizes, config.time_bins),
            _cells(unit_N3, labels_N, sizes, config.place_bins),
        ]
        return torch.cat(parts, dim=1)


class VQAttention(nn.Module):
    """Codes look at each other by what they show, and take in where those they look at were seen."""

    def __init__(self, config: VQConfig, *, width: int) -> None:
        """Builds the module with fresh weights.

        Args:
            config: Heads and sizes, and the bins and frequencies that the statistics were made with.
            width: Width C of the codes, and of the tokens that come out.

        Raises:
            ConfigError: The heads do not divide the width.
        """
        super().__init__()
        if width % config.heads:
            raise ConfigError(f"vq.heads must divide the encoder's width {width}, got {config.heads}")
        self.heads = config.heads
        self.norm = nn.LayerNorm(width)
        self.map = nn.Sequential(
            nn.Linear(statistics_width(config), config.hidden_size),
            nn.GELU(),
            nn.Linear(config.hidden_size, width),
        )
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)

    def forward(self, codes_VKC: Tensor, statistics_VKF: Tensor, mask_VK: Tensor) -> Tensor:
        """Writes places and times into the codes.

        Args:
            codes_VKC: Codes of each video, (V, K, C), any float dtype, padded to the most codes of a video.
            statistics_VKF: What :func:`occupancy_statistics` says of them, (V, K, F), any float dtype, padded.
            mask_VK: True where there is a code, bool, (V, K); each video has at least one.

        Returns:
            Tokens, (V, K, C), in the dtype of the weights; what stands in the padding has no meaning.
        """
        dtype = self.norm.weight.dtype
        codes = self.norm(codes_VKC.to(dtype))
        seen = self.map(statistics_VKF.to(dtype))
        query, key, value = (
            layer(rows).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, rows in ((self.query, codes), (self.key, codes), (self.value, seen))
        )
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask_VK[:, None, None])
        tokens: Tensor = codes + self.output(found.transpose(1, 2).flatten(2))
        return tokens


def _check_map(labels_N: Tensor, positions_N3: Tensor, count: int) -> None:
    check_whole("count", count, 1)
    check_features("positions_N3", positions_N3, "N3")
    if labels_N.shape != positions_N3.shape[:1] or labels_N.dtype != torch.int64:
        raise ConfigError(
            f"labels_N must be ({len(positions_N3)},) of torch.int64, one label for each position, "
            f"got {tuple(labels_N.shape)} of {labels_N.dtype}"
        )


def _first_mean_last(seconds: Tensor, labels: Tensor, sizes: Tensor) -> Tensor:
    """Mean, first and last second of each code, (K, 3)."""
    empty = sizes.new_zeros(len(sizes))
    first, last = (
        empty.scatter_reduce(0, labels, seconds, how, include_self=False) for how in ("amin", "amax")
    )
    return torch.stack([_mean(seconds[:, None], labels, sizes)[:, 0], first, last], dim=1)


def _moments(unit_N3: Tensor, labels: Tensor, sizes: Tensor) -> Tensor:
    """Share, spreads and correlations with time of each code, (K, 6)."""
    deviations = unit_N3 - _mean(unit_N3, labels, sizes)[labels]
    variances = _mean(deviations**2, labels, sizes)
    with_time = _mean(deviations[:, :1] * deviations[:, 1:], labels, sizes)
    scale = ((variances[:, :1] + _LEAST_VARIANCE) * (variances[:, 1:] + _LEAST_VARIANCE)).sqrt()
    share = (sizes / len(labels)).log()[:, None]
    return torch.cat([share, variances.sqrt(), with_time / scale], dim=1)


def _path(unit_N3: Tensor, labels: Tensor, sizes: Tensor, bins: int) -> Tensor:
    """Share, and mean row and column less the code's own, in each stretch of the video, (K, 3 · bins)."""
    cells = labels * bins + _bin(unit_N3[:, 0], bins)
    inside = cells.bincount(minlength=len(sizes) * bins).float()
    deviations = unit_N3[:, 1:] - _mean(unit_N3[:, 1:], labels, sizes)[labels]
    shares = inside.view(-1, bins) / sizes[:, None]
    ways = _mean(deviations, cells, inside.clamp(min=1)).view(-1, 2 * bins)
    return torch.cat([shares, ways], dim=1)


def _cells(unit_N3: Tensor, labels: Tensor, sizes: Tensor, bins: int) -> Tensor:
    """Share of each code's patches in each cell of a grid, (K, bins²)."""
    row, column = (_bin(unit_N3[:, axis], bins) for axis in (1, 2))
    cells = (labels * bins + row) * bins + column
    return cells.bincount(minlength=len(sizes) * bins**2).view(-1, bins**2) / sizes[:, None]


def _bin(values: Tensor, bins: int) -> Tensor:
    return (values * bins).long().clamp(max=bins - 1)


def _mean(values: Tensor, labels: Tensor, sizes: Tensor) -> Tensor:
    """Mean of the rows of each label, (K, ·)."""
    return values.new_zeros(len(sizes), values.shape[1]).index_add(0, labels, values) / sizes[:, None]
