"""The segment Q-Former: nested queries, proportional attention, padding, and time in seconds."""

import dataclasses
import math

import pytest
import torch

from videollm.errors import ConfigError
from videollm.model.compressor_config import QFormerConfig
from videollm.model.fourier import fourier_features
from videollm.model.padding import PaddedSegments
from videollm.model.qformer import SegmentQFormer

CONFIG = QFormerConfig(layers=3, hidden_size=20, heads=2, intermediate_size=28, cross_attention_every=2)
WIDTH, QUERIES = 12, 5


@pytest.fixture
def qformer():
    torch.manual_seed(0)
    module = SegmentQFormer(CONFIG, token_width=WIDTH, num_queries=QUERIES).eval()
    with torch.no_grad():
        # Fresh weights are so small that everything looks alike; a trained model's are not.
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module


def segments_of(lengths, *, width=WIDTH, seed=1, shift_s=0.0):
    """Random segments of two seconds each, one after the other."""
    generator = torch.Generator().manual_seed(seed)
    count, longest = len(lengths), max(lengths)
    starts = 2.0 * torch.arange(count)[:, None] + shift_s
    positions = torch.rand(count, longest, 3, generator=generator)
    positions[..., 0] = starts + 2 * positions[..., 0]
    return PaddedSegments(
        tokens_SMC=torch.randn(count, longest, width, generator=generator),
        sizes_SM=torch.randint(1, 50, (count, longest), generator=generator).float(),
        positions_SM3=positions,
        mask_SM=torch.arange(longest) < torch.tensor(lengths)[:, None],
        spans_S2=torch.cat([starts, starts + 2], dim=1),
    )


def select(segments, rows, columns):
    """The same segments cut to some rows and token columns."""
    cut = {
        field.name: getattr(segments, field.name)[rows]
        if field.name == "spans_S2"
        else getattr(segments, field.name)[rows][:, columns]
        for field in dataclasses.fields(segments)
    }
    return PaddedSegments(**cut)


@pytest.mark.parametrize("count", range(1, QUERIES + 1))
def test_fewer_queries_give_the_leading_tokens_of_more(qformer, count):
    segments = segments_of([6, 6])
    full = qformer(segments).tokens_SKH
    torch.testing.assert_close(qformer(segments, count).tokens_SKH, full[:, :count], rtol=1e-5, atol=1e-6)


def test_later_queries_do_see_earlier_ones(qformer):
    segments = segments_of([6])
    before = qformer(segments).tokens_SKH
    with torch.no_grad():
        qformer.queries_KH[1].neg_()
    after = qformer(segments).tokens_SKH
    assert torch.equal(after[:, 0], before[:, 0])
    assert not torch.allclose(after[:, 2], before[:, 2], atol=1e-3)


def test_attention_adds_the_logarithm_of_sizes_in_every_layer_and_head(qformer):
    """Pins how transformers treats a four-dimensional float mask: softmax(QK/sqrt(d) + log s)."""
    segments = segments_of([7, 4])
    seen = []
    layers = [
        layer.crossattention.attention
        for layer in qformer.transformer.encoder.layer
        if layer.has_cross_attention
    ]
    for layer in layers:
        layer.register_forward_hook(
            lambda module, _, kwargs, __: seen.append((module, kwargs)), with_kwargs=True
        )
    attention = qformer(segments, with_attention=True).attention_SKM

    expected = []
    for module, kwargs in seen:
        queries, keys = module.query(kwargs["hidden_states"]), module.key(kwargs["encoder_hidden_states"])
        for head in torch.arange(CONFIG.hidden_size).view(CONFIG.heads, -1):
            scores = (
                queries[..., head] @ keys[..., head].mT / math.sqrt(len(head))
                + segments.sizes_SM.log()[:, None]
            )
            scores = scores.masked_fill(~segments.mask_SM[:, None], -torch.inf)
            expected.append(scores.softmax(-1))
    assert len(expected) == 2 * CONFIG.heads
    torch.testing.assert_close(attention, torch.stack(expected).mean(0))


def test_a_token_of_size_three_counts_like_three_equal_tokens(qformer):
    one = segments_of([4])
    one.sizes_SM[0] = torch.tensor([3.0, 1, 1, 2])
    many = select(one, slice(None), [0, 0, 0, 1, 2, 3, 3])
    many.sizes_SM.fill_(1)
    torch.testing.assert_close(qformer(one).tokens_SKH, qformer(many).tokens_SKH, rtol=1e-4, atol=1e-5)


def test_sizes_do_not_weigh_where_proportional_attention_is_off():
    config = dataclasses.replace(CONFIG, proportional_attention=False)
    qformer = SegmentQFormer(config, token_width=WIDTH, num_queries=QUERIES).eval()
    segments = segments_of([4])
    # One token's time is the mean time whatever its size, so that sizes could only show in attention.
    segments.positions_SM3[..., 0] = 1.0
    heavier = dataclasses.replace(segments, sizes_SM=segments.sizes_SM * torch.tensor([9.0, 1, 1, 1]))
    torch.testing.assert_close(qformer(segments).tokens_SKH, qformer(heavier).tokens_SKH)


