"""Intervals and baselines of exact-match scores: pure functions of counts and of right/wrong flags."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        value: The estimate.
        low: Lower end of the interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def wilson_interval(right: int, asked: int, z: float = Z_95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927), which stays honest near 0 and 1 and for few items.

    Args:
        right: Number of right answers.
        asked: Number of questions; with none, the interval is all of [0, 1] and the value NaN.
        z: Normal quantile of the confidence level.

    Returns:
        The proportion with its interval inside [0, 1].
    """
    if not 0 <= right <= asked:
        raise ValueError(f"right answers must be between 0 and the {asked} asked, got {right}")
    if asked == 0:
        return Interval(math.nan, 0.0, 1.0)
    share = right / asked
    shrink = 1 + z * z / asked
    centre = (share + z * z / (2 * asked)) / shrink
    half = z * math.sqrt(share * (1 - share) / asked + z * z / (4 * asked * asked)) / shrink
    # The interval holds the share; at 0 and 1 rounding alone would put its end a hair beyond.
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def paired_interval(seeing: Sequence[bool], blind: Sequence[bool], z: float = Z_95) -> Interval:
    """Interval of the difference of two proportions measured on the same items (Bonett and Price 2012).

    With ``b`` items right only when seeing and ``c`` only when blind, the interval is Wald's after adding one to each
    of both counts, which keeps its coverage for the few dozen items that a kind has.

    Args:
        seeing: Whether each item was answered rightly.
        blind: The same items under the baseline condition, in the same order.
        z: Normal quantile of the confidence level.

    Returns:
        The observed difference ``(b - c) / n`` with its interval inside [-1, 1].
    """
    if len(seeing) != len(blind):
        raise ValueError(f"a paired interval needs equally many items, got {len(seeing)} and {len(blind)}")
    asked = len(seeing)
    if asked == 0:
        return Interval(math.nan, -1.0, 1.0)
    only_seeing = sum(a and not b for a, b in zip(seeing, blind, strict=True))
    only_blind = sum(b and not a for a, b in zip(seeing, blind, strict=True))
    won, lost = (only_seeing + 1) / (asked + 2), (only_blind + 1) / (asked + 2)
    half = z * math.sqrt((won + lost - (won - lost) ** 2) / (asked + 2))
    return Interval(
        (only_seeing - only_blind) / asked, max(-1.0, won - lost - half), min(1.0, won - lost + half)
    )


def best_constant(answers: Sequence[str], is_right: Callable[[int, str], bool]) -> tuple[str, float]:
    """The one answer that would score best if it were always given, and what it would score.

    This is the most common answer as the scoring itself counts it: where times may be a second off or names stand in
    any order, several answers agree. It is chosen with knowledge of the test items, so it flatters the baseline.

    Args:
        answers: The right answer of each item.
        is_right: Whether a text is right for the item of an index.

    Returns:
        The answer (the alphabetically first of equals) and its share; ``("", nan)`` without answers.
    """
    if not answers:
        return "", math.nan
    hits = {
        text: sum(is_right(index, text) for index in range(len(answers))) for text in sorted(set(answers))
    }
    best = max(hits, key=lambda text: hits[text])
    return best, hits[best] / len(answers)


def grouped_mean_interval(
    scores: Sequence[float],
    groups: Sequence[str],
    clusters: Sequence[int],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Plain mean of the groups' mean scores, with a bootstrap interval over clusters.

    Several questions are asked of one clip, so they are not independent: whole clips are resampled, not questions
    (the cluster bootstrap, Davison and Hinkley 1997, section 3.8).

    Args:
        scores: Score of each item, 0 to 1.
        groups: The group (kind) of each item.
        clusters: The cluster (clip) of each item.
        draws: Bootstrap replicates.
        seed: Seed of the resampling.

    Returns:
        The mean of the groups' means with the 2.5 and 97.5 percentiles of its replicates. A replicate in which a
        group does not occur leaves that group out of its mean.
    """
    if not scores:
        return Interval(math.nan, 0.0, 1.0)
    _, group_N = np.unique(np.asarray(groups), return_inverse=True)
    _, cluster_N = np.unique(np.asarray(clusters), return_inverse=True)
    shape = (cluster_N.max() + 1, group_N.max() + 1)
    asked_CG, score_CG = np.zeros(shape), np.zeros(shape)
    np.add.at(asked_CG, (cluster_N, group_N), 1)
    np.add.at(score_CG, (cluster_N, group_N), np.asarray(scores, dtype=float))
    rng = np.random.default_rng(seed)
    weights_BC = rng.multinomial(shape[0], np.full(shape[0], 1 / shape[0]), size=draws)
    asked_BG, score_BG = weights_BC @ asked_CG, weights_BC @ score_CG
    with np.errstate(invalid="ignore"):
        means_B = np.nanmean(score_BG / asked_BG, axis=1)
    low, high = np.percentile(means_B, [2.5, 97.5])
    return Interval(float((score_CG.sum(0) / asked_CG.sum(0)).mean()), float(low), float(high))
