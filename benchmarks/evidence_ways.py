"""Ways of telling which visual tokens an answer rests on, besides the library's own.

Shapes: L layers, H heads, N rows of prompt and answer, K visual tokens, A ids of the answer, S seconds of the plan,
B readings at once, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import Cache, DynamicCache

from videollm.model import VideoLLM
from videollm.values import EncodedVideo, FramePlan


@dataclass
class Stopwatch:
    """Seconds spent on each thing."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Adds what the block takes."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


@dataclass(frozen=True)
class Read:
    """An answered prompt, read once more with its attention laid open.

    Attributes:
        ids: Prompt and answer.
        places: Where the visual tokens stand.
        prompt: Ids of the prompt.
        attention_LHNN: Attention of all rows.
        slopes_LHNN: Gradient of the answer's log probability with respect to it.
        input_slopes_KD: The same with respect to the visual tokens.
        tokens_KD: The visual tokens.
        log_probability: Of the answer.
        cache: Keys and values of all rows.
    """

    ids: list[int]
    places: list[int]
    prompt: int
    attention_LHNN: Tensor
    slopes_LHNN: Tensor
    input_slopes_KD: Tensor
    tokens_KD: Tensor
    log_probability: float
    cache: Cache

    @property
    def first(self) -> int:
        """The row behind the last visual token."""
        return self.places[-1] + 1

    def seen_from(self, rows: slice) -> Tensor:
        """Attention of some rows to the visual tokens, their mean, (L, H, K)."""
        return self.attention_LHNN[:, :, rows][..., self.places].mean(dim=2)


def read(model: VideoLLM, video: EncodedVideo, ids: list[int], prompt: int, watch: Stopwatch) -> Read:
    """Reads an answered prompt; ``model`` computes attention eagerly."""
    places = [place for place, id_ in enumerate(ids[:prompt]) if id_ == model.config.placeholder_token_id]
    rows = model.embed(torch.tensor([ids]), video.tokens_KD).detach().requires_grad_()
    with watch("attention"):
        output = model(inputs_embeds=rows, output_attentions=True, use_cache=True)
        log_probability = _log_probability(output.logits, ids, prompt)[0]
    with watch("gradients"):
        slopes, *of_layers = torch.autograd.grad(log_probability, [rows, *output.attentions])
    for layer in output.past_key_values.layers:
        layer.keys, layer.values = layer.keys.detach(), layer.values.detach()
    return Read(
        ids,
        places,
        prompt,
        torch.stack([attention[0].detach() for attention in output.attentions]),
        torch.stack([slopes_HNN[0] for slopes_HNN in of_layers]),
        slopes[0, places],
        rows.detach()[0, places],
        float(log_probability.detach()),
        output.past_key_values,
    )


def _log_probability(logits_BNV: Tensor, ids: list[int], prompt: int) -> Tensor:
    """Log probability of the answer, (B,), from the logits of the last rows."""
    answer = torch.tensor(ids[prompt:])
    rows_BAV = logits_BNV[:, -len(answer) - 1 : -1].float().log_softmax(dim=-1)
    return rows_BAV[:, torch.arange(len(answer)), answer].sum(dim=1)


def token_weights(seen: Read) -> dict[str, Tensor]:
    """Returns what attention and gradients make of each visual token, (K,)."""
    answering, asking = slice(seen.prompt - 1, len(seen.ids) - 1), slice(seen.first, seen.prompt)
    from_answer_LHK, from_question_LHK = seen.seen_from(answering), seen.seen_from(asking)
    products_LHNK = (seen.attention_LHNN * seen.slopes_LHNN)[:, :, seen.first :][..., seen.places]
    by_head_LHK = products_LHNK.sum(dim=2)
    return {
        "attention of the answer, mean of heads": from_answer_LHK.mean(dim=(0, 1)),
        "attention of the answer, best of heads": from_answer_LHK.amax(dim=(0, 1)),
        "attention of the answer, last layer": from_answer_LHK[-1].mean(dim=0),
        "attention of the question, mean of heads": from_question_LHK.mean(dim=(0, 1)),
        "attention rollout": _rollout(seen)[answering][:, seen.places].mean(dim=0),
        "gradient of the token": seen.input_slopes_KD.norm(dim=-1),
        "gradient x token": (seen.input_slopes_KD * seen.tokens_KD).sum(dim=-1).abs(),
        "attention x gradient, carried through layers": _relevance(seen)[answering][:, seen.places].sum(
            dim=0
        ),
        "attention x gradient, sum": by_head_LHK.sum(dim=(0, 1)).clamp(min=0),
        "attention x gradient, what helped in each head": by_head_LHK.clamp(min=0).sum(dim=(0, 1)),
        "attention x gradient, size in each head": by_head_LHK.abs().sum(dim=(0, 1)),
    }