def test_padding_and_company_do_not_change_a_segment(qformer):
    segments = segments_of([3, 8, 5])
    segments.tokens_SMC[~segments.mask_SM] = 1e4
    together = qformer(segments, with_attention=True)
    for row, length in enumerate([3, 8, 5]):
        alone = qformer(select(segments, slice(row, row + 1), range(length)), with_attention=True)
        torch.testing.assert_close(together.tokens_SKH[row], alone.tokens_SKH[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.attention_SKM[row, :, :length], alone.attention_SKM[0])
        assert together.attention_SKM[row, :, length:].abs().max().item() == 0 if length < 8 else True


def test_absolute_seconds_and_seconds_within_the_segment_both_count(qformer):
    segments = segments_of([6])
    plain = qformer(segments).tokens_SKH
    assert not torch.allclose(qformer(segments_of([6], shift_s=7.0)).tokens_SKH, plain, atol=1e-3)
    earlier_start = dataclasses.replace(segments, spans_S2=segments.spans_S2 - torch.tensor([1.0, 0.0]))
    assert not torch.allclose(qformer(earlier_start).tokens_SKH, plain, atol=1e-3)


@pytest.mark.parametrize("start_s", [0.0, 3600.0, 1e6])
def test_any_time_in_any_video_works_and_neighbouring_segments_differ(qformer, start_s):
    here, there = (qformer(segments_of([6], shift_s=start_s + seconds)).tokens_SKH for seconds in (0.0, 2.0))
    assert here.isfinite().all()
    assert not torch.allclose(here, there, atol=1e-3)


def test_places_count_only_where_they_are_asked_for(qformer):
    segments = segments_of([6])
    moved = dataclasses.replace(segments, positions_SM3=segments.positions_SM3 * torch.tensor([1, 0.5, 0.5]))
    assert not torch.allclose(qformer(moved).tokens_SKH, qformer(segments).tokens_SKH, atol=1e-3)
    without = SegmentQFormer(
        dataclasses.replace(CONFIG, place_frequencies=0), token_width=WIDTH, num_queries=QUERIES
    ).eval()
    torch.testing.assert_close(without(moved).tokens_SKH, without(segments).tokens_SKH)


def test_fresh_queries_differ_from_each_other():
    torch.manual_seed(0)
    qformer = SegmentQFormer(CONFIG, token_width=WIDTH, num_queries=QUERIES).eval()
    tokens = qformer(segments_of([6], shift_s=100.0)).tokens_SKH[0]
    similarities = torch.nn.functional.cosine_similarity(tokens[None], tokens[:, None], dim=-1)
    assert similarities.triu(1).max() < 0.9


def test_every_parameter_gets_a_finite_gradient(qformer):
    qformer.train()
    qformer(segments_of([6, 2])).tokens_SKH.square().mean().backward()
    for name, parameter in qformer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_give_nearly_the_same_tokens(qformer, dtype):
    segments = segments_of([6, 3])
    exact = qformer(segments).tokens_SKH
    half = qformer.to(dtype)(segments).tokens_SKH
    assert half.dtype == dtype
    assert torch.nn.functional.cosine_similarity(half.float(), exact, dim=-1).min() > 0.99


def test_autocast_gives_nearly_the_same_tokens(qformer):
    segments = segments_of([6, 3])
    with torch.autocast("cpu", torch.bfloat16):
        inside = qformer(segments).tokens_SKH
    assert (
        torch.nn.functional.cosine_similarity(inside.float(), qformer(segments).tokens_SKH, dim=-1).min()
        > 0.99
    )


def test_attention_can_be_had_after_another_implementation_was_chosen_for_the_model(qformer):
    segments = segments_of([6])
    expected = qformer(segments, with_attention=True)
    qformer.transformer.set_attn_implementation("sdpa")
    torch.testing.assert_close(qformer(segments).tokens_SKH, expected.tokens_SKH, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(qformer(segments, with_attention=True).attention_SKM, expected.attention_SKM)


@pytest.mark.parametrize("count", [0, QUERIES + 1])
def test_queries_that_do_not_exist_are_refused(qformer, count):
    with pytest.raises(ConfigError, match=f"from 1 to {QUERIES}, got {count}"):
        qformer(segments_of([3]), count)


@pytest.mark.parametrize("count", [0, -1, 2.0])
def test_a_module_without_queries_is_refused(count):
    with pytest.raises(ConfigError, match=f"num_queries must be a whole number of at least 1, got {count}"):
        SegmentQFormer(CONFIG, token_width=WIDTH, num_queries=count)


def test_fourier_features_are_sines_and_cosines_of_geometric_periods():
    values = torch.tensor([0.0, 0.25, 3.0])
    features = fourier_features(values, 3, 1.0, 4.0)
    angles = 2 * math.pi * values[:, None] / torch.tensor([1.0, 2.0, 4.0])
    torch.testing.assert_close(features, torch.cat([angles.sin(), angles.cos()], dim=1), rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fourier_features(values, 3, 1.0, 4.0), features)
