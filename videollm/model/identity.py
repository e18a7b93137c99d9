"""Which model it is, as a hash."""

from __future__ import annotations

import hashlib

from .modeling import VideoLLM


def weights_hash(model: VideoLLM) -> str:
    """Returns a short hash of all weights, by which models are told apart."""
    digest = hashlib.blake2b(model.fingerprint().encode(), digest_size=8)
    for name, tensor in sorted(model.language_model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.float().cpu().numpy().tobytes())
    return digest.hexdigest()
