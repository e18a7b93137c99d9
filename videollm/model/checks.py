"""Checks of arguments: types, shapes and ranges, each refused in one line that says what was expected.

None of them reads the values of a tensor: to look through hours of features, or to wait for a GPU, would cost time.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

from torch import Tensor

from ..errors import ConfigError

# A batch may be empty, and so may the layers that class tokens are taken from.
_MAY_BE_EMPTY = "BL"


def check_whole(name: str, value: Any, least: int, most: int | None = None, why: str = "") -> None:
    """Raises ``ConfigError`` unless an argument is a whole number within its bounds.

    Args:
        name: What the caller knows it as.
        value: The argument.
        least: Least value.
        most: Greatest value; ``None`` for no bound.
        why: Where ``most`` comes from, such as ``"the number of tokens"``.
    """
    # Booleans are integers to Python.
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if whole and least <= value and (most is None or value <= most):
        return
    reason = f", {why}" if why else ""
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}{reason}"
    raise ConfigError(f"{name} must be a whole number {bounds}, got {value!r}")


def check_features(name: str, features: Any, axes: str) -> None:
    """Raises ``ConfigError`` unless an argument is a floating tensor with the named axes, none of them empty.

    Args:
        name: What the caller knows it as.
        features: The argument.
        axes: A letter for each dimension, such as ``"BNC"``, or a digit for its length. ``B`` (a batch) and ``L``
            (layers) may be empty.
    """
    fits = isinstance(features, Tensor) and features.ndim == len(axes) and features.is_floating_point()
    if not fits or any(
        axis.isdigit() and axis != str(n) for axis, n in zip(axes, features.shape, strict=True)
    ):
        raise ConfigError(
            f"{name} must be a tensor ({', '.join(axes)}) of a floating dtype, got {_describe(features)}"
        )
    for axis, length in zip(axes, features.shape, strict=True):
        if length == 0 and axis not in _MAY_BE_EMPTY:
            raise ConfigError(
                f"{name} ({', '.join(axes)}) must have {axis} of at least 1, got the shape {tuple(features.shape)}"
            )


def check_sizes(name: str, sizes: Any, tokens: Tensor) -> None:
    """Raises ``ConfigError`` unless sizes are ``None`` or have one number for each of the tokens, (..., N, C)."""
    expected = tokens.shape[:-1]
    if sizes is not None and not (isinstance(sizes, Tensor) and sizes.shape == expected):
        raise ConfigError(
            f"{name} must be a tensor {tuple(expected)}, one number for each token, got {_describe(sizes)}"
        )


def check_positions(name: str, positions: Any, tokens: Tensor) -> None:
    """Raises ``ConfigError`` unless positions are ``None`` or have a row for each of the tokens, (..., N, C)."""
    expected = tokens.shape[:-1]
    fits = (
        isinstance(positions, Tensor) and positions.ndim == tokens.ndim and positions.shape[:-1] == expected
    )
    if positions is not None and not fits:
        raise ConfigError(
            f"{name} must be a tensor ({', '.join(map(str, expected))}, P), one row for each token, "
            f"got {_describe(positions)}"
        )


def check_tokens(tokens: Any, sizes: Any, positions: Any, heads: Any) -> None:
    """Raises ``ConfigError`` unless a batch of tokens, (B, N, C), and what comes with them can be merged."""
    check_features("tokens", tokens, "BNC")
    check_sizes("sizes", sizes, tokens)
    check_positions("positions", positions, tokens)
    check_whole("heads", heads, 1)
    if tokens.shape[2] % heads:
        raise ConfigError(f"heads must divide the token width {tokens.shape[2]}, got {heads}")


def _describe(value: Any) -> str:
    """Shape and dtype of a tensor, or what else it is."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} of {value.dtype}"
    return f"a value of type {type(value).__name__}"
