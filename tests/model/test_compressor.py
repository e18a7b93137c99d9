"""The compressor: exact counts, conserved sizes, true spans, and one result whichever way it is computed."""

import dataclasses
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from videollm.errors import ConfigError, DataError
from videollm.model.compressor import Compressor, plan_tokens
from videollm.model.compressor_config import KINDS, CompressorConfig, QFormerConfig, VQConfig
from videollm.model.merging import merge_tokens
from videollm.model.segments import MergedSegments
from videollm.values import FramePlan

GRID, WIDTH = (3, 4), 10
QFORMER = QFormerConfig(layers=1, hidden_size=14, heads=2, intermediate_size=18)
VQ = VQConfig(codes=9, heads=2, hidden_size=16, time_bins=3, place_bins=2, time_frequencies=5)
CONFIG = CompressorConfig(
    merged_tokens=7, merge_heads=2, num_queries=5, memory_layers=2, qformer=QFORMER, vq=VQ
)
SEVEN_FRAMES = FramePlan(
    (0.3, 1.2, 2.0, 3.5, 4.0, 5.1, 6.0),
    ((0, 2), (2, 4), (4, 6), (6, 7)),
    start_s=0.0,
    end_s=6.5,
    resolved=True,
)
# Keeping every patch cannot meet a budget.
CASES = [
    (kind, budget) for kind in KINDS for budget in ([None] if kind == "none" else [None, 24, 11, 6, 3, 1])
]


def compressor_of(kind, **changes):
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, kind=kind, **changes)
    return Compressor(config, encoder_width=WIDTH, grid=GRID).eval()


def inputs_for(plan, seed=0, layers=2):
    generator = torch.Generator().manual_seed(seed)
    frames = plan.frame_count
    patches_TPC = torch.randn(frames, GRID[0] * GRID[1], WIDTH, generator=generator)
    return patches_TPC, torch.randn(layers, frames, WIDTH, generator=generator)


def compress(compressor, plan, budget, seed=0):
    """Compresses random patches without gradients."""
    with torch.no_grad():
        compressed = compressor(*inputs_for(plan, seed), plan, budget)
    return compressed, compressed.token_plan


@st.composite
def plans(draw):
    """Frame plans with segments of any lengths and uneven times."""
    edges = [0]
    for length in draw(st.lists(st.integers(1, 4), min_size=1, max_size=6)):
        edges.append(edges[-1] + length)
    steps = draw(st.lists(st.floats(0.01, 3), min_size=edges[-1], max_size=edges[-1]))
    times = tuple(sum(steps[: frame + 1]) for frame in range(edges[-1]))
    return FramePlan(times, tuple(pairwise(edges)), start_s=0.0, end_s=times[-1] + 1)


@settings(max_examples=60)
@given(plans(), st.sampled_from(KINDS), st.none() | st.integers(1, 60))
def test_any_plan_gives_exactly_the_planned_tokens_with_conserved_sizes_and_spans_inside(plan, kind, budget):
    compressor = compressor_of(kind)
    budget = None if kind == "none" else budget
    token_plan = compressor.plan_tokens(plan, budget)
    with torch.no_grad():
        compressed = compressor(*inputs_for(plan), plan, budget)
    total = token_plan.total
    assert token_plan == compressed.token_plan
    assert compressed.tokens_KD.shape == (total, compressor.width)
    assert compressed.tokens_KD.isfinite().all()
    assert compressed.spans_K2.shape == (total, 2)
    assert compressed.sizes_K.sum().item() == pytest.approx(plan.frame_count * 12, rel=1e-4)
    assert (compressed.sizes_K[: token_plan.memory] == 0).all()
    assert (compressed.spans_K2[:, 0] <= compressed.spans_K2[:, 1]).all()
    assert compressed.spans_K2.min() >= 0
    assert compressed.spans_K2.max().item() == pytest.approx(plan.end_s)


@pytest.mark.parametrize(("kind", "budget"), CASES)
def test_tokens_stay_within_the_seconds_of_their_run_in_order_of_time(kind, budget):
    compressed, token_plan = compress(compressor_of(kind), SEVEN_FRAMES, budget)
    spans = compressed.spans_K2[token_plan.memory :].split(list(token_plan.counts))
    for (start, end), tokens in zip(token_plan.spans_s(SEVEN_FRAMES), spans, strict=True):
        assert tokens.min() >= start - 1e-5
        assert tokens.max() <= end + 1e-5
        if compressed.sources.shares is not None:
            torch.testing.assert_close(tokens, torch.tensor([[start, end]]).expand_as(tokens))


