"""Published models of the supported families: what they are, and what they take, told before anything is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..model.configuration import VideoLLMConfig
from ..model.modeling import VideoLLM, decoder_layers
from ..values import FramePlan
from .families import family_of

#: Shares of its own number of visual tokens at which a model's tokens are told.
DIAL = (1.0, 0.25, 0.1, 0.02)
_MINUTE_S = 60.0
_GIB = 1 << 30
# NF4 with double quantization: four bits a weight, and the scales of its blocks.
_BYTES_OF_4BIT = 0.5 + 1 / 64 + 4 / (64 * 256)

_VICUNA_7B = {"model_type": "llama", "vocab_size": 32_064, "max_position_embeddings": 4096}
_VICUNA_13B = _VICUNA_7B | {
    "hidden_size": 5120,
    "intermediate_size": 13_824,
    "num_hidden_layers": 40,
    "num_attention_heads": 40,
    "num_key_value_heads": 40,
}
_SHORT = {"max_position_embeddings": 2048}
_INSTRUCTBLIP = {"image_token_index": 32_000, "qformer_config": {"vocab_size": 30_523}}
_QWEN2_05B = {
    "model_type": "qwen2",
    "vocab_size": 152_000,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32_768,
    "tie_word_embeddings": True,
}
_QWEN2_7B = {
    "model_type": "qwen2",
    "vocab_size": 152_128,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32_768,
}
_OPT_27B = {
    "model_type": "opt",
    "vocab_size": 50_304,
    "hidden_size": 2560,
    "ffn_dim": 10_240,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "word_embed_proj_dim": 2560,
    "max_position_embeddings": 2048,
}


@dataclass(frozen=True, slots=True)
class Published:
    """A model on the hub.

    Attributes:
        name: Its name there.
        licence: Of its weights, as its page names it.
        config: What of its ``config.json`` is not usual in its family.
    """

    name: str
    licence: str
    config: Mapping[str, Any]


CATALOGUE = (
    Published("llava-hf/llava-1.5-7b-hf", "llama2", {"model_type": "llava", "text_config": _VICUNA_7B}),
    Published("llava-hf/llava-1.5-13b-hf", "llama2", {"model_type": "llava", "text_config": _VICUNA_13B}),
    Published(
        "omni-research/Tarsier-7b",
        "apache-2.0",
        {"model_type": "llava", "image_newline_idx": 32_002, "text_config": _VICUNA_7B},
    ),
    Published(
        "llava-hf/LLaVA-NeXT-Video-7B-hf",
        "llama2",
        {"model_type": "llava_next_video", "text_config": _VICUNA_7B},
    ),
    Published(
        "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        "apache-2.0",
        {"model_type": "llava_onevision", "text_config": _QWEN2_05B},
    ),
    Published(
        "llava-hf/llava-onevision-qwen2-7b-ov-hf",
        "apache-2.0",
        {"model_type": "llava_onevision", "text_config": _QWEN2_7B},
    ),
    Published(
        "Salesforce/blip2-opt-2.7b",
        "mit",
        {"model_type": "blip-2", "image_token_index": 50_265, "text_config": _OPT_27B},
    ),
    Published(
        "Salesforce/instructblip-vicuna-7b",
        "other",
        {"model_type": "instructblip", **_INSTRUCTBLIP, "text_config": _VICUNA_7B | _SHORT},
    ),
    Published(
        "Salesforce/instructblip-vicuna-13b",
        "other",
        {"model_type": "instructblip", **_INSTRUCTBLIP, "text_config": _VICUNA_13B | _SHORT},
    ),
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a published model takes.

    Attributes:
        family: The family that it is of.
        name: Its name on the hub.
        licence: Of its weights.
        parameters: How many weights it has.
        bf16_gib: Memory of the weights in bfloat16.
        four_bit_gib: The same with the language model's layers in 4 bits.
        tokens_a_minute: Visual tokens of a minute of video, as it is read by default, at each share of ``DIAL``.
    """

    family: str
    name: str
    licence: str
    parameters: int
    bf16_gib: float
    four_bit_gib: float
    tokens_a_minute: tuple[int, ...]


def receipt(published: Published) -> Receipt:
    """Returns what a published model takes, from its configuration alone."""
    family = family_of(published.config)
    assert family is not None
    config = VideoLLMConfig(**family.translate(published.config))
    with torch.device("meta"):
        model = VideoLLM(config)
    count = sum(weight.numel() for weight in model.parameters())
    small = sum(weight.numel() for weight in decoder_layers(model).parameters() if weight.ndim == 2)
    return Receipt(
        family.name,
        published.name,
        published.licence,
        count,
        2 * count / _GIB,
        (2 * (count - small) + _BYTES_OF_4BIT * small) / _GIB,
        _tokens_a_minute(model),
    )


def _tokens_a_minute(model: VideoLLM) -> tuple[int, ...]:
    video = model.config.video
    count = min(video.max_frames, round(video.fps * _MINUTE_S))
    times = tuple((frame + 0.5) * _MINUTE_S / count for frame in range(count))
    plan = FramePlan(times, tuple((frame, frame + 1) for frame in range(count)), 0.0, _MINUTE_S)
    whole = model.plan_tokens(plan).total
    return tuple(model.plan_tokens(plan, max(1, round(share * whole))).total for share in DIAL)
