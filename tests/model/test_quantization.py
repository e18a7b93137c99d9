"""Seeded k-means: exact counts, nothing lost, one result for one input, and clusters found where there are any."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from videollm.errors import ConfigError
from videollm.model import quantization
from videollm.model.quantization import choose_count, cluster_tokens, quantize


def seeded(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def blobs(count, per_blob, width=24, noise=0.02, seed=0):
    """Tokens around ``count`` directions at right angles, shuffled, and which direction each is around."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.linalg.qr(torch.randn(width, width, generator=generator))[0][:count] * 3
    which = torch.arange(count).repeat(per_blob)[torch.randperm(count * per_blob, generator=generator)]
    return centres[which] + noise * torch.randn(len(which), width, generator=generator), which


@st.composite
def cases(draw, max_tokens=60):
    """Batches of tokens, some equal or zero, with a target, sizes and heads."""
    count = draw(st.integers(1, max_tokens))
    target = draw(st.integers(1, count))
    heads, dims, batch = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**32 - 1))
    tokens = seeded(seed, batch, count, heads * dims)
    if draw(st.booleans()):
        tokens = tokens[:, torch.randint(0, count, (count,), generator=torch.Generator().manual_seed(seed))]
    if draw(st.booleans()):
        tokens[:, :: draw(st.integers(1, 5))] = 0
    sizes = torch.randint(1, 6, (batch, count), generator=torch.Generator().manual_seed(seed)).float()
    return tokens, target, sizes, heads, draw(st.integers(0, 3))


@settings(max_examples=120)
@given(cases())
def test_any_target_is_hit_and_sizes_sums_and_positions_are_conserved(case):
    tokens, target, sizes, heads, seed = case
    positions = seeded(1, *sizes.shape, 2)
    found = cluster_tokens(tokens, target, sizes=sizes, positions=positions, heads=heads, seed=seed)
    assert found.tokens.shape == (len(tokens), target, tokens.shape[2])
    torch.testing.assert_close(found.sizes.sum(1), sizes.sum(1))
    assert (found.sizes > 0).all()
    members = functional.one_hot(found.sources, target) * sizes[..., None]
    means = members / members.sum(1, keepdim=True)
    torch.testing.assert_close(found.tokens, means.mT @ tokens, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.positions, means.mT @ positions, rtol=1e-4, atol=1e-5)


@settings(max_examples=60)
@given(cases())
def test_clusters_stand_in_order_of_their_mean_index_and_codes_of_their_first_token(case):
    tokens, target, sizes, heads, seed = case
    found = cluster_tokens(tokens, target, sizes=sizes, heads=heads, seed=seed)
    index = torch.arange(tokens.shape[1])
    for sources, weights in zip(found.sources, sizes, strict=True):
        means = [(weights * index)[sources == k].sum() / weights[sources == k].sum() for k in range(target)]
        assert all(earlier <= later + 1e-4 for earlier, later in pairwise(means))
    codebook = quantize(tokens[0], target, sizes_N=sizes[0], seed=seed)
    firsts = [int((codebook.labels_N == code).nonzero()[0]) for code in range(target)]
    assert firsts == sorted(firsts)
    torch.testing.assert_close(codebook.sizes_K.sum(), sizes[0].sum())


@settings(max_examples=40)
@given(cases())
def test_a_row_clusters_alike_alone_and_in_any_batch_and_every_time(case):
    tokens, target, sizes, heads, seed = case
    together = cluster_tokens(tokens, target, sizes=sizes, heads=heads, seed=seed)
    again = cluster_tokens(tokens.clone(), target, sizes=sizes, heads=heads, seed=seed)
    assert torch.equal(together.tokens, again.tokens)
    for row in reversed(range(len(tokens))):
        alone = cluster_tokens(
            tokens[row : row + 1], target, sizes=sizes[row : row + 1], heads=heads, seed=seed
        )
        assert torch.equal(alone.sources[0], together.sources[row])


@pytest.mark.parametrize("seed", range(5))
def test_clear_clusters_are_found_whatever_the_seed_so_that_labels_do_not_depend_on_it(seed):
    tokens, which = blobs(7, 40)
    codebook = quantize(tokens, 7, seed=seed)
    firsts = {int(blob): rank for rank, blob in enumerate(dict.fromkeys(which.tolist()))}
    assert codebook.labels_N.tolist() == [firsts[blob] for blob in which.tolist()]
    assert codebook.error < 0.01


@pytest.mark.parametrize("clusters", [2, 5, 9])
def test_the_elbow_is_the_number_of_clear_clusters(clusters):
    tokens, _ = blobs(clusters, 60)
    assert choose_count(tokens, 30) == clusters
    assert choose_count(tokens, 30, fewest=clusters) == clusters


def test_the_elbow_stays_within_its_bounds():
    tokens, _ = blobs(6, 20)
    assert choose_count(tokens, 4) <= 4
    assert choose_count(tokens, 30, fewest=10) >= 10
    assert choose_count(tokens[:3], 30) <= 3
    assert choose_count(torch.ones(50, 4), 20) == 1
    assert choose_count(torch.ones(50, 4), 20, fewest=3) == 3


@pytest.mark.parametrize(("most", "fewest", "expected"), [(1, 1, 1), (2, 1, 1), (2, 2, 2), (3, 1, 2)])
def test_an_elbow_needs_three_points(most, fewest, expected):
    tokens, _ = blobs(2, 20)
    assert choose_count(tokens, most, fewest=fewest) == expected
    assert choose_count(tokens[:2], 30, fewest=min(fewest, 2)) == min(fewest, 2)


