"""Intervals and baselines of scores: against known values, exact coverage and their own symmetries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videollm.evaluation.metrics import best_constant, grouped_mean_interval, paired_interval, wilson_interval

flags = st.lists(st.booleans(), min_size=1, max_size=60)


def test_wilson_interval_agrees_with_the_published_example() -> None:
    # 81 of 263: table I of Newcombe (1998), "Two-sided confidence intervals for the single proportion", method 3.
    interval = wilson_interval(81, 263)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(("right", "low", "high"), [(0, 0.0, 0.1611), (20, 0.8389, 1.0)])
def test_wilson_interval_has_width_at_the_edges(right: int, low: float, high: float) -> None:
    interval = wilson_interval(right, 20)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_wilson_interval_covers_the_truth_about_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(3)
    for share in (0.05, 0.5, 0.9):
        intervals = [wilson_interval(int(right), 50) for right in rng.binomial(50, share, 2000)]
        covered = np.mean([interval.low <= share <= interval.high for interval in intervals])
        assert 0.92 <= covered <= 0.98


@given(st.integers(1, 400), st.floats(0, 1))
def test_wilson_interval_holds_the_share_and_stays_between_0_and_1(asked: int, share: float) -> None:
    for right in (0, round(asked * share), asked):
        interval = wilson_interval(right, asked)
        assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and the 3 asked, got 4"):
        wilson_interval(4, 3)


@given(flags, st.randoms())
def test_paired_interval_is_antisymmetric_and_holds_the_difference(
    seeing: list[bool], random: object
) -> None:
    blind = [random.random() < 0.5 for _ in seeing]  # type: ignore[attr-defined]
    forward, backward = paired_interval(seeing, blind), paired_interval(blind, seeing)
    assert forward.value == pytest.approx(-backward.value)
    assert forward.low == pytest.approx(-backward.high)
    assert -1 <= forward.low <= forward.value <= forward.high <= 1


def test_paired_interval_is_narrower_when_the_conditions_agree_item_by_item() -> None:
    seeing = [True] * 30 + [False] * 20
    same_items = [True] * 20 + [False] * 30
    other_items = [False] * 30 + [True] * 20
    agreeing, disagreeing = paired_interval(seeing, same_items), paired_interval(seeing, other_items)
    assert agreeing.value == pytest.approx(disagreeing.value)
    assert agreeing.high - agreeing.low < disagreeing.high - disagreeing.low


def test_paired_interval_covers_the_true_difference_about_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(5)
    draws = rng.choice(4, size=(2000, 50), p=[0.3, 0.3, 0.1, 0.3])  # both, only seeing, only blind, neither
    intervals = [paired_interval(list(row < 2), list((row == 0) | (row == 2))) for row in draws]
    covered = np.mean([interval.low <= 0.2 <= interval.high for interval in intervals])
    assert 0.92 <= covered <= 0.98


def test_the_mean_over_kinds_weighs_kinds_and_not_items_equally() -> None:
    right = [True] * 90 + [False] * 10
    kinds = ["easy"] * 90 + ["hard"] * 10
    assert grouped_mean_interval(right, kinds, range(100)).value == pytest.approx(0.5)


def test_items_that_share_a_clip_widen_the_interval_of_the_mean() -> None:
    right = [True, True, True, True, False, False, False, False] * 6
    kinds = ["a", "b"] * 24
    together = grouped_mean_interval(right, kinds, [index // 4 for index in range(48)])
    apart = grouped_mean_interval(right, kinds, range(48))
    assert together.value == apart.value
    assert together.high - together.low > 1.3 * (apart.high - apart.low)


def test_without_items_a_score_is_unknown_and_not_zero() -> None:
    assert math.isnan(wilson_interval(0, 0).value)
    assert math.isnan(paired_interval([], []).value)
    assert math.isnan(grouped_mean_interval([], [], []).value)


def test_the_best_constant_is_scored_as_answers_are() -> None:
    # Within one second counts as right, so the middle answer wins although another one is more frequent.
    answers = ["1", "1", "2", "3", "3"]
    constant, share = best_constant(answers, lambda index, text: abs(int(answers[index]) - int(text)) <= 1)
    assert (constant, share) == ("2", 1.0)
