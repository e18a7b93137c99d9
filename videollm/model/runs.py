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

from ..errors import ConfigError
from .checks import check_features, check_positions, check_sizes, check_whole
from .merging import Merged

# Features that are copied into one batch; hours of video pass through in such parts.
_MAX_FEATURES = 2**25


class Merge(Protocol):
    """A way of merging, such as ``merge_tokens`` or ``cluster_tokens`` with its options filled in."""

    def __call__(
        self, tokens: Tensor, target: int, *, sizes: Tensor | None, positions: Tensor | None
    ) -> Merged:
        """Merges each row of (B, N, C) tokens into ``target``."""


@dataclass(frozen=True, slots=True, eq=False)
class MergedRuns:
    """The outcome of :func:`merge_runs`: all runs one after the other.

    Attributes:
        tokens: The kept tokens of all runs, (M, C), in the dtype of the input.
        sizes: How much each of them stands for, float32, (M,).
        positions: Means of the scalars carried along, float32, (M, P); ``None`` if none were given.
        sources: Index among all M kept tokens for each of the N input tokens, int64, (N,).
    """

    tokens: Tensor
    sizes: Tensor
    positions: Tensor | None
    sources: Tensor


def merge_runs(
    tokens: Tensor,
    lengths: Sequence[int],
    targets: Sequence[int],
    *,
    sizes: Tensor | None = None,
    positions: Tensor | None = None,
    merge: Merge,
) -> MergedRuns:
    """Merges runs of different lengths, each on its own; runs of equal length and target share batches.

    Args:
        tokens: The runs' tokens one after the other, (N, C), any float dtype.
        lengths: Tokens of each run, at least 1; they sum to N.
        targets: Tokens to keep of each run, from 1 to its length.
        sizes: How much each token already stands for, (N,); 1 each by default. They must be positive, which is not
            checked.
        positions: Scalars to carry along as size-weighted means, (N, P).
        merge: How the runs of a batch are merged.

    Returns:
        The kept tokens in the order of the runs.

    Raises:
        ConfigError: There are no runs, their lengths do not sum to N, or a target is out of range; and as ``merge``
            does.
    """
    check_features("tokens", tokens, "NC")
    check_sizes("sizes", sizes, tokens)
    check_positions("positions", positions, tokens)
    _check_runs(len(tokens), lengths, targets)
    parts = tokens.split(list(lengths))
    given = [None if column is None else column.split(list(lengths)) for column in (sizes, positions)]
    offsets = torch.tensor([0, *targets], device=tokens.device).cumsum(0)
    pieces: dict[int, tuple[Tensor, ...]] = {}
    for target, runs in _batches(lengths, targets, tokens.shape[1]):
        batch = torch.stack([parts[run] for run in runs])
        weights, places = (
            None if column is None else torch.stack([column[run] for run in runs]) for column in given
        )
        merged = merge(batch, target, sizes=weights, positions=places)
        columns = [merged.tokens, merged.sizes, merged.sources + offsets[runs, None]]
        if merged.positions is not None:
            columns.append(merged.positions)
        pieces.update(zip(runs, zip(*columns, strict=True), strict=True))
    in_order = zip(*(pieces[run] for run in range(len(lengths))), strict=True)
    kept, kept_sizes, sources, *kept_positions = (torch.cat(column) for column in in_order)
    return MergedRuns(kept, kept_sizes, kept_positions[0] if kept_positions else None, sources)


def _check_runs(tokens: int, lengths: Sequence[int], targets: Sequence[int]) -> None:
    if not len(lengths) == len(targets) > 0:
        raise ConfigError(
            f"there must be at least one run, and a target for each length, got {len(lengths)} lengths and "
            f"{len(targets)} targets"
        )
    for run, (length, target) in enumerate(zip(lengths, targets, strict=True)):
        check_whole(f"lengths[{run}]", length, 1)
        check_whole(f"targets[{run}]", target, 1, length, "the length of the run")
    if sum(lengths) != tokens:
        raise ConfigError(f"lengths must sum to the {tokens} tokens, got a sum of {sum(lengths)}")


def _batches(lengths: Sequence[int], targets: Sequence[int], width: int) -> Iterator[tuple[int, list[int]]]:
    """Targets, and the runs of equal length that share each, in batches of bounded size."""
    alike = defaultdict(list)
    for run, shape in enumerate(zip(lengths, targets, strict=True)):
        alike[shape].append(run)
    for (length, target), runs in alike.items():
        step = max(1, _MAX_FEATURES // (length * width))
        for first in range(0, len(runs), step):
            yield target, runs[first : first + step]
