"""Which model it is, as a hash."""

from __future__ import annotations

import hashlib

from .hashing import hash_tensors
from .modeling import VideoLLM


def weights_hash(model: VideoLLM) -> str:
    """Returns a short hash of all weights, by which models are told apart.

    SHA-256, for which most processors have instructions: a language model has gigabytes.
    """
    digest = hashlib.sha256(model.fingerprint().encode())
    hash_tensors(digest, model.language_model.state_dict())
    return digest.hexdigest()[:16]
