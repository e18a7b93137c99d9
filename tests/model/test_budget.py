"""Token plans: exact, within the budget, and made from the frame plan and settings alone."""

import dataclasses
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.errors import ConfigError
from videollm.model.budget import Scouting, plan_tokens, pool_cells
from videollm.model.compressor_config import KINDS, CompressorConfig, VQConfig
from videollm.values import FramePlan


@st.composite
def plans(draw):
    """Frame plans with segments of any lengths."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=20))
    edges = [0]
    for length in lengths:
        edges.append(edges[-1] + length)
    times = tuple(0.5 * frame for frame in range(edges[-1]))
    return FramePlan(times, tuple(pairwise(edges)), start_s=0.0, end_s=0.5 * edges[-1])


configs = st.builds(
    CompressorConfig,
    kind=st.sampled_from(KINDS),
    merged_tokens=st.integers(1, 30),
    num_queries=st.integers(1, 20),
    memory_layers=st.integers(0, 6),
    segments=st.sampled_from(["plan", "content"]),
    budget_split=st.sampled_from(["even", "change"]),
    vq=st.builds(VQConfig, codes=st.integers(1, 40), adaptive=st.booleans()),
)
by_plan = configs.filter(lambda config: not config.needs_scouting)
of_segments = by_plan.filter(lambda config: not config.has_codebook)
grids = st.tuples(st.integers(1, 5), st.integers(1, 5))


@st.composite
def scoutings(draw, plan):
    """What might be found in the features of a plan's frames."""
    count = len(plan.segments)
    changes = draw(st.lists(st.integers(0, 64), min_size=count, max_size=count))
    return Scouting(
        plan.segments, tuple(change / 32 for change in changes), draw(st.none() | st.integers(1, 40))
    )


