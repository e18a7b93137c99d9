"""What made a description, as a hash: the model's weights and settings, and what was wished for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from ..model.identity import weights_hash
from ..model.modeling import VideoLLM
from .rows import Source
from .settings import DescribeOptions

# Counted up when the same model and settings describe in another way.
_VERSION = 1
# Settings that say where a model comes from, not what it says.
_OF_NO_WEIGHT = ("_name_or_path", "transformers_version", "architectures", "torch_dtype")


def fingerprint(model: VideoLLM, options: DescribeOptions) -> str:
    """Returns a hash of all that a description depends on besides the file and its window."""
    config = {name: value for name, value in model.config.to_dict().items() if name not in _OF_NO_WEIGHT}
    wished: dict[str, Any] = dataclasses.asdict(options)
    for name in ("start_s", "end_s", "limits"):
        del wished["reading"][name]
    made = json.dumps([_VERSION, weights_hash(model), config, wished], sort_keys=True, default=str)
    return hashlib.blake2b(made.encode(), digest_size=8).hexdigest()


def of_window(base: str, source: Source, options: DescribeOptions) -> str:
    """Returns the fingerprint of a source's description: another one for each window of a file."""
    window = (source.start_s, source.end_s)
    if window == (None, None):
        window = (options.reading.start_s, options.reading.end_s)
    if window == (None, None):
        return base
    return hashlib.blake2b(f"{base} {window}".encode(), digest_size=8).hexdigest()
