"""Drawing from several sets by their shares, such that every draw depends on its number alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .rounds import Rounds

_PERIOD = 1000


class Mixture:
    """An endless sequence of draws from several sets: each set as often as its weight says, its members in turn.

    In every thousand draws each set has its share, to the nearest draw; within a set all members come once before any
    comes twice, in another order each round.

    Args:
        sizes: Members of each set, at least one.
        weights: How often each set is drawn, relative to the others, above 0.
        seed: Chooses the orders.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int) -> None:
        shares = np.array(weights, dtype=float) / sum(weights)
        counts = np.diff(np.round(np.cumsum([0.0, *shares]) * _PERIOD)).astype(int)
        # A set whose share is less than half a draw in a thousand still comes once in each.
        counts = np.maximum(counts, 1)
        order = np.random.default_rng((seed, len(sizes))).permutation(
            np.repeat(np.arange(len(sizes)), counts)
        )
        self._order, self._counts = order, counts
        self._earlier = np.array([int(np.sum(order[:place] == of)) for place, of in enumerate(order)])
        self._rounds = [Rounds(size, seed + number) for number, size in enumerate(sizes)]

    def __getitem__(self, sample: int) -> tuple[int, int]:
        """Returns which set the ``sample``-th draw is from, and which member of it."""
        period, place = divmod(sample, len(self._order))
        chosen = int(self._order[place])
        return chosen, self._rounds[chosen][period * int(self._counts[chosen]) + int(self._earlier[place])]
