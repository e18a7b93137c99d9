"""Logits of chosen tokens only: the head of a language model runs where something is predicted, and nowhere else.

Training has labels at some positions of each row, different ones in each. transformers' ``logits_to_keep`` takes the
same positions of all rows; here a mask chooses them one by one. What follows the head in some models (a scale, a
soft cap) works on each logit, and so on these.

Shapes: B conversations, N ids, S true positions, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def kept_logits(head: nn.Module | None, wanted: int | Tensor) -> Iterator[int | Tensor]:
    """Makes ``head`` read only the wanted positions while the block runs.

    Args:
        head: The language model's output embeddings.
        wanted: A mask (B, N) bool, or anything that transformers' own ``logits_to_keep`` takes.

    Yields:
        What to give to the language model as ``logits_to_keep``.
    """
    if not isinstance(wanted, Tensor) or wanted.dtype != torch.bool:
        yield wanted
        return
    assert head is not None

    def select(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        rows_BND, *rest = inputs
        return (rows_BND[wanted], *rest)

    hook = head.register_forward_pre_hook(select)
    try:
        yield 0
    finally:
        hook.remove()
