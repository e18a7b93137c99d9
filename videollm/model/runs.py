"""Merging stretches of different lengths, each on its own, without holding more of a long video than is needed at once.

Shapes: N tokens of all runs, M kept tokens, C width, P scalars carried along.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .merging import Merged

# Features that are copied into one batch; hours of video pass through in such parts.
_MAX_FEATURES = 2**25


class Merge(Protocol):
    """A way of merging, such as ``merge_tokens`` or ``cluster_tokens`` with its options filled in."""

    def __call__(self, tokens: Tensor, target: int, *, sizes: Tensor, positions: Tensor) -> Merged:
        """Merges each row of (B, N, C) tokens into ``target``."""


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
    merge: Merge,
) -> MergedRuns:
    """Merges runs of different lengths, each on its own; runs of equal length and target share batches.

    Args:
        tokens: The runs' tokens one after the other, (N, C).
        lengths: Tokens of each run; they sum to N.
        targets: Tokens to keep of each run.
        sizes: (N,).
        positions: (N, P).
        merge: How the runs of a batch are merged.

    Returns:
        The kept tokens in the order of the runs.

    Raises:
        ConfigError: As ``merge`` does.
    """
    inputs = [torch.split(column, list(lengths)) for column in (tokens, sizes, positions)]
    offsets = torch.tensor([0, *targets], device=tokens.device).cumsum(0)
    pieces: dict[int, tuple[Tensor, ...]] = {}
    for target, runs in _batches(lengths, targets, tokens.shape[1]):
        batch, weights, places = (torch.stack([column[run] for run in runs]) for column in inputs)
        merged = merge(batch, target, sizes=weights, positions=places)
        assert merged.positions is not None
        sources = merged.sources + offsets[runs, None]
        pieces.update(
            zip(runs, zip(merged.tokens, merged.sizes, merged.positions, sources, strict=True), strict=True)
        )
    columns = zip(*(pieces[run] for run in range(len(lengths))), strict=True)
    return MergedRuns(*(torch.cat(column) for column in columns))


def _batches(lengths: Sequence[int], targets: Sequence[int], width: int) -> Iterator[tuple[int, list[int]]]:
    """Targets, and the runs of equal length that share each, in batches of bounded size."""
    alike = defaultdict(list)
    for run, shape in enumerate(zip(lengths, targets, strict=True)):
        alike[shape].append(run)
    for (length, target), runs in alike.items():
        step = max(1, _MAX_FEATURES // (length * width))
        for first in range(0, len(runs), step):
            yield target, runs[first : first + step]