def head_weights(seen: Read) -> dict[tuple[int, int], Tensor]:
    """Returns the attention of the answer to each visual token, (K,), by layer and head."""
    seen_LHK = seen.seen_from(slice(seen.prompt - 1, len(seen.ids) - 1))
    layers, heads, _ = seen_LHK.shape
    return {(layer, head): seen_LHK[layer, head] for layer in range(layers) for head in range(heads)}


def best_head(hits: Mapping[tuple[int, int], int]) -> tuple[int, int]:
    """Returns the layer and head that points rightly most often, the first of several."""
    return max(sorted(hits), key=lambda place: hits[place])


def _rollout(seen: Read) -> Tensor:
    """Attention rollout (Abnar and Zuidema, arXiv 2005.00928), (N, N)."""
    rows = torch.eye(len(seen.ids))
    carried_NN = rows
    for attention_NN in seen.attention_LHNN.mean(dim=1):
        carried_NN = (attention_NN + rows) / 2 @ carried_NN
    return carried_NN


def _relevance(seen: Read) -> Tensor:
    """Relevance of rows for rows by Chefer et al. (arXiv 2103.15679), (N, N)."""
    carried_NN = torch.eye(len(seen.ids))
    for attention_HNN, slopes_HNN in zip(seen.attention_LHNN, seen.slopes_LHNN, strict=True):
        carried_NN = carried_NN + (attention_HNN * slopes_HNN).clamp(min=0).mean(dim=0) @ carried_NN
    return carried_NN


@torch.no_grad()
def drops(model: VideoLLM, seen: Read, hidden_BK: Tensor) -> Tensor:
    """Returns how much less likely the answer is when visual tokens are hidden from the question and the answer, (B,).

    What comes before the question is not read again.
    """
    cases = len(hidden_BK)
    kept = DynamicCache()
    for number, layer in enumerate(seen.cache.layers):
        before = (part[:, :, : seen.first].expand(cases, -1, -1, -1) for part in (layer.keys, layer.values))
        kept.update(*before, number)
    shown_BN = torch.ones(cases, len(seen.ids), dtype=torch.int64)
    shown_BN[:, seen.places] = 1 - hidden_BK.long()
    rest = torch.tensor(seen.ids[seen.first :]).expand(cases, -1)
    positions = torch.arange(seen.first, len(seen.ids)).expand(cases, -1)
    output = model(input_ids=rest, attention_mask=shown_BN, position_ids=positions, past_key_values=kept)
    found: Tensor = seen.log_probability - _log_probability(output.logits, seen.ids, seen.prompt)
    return found.clamp(min=0)


def seconds_hidden(video: EncodedVideo, plan: FramePlan) -> Tensor:
    """For each segment of the plan the tokens that lie in it for the most part, (S, K) bool."""
    starts_K, ends_K = video.spans_K2.unbind(dim=1)
    rows = []
    for start, end in plan.spans_s:
        common_K = (ends_K.clamp(max=end) - starts_K.clamp(min=start)).clamp(min=0)
        shorter_K = (ends_K - starts_K).clamp(max=end - start).clamp(min=1e-6)
        rows.append(common_K >= shorter_K / 2)
    return torch.stack(rows)
