"""The budget of visual tokens: how many each stretch of a video gets, known from the frame plan alone.

A budget counts every row that is spliced into the prompt, memory tokens included. Neighbouring segments are
joined until each has a token; nothing is ever cut afterwards.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ConfigError
from ..values import FramePlan
from .compressor_config import CompressorConfig


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """How many tokens there will be, and for which frames.

    Attributes:
        memory: Leading memory tokens, which stand for the whole video.
        segments: Half-open runs ``(first, past_last)`` of frame indices: the plan's segments, joined where the
            budget has less than one token for each.
        counts: Tokens of each run.
    """

    memory: int
    segments: tuple[tuple[int, int], ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.segments) == len(self.counts), (
            f"{len(self.counts)} counts for {len(self.segments)} runs"
        )

    @property
    def total(self) -> int:
        """All rows: memory tokens and those of the segments."""
        return self.memory + sum(self.counts)

    def spans_s(self, plan: FramePlan) -> tuple[tuple[float, float], ...]:
        """Start and end of each run in seconds, by the times of ``plan``."""
        return dataclasses.replace(plan, segments=self.segments).spans_s


def plan_tokens(
    plan: FramePlan,
    config: CompressorConfig,
    budget: int | None = None,
    *,
    grid: tuple[int, int] | None = None,
) -> TokenPlan:
    """Says how many tokens a video will become, before any frame is decoded.

    Args:
        plan: The frames and segments.
        config: The compressor's settings.
        budget: Most rows in all, at least 1; ``None`` for what the compressor gives at its best.
        grid: Rows and columns of the encoder's patches; needed by the kinds without queries, whose counts are
            bounded by the patches there are.

    Returns:
        The plan; ``total`` never exceeds the budget.

    Raises:
        ConfigError: The budget is below 1, or kind ``"none"`` cannot meet it.
    """
    if budget is not None and budget < 1:
        raise ConfigError(f"max_visual_tokens must be at least 1, got {budget}")
    if budget is None:
        memory, segments = config.memory_layers, plan.segments
        shares = [max(_limit(run, config, grid) for run in segments)] * len(segments)
    else:
        memory = min(config.memory_layers, budget // 4)
        segments = _join(plan.segments, budget - memory)
        shares = _even_parts(budget - memory, len(segments))
    counts = tuple(_count(run, share, config, grid) for run, share in zip(segments, shares, strict=True))
    planned = TokenPlan(memory, segments, counts)
    if budget is not None and planned.total > budget:
        raise ConfigError(
            f"compressor kind {config.kind!r} keeps all {planned.total} tokens, more than the budget of {budget}: "
            "look at fewer frames or use another kind"
        )
    return planned


def pool_cells(frames: int, rows: int, columns: int, limit: int) -> tuple[int, int, int]:
    """Regular grid for the ``"pool"`` kind: as many cells as fit, of those the squarest, of those the finest in time.

    Args:
        frames: Frames of the run.
        rows: Rows of patches.
        columns: Columns of patches.
        limit: Most cells, at least 1.

    Returns:
        Cells along time, rows and columns; each at most as many as there are patches that way.
    """

    def merit(cells: tuple[int, int, int]) -> tuple[int, float, int]:
        high, wide = rows / cells[1], columns / cells[2]
        return math.prod(cells), -max(high / wide, wide / high), cells[0]

    return max(_grids(frames, rows, columns, limit), key=merit)


def _grids(frames: int, rows: int, columns: int, limit: int) -> Iterator[tuple[int, int, int]]:
    """Every grid of at most ``limit`` cells that leaves no room for one more column."""
    for times in range(1, min(frames, limit) + 1):
        for high in range(1, min(rows, limit // times) + 1):
            yield times, high, min(columns, limit // (times * high))


def _count(run: tuple[int, int], share: int, config: CompressorConfig, grid: tuple[int, int] | None) -> int:
    """Tokens of one run when ``share`` rows of the budget fall to it."""
    limit = _limit(run, config, grid)
    if config.kind == "none":
        return limit
    if config.kind == "pool":
        assert grid is not None
        return math.prod(pool_cells(run[1] - run[0], *grid, min(share, limit)))
    return min(share, limit)


def _limit(run: tuple[int, int], config: CompressorConfig, grid: tuple[int, int] | None) -> int:
    """Most tokens that the compressor makes of one run."""
    if config.has_queries:
        return config.num_queries
    if grid is None:
        raise TypeError(
            f"the token counts of compressor kind {config.kind!r} depend on the patch grid; pass grid="
        )
    patches = (run[1] - run[0]) * math.prod(grid)
    return patches if config.kind == "none" else min(config.merged_tokens, patches)


def _join(segments: tuple[tuple[int, int], ...], limit: int) -> tuple[tuple[int, int], ...]:
    """Joins neighbours into at most ``limit`` runs, as evenly as possible."""
    parts = _even_parts(len(segments), min(len(segments), limit))
    joined, first = [], 0
    for part in parts:
        joined.append((segments[first][0], segments[first + part - 1][1]))
        first += part
    return tuple(joined)


def _even_parts(whole: int, parts: int) -> list[int]:
    """Splits a number into parts that differ by at most one, the larger spread over the row."""
    return [(part + 1) * whole // parts - part * whole // parts for part in range(parts)]
