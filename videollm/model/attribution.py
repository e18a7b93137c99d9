"""How much each visual token had a part in an answer: attention times its gradient, read off the values in the cache.

What a head takes from a token is its attention to it times the token's value. So the gradient of the answer's log
probability with respect to a value, times the value, is the sum over all reading rows of attention times the gradient
of attention, with which Chefer et al. ("Generic Attention-model Explainability", arXiv 2103.15679) tell what an answer
rests on. No attention matrix is made: it works with whatever attention the model runs, and costs one pass forwards and
one backwards over the question and the answer, while all that came before is taken from the kept cache.

Shapes: N ids, R rows that are read again, V vocabulary, H heads with values of their own, P kept places, d their width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from ..values import EncodedVideo, Span
from .evidence import light
from .generation import PromptCache, can_shrink
from .modeling import VideoLLM

# Rows before the answer that are read again: the question, and of a long conversation what came just before it.
_QUESTION_ROWS = 64


def find_evidence(
    model: VideoLLM,
    cache: PromptCache,
    prompt_ids: Sequence[int],
    answer_ids: Sequence[int],
    videos: Sequence[EncodedVideo],
) -> tuple[Span, ...]:
    """Tells which seconds of the videos an answer rests on.

    Args:
        model: The model that answered, in evaluation mode.
        cache: What it has read: the prompt and the answer but for its last id. It stays as it is.
        prompt_ids: The prompt.
        answer_ids: The answer.
        videos: What the prompt's placeholders stand for, as the model saw them.

    Returns:
        Spans, the one with the most evidence first; none where :func:`visual_weights` or
        :func:`~videollm.model.evidence.light` finds none.
    """
    weights_K = visual_weights(model, cache, [*prompt_ids, *answer_ids], len(prompt_ids))
    return () if weights_K is None else light(weights_K.tolist(), videos)


def visual_weights(
    model: VideoLLM, cache: PromptCache, ids: Sequence[int], prompt_tokens: int
) -> Tensor | None:
    """Tells how much each visual token of a prompt had a part in the answer.

    Args:
        model: The model that answered, in evaluation mode.
        cache: What it has read: the prompt and the answer but for its last id. It stays as it is.
        ids: The prompt and the answer after it, at least one id.
        prompt_tokens: Ids of the prompt.

    Returns:
        A weight of at least 0 for each placeholder of the prompt, float32, on the CPU, (K,); ``None`` where that cannot
        be told: the prompt has no placeholder, the cache holds something else by now or keeps no values by place (a
        sliding window, a running state), no gradient comes back through the layers (4 bits packed for a CPU),
        gradients overflow (half precision), or the device has no memory left.
    """
    placeholder_id = model.config.placeholder_token_id
    places = [place for place, id_ in enumerate(ids[:prompt_tokens]) if id_ == placeholder_id]
    if not places:
        return None
    first = max(places[-1] + 1, prompt_tokens - _QUESTION_ROWS)
    if not first < prompt_tokens < len(ids) or not _holds(cache, ids[:first]) or _is_packed(model):
        return None
    try:
        weights_P = _read_again(model, cache, ids, prompt_tokens, first)
    except torch.OutOfMemoryError:  # an answer is not lost for want of what explains it
        return None
    return weights_P[places] if weights_P.isfinite().all() else None


def _holds(cache: PromptCache, ids: Sequence[int]) -> bool:
    """Whether the cache begins with these ids, each in a place of its own."""
    kept = cache.cache
    return kept is not None and cache.ids[: len(ids)] == list(ids) and can_shrink(kept)


def _is_packed(model: VideoLLM) -> bool:
    """Whether bitsandbytes has packed 4-bit weights for a CPU, as it does where that is quicker."""
    states = (
        getattr(getattr(layer, "weight", None), "quant_state", None)
        for layer in model.language_model.modules()
    )
    return any(getattr(state, "packing_format_for_cpu", False) for state in states)


def _read_again(
    model: VideoLLM, cache: PromptCache, ids: Sequence[int], prompt_tokens: int, first: int
) -> Tensor:
    """Lets the model read ``ids`` from ``first`` on; returns the weight of every place before, (P,)."""
    assert cache.cache is not None
    with torch.inference_mode(False), torch.enable_grad():
        kept, values = _watched(cache.cache, first)
        output = model(
            input_ids=torch.tensor([ids[first:-1]], device=model.device),
            past_key_values=kept,
            use_cache=True,
            logits_to_keep=len(ids) - prompt_tokens,
        )
        logits_1RV = output.logits
        slopes_1RV = _slopes(logits_1RV[0].detach(), ids[prompt_tokens:])[None].to(logits_1RV.dtype)
        torch.autograd.backward(logits_1RV, slopes_1RV, inputs=values)
    return torch.stack([_weights(value) for value in values]).sum(dim=0)


def _watched(cache: DynamicCache, places: int) -> tuple[DynamicCache, list[Tensor]]:
    """Returns a cache of the first places of another, and its values, of which gradients can be taken.

    Both share memory; reading on with the new one does not change the old one, whose tensors are never written to.
    """
    watched, values = DynamicCache(), []
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        keys_1HPd, values_1HPd = (
            _ordinary(tensor[..., :places, :]).detach() for tensor in (layer.keys, layer.values)
        )
        values_1HPd.requires_grad_()
        copy = DynamicLayer()
        copy.lazy_initialization(keys_1HPd, values_1HPd)
        copy.keys, copy.values = keys_1HPd, values_1HPd
        watched.layers.append(copy)
        values.append(values_1HPd)
    return watched, values


def _ordinary(tensor: Tensor) -> Tensor:
    """A tensor that autograd accepts, even if it was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor


def _slopes(logits_RV: Tensor, answer_R: Sequence[int]) -> Tensor:
    """Gradient of the answer's log probability with respect to the logits, the largest scaled to 1, float32, (R, V).

    Only proportions matter; unscaled, the gradients of a sure answer would vanish in half precision.
    """
    slopes_RV = -logits_RV.float().softmax(dim=-1)
    slopes_RV[range(len(answer_R)), answer_R] += 1
    return slopes_RV / slopes_RV.abs().max().clamp(min=torch.finfo(torch.float32).tiny)


def _weights(values_1HPd: Tensor) -> Tensor:
    """How much the heads of a layer took from each place, whichever way it moved the answer, (P,), on the CPU."""
    slopes_1HPd = values_1HPd.grad
    assert slopes_1HPd is not None
    values_1HPd.grad = None
    parts_HP = (values_1HPd.detach().float() * slopes_1HPd.float())[0].sum(dim=-1)
    return parts_HP.abs().sum(dim=0).cpu()
