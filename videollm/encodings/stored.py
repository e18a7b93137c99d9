"""An encoded medium as the bytes of a safetensors file, and back.

The tensors stand in it as they are; all the rest is JSON in the file's metadata, with the key that the medium is kept
under and a SHA-256 hash of the whole file. The hash is checked before anything else looks at the bytes, so a file that
a crash, a bad disk or another program changed is recognised, wherever the change lies.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from ..errors import DataError, VideoLLMError
from ..values import EncodedVideo, FramePlan, FrameStates
from .medium import Medium

if TYPE_CHECKING:
    from torch import Tensor

# The hash is made with zeros in its own place. No text inside the metadata looks like this: quotes are escaped there.
_HASH = re.compile(rb'"sha256":"([0-9a-f]{64})"')
_ZEROS = "0" * 64
# The header's length comes first, in eight bytes.
_LENGTH_BYTES = 8


def pack(key_text: str, medium: Medium) -> bytes:
    """Returns the file of a medium.

    Args:
        key_text: What it is kept under.
        medium: The medium; what it cost to make is not kept.
    """
    import safetensors.torch

    metadata = {"key": key_text, "medium": json.dumps(_facts(medium)), "sha256": _ZEROS}
    data = safetensors.torch.save(_tensors(medium.encoded), metadata)
    place = _HASH.search(data)
    assert place is not None, "safetensors writes its header as compact JSON"
    first, past = place.span(1)
    return b"".join((data[:first], _sha256(data, first, past).encode(), data[past:]))


def unpack(data: bytes, key_text: str) -> Medium:
    """Reads what :func:`pack` gave; the tensors are on the CPU.

    Args:
        data: The bytes of a file.
        key_text: What it should be kept under.

    Raises:
        DataError: The bytes are not those of such a file, or it is kept under another key.
    """
    place = _HASH.search(data)
    if place is None or _sha256(data, *place.span(1)) != place[1].decode():
        raise DataError("the file is damaged, or none of an encoded video")
    import safetensors.torch

    try:
        past = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
        metadata = json.loads(data[_LENGTH_BYTES:past])["__metadata__"]
        found_text = metadata["key"]
        medium = _medium(json.loads(metadata["medium"]), safetensors.torch.load(data))
    except (KeyError, TypeError, ValueError, VideoLLMError, safetensors.SafetensorError) as error:
        raise DataError(f"the file cannot be read: {error}") from error
    if found_text != key_text:
        raise DataError("the file is that of another video or model")
    return medium


def _sha256(data: bytes, first: int, past: int) -> str:
    """The hash of a file, with zeros where ``data[first:past]`` is."""
    view = memoryview(data)
    digest = hashlib.sha256(view[:first])
    digest.update(_ZEROS.encode())
    digest.update(view[past:])
    return digest.hexdigest()


def _tensors(encoded: EncodedVideo) -> dict[str, Tensor]:
    import torch

    tensors = {"tokens_KD": encoded.tokens_KD, "spans_K2": encoded.spans_K2}
    if encoded.states is not None:
        tensors["states_TNC"] = encoded.states.states_TNC
    # Copies: a file holds no tensors that share memory or lie in it with gaps.
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _facts(medium: Medium) -> dict[str, Any]:
    encoded, states = medium.encoded, medium.encoded.states
    return {
        "counts": encoded.counts,
        "segment_spans_s": encoded.segment_spans_s,
        "memory": encoded.memory,
        "plan": encoded.plan.to_json(),
        "fingerprint": encoded.fingerprint,
        "source": encoded.source,
        "states": None if states is None else _facts_of_states(states),
        "notices": medium.notices,
    }


def _facts_of_states(states: FrameStates) -> dict[str, Any]:
    return {"plan": states.plan.to_json(), "max_visual_tokens": states.max_visual_tokens}


def _medium(facts: dict[str, Any], tensors: dict[str, Tensor]) -> Medium:
    states = facts["states"]
    if states is not None:
        plan = FramePlan.from_json(states["plan"])
        states = FrameStates(tensors["states_TNC"], plan, states["max_visual_tokens"])
    encoded = EncodedVideo(
        tokens_KD=tensors["tokens_KD"],
        spans_K2=tensors["spans_K2"],
        counts=tuple(facts["counts"]),
        segment_spans_s=tuple((start_s, end_s) for start_s, end_s in facts["segment_spans_s"]),
        memory=facts["memory"],
        plan=FramePlan.from_json(facts["plan"]),
        fingerprint=facts["fingerprint"],
        source=facts["source"],
        states=states,
    )
    return Medium(encoded, tuple(facts["notices"]))