@pytest.mark.parametrize(("kind", "budget"), CASES)
def test_a_token_begins_and_ends_where_its_first_and_its_last_patches_are(kind, budget):
    compressed, token_plan = compress(compressor_of(kind), SEVEN_FRAMES, budget)
    places = compressed.extents_K23[..., 1:]
    if compressed.sources.shares is not None:
        torch.testing.assert_close(places, torch.full_like(places, 0.5))
        return
    rows, columns = GRID
    for token in range(token_plan.memory, token_plan.total):
        frames, patches = compressed.sources.patch_shares(token).nonzero().T
        for end, frame in enumerate((frames.min(), frames.max())):
            there = patches[frames == frame]
            place = [(there // columns + 0.5).mean() / rows, (there % columns + 0.5).mean() / columns]
            torch.testing.assert_close(places[token, end], torch.stack(place))


def test_memory_tokens_stand_first_and_span_the_whole_video():
    compressor = compressor_of("merge")
    patches, classes = inputs_for(SEVEN_FRAMES)
    for budget, memory in ((None, 2), (8, 2), (7, 1), (3, 0)):
        compressed = compressor(patches, classes, SEVEN_FRAMES, budget)
        assert compressed.token_plan.memory == memory
        torch.testing.assert_close(compressed.tokens_KD[:memory], classes.mean(dim=1)[2 - memory :])
        assert compressed.extents_K23[:memory].tolist() == [[[0.0, 0.5, 0.5], [6.5, 0.5, 0.5]]] * memory


@pytest.mark.parametrize(("kind", "budget"), [case for case in CASES if case[0] in ("merge", "pool", "none")])
def test_kinds_without_queries_give_the_means_of_the_patches_their_sources_name(kind, budget):
    compressed, token_plan = compress(compressor_of(kind), SEVEN_FRAMES, budget)
    patches, _ = inputs_for(SEVEN_FRAMES)
    shares = torch.stack(
        [compressed.sources.patch_shares(k) for k in range(token_plan.memory, token_plan.total)]
    )
    expected = torch.einsum("ktp,tpc->kc", shares, patches)
    torch.testing.assert_close(compressed.tokens_KD[token_plan.memory :], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "budget"), CASES)
def test_sources_lie_in_the_run_of_their_token_and_agree_with_each_other(kind, budget):
    compressed, token_plan = compress(compressor_of(kind), SEVEN_FRAMES, budget)
    by_patch = torch.stack([compressed.sources.patch_shares(token) for token in range(token_plan.total)])
    by_frame = compressed.sources.frame_shares()
    torch.testing.assert_close(by_patch.sum(dim=2), by_frame)
    torch.testing.assert_close(by_frame.sum(dim=1), torch.ones(token_plan.total))
    for run, frames in zip(
        token_plan.segments, by_frame[token_plan.memory :].split(list(token_plan.counts)), strict=True
    ):
        torch.testing.assert_close(frames[:, slice(*run)].sum(dim=1), torch.ones(len(frames)))
    from_sizes = (compressed.sizes_K[:, None, None] * by_patch).sum(dim=0)
    torch.testing.assert_close(from_sizes, torch.ones(7, 12), rtol=1e-4, atol=1e-4)


def test_a_token_beyond_the_last_has_no_sources():
    compressed, token_plan = compress(compressor_of("merge+qformer"), SEVEN_FRAMES, None)
    with pytest.raises(IndexError):
        compressed.sources.patch_shares(token_plan.total)


def test_segments_are_merged_each_on_its_own():
    compressor = compressor_of("merge")
    patches, classes = inputs_for(SEVEN_FRAMES)
    compressed = compressor(patches, classes, SEVEN_FRAMES)
    for index, (first, past) in enumerate(SEVEN_FRAMES.segments):
        alone = merge_tokens(
            patches[first:past].flatten(0, 1)[None], 7, heads=2, share=compressor.config.merge_share
        )
        part = slice(2 + 7 * index, 2 + 7 * (index + 1))
        torch.testing.assert_close(compressed.tokens_KD[part], alone.tokens[0])
        torch.testing.assert_close(compressed.sizes_K[part], alone.sizes[0])


def test_merged_positions_are_mean_seconds_rows_and_columns():
    compressor = compressor_of("merge+qformer", merged_tokens=1)
    merged = compressor.merge_only(*inputs_for(SEVEN_FRAMES), SEVEN_FRAMES)
    expected = torch.tensor([[0.75, 0.5, 0.5], [2.75, 0.5, 0.5], [4.55, 0.5, 0.5], [6.0, 0.5, 0.5]])
    torch.testing.assert_close(merged.positions_M3, expected)


@pytest.mark.parametrize(("kind", "budget"), CASES)
def test_segments_kept_on_disk_give_the_same_tokens_at_any_budget(kind, budget, tmp_path):
    compressor = compressor_of(kind)
    compressed, token_plan = compress(compressor, SEVEN_FRAMES, budget)
    merged = compressor.merge_only(*inputs_for(SEVEN_FRAMES), SEVEN_FRAMES)
    save_file(merged.to_tensors(), tmp_path / "single.safetensors")
    save_file(merged.to_tensors(torch.float16), tmp_path / "half.safetensors")
    single, half = (
        MergedSegments.from_tensors(load_file(tmp_path / f"{name}.safetensors"))
        for name in ("single", "half")
    )
    with torch.no_grad():
        assert torch.equal(compressor.query([single], [token_plan])[0], compressed.tokens_KD)
        nearly = compressor.query([half.to("cpu")], [token_plan])[0]
    if kind not in ("merge", "vq", "merge+vq"):  # of two nearly equal pairs another may merge first there
        torch.testing.assert_close(nearly.float(), compressed.tokens_KD, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_many_videos_of_different_lengths_and_budgets_at_once_equal_each_alone(kind):
    compressor = compressor_of(kind)
    one_frame = FramePlan((0.0,), ((0, 1),), 0.0, 0.0, kind="image")
    long_run = FramePlan(tuple(map(float, range(9))), ((0, 4), (4, 9)), 0.0, 9.0)
    plans_budgets = [
        (SEVEN_FRAMES, None),
        (one_frame, None),
        (long_run, 8),
        (SEVEN_FRAMES, 3),
        (long_run, None),
    ]
    if kind == "none":
        plans_budgets = [(plan, None) for plan, _ in plans_budgets]
    token_plans = [compressor.plan_tokens(plan, budget) for plan, budget in plans_budgets]
    with torch.no_grad():
        merged = [
            compressor.merge_only(*inputs_for(plan, seed), plan)
            for seed, (plan, _) in enumerate(plans_budgets)
        ]
        together = compressor.query(merged, token_plans)
        for seed, ((plan, budget), tokens) in enumerate(zip(plans_budgets, together, strict=True)):
            alone = compressor(*inputs_for(plan, seed), plan, budget).tokens_KD
            torch.testing.assert_close(tokens, alone, rtol=1e-4, atol=1e-5)


def test_a_smaller_budget_gives_leading_tokens_of_every_segment():
    compressor = compressor_of("merge+qformer")
    full, full_plan = compress(compressor, SEVEN_FRAMES, None)
    few, few_plan = compress(compressor, SEVEN_FRAMES, 11)
    assert few_plan.segments == full_plan.segments
    wanted = full.tokens_KD[full_plan.memory :].split(list(full_plan.counts))
    found = few.tokens_KD[few_plan.memory :].split(list(few_plan.counts))
    for more, less in zip(wanted, found, strict=True):
        torch.testing.assert_close(less, more[: len(less)], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_input_gives_the_same_output(kind):
    compressor = compressor_of(kind)
    (first, _), (second, _) = (compress(compressor, SEVEN_FRAMES, None) for _ in range(2))
    assert torch.equal(first.tokens_KD, second.tokens_KD)
    assert torch.equal(first.sizes_K, second.sizes_K)


@pytest.mark.parametrize("kind", ["merge+qformer", "qformer", "vq"])
def test_training_reaches_every_weight_and_the_patches(kind):
    compressor = compressor_of(kind).train()
    patches, classes = inputs_for(SEVEN_FRAMES)
    patches.requires_grad_()
    merged = compressor.merge_only(patches, classes, SEVEN_FRAMES)
    tokens = compressor.query([merged, merged], [compressor.plan_tokens(SEVEN_FRAMES)] * 2)
    torch.cat(tokens).square().mean().backward()
    for name, parameter in compressor.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert (patches.grad.abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize("kind", ["merge", "pool", "none"])
def test_kinds_without_queries_have_no_weights_and_keep_the_encoders_width(kind):
    compressor = compressor_of(kind)
    assert list(compressor.parameters()) == []
    assert compressor.width == WIDTH


def test_without_memory_there_are_no_unused_weights():
    compressor = compressor_of("merge+qformer", memory_layers=0)
    assert not any(name.startswith("memory") for name, _ in compressor.named_parameters())
    compressed = compressor(*inputs_for(SEVEN_FRAMES, layers=0), SEVEN_FRAMES, 9)
    assert compressed.tokens_KD.shape == (9, 14)


def test_a_state_dict_holds_everything():
    compressor, other = compressor_of("merge+qformer"), compressor_of("merge+qformer")
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter)
    other.load_state_dict(compressor.state_dict())
    (first, _), (second, _) = (compress(each, SEVEN_FRAMES, None) for each in (compressor, other))
    assert torch.equal(first.tokens_KD, second.tokens_KD)
    assert list(compressor.buffers()) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_works_throughout(kind, dtype):
    compressor = compressor_of(kind).to(dtype)
    patches, classes = inputs_for(SEVEN_FRAMES)
    compressed = compressor(patches.to(dtype), classes.to(dtype), SEVEN_FRAMES)
    assert compressed.tokens_KD.dtype == dtype
    assert compressed.tokens_KD.isfinite().all()
    assert compressed.sizes_K.sum().item() == pytest.approx(7 * 12, rel=1e-3)


@pytest.mark.parametrize(
    ("frames", "patches", "layers", "message"),
    [
        (6, 12, 2, "got 6 encoded frames for a plan of 7"),
        (7, 11, 2, "got 11 patches a frame for a grid of 3 x 4"),
        (7, 12, 3, "got class tokens of 3 layers and 7 frames, expected 2 and 7"),
    ],
)
def test_patches_that_do_not_fit_the_plan_are_refused_with_both_numbers(frames, patches, layers, message):
    compressor = compressor_of("merge")
    with pytest.raises(DataError, match=message):
        compressor.merge_only(
            torch.zeros(frames, patches, WIDTH), torch.zeros(layers, frames, WIDTH), SEVEN_FRAMES
        )


@pytest.mark.parametrize(
    "segments",
    [
        ((0, 3), (3, 7)),
        ((0, 2), (2, 4)),
        ((2, 4), (4, 7)),
        ((0, 2), (4, 7)),
        ((0, 4), (2, 7)),
        ((0, 4), (0, 4)),
        ((0, 8),),
    ],
)
def test_a_token_plan_of_other_segments_is_refused(segments):
    compressor = compressor_of("merge+qformer")
    merged = compressor.merge_only(*inputs_for(SEVEN_FRAMES), SEVEN_FRAMES)
    token_plan = dataclasses.replace(
        compressor.plan_tokens(SEVEN_FRAMES), segments=segments, counts=(1,) * len(segments)
    )
    with pytest.raises(DataError, match="do not join the video's segments"):
        compressor.query([merged], [token_plan])


def test_a_token_plan_with_more_memory_than_there_is_is_refused():
    compressor = compressor_of("merge+qformer")
    merged = compressor.merge_only(*inputs_for(SEVEN_FRAMES), SEVEN_FRAMES)
    token_plan = dataclasses.replace(compressor.plan_tokens(SEVEN_FRAMES), memory=3)
    with pytest.raises(DataError, match="3 memory tokens of a video that has 2"):
        compressor.query([merged], [token_plan])


def test_merge_heads_must_divide_the_encoders_width():
    with pytest.raises(ConfigError, match="encoder's width 10, got 3"):
        Compressor(CompressorConfig(merge_heads=3), encoder_width=10, grid=(2, 2))


def test_counts_come_from_the_plan_alone():
    compressor = compressor_of("merge")
    assert compressor.plan_tokens(SEVEN_FRAMES, 20) == plan_tokens(
        SEVEN_FRAMES, compressor.config, 20, grid=GRID
    )
    with pytest.raises(TypeError, match="pass grid="):
        plan_tokens(SEVEN_FRAMES, compressor.config, 20)


BY_CONTENT = {"segments": "content", "budget_split": "change"}


@settings(max_examples=40)
@given(
    plans(), st.sampled_from(KINDS), st.none() | st.integers(1, 60), st.sampled_from(["bipartite", "kmeans"])
)
def test_a_compressor_by_content_keeps_its_promises(plan, kind, budget, method):
    config = dataclasses.replace(VQ, adaptive=True)
    compressor = compressor_of(kind, merge_method=method, vq=config, **BY_CONTENT)
    budget = None if kind == "none" else budget
    with torch.no_grad():
        compressed = compressor(*inputs_for(plan), plan, budget)
    bound = compressor.plan_tokens(plan, budget)
    assert bound.exact == (kind == "none" or bound.whole_frames is not None)
    assert compressed.token_plan.exact
    assert len(compressed.tokens_KD) == compressed.token_plan.total <= bound.total
    assert compressed.sizes_K.sum().item() == pytest.approx(plan.frame_count * 12, rel=1e-4)
    assert compressed.plan.times_s == plan.times_s
    merged = compressor.merge_only(*inputs_for(plan), plan)
    again = compressor.plan_tokens(plan, budget, merged=merged)
    assert again == compressed.token_plan
    assert torch.equal(compressor.query([merged], [again])[0], compressed.tokens_KD)


def test_segments_by_content_are_cut_where_the_picture_changes():
    compressor = compressor_of("merge", **BY_CONTENT)
    plan = FramePlan(tuple(map(float, range(8))), ((0, 4), (4, 8)), 0.0, 8.0, resolved=True)
    patches, classes = inputs_for(plan)
    patches = torch.cat([patches[:1].expand(5, -1, -1), patches[1:2].expand(3, -1, -1)])
    compressed = compressor(patches, classes, plan, None)
    assert compressed.plan.segments == ((0, 5), (5, 8))
    assert compressed.plan.spans_s == ((0.0, 5.0), (5.0, 8.0))
    merged = compressor.merge_only(patches, classes, plan)
    assert merged.spans_S2.tolist() == [[0.0, 5.0], [5.0, 8.0]]


def test_clustering_in_place_of_matching_lowers_the_error_of_clustered_patches():
    """Thirty patches of seven looks become seven tokens: k-means finds them, pairwise matching need not."""
    generator = torch.Generator().manual_seed(0)
    looks = torch.randn(7, WIDTH, generator=generator)
    plan = FramePlan((0.0, 1.0, 2.0), ((0, 3),), 0.0, 3.0, resolved=True)
    patches = looks[torch.randint(0, 7, (3, 12), generator=generator)]
    found = compressor_of("merge", merge_method="kmeans", merge_heads=1)(
        patches, torch.zeros(2, 3, WIDTH), plan
    )
    kept = found.tokens_KD[2:][found.sources.merged_TP]
    torch.testing.assert_close(kept, patches)


def test_a_random_map_and_no_map_are_the_ablations_of_a_codebook():
    full, shuffled, plain = (
        compress(compressor_of("vq", vq=dataclasses.replace(VQ, map=name)), SEVEN_FRAMES, None)[0].tokens_KD
        for name in ("full", "random", "none")
    )
    assert not torch.allclose(full, shuffled)
    assert list(compressor_of("vq", vq=dataclasses.replace(VQ, map="none")).parameters()) == []
    codes = compressor_of("vq").merge_only(*inputs_for(SEVEN_FRAMES), SEVEN_FRAMES)
    assert torch.equal(plain[2:], codes.tokens_MC)


@pytest.mark.parametrize("changes", [{"segments": "content"}, {"budget_split": "change"}])
def test_a_codebook_ignores_how_segments_are_cut_and_a_budget_split(changes):
    plain, other = (compress(compressor_of("vq", **part), SEVEN_FRAMES, 8) for part in ({}, changes))
    assert torch.equal(plain[0].tokens_KD, other[0].tokens_KD)
    assert torch.equal(plain[0].spans_K2, other[0].spans_K2)
    assert plain[1] == other[1]


def test_patches_kept_as_they_are_serve_every_kind():
    patches = compressor_of("none").merge_only(*inputs_for(SEVEN_FRAMES), SEVEN_FRAMES)
    for kind in KINDS:
        compressor = compressor_of(kind)
        direct = compressor.merge_only(*inputs_for(SEVEN_FRAMES), SEVEN_FRAMES)
        assert torch.equal(compressor.merge_patches(patches).tokens_MC, direct.tokens_MC)


def test_a_codebook_of_merged_segments_keeps_a_small_thing_that_one_of_patches_gives_up():
    looks = torch.zeros(5, WIDTH)
    looks[0, 0] = looks[1, 1] = looks[2, 2] = looks[4, 4] = 1
    looks[3, 2:4] = 0.5**0.5  # resembles the one before
    thing = 4
    frame = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, thing])
    patches = looks[frame].repeat(7, 1, 1)
    settings = {"merged_tokens": 5, "merge_heads": 1, "vq": dataclasses.replace(VQ, codes=4, map="none")}
    found = {
        kind: compressor_of(kind, **settings)(patches, torch.zeros(2, 7, WIDTH), SEVEN_FRAMES)
        for kind in ("vq", "merge+vq")
    }
    own = {kind: (result.tokens_KD @ looks[thing]).max().item() for kind, result in found.items()}
    assert own["merge+vq"] == pytest.approx(1)
    assert own["vq"] < 0.6
    assert found["merge+vq"].sizes_K.sum() == found["vq"].sizes_K.sum()
