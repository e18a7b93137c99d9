"""The budget of visual tokens: how many each stretch of a video gets, known before the language model runs.

A budget counts every row that is spliced into the prompt, memory tokens included. Neighbouring segments are
joined until each has a token; nothing is ever cut afterwards. Most compressors' counts follow from the frame plan
alone. Where they follow what the video shows, the plan gives an upper bound, and a scouting pass over the features the
exact numbers.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError
from ..values import FramePlan
from .compressor_config import CompressorConfig
from .settings import ImageSettings
from .tiling import Tiling, tile

# Nothing happening still counts as this part of the mean change.
_LEAST_CHANGE = 0.1


#: What is laid out whole: a video, an image, or an image that was cut into tiles.
WholeFramesOf = Literal["video", "image"] | Tiling


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """How many tokens there will be, and for which frames.

    Attributes:
        memory: Leading memory tokens, which stand for the whole video.
        segments: Half-open runs ``(first, past_last)`` of frame indices: the plan's segments, joined where the
            budget has less than one token for each.
        counts: Tokens of each run.
        exact: Whether ``total`` is final; else it is an upper bound, and a scouting pass will say. Where segments are
            drawn by content, the runs are final after that pass only.
        whole_frames: The kind of medium whose frames are laid out as a published model was trained on them, or how an
            image was cut for that (the counts are then rows of the prompt, behind the projector); ``None`` where
            they are not.
    """

    memory: int
    segments: tuple[tuple[int, int], ...]
    counts: tuple[int, ...]
    exact: bool = True
    whole_frames: WholeFramesOf | None = None

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


@dataclass(frozen=True, slots=True)
class Scouting:
    """What a look at the features says about how many tokens a video deserves.

    Attributes:
        segments: Half-open runs of frame indices, as the frame plan's.
        changes: How much happens in each of them: its frames' changes to the one before, summed.
        codes: Most codes that can be made of a video, or that it deserves; ``None`` without a codebook.
    """

    segments: tuple[tuple[int, int], ...]
    changes: tuple[float, ...]
    codes: int | None = None

    def changes_of(self, runs: tuple[tuple[int, int], ...]) -> list[float]:
        """Sums the changes over runs of whole segments."""
        parts = list(zip(self.segments, self.changes, strict=True))
        return [
            math.fsum(change for (first, past), change in parts if run[0] <= first and past <= run[1])
            for run in runs
        ]


def plan_tokens(
    plan: FramePlan,
    config: CompressorConfig,
    budget: int | None = None,
    *,
    grid: tuple[int, int] | None = None,
    image: ImageSettings | None = None,
    scouting: Scouting | None = None,
) -> TokenPlan:
    """Says how many tokens a video will become: before any frame is decoded, or after a look at its features.

    Args:
        plan: The frames and segments.
        config: The compressor's settings.
        budget: Most rows in all, at least 1; ``None`` for what the compressor gives at its best.
        grid: Rows and columns of the encoder's patches; needed by the kinds without queries, whose counts are
            bounded by the patches there are.
        image: How pictures are prepared; needed where images are cut into tiles (``plan`` is then that of the tiles).
        scouting: What the features say, of the segments of ``plan``; without it, the plan of a compressor that goes by
            content is not ``exact``. Kind ``"none"`` keeps every patch, and needs none to say how many that is.

    Returns:
        The plan; ``total`` never exceeds the budget, and with scouting never what it was without.

    Raises:
        ConfigError: The budget is below 1, or kind ``"none"`` cannot meet it.
    """
    if budget is not None and budget < 1:
        raise ConfigError(f"max_visual_tokens must be at least 1, got {budget}")
    memory = config.memory_layers if budget is None else min(config.memory_layers, budget // 4)
    room = None if budget is None else budget - memory
    exact = scouting is not None or not config.needs_scouting or config.kind == "none"
    if config.has_codebook:
        return TokenPlan(
            memory, ((0, plan.frame_count),), (_codes(plan, config, room, grid, scouting),), exact
        )
    if config.keeps_frames:
        shown: WholeFramesOf = plan.kind
        if plan.kind == "image" and plan.frame_count > 1:
            assert image is not None
            assert plan.size_px is not None
            shown = tile(plan.size_px, image, _known(grid, config))
        counts = _whole_frames(plan, shown, config, grid)
        if room is None or sum(counts) <= room:
            return TokenPlan(memory, plan.segments, counts, whole_frames=shown)
    segments = plan.segments if room is None else _join(plan.segments, room)
    shares = _shares(segments, config, room, grid, scouting)
    if not exact:
        return TokenPlan(memory, segments, tuple(shares), exact)
    counts = tuple(_count(run, share, config, grid) for run, share in zip(segments, shares, strict=True))
    planned = TokenPlan(memory, segments, counts)
    if budget is not None and planned.total > budget:
        raise ConfigError(
            f"compressor kind {config.kind!r} keeps all {planned.total} tokens, more than the budget of {budget}: "
            "look at fewer frames or use another kind"
        )
    return planned


def _whole_frames(
    plan: FramePlan, shown: WholeFramesOf, config: CompressorConfig, grid: tuple[int, int] | None
) -> tuple[int, ...]:
    """Rows of the prompt that each segment takes as a published model was trained on it."""
    if isinstance(shown, Tiling):
        high, wide = shown.shrunk
        return (math.prod(_known(grid, config)) + high * (wide + config.frames.tile_row_end),)
    rows = config.frames.rows_of_frame(_known(grid, config), of_video=plan.kind == "video")
    counts = [(past - first) * rows for first, past in plan.segments]
    counts[-1] += config.frames.video_end
    return tuple(counts)


def _codes(
    plan: FramePlan,
    config: CompressorConfig,
    room: int | None,
    grid: tuple[int, int] | None,
    scouting: Scouting | None,
) -> int:
    """Codes of a video: no more than it has tokens to make them of."""
    limits = [config.vq.codes, sum(_limit(run, config, grid) for run in plan.segments), room]
    if config.needs_scouting and scouting is not None:
        limits.append(scouting.codes)
    return min(limit for limit in limits if limit is not None)


def _shares(
    segments: tuple[tuple[int, int], ...],
    config: CompressorConfig,
    room: int | None,
    grid: tuple[int, int] | None,
    scouting: Scouting | None,
) -> list[int]:
    """Rows of the budget that fall to each run."""
    limits = [_limit(run, config, grid) for run in segments]
    if config.segments == "content" and scouting is None:
        limits = [_limit((0, segments[-1][1]), config, grid)] * len(segments)
    if room is None:
        return limits
    if config.budget_split == "even" or config.kind == "none":
        return _even_parts(room, len(segments))
    changes = [0.0] * len(segments) if scouting is None else scouting.changes_of(segments)
    return _proportional_parts(room, changes, limits)


def _proportional_parts(whole: int, changes: Sequence[float], limits: Sequence[int]) -> list[int]:
    """Deals out ``whole`` rows one by one, each to the run with the most change for the rows it has (D'Hondt).

    Every run has one to begin with and none gets more than its limit. More rows never give a run fewer.
    """
    floor = _LEAST_CHANGE * math.fsum(changes) / len(changes) or 1.0
    parts = [1] * len(changes)
    waiting = [(-(change + floor) / 2, run) for run, change in enumerate(changes) if parts[run] < limits[run]]
    heapq.heapify(waiting)
    for _ in range(whole - len(parts)):
        if not waiting:
            break
        _, run = heapq.heappop(waiting)
        parts[run] += 1
        if parts[run] < limits[run]:
            heapq.heappush(waiting, (-(changes[run] + floor) / (parts[run] + 1), run))
    return parts


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
    """Most tokens that the compressor makes of one run, before a codebook."""
    if config.has_queries:
        return config.num_queries
    patches = (run[1] - run[0]) * math.prod(_known(grid, config))
    match config.kind:
        case "none" | "vq" | "frames":
            return patches
        case _:
            return min(config.merged_tokens, patches)


def _known(grid: tuple[int, int] | None, config: CompressorConfig) -> tuple[int, int]:
    if grid is None:
        raise TypeError(
            f"the token counts of compressor kind {config.kind!r} depend on the patch grid; pass grid="
        )
    return grid


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
