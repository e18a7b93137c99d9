"""Fourier features: numbers written as sines and cosines of several periods."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Rows and columns run from 0 to 1; the longest period keeps both ends of a frame apart.
_SHORTEST_PLACE, _LONGEST_PLACE = 1 / 16, 2.0


def fourier_features(values: Tensor, frequencies: int, shortest: float, longest: float) -> Tensor:
    """Writes each number as sines and cosines (Vaswani et al., arXiv 1706.03762, section 3.5; here of real numbers).

    Nothing is looked up, so any value works. Phases are computed in float32 even under autocast: bfloat16 could not
    tell neighbouring seconds of a long video apart.

    Args:
        values: Any shape (...).
        frequencies: Number F of periods, spaced geometrically.
        shortest: Shortest period, in the unit of the values.
        longest: Longest period.

    Returns:
        float32, (..., 2F): F sines, then F cosines.
    """
    with torch.autocast(values.device.type, enabled=False):
        steps = torch.linspace(0, 1, frequencies, dtype=torch.float32, device=values.device)
        angular = 2 * math.pi / shortest * torch.exp(steps * math.log(shortest / longest))
        phases = values.float()[..., None] * angular
        return torch.cat([phases.sin(), phases.cos()], dim=-1)


def place_features(rows_columns: Tensor, frequencies: int) -> Tensor:
    """Writes rows and columns, from 0 to 1, as sines and cosines: (..., 2) becomes float32 (..., 4 * frequencies)."""
    return fourier_features(rows_columns, frequencies, _SHORTEST_PLACE, _LONGEST_PLACE).flatten(-2)