@given(plans(), by_plan, st.integers(1, 400), grids)
def test_the_budget_is_never_exceeded_and_every_run_has_a_token(plan, config, budget, grid):
    try:
        planned = plan_tokens(plan, config, budget, grid=grid)
    except ConfigError:
        assert config.kind == "none"
        assert plan.frame_count * math.prod(grid) + min(config.memory_layers, budget // 4) > budget
        return
    assert planned.total == planned.memory + sum(planned.counts) <= budget
    assert planned.memory == min(config.memory_layers, budget // 4)
    assert min(planned.counts) >= 1
    assert len(planned.counts) == len(planned.segments)


@given(plans(), of_segments, st.none() | st.integers(100, 400), grids)
def test_runs_are_whole_neighbouring_segments_joined_evenly(plan, config, budget, grid):
    if config.kind == "none":
        budget = None
    planned = plan_tokens(plan, config, budget, grid=grid)
    starts = [first for first, _ in plan.segments]
    joined = [sum(first <= start < past for start in starts) for first, past in planned.segments]
    assert sum(joined) == len(starts)
    assert max(joined) - min(joined) <= 1
    assert all(earlier[1] == later[0] for earlier, later in pairwise(planned.segments))
    assert (planned.segments[0][0], planned.segments[-1][1]) == (0, plan.frame_count)
    spans = planned.spans_s(plan)
    assert (spans[0][0], spans[-1][1]) == (plan.spans_s[0][0], plan.spans_s[-1][1])


@given(plans(), of_segments, grids)
def test_without_a_budget_every_segment_gets_the_most_there_is(plan, config, grid):
    planned = plan_tokens(plan, config, None, grid=grid)
    assert planned.segments == plan.segments
    assert planned.memory == config.memory_layers
    for (first, past), count in zip(planned.segments, planned.counts, strict=True):
        patches = (past - first) * math.prod(grid)
        if config.kind == "pool":
            assert 1 <= count <= min(config.merged_tokens, patches)
        else:
            most = config.num_queries if config.has_queries else config.merged_tokens
            assert count == (
                most
                if config.has_queries
                else patches
                if config.kind in ("none", "frames")
                else min(most, patches)
            )


@given(plans(), by_plan.filter(lambda config: config.has_queries), st.integers(1, 400))
def test_kinds_with_queries_split_the_budget_evenly_and_need_no_grid(plan, config, budget):
    planned = plan_tokens(plan, config, budget)
    assert max(planned.counts) - min(planned.counts) <= 1
    assert planned.counts == plan_tokens(plan, config, budget, grid=(3, 7)).counts


def sixteen_pairs():
    return FramePlan(tuple(map(float, range(32))), tuple((i, i + 2) for i in range(0, 32, 2)), 0.0, 32.0)


@pytest.mark.parametrize(
    ("budget", "memory", "runs", "counts"),
    [
        (None, 4, 16, [16] * 16),
        (1000, 4, 16, [16] * 16),
        (84, 4, 16, [5] * 16),
        (20, 4, 16, [1] * 16),
        (12, 3, 9, [1] * 9),
        (4, 1, 3, [1] * 3),
        (3, 0, 3, [1] * 3),
        (1, 0, 1, [1]),
    ],
)
def test_budgets_of_sixteen_segments(budget, memory, runs, counts):
    planned = plan_tokens(
        sixteen_pairs(), CompressorConfig(kind="merge+qformer", num_queries=16, memory_layers=4), budget
    )
    assert (planned.memory, len(planned.segments), list(planned.counts)) == (memory, runs, counts)


def test_larger_shares_are_spread_over_the_video():
    planned = plan_tokens(sixteen_pairs(), CompressorConfig(kind="merge+qformer"), 20)
    assert list(planned.counts) == [1, 1, 1, 2] * 4


def test_a_budget_below_one_is_refused():
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        plan_tokens(sixteen_pairs(), CompressorConfig(), 0)


def test_keeping_every_patch_within_a_smaller_budget_is_refused_with_both_numbers():
    with pytest.raises(ConfigError, match="keeps all 132 tokens, more than the budget of 100"):
        plan_tokens(sixteen_pairs(), CompressorConfig(kind="none", memory_layers=4), 100, grid=(2, 2))


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.integers(1, 200))
def test_pool_cells_are_as_many_as_fit(frames, rows, columns, limit):
    cells = pool_cells(frames, rows, columns, limit)
    assert all(1 <= parts <= whole for parts, whole in zip(cells, (frames, rows, columns), strict=True))
    fitting = [
        t * h * w
        for t in range(1, frames + 1)
        for h in range(1, rows + 1)
        for w in range(1, columns + 1)
        if t * h * w <= limit
    ]
    assert math.prod(cells) == max(fitting)


def test_pool_cells_are_square_where_they_can_be():
    assert pool_cells(2, 12, 12, 72) == (2, 6, 6)
    assert pool_cells(1, 12, 12, 16) == (1, 4, 4)


BY_CONTENT = [
    {"segments": segments, "budget_split": split}
    for segments in ("plan", "content")
    for split in ("even", "change")
]


@pytest.mark.parametrize("by_content", BY_CONTENT)
def test_keeping_every_patch_is_exact_and_refused_before_the_video_is_looked_at(by_content):
    config = CompressorConfig(kind="none", memory_layers=4, **by_content)
    with pytest.raises(ConfigError, match="keeps all 132 tokens, more than the budget of 131"):
        plan_tokens(sixteen_pairs(), config, 131, grid=(2, 2))
    for budget in (None, 132):
        planned = plan_tokens(sixteen_pairs(), config, budget, grid=(2, 2))
        assert (planned.total, planned.exact) == (132, True)


@given(plans(), configs, st.none() | st.integers(1, 400), grids, st.data())
def test_a_plan_by_content_is_an_upper_bound_until_it_is_scouted(plan, config, budget, grid, data):
    if config.kind == "none":
        budget = None
    before = plan_tokens(plan, config, budget, grid=grid)
    known = config.kind == "none" or before.whole_frames is not None
    assert before.exact == (known or not config.needs_scouting)
    after = plan_tokens(plan, config, budget, grid=grid, scouting=data.draw(scoutings(plan)))
    assert after.exact
    assert after.total <= before.total
    assert budget is None or before.total <= budget
    assert min(after.counts) >= 1
    if before.exact:
        assert after.total == before.total
    if not config.needs_scouting:
        assert after == before


@given(plans(), configs.filter(lambda config: config.has_queries), st.integers(1, 400), st.data())
def test_where_more_happens_there_are_no_fewer_tokens(plan, config, budget, data):
    config = dataclasses.replace(config, budget_split="change")
    scouting = data.draw(scoutings(plan))
    planned = plan_tokens(plan, config, budget, scouting=scouting)
    changes = scouting.changes_of(planned.segments)
    by_change = [count for _, count in sorted(zip(changes, planned.counts, strict=True))]
    assert all(
        less <= more or a == b
        for (a, less), (b, more) in pairwise(zip(sorted(changes), by_change, strict=True))
    )
    whole = min(budget - planned.memory, config.num_queries * len(planned.segments))
    assert sum(planned.counts) == whole
    more = plan_tokens(plan, config, budget + 1, scouting=scouting)
    if (more.segments, more.memory) == (planned.segments, planned.memory):
        assert all(few <= many for few, many in zip(planned.counts, more.counts, strict=True))


def test_tokens_go_where_things_happen():
    changes = tuple(0.0 if segment != 5 else 1.0 for segment in range(16))
    config = CompressorConfig(kind="merge+qformer", num_queries=8, budget_split="change")
    planned = plan_tokens(sixteen_pairs(), config, 30, scouting=Scouting(sixteen_pairs().segments, changes))
    assert planned.counts[5] == 8
    assert sum(planned.counts) == 30


def test_a_codebook_gives_as_many_codes_as_the_video_deserves():
    plan = sixteen_pairs()
    config = CompressorConfig(kind="vq", memory_layers=2, vq=VQConfig(codes=20, adaptive=True))
    segments, changes = plan.segments, (0.0,) * 16
    for budget, codes, expected in ((None, 7, 7), (None, 30, 20), (10, 7, 7), (8, 7, 6), (None, None, 20)):
        planned = plan_tokens(plan, config, budget, grid=(3, 3), scouting=Scouting(segments, changes, codes))
        assert (planned.segments, planned.counts) == (((0, 32),), (expected,))
