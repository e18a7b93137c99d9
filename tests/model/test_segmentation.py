"""Segments by content: as many as asked for, cut where the sum of the changes is highest."""

from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videollm.errors import ConfigError
from videollm.model.segmentation import frame_changes, segments_by_change


def best_sum(changes, count, shortest, longest):
    """Highest sum of the changes at cuts, over every way to cut."""
    frames = len(changes)
    edges = ([0, *cuts, frames] for cuts in combinations(range(1, frames), count - 1))
    allowed = (e for e in edges if all(shortest <= past - first <= longest for first, past in pairwise(e)))
    return max(sum(changes[cut] for cut in e[1:-1]) for e in allowed)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=11), st.data())
def test_no_other_cuts_of_allowed_lengths_catch_more_change(changes, data):
    count = data.draw(st.integers(1, len(changes)))
    runs = segments_by_change(torch.tensor([change / 4 for change in changes]), count)
    even = len(changes) / count
    shortest, longest = max(1, int(even / 2)), 3 * (int(even) + 1)
    assert len(runs) == count
    assert (runs[0][0], runs[-1][1]) == (0, len(changes))
    assert all(earlier[1] == later[0] for earlier, later in pairwise(runs))
    assert all(shortest <= past - first <= longest for first, past in runs)
    assert sum(changes[first] for first, _ in runs[1:]) == best_sum(changes, count, shortest, longest)


def test_where_nothing_changes_segments_are_even():
    assert segments_by_change(torch.zeros(12), 4) == ((0, 3), (3, 6), (6, 9), (9, 12))


def test_cuts_of_a_video_are_found():
    changes = torch.full((30,), 0.01)
    changes[[7, 19]] = 0.9
    assert segments_by_change(changes, 3) == ((0, 7), (7, 19), (19, 30))


@pytest.mark.parametrize("count", [0, 4, 1.5])
def test_an_impossible_number_of_segments_is_refused(count):
    with pytest.raises(ConfigError, match=f"whole number from 1 to 3, the number of frames, got {count}"):
        segments_by_change(torch.zeros(3), count)


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (lambda changes: segments_by_change(changes, 1), (3, 2), r"changes_T must be a tensor \(T\)"),
        (lambda changes: segments_by_change(changes, 1), (0,), r"changes_T \(T\) must have T of at least 1"),
        (frame_changes, (3, 2), r"patches_TPC must be a tensor \(T, P, C\)"),
        (frame_changes, (0, 3, 2), r"patches_TPC \(T, P, C\) must have T of at least 1"),
    ],
)
def test_features_of_a_wrong_shape_are_refused(function, shape, message):
    with pytest.raises(ConfigError, match=message):
        function(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_changes_are_distances_of_patches_at_the_same_place(dtype):
    patches = torch.randn(40, 6, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    changes = frame_changes(patches)
    assert changes.dtype == torch.float32
    assert changes[0] == 0
    for frame in range(1, 40):
        similar = [
            torch.nn.functional.cosine_similarity(
                patches[frame, place].float(), patches[frame - 1, place].float(), dim=0
            )
            for place in range(6)
        ]
        assert float(changes[frame]) == pytest.approx(1 - sum(similar).item() / 6, abs=1e-5)


def test_a_still_video_does_not_change():
    assert frame_changes(torch.ones(5, 3, 4)).abs().max() < 1e-6
    assert frame_changes(torch.ones(1, 3, 4)).tolist() == [0]
