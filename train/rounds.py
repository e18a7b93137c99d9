"""Going through a set again and again, in another order each time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Rounds:
    """All of a set in turn, each round shuffled.

    Args:
        count: Things in the set.
        seed: Chooses the orders.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self._orders: dict[int, NDArray[np.int64]] = {}  # that of the last round

    def __getitem__(self, sample: int) -> int:
        """Returns which of the set the ``sample``-th draw is; depends on the arguments and ``sample`` alone."""
        epoch, position = divmod(sample, self._count)
        if epoch not in self._orders:
            self._orders = {epoch: np.random.default_rng((self._seed, epoch)).permutation(self._count)}
        return int(self._orders[epoch][position])
