"""The map of a codebook: statistics that mean what they say, whatever the labels, and the paper's attention."""

import math

import pytest
import torch
from torch import nn

from videollm.errors import ConfigError
from videollm.model.compressor_config import VQConfig
from videollm.model.vq_attention import VQAttention, occupancy_statistics, statistics_width

CONFIG = VQConfig(codes=6, heads=2, hidden_size=12, time_bins=4, place_bins=3, time_frequencies=5)
FRAMES, ROWS, COLUMNS = 8, 4, 6


def positions():
    """Second, row and column of every patch of eight frames from second 2 on, half a second apart."""
    times = 2 + 0.5 * torch.arange(FRAMES)
    rows, columns = (torch.arange(ROWS) + 0.5) / ROWS, (torch.arange(COLUMNS) + 0.5) / COLUMNS
    return torch.cartesian_prod(times, rows, columns)


def random_labels(count=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, count, (FRAMES * ROWS * COLUMNS,), generator=generator)
    labels[:count] = torch.arange(count)
    return labels


def statistics(labels, count=6):
    return occupancy_statistics(labels, positions(), count, (2.0, 6.0), CONFIG)


def literal(labels, code):
    """The statistics of one code but for the Fourier features, from sums over its patches."""
    places = [(row.tolist()) for row, label in zip(positions(), labels, strict=True) if label == code]
    unit = [((second - 2) / 4, row, column) for second, row, column in places]
    mean = [sum(axis) / len(unit) for axis in zip(*unit, strict=True)]
    away = [[value - middle for value, middle in zip(place, mean, strict=True)] for place in unit]
    variance = [sum(d[axis] ** 2 for d in away) / len(away) for axis in range(3)]
    found = [math.log(len(unit) / len(labels)), *(math.sqrt(value) for value in variance)]
    for axis in (1, 2):
        both = sum(d[0] * d[axis] for d in away) / len(away)
        found.append(both / math.sqrt((variance[0] + 1e-4) * (variance[axis] + 1e-4)))
    bins = [[d for d, place in zip(away, unit, strict=True) if int(place[0] * 4) == b] for b in range(4)]
    found += [len(inside) / len(unit) for inside in bins]
    for inside in bins:
        found += [sum(d[axis] for d in inside) / max(len(inside), 1) for axis in (1, 2)]
    cells = [
        sum(int(p[1] * 3) == row and int(p[2] * 3) == column for p in unit)
        for row in range(3)
        for column in range(3)
    ]
    return torch.tensor(found + [cell / len(unit) for cell in cells])


@pytest.mark.parametrize("seed", [0, 1])
def test_statistics_equal_a_literal_reading(seed):
    labels = random_labels(seed=seed)
    found = statistics(labels)
    assert found.shape == (6, statistics_width(CONFIG))
    for code in range(6):
        torch.testing.assert_close(found[code, 30:], literal(labels, code), rtol=1e-4, atol=1e-4)


def test_other_labels_give_the_same_statistics_in_another_order():
    labels, renamed = random_labels(), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(statistics(renamed[labels])[renamed], statistics(labels))


def test_a_code_that_moves_differs_from_one_that_moves_the_other_way():
    frame = torch.arange(FRAMES).repeat_interleave(ROWS * COLUMNS)
    column = torch.arange(COLUMNS).repeat(FRAMES * ROWS)
    right = statistics((column == (frame * COLUMNS) // FRAMES).long(), 2)[1]
    left = statistics((column == COLUMNS - 1 - (frame * COLUMNS) // FRAMES).long(), 2)[1]
    with_time = 30 + 5
    assert right[with_time] > 0.9
    assert left[with_time] < -0.9
    torch.testing.assert_close(right[30:34], left[30:34])


def test_attention_has_the_papers_roles_and_keeps_the_codes():
    torch.manual_seed(0)
    attention = VQAttention(CONFIG, width=16)
    codes, seen = torch.randn(1, 6, 16), statistics(random_labels())[None]
    reference = nn.MultiheadAttention(16, 2, batch_first=True)
    layers = (attention.query, attention.key, attention.value)
    reference.in_proj_weight.data = torch.cat([layer.weight for layer in layers])
    reference.in_proj_bias.data = torch.cat([layer.bias for layer in layers])
    reference.out_proj.weight.data, reference.out_proj.bias.data = (
        attention.output.weight.data,
        attention.output.bias.data,
    )
    normed, value = attention.norm(codes), attention.map(seen)
    expected = normed + reference(normed, normed, value)[0]
    found = attention(codes, seen, torch.ones(1, 6, dtype=torch.bool))
    torch.testing.assert_close(found, expected)


def test_padding_changes_nothing():
    torch.manual_seed(0)
    attention = VQAttention(CONFIG, width=16)
    codes, seen = torch.randn(2, 6, 16), torch.randn(2, 6, statistics_width(CONFIG))
    mask = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    alone = attention(codes[:1, :4], seen[:1, :4], mask[:1, :4])
    torch.testing.assert_close(attention(codes, seen, mask)[:1, :4], alone)


def test_a_still_picture_and_a_single_code_have_finite_statistics():
    found = occupancy_statistics(torch.zeros(4).long(), torch.rand(4, 3), 1, (0.0, 0.0), CONFIG)
    assert found.isfinite().all()


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="encoder's width 15, got 2"):
        VQAttention(CONFIG, width=15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_positions_may_be_of_any_float_dtype(dtype):
    labels, places = random_labels(), positions().to(dtype)
    found = occupancy_statistics(labels, places, 6, (2.0, 6.0), CONFIG)
    torch.testing.assert_close(
        found, occupancy_statistics(labels, places.float(), 6, (2.0, 6.0), CONFIG), check_dtype=True
    )


@pytest.mark.parametrize(
    ("labels", "places", "count", "message"),
    [
        (
            torch.zeros(5).long(),
            torch.rand(4, 3),
            1,
            r"labels_N must be \(4,\) of torch.int64, .* got \(5,\)",
        ),
        (torch.zeros(4).int(), torch.rand(4, 3), 1, "labels_N must be .* of torch.int64, .* of torch.int32"),
        (torch.zeros(4).long(), torch.rand(4, 2), 1, r"positions_N3 must be a tensor \(N, 3\)"),
        (torch.zeros(4).long(), torch.rand(4, 3).long(), 1, "positions_N3 must be .* of a floating dtype"),
        (torch.zeros(0).long(), torch.rand(0, 3), 1, "must have N of at least 1"),
        (torch.zeros(4).long(), torch.rand(4, 3), 0, "count must be a whole number of at least 1, got 0"),
        (torch.arange(4), torch.rand(4, 3), 3, "labels_N must be below count 3, got 3"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(labels, places, count, message):
    with pytest.raises(ConfigError, match=message):
        occupancy_statistics(labels, places, count, (0.0, 1.0), CONFIG)
