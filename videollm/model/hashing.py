"""Tensors hashed as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor


class Digest(Protocol):
    """A hash of :mod:`hashlib` in the making."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Takes more bytes."""


def hash_tensors(digest: Digest, tensors: Mapping[str, Tensor]) -> None:
    """Hashes tensors with their names, dtypes and shapes, in the order of their names."""
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # A copy: memory lent to numpy may never be freed early, as it is where processes share a model.
        kept = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        digest.update(kept.flatten().view(torch.uint8).numpy().data)
