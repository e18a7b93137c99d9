"""Token merging against a literal, slow reading of the papers, and the properties that hold for any input."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from videollm.errors import ConfigError
from videollm.model.merging import average_groups, memory_tokens, merge_schedule, merge_tokens
from videollm.model.quantization import cluster_tokens

GRID = 2**16


def literal_merge(tokens, target, *, sizes=None, heads=1, share=0.5, order="source"):
    """One row of tokens merged in loops: a list of (size, sum of features, source indices), step by step.

    ``order="longvlm"`` lays the survivors out as LongVLM does between steps: unmerged even tokens by falling
    similarity, then the odd ones.
    """
    count, width = tokens.shape
    sizes = torch.ones(count) if sizes is None else sizes
    groups = [(sizes[i], sizes[i] * tokens[i], [i]) for i in range(count)]
    while len(groups) > target:
        step = min(max(1, int(share * len(groups))), len(groups) - target)
        metric = [
            functional.normalize((total / size).view(heads, width // heads).mean(0), dim=0)
            for size, total, _ in groups
        ]
        best = {}
        for a in range(0, len(groups), 2):
            similarities = [round(float(metric[a] @ metric[b]) * GRID) for b in range(1, len(groups), 2)]
            highest = max(similarities)
            best[a] = (highest, 2 * similarities.index(highest) + 1)
        by_similarity = sorted(best, key=lambda a: -best[a][0])
        merged, rest = by_similarity[:step], by_similarity[step:]
        result = dict(enumerate(groups))
        for a in merged:
            b = best[a][1]
            result[b] = tuple(left + right for left, right in zip(result[b], groups[a], strict=True))
            del result[a]
        layout = [*rest, *range(1, len(groups), 2)] if order == "longvlm" else sorted(result)
        groups = [result[i] for i in layout]
    return sorted(groups, key=lambda group: sum(sizes[i] * i for i in group[2]) / group[0])


def array_merge(tokens, target, *, sizes=None, heads=1, share=0.5):
    """The sources of ``literal_merge``, by whole arrays in double precision: for a row that is too long for it."""
    count, width = tokens.shape
    sizes = np.ones(count) if sizes is None else sizes.double().numpy()
    sums = tokens.double().view(count, heads, width // heads).mean(1).numpy() * sizes[:, None]
    sources = np.arange(count)
    while len(sums) > target:
        step = min(max(1, int(share * len(sums))), len(sums) - target)
        metric = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        similarities = np.rint(metric[0::2] @ metric[1::2].T * GRID)
        merged = np.argsort(-similarities.max(1), kind="stable")[:step]
        leader = np.arange(len(sums))
        leader[2 * merged] = 2 * similarities.argmax(1)[merged] + 1
        groups = np.unique(leader, return_inverse=True)[1]
        result = np.zeros((len(sums) - step, sums.shape[1]))
        np.add.at(result, groups, sums)
        sums, sources = result, groups[sources]
    means = np.bincount(sources, sizes * np.arange(count)) / np.bincount(sources, sizes)
    return torch.from_numpy(np.argsort(np.argsort(means, kind="stable"))[sources])


def seeded(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def row_groups(sources):
    """The groups of one row as lists of source indices, in the order of the kept tokens."""
    return [(sources == kept).nonzero()[:, 0].tolist() for kept in range(int(sources.max()) + 1)]


@st.composite
def cases(draw, max_tokens=40):
    """Batches of tokens with a target, sizes, heads and a share."""
    count = draw(st.integers(1, max_tokens))
    target = draw(st.integers(1, count))
    heads, dims, batch = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**32 - 1))
    tokens = seeded(seed, batch, count, heads * dims)
    sizes = torch.randint(1, 6, (batch, count), generator=torch.Generator().manual_seed(seed)).float()
    return tokens, target, sizes, heads, draw(st.sampled_from([0.5, 0.3, 0.1]))


def test_the_schedule_regenerates_the_published_lists():
    assert merge_schedule(2560, 30) == [1280, 640, 320, 160, 80, 40, 10]
    assert merge_schedule(5760, 50) == [2880, 1440, 720, 360, 180, 90, 40]


@given(st.integers(1, 500), st.data())
def test_a_schedule_ends_exactly_at_the_target_and_never_takes_more_than_its_share(count, data):
    target = data.draw(st.integers(1, count))
    share = data.draw(st.floats(0.01, 0.5))
    left = count
    for step in merge_schedule(count, target, share):
        assert 1 <= step <= max(1, share * left)
        left -= step
    assert left == target


@pytest.mark.parametrize(
    ("count", "target", "message"),
    [
        (4, 5, "target must be a whole number from 1 to 4, the number of tokens, got 5"),
        (4, 0, "target must be a whole number from 1 to 4, the number of tokens, got 0"),
        (4, 2.0, "target must be a whole number .* got 2.0"),
        (4, True, "target must be a whole number .* got True"),
        (4, "2", "target must be a whole number .* got '2'"),
        (0, 0, "tokens must be a whole number of at least 1, got 0"),
        (4.5, 2, "tokens must be a whole number of at least 1, got 4.5"),
    ],
)
def test_an_impossible_schedule_is_refused_with_what_was_given(count, target, message):
    with pytest.raises(ConfigError, match=message):
        merge_schedule(count, target)


@pytest.mark.parametrize("share", [0, 0.6, -1, "half"])
def test_a_share_outside_its_range_is_refused(share):
    with pytest.raises(ConfigError, match="above 0 and at most"):
        merge_schedule(4, 2, share)


WRONG_ARGUMENTS = [
    (
        {"tokens": torch.zeros(4, 10)},
        r"tokens must be a tensor \(B, N, C\) of a floating dtype, got \(4, 10\)",
    ),
    ({"tokens": torch.zeros(1, 4, 10).long()}, "of a floating dtype, got .* of torch.int64"),
    ({"tokens": np.zeros((1, 4, 10))}, "of a floating dtype, got a value of type ndarray"),
    ({"tokens": torch.zeros(1, 0, 10)}, r"must have N of at least 1, got the shape \(1, 0, 10\)"),
    ({"tokens": torch.zeros(1, 4, 0)}, r"must have C of at least 1, got the shape \(1, 4, 0\)"),
    ({"target": 5}, "target must be a whole number from 1 to 4, the number of tokens, got 5"),
    ({"target": 2.0}, "target must be a whole number from 1 to 4, the number of tokens, got 2.0"),
    ({"sizes": torch.ones(4)}, r"sizes must be a tensor \(1, 4\), one number for each token, got \(4,\)"),
    (
        {"sizes": torch.ones(1, 3)},
        r"sizes must be a tensor \(1, 4\), one number for each token, got \(1, 3\)",
    ),
    ({"sizes": [[1, 1, 1, 1]]}, r"sizes must be a tensor \(1, 4\), .* got a value of type list"),
    ({"positions": torch.ones(1, 4)}, r"positions must be a tensor \(1, 4, P\), .* got \(1, 4\)"),
    ({"positions": torch.ones(1, 3, 2)}, r"positions must be a tensor \(1, 4, P\), .* got \(1, 3, 2\)"),
    ({"heads": 3}, "heads must divide the token width 10, got 3"),
    ({"heads": 0}, "heads must be a whole number of at least 1, got 0"),
    ({"heads": -2}, "heads must be a whole number of at least 1, got -2"),
]


@pytest.mark.parametrize("merge", [merge_tokens, cluster_tokens])
@pytest.mark.parametrize(("arguments", "message"), WRONG_ARGUMENTS)
def test_both_ways_to_merge_refuse_wrong_arguments_in_the_same_line(merge, arguments, message):
    with pytest.raises(ConfigError, match=message) as caught:
        merge(**({"tokens": torch.zeros(1, 4, 10), "target": 2} | arguments))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("merge", [merge_tokens, cluster_tokens])
def test_an_empty_batch_gives_an_empty_batch(merge):
    merged = merge(torch.zeros(0, 9, 4), 3, positions=torch.zeros(0, 9, 2))
    shapes = [tuple(part.shape) for part in (merged.tokens, merged.sizes, merged.positions, merged.sources)]
    assert shapes == [(0, 3, 4), (0, 3), (0, 3, 2), (0, 9)]


@settings(max_examples=40)
@given(cases(), st.data())
def test_patches_are_traced_through_two_mergings(case, data):
    tokens, target, sizes, heads, share = case
    first = merge_tokens(tokens, target, sizes=sizes, heads=heads, share=share)
    fewer = data.draw(st.integers(1, target))
    second = merge_tokens(first.tokens, fewer, sizes=first.sizes, heads=heads, share=share)
    traced = average_groups(tokens, second.sources.gather(1, first.sources), fewer, sizes=sizes)
    torch.testing.assert_close(second.tokens, traced.tokens, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second.sizes, traced.sizes)
    for sources, weights in zip(second.sources, first.sizes, strict=True):
        means = [sum(weights[i] * i for i in group) / weights[group].sum() for group in row_groups(sources)]
        assert all(earlier <= later + 1e-4 for earlier, later in pairwise(means))


@settings(max_examples=60)
@given(cases(max_tokens=24))
def test_merging_equals_the_literal_reference(case):
    tokens, target, sizes, heads, share = case
    merged = merge_tokens(tokens, target, sizes=sizes, heads=heads, share=share)
    for row in range(len(tokens)):
        expected = literal_merge(tokens[row], target, sizes=sizes[row], heads=heads, share=share)
        assert row_groups(merged.sources[row]) == [sorted(members) for _, _, members in expected]
        torch.testing.assert_close(merged.sizes[row], torch.stack([size for size, _, _ in expected]))
        torch.testing.assert_close(
            merged.tokens[row],
            torch.stack([total / size for size, total, _ in expected]),
            rtol=1e-4,
            atol=1e-5,
        )


def test_longvlms_algorithm_finds_the_same_tokens_for_its_own_kind_of_schedule():
    """Their layout between steps differs from ours only once a step is no half, which is the last."""
    tokens = seeded(0, 320, 64)
    ours = merge_tokens(tokens[None], 30, heads=4)
    theirs = literal_merge(tokens, 30, heads=4, order="longvlm")
    assert row_groups(ours.sources[0]) == [sorted(members) for _, _, members in theirs]


@settings(max_examples=60)
@given(cases())
def test_both_references_agree(case):
    tokens, target, sizes, heads, share = case
    expected = literal_merge(tokens[0], target, sizes=sizes[0], heads=heads, share=share)
    sources = array_merge(tokens[0], target, sizes=sizes[0], heads=heads, share=share)
    assert row_groups(sources) == [sorted(members) for _, _, members in expected]


# The seeds of the next two are some whose groups stay the same when all similarities are off by a tenth of a grid step,
# more than any order of summation makes them differ.


def test_longvlms_own_case_equals_the_reference():
    """100 frames of 256 patches, in ten segments, to 30 tokens each."""
    tokens = seeded(25, 10, 2560, 32)
    merged = merge_tokens(tokens, 30, heads=4)
    for row, sources in zip(tokens, merged.sources, strict=True):
        assert torch.equal(sources, array_merge(row, 30, heads=4))


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_a_row_compared_in_parts_equals_the_reference(share):
    """1,500 x 1,500 similarities are more than a part."""
    tokens = seeded(23, 1, 3000, 24)
    merged = merge_tokens(tokens, 40, share=share)
    assert torch.equal(merged.sources[0], array_merge(tokens[0], 40, share=share))


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("fill", [0.0, 1.0])
@pytest.mark.parametrize("count", [2, 7, 2560])
def test_where_all_tokens_are_equal_the_earlier_ones_merge(count, fill, share):
    """Zeros resemble nothing, not even each other; neither divides by zero."""
    tokens = torch.full((3, count, 8), fill)
    merged = merge_tokens(tokens, 2, share=share)
    assert torch.equal(merged.sources, array_merge(tokens[0], 2, share=share).expand(3, count))
    assert torch.equal(merged.tokens, tokens[:, :2])


def test_a_token_of_zeros_among_others_is_merged_like_them():
    tokens = seeded(16, 2, 300, 8)
    tokens[:, 10:20] = 0
    merged = merge_tokens(tokens, 20)
    assert torch.isfinite(merged.tokens).all()
    assert torch.equal(merged.sources[0], array_merge(tokens[0], 20))


@settings(max_examples=100)
@given(cases())
def test_tokens_sizes_and_positions_are_conserved_and_traced(case):
    tokens, target, sizes, heads, share = case
    positions = seeded(1, *sizes.shape, 2)
    merged = merge_tokens(tokens, target, sizes=sizes, positions=positions, heads=heads, share=share)
    assert merged.tokens.shape == (len(tokens), target, tokens.shape[2])
    torch.testing.assert_close(merged.sizes.sum(1), sizes.sum(1))
    torch.testing.assert_close(
        torch.einsum("bm,bmc->bc", merged.sizes, merged.tokens),
        torch.einsum("bn,bnc->bc", sizes, tokens),
        rtol=1e-4,
        atol=1e-4,
    )
    one_hot = functional.one_hot(merged.sources, target) * sizes[..., None]
    means = one_hot / one_hot.sum(1, keepdim=True)
    torch.testing.assert_close(merged.tokens, means.mT @ tokens, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(merged.positions, means.mT @ positions, rtol=1e-4, atol=1e-5)


@settings(max_examples=100)
@given(cases())
def test_kept_tokens_stand_in_the_order_of_their_mean_source_index(case):
    tokens, target, sizes, heads, share = case
    merged = merge_tokens(tokens, target, sizes=sizes, heads=heads, share=share)
    for sources, weights in zip(merged.sources, sizes, strict=True):
        means = [sum(weights[i] * i for i in group) / weights[group].sum() for group in row_groups(sources)]
        assert all(earlier <= later + 1e-4 for earlier, later in pairwise(means))


@settings(max_examples=40)
@given(cases())
def test_a_row_merges_alike_alone_and_in_any_batch(case):
    tokens, target, sizes, heads, share = case
    together = merge_tokens(tokens, target, sizes=sizes, heads=heads, share=share)
    for row in reversed(range(len(tokens))):
        alone = merge_tokens(
            tokens[row : row + 1], target, sizes=sizes[row : row + 1], heads=heads, share=share
        )
        assert torch.equal(alone.sources[0], together.sources[row])
        torch.testing.assert_close(alone.tokens[0], together.tokens[row])


def test_repeated_frames_merge_alike_alone_and_in_any_batch():
    """Equal patches tie; the rounding of a batched matrix product must not choose between them."""
    frame = seeded(3, 1, 37, 48).repeat(1, 5, 1)
    batch = torch.cat([frame, seeded(4, 6, 185, 48)])
    for share in (0.5, 0.2):
        alone = merge_tokens(frame, 20, share=share)
        assert torch.equal(alone.sources[0], merge_tokens(batch, 20, share=share).sources[0])
        assert torch.equal(alone.sources[0], merge_tokens(batch.flip(0), 20, share=share).sources[-1])


def test_equal_patches_merge_before_different_ones():
    """With a small share, what resembles nothing survives untouched."""
    backdrop = seeded(5, 1, 8)
    tokens = backdrop.repeat(60, 1)
    tokens[[7, 24]] = seeded(6, 2, 8)
    merged = merge_tokens(tokens[None], 5, share=0.1)
    assert [7] in row_groups(merged.sources[0])
    assert [24] in row_groups(merged.sources[0])


def test_the_same_input_gives_the_same_output_bit_for_bit():
    tokens = seeded(7, 3, 100, 32)
    first, second = merge_tokens(tokens, 13), merge_tokens(tokens.clone(), 13)
    assert torch.equal(first.tokens, second.tokens)
    assert torch.equal(first.sources, second.sources)


def test_as_many_tokens_as_wanted_pass_unchanged():
    tokens = seeded(8, 2, 9, 4)
    merged = merge_tokens(tokens, 9)
    assert torch.equal(merged.tokens, tokens)
    assert torch.equal(merged.sizes, torch.ones(2, 9))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(2, 600, 8), (3, 600, 1024), (1, 3000, 512)])
def test_half_precision_tokens_are_summed_in_single_precision(shape, dtype):
    """The larger ones are widened in parts."""
    tokens = seeded(9, *shape).to(dtype)
    positions = seeded(17, *shape[:2], 3)
    merged = merge_tokens(tokens, 2, heads=4, positions=positions)
    exact = merge_tokens(tokens.float(), 2, heads=4, positions=positions)
    assert merged.tokens.dtype == dtype
    assert torch.equal(merged.sources, exact.sources)
    assert torch.equal(merged.positions, exact.positions)
    half_a_digit = torch.finfo(dtype).eps / 2
    torch.testing.assert_close(merged.tokens.float(), exact.tokens, rtol=1.01 * half_a_digit, atol=1e-6)


def test_half_precision_tokens_pass_unchanged_where_none_merge():
    tokens = seeded(18, 2, 700, 1024).bfloat16()
    assert torch.equal(merge_tokens(tokens, 700).tokens, tokens)


def test_autocast_does_not_touch_the_similarities():
    tokens = seeded(10, 2, 200, 16)
    with torch.autocast("cpu", torch.bfloat16):
        inside = merge_tokens(tokens, 20)
    assert torch.equal(inside.sources, merge_tokens(tokens, 20).sources)
    assert inside.tokens.dtype == torch.float32


def test_inputs_too_large_to_compare_at_once_are_compared_in_parts_with_the_same_result():
    """A row of 1,500 x 1,500 similarities is compared in parts, and apart from the other rows."""
    tokens = seeded(11, 5, 3000, 4)
    assert torch.equal(merge_tokens(tokens, 11).sources[3], merge_tokens(tokens[3:4], 11).sources[0])


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 50, 6), torch.float64), ((3, 50, 6), torch.float32), ((2, 1500, 512), torch.bfloat16)],
)
def test_gradients_pass_to_every_token_by_its_share(shape, dtype):
    tokens = seeded(12, *shape).to(dtype).requires_grad_()
    positions = seeded(19, *shape[:2], 3).requires_grad_()
    sizes = torch.arange(1.0, shape[1] + 1).expand(shape[:2])
    merged = merge_tokens(tokens, 7, sizes=sizes, positions=positions)
    (merged.tokens.sum() + merged.positions.sum()).backward()
    shares = (sizes / merged.sizes.gather(1, merged.sources))[..., None]
    torch.testing.assert_close(tokens.grad, shares.expand_as(tokens).to(dtype))
    torch.testing.assert_close(positions.grad, shares.expand_as(positions))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_gives_the_same_tokens_every_time_and_those_of_the_cpu(dtype):
    tokens, positions = seeded(20, 4, 1000, 48).to(dtype), seeded(21, 4, 1000, 3)
    here = merge_tokens(tokens, 20, heads=3, positions=positions)
    there, again = (merge_tokens(tokens.cuda(), 20, heads=3, positions=positions.cuda()) for _ in range(2))
    assert torch.equal(there.sources.cpu(), here.sources)
    assert torch.equal(there.tokens, again.tokens)
    assert torch.equal(there.positions, again.positions)
    torch.testing.assert_close(there.tokens.cpu(), here.tokens)
    torch.testing.assert_close(there.positions.cpu(), here.positions)


def test_groups_are_averaged_by_size():
    averaged = average_groups(
        torch.tensor([[[1.0], [4.0], [10.0]]]),
        torch.tensor([[0, 0, 1]]),
        2,
        sizes=torch.tensor([[2.0, 1.0, 5.0]]),
    )
    assert averaged.tokens.tolist() == [[[2.0], [10.0]]]
    assert averaged.sizes.tolist() == [[3.0, 5.0]]
    assert averaged.positions is None


def test_memory_is_the_deepest_class_tokens_averaged_over_frames():
    cls_LTC = seeded(15, 5, 3, 4)
    torch.testing.assert_close(
        memory_tokens(cls_LTC, 2), torch.stack([cls_LTC[3].mean(0), cls_LTC[4].mean(0)])
    )
    assert memory_tokens(cls_LTC, 0).shape == (0, 4)


@pytest.mark.parametrize(
    ("shape", "count", "message"),
    [
        ((5, 3, 4), 6, "count must be a whole number from 0 to 5, the number of layers, got 6"),
        ((5, 3, 4), -1, "count must be a whole number from 0 to 5, the number of layers, got -1"),
        ((5, 3, 4), 1.0, "count must be a whole number from 0 to 5, the number of layers, got 1.0"),
        ((5, 4), 2, r"cls_LTC must be a tensor \(L, T, C\) of a floating dtype, got \(5, 4\)"),
        ((5, 0, 4), 2, r"must have T of at least 1, got the shape \(5, 0, 4\)"),
    ],
)
def test_memory_that_is_not_there_is_refused(shape, count, message):
    with pytest.raises(ConfigError, match=message):
        memory_tokens(torch.zeros(shape), count)
