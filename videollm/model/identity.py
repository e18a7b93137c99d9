"""Which model it is, as a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .modeling import VideoLLM


class Digest(Protocol):
    """A hash of :mod:`hashlib` in the making."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Takes more bytes."""


def weights_hash(model: VideoLLM) -> str:
    """Returns a short hash of all weights, by which models are told apart.

    SHA-256, for which most processors have instructions: a language model has gigabytes.
    """
    digest = hashlib.sha256(model.fingerprint().encode())
    hash_tensors(digest, model.language_model.state_dict())
    return digest.hexdigest()[:16]


def hash_tensors(digest: Digest, tensors: Mapping[str, Tensor]) -> None:
    """Hashes tensors with their names, dtypes and shapes, in the order of their names."""
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # A copy: memory lent to numpy may never be freed early, as it is where processes share a model.
        kept = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        digest.update(kept.flatten().view(torch.uint8).numpy().data)
