"""How much an answer attended to each visual token, by the head that attended to it most.

A few heads of a language model point at what it speaks of (Kang et al., "Your Large Vision-Language Model Only Needs A
Few Attention Heads For Visual Grounding", arXiv 2503.06287), the others look elsewhere. Which ones is not asked here:
of the attention that the rows which wrote the answer paid to a token, their mean, the largest of all heads and layers
counts. All that came before the answer is taken from the kept cache, so that what is computed once more is the answer.

Shapes: N ids, R rows that are read again, H heads, P places read before and with them, d the width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from .generation import PromptCache, can_shrink
from .modeling import VideoLLM

# Attention of all layers is kept for so many rows at a time: at 4,000 places a quarter of a gigabyte for a model of 7B
# in half precision.
_ROWS = 32


def visual_weights(
    model: VideoLLM, cache: PromptCache, ids: Sequence[int], prompt_tokens: int
) -> Tensor | None:
    """Tells how much each visual token of a prompt was attended to while the answer was written.

    Args:
        model: The model that answered, in evaluation mode. No other thread may use it meanwhile: its attention is laid
            open for as long.
        cache: What it has read: the prompt and the answer but for its last id. It stays as it is.
        ids: The prompt and the answer after it, at least one id.
        prompt_tokens: Ids of the prompt.

    Returns:
        A weight from 0 to 1 for each placeholder of the prompt, float32, on the CPU, (K,); ``None`` where that cannot
        be told: the prompt has no placeholder, the cache holds something else by now or keeps no values by place (a
        sliding window, a running state), scores overflow (half precision), or the device has no memory left.
    """
    placeholder_id = model.config.placeholder_token_id
    places = [place for place, id_ in enumerate(ids[:prompt_tokens]) if id_ == placeholder_id]
    first = prompt_tokens - 1  # the row that wrote the answer's first id
    if not places or len(ids) == prompt_tokens or not _holds(cache, ids[:first]):
        return None
    try:
        with torch.no_grad(), _eager_attention(model):
            weights_P = _attention(model, cache, ids[:-1], first)
    except torch.OutOfMemoryError:  # an answer is not lost for want of what explains it
        return None
    return weights_P[places] if weights_P.isfinite().all() else None


def _holds(cache: PromptCache, ids: Sequence[int]) -> bool:
    """Whether the cache begins with these ids, each in a place of its own."""
    kept = cache.cache
    return kept is not None and cache.ids[: len(ids)] == list(ids) and can_shrink(kept)


@contextmanager
def _eager_attention(model: VideoLLM) -> Iterator[None]:
    """Has the language model compute attention as matrices, which faster ways never hold."""
    before = model.language_model.config._attn_implementation
    model.language_model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.language_model.set_attn_implementation(before)


def _attention(model: VideoLLM, cache: PromptCache, ids: Sequence[int], first: int) -> Tensor:
    """Lets the model read ``ids`` from ``first`` on; returns what of it went to each place before, (first,)."""
    assert cache.cache is not None
    kept = _beginning(cache.cache, first)
    sums: list[Tensor] = []  # over the rows, of each layer, (H, first)
    for start in range(first, len(ids), _ROWS):
        output = model(
            input_ids=torch.tensor([ids[start : start + _ROWS]], device=model.device),
            past_key_values=kept,
            use_cache=True,
            logits_to_keep=1,
            output_attentions=True,
        )
        parts = [attention_1HRP[0, :, :, :first].float().sum(dim=1) for attention_1HRP in output.attentions]
        sums = [one + more for one, more in zip(sums, parts, strict=True)] if sums else parts
    largest = torch.stack([sum_HP.amax(dim=0).cpu() for sum_HP in sums]).amax(dim=0)
    return largest / (len(ids) - first)


def _beginning(cache: DynamicCache, places: int) -> DynamicCache:
    """Returns a cache of the first places of another.

    Both share memory; reading on with the new one does not change the old one, whose tensors are never written to.
    """
    beginning = DynamicCache()
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        keys_1HPd, values_1HPd = layer.keys[..., :places, :], layer.values[..., :places, :]
        copy = DynamicLayer()
        copy.lazy_initialization(keys_1HPd, values_1HPd)
        copy.keys, copy.values = keys_1HPd, values_1HPd
        beginning.layers.append(copy)
    return beginning