def test_sizes_count_as_that_many_equal_tokens():
    tokens, _ = blobs(4, 6, noise=0.3)
    sizes = torch.tensor([1.0, 3.0] * 12)
    repeated = tokens.repeat_interleave(sizes.long(), dim=0)
    weighted, plain = quantize(tokens, 4, sizes_N=sizes), quantize(repeated, 4)
    torch.testing.assert_close(weighted.codes_KC, plain.codes_KC)
    torch.testing.assert_close(weighted.sizes_K, plain.sizes_K)


def test_more_tokens_than_are_sampled_are_all_assigned_to_the_nearest_code():
    tokens, which = blobs(5, 3000, noise=0.05)
    assert len(tokens) > quantization._FEWEST_DRAWN
    codebook = quantize(tokens, 5)
    assert len({(int(a), int(b)) for a, b in zip(codebook.labels_N, which, strict=True)}) == 5


def test_equal_tokens_still_fill_every_code():
    found = cluster_tokens(torch.ones(2, 12, 3), 5)
    assert [int(sizes.min()) for sizes in found.sizes] == [1, 1]
    torch.testing.assert_close(found.tokens, torch.ones(2, 5, 3))


def test_as_many_codes_as_tokens_are_the_tokens():
    tokens = seeded(2, 9, 4)
    codebook = quantize(tokens, 9)
    assert torch.equal(codebook.codes_KC, tokens)
    assert codebook.labels_N.tolist() == list(range(9))


def test_half_precision_tokens_are_compared_and_summed_in_single_precision():
    tokens = seeded(3, 2, 300, 8).bfloat16()
    half, exact = cluster_tokens(tokens, 6), cluster_tokens(tokens.float(), 6)
    assert half.tokens.dtype == torch.bfloat16
    assert torch.equal(half.sources, exact.sources)
    with torch.autocast("cpu", torch.bfloat16):
        inside = cluster_tokens(tokens.float(), 6)
    assert torch.equal(inside.sources, exact.sources)


def test_gradients_pass_to_every_token_by_its_share():
    tokens = seeded(4, 50, 6).double().requires_grad_()
    sizes = torch.arange(1.0, 51)
    codebook = quantize(tokens, 7, sizes_N=sizes)
    codebook.codes_KC.sum().backward()
    shares = sizes / codebook.sizes_K[codebook.labels_N]
    torch.testing.assert_close(tokens.grad, shares[:, None].expand_as(tokens).double())


def test_the_error_is_the_mean_distance_to_the_code():
    tokens = seeded(5, 400, 16)
    codebook = quantize(tokens, 12)
    codes = functional.normalize(codebook.codes_KC, dim=-1)[codebook.labels_N]
    distance = 1 - (functional.normalize(tokens, dim=-1) * codes).sum(-1).mean()
    assert codebook.error == pytest.approx(float(distance), rel=0.05)
    assert quantize(tokens, 40).error < codebook.error < quantize(tokens, 3).error


@pytest.mark.parametrize("count", [0, 5, 2.0])
def test_an_impossible_number_of_codes_is_refused_with_both_numbers(count):
    with pytest.raises(
        ConfigError, match=f"count must be a whole number from 1 to 4, the number of tokens, got {count}"
    ):
        quantize(torch.zeros(4, 2), count)


@pytest.mark.parametrize(
    ("most", "fewest", "message"),
    [
        (4, 5, "fewest must be a whole number from 1 to 4, the most codes, got 5"),
        (30, 10, "fewest must be a whole number from 1 to 9, the number of tokens, got 10"),
        (4, 0, "fewest must be a whole number from 1 to 4, the most codes, got 0"),
        (0, 1, "most must be a whole number of at least 1, got 0"),
        (2.5, 1, "most must be a whole number of at least 1, got 2.5"),
    ],
)
def test_bounds_of_an_adaptive_size_must_be_in_order(most, fewest, message):
    with pytest.raises(ConfigError, match=message):
        choose_count(torch.zeros(9, 2), most, fewest=fewest)


@pytest.mark.parametrize("call", [quantize, choose_count])
@pytest.mark.parametrize(
    ("tokens", "sizes", "message"),
    [
        (
            torch.zeros(1, 4, 2),
            None,
            r"tokens_NC must be a tensor \(N, C\) of a floating dtype, got \(1, 4, 2\)",
        ),
        (torch.zeros(4, 2).int(), None, "of a floating dtype, got .* of torch.int32"),
        (torch.zeros(0, 2), None, r"tokens_NC \(N, C\) must have N of at least 1, got the shape \(0, 2\)"),
        (torch.zeros(4, 2), torch.ones(4, 1), r"sizes_N must be a tensor \(4,\), .* got \(4, 1\)"),
    ],
)
def test_tokens_of_a_wrong_shape_or_dtype_are_refused(call, tokens, sizes, message):
    with pytest.raises(ConfigError, match=message):
        call(tokens, 2, sizes_N=sizes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same_clusters():
    tokens, _ = blobs(9, 300, noise=0.1)
    here, there = quantize(tokens, 9), quantize(tokens.cuda(), 9)
    assert torch.equal(here.labels_N, there.labels_N.cpu())
