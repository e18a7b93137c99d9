"""LLaVA-1.5 (arXiv 2310.03744), LLaVA-NeXT-Video and LLaVA-OneVision (arXiv 2408.03326), as transformers writes them.

A ViT read at one hidden state, two linear layers with a GELU between them, a language model. They differ in what they
make of the patches of a video: all of them; means of squares of four; or a bilinear quarter, with a learned row behind
the last frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import UnsupportedModelError
from .colours import CLIP_COLOURS, HALF_COLOURS
from .family import Family

# What transformers takes where a published file leaves a tower out.
_CLIP_L_336 = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 336,
    "projection_dim": 768,
}
_SIGLIP_SO400M_384 = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 26,
    "num_attention_heads": 16,
    "patch_size": 14,
    "image_size": 384,
    "vision_use_head": False,
}

_NEXT_SIZES = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
_ONEVISION_SIZES = [[384 * high, 384 * wide] for high in range(1, 7) for wide in range(1, 7)]

# Names have changed over the years: with and without a first ``model.``, with and without ``vision_model.``.
WEIGHTS = (
    (r"^(?:model\.)?vision_tower\.(?:vision_model\.)?", "vision.tower."),
    (r"^(?:model\.)?multi_modal_projector\.linear_1\.", "projector.layers.0."),
    (r"^(?:model\.)?multi_modal_projector\.linear_2\.", "projector.layers.2."),
    (r"^(?:model\.)?image_newline$", "whole_frames.newline"),
    (r"^language_model\.(?=model\.|lm_head\.)", "language_model."),
    (r"^model\.language_model\.", "language_model.model."),
    (r"^lm_head\.", "language_model.lm_head."),
)
# SigLIP's head pools what is wanted patch by patch; older files of CLIP hold a table of numbers 0, 1, 2 …
UNUSED = (
    r"^(?:model\.)?vision_tower\.(?:vision_model\.)?head\.",
    r"^(?:model\.)?vision_tower\.(?:vision_model\.)?embeddings\.position_ids$",
    r".*rotary_emb\.inv_freq$",
)

VICUNA = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }} "
    "{% elif message['role'] == 'user' %}USER: {{ message['content'] }} "
    "{% else %}ASSISTANT: {{ message['content'] }}</s>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
_CHATML = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Usual:
    """What a published configuration may leave out.

    Attributes:
        vision: The vision tower's.
        text: Type of the language model.
        layer: Hidden state that patches are read from.
        image_id: Id of the placeholder.
    """

    vision: Mapping[str, Any]
    text: str
    layer: int
    image_id: int


USUAL_LLAVA = Usual(_CLIP_L_336, "llama", -2, 32_000)
_USUAL_NEXT = Usual(_CLIP_L_336, "llama", -2, 32_001)
_USUAL_ONEVISION = Usual(_SIGLIP_SO400M_384, "qwen2", -1, 151_646)


def _llava(published: Mapping[str, Any]) -> dict[str, Any]:
    # Trained on single images, with a context of 4,096: what is more than four frames is merged.
    video = {"max_frames": 16, "max_visual_tokens": 2304}
    return translate_common(published, USUAL_LLAVA, {}, {"fit": "crop", **CLIP_COLOURS}, video)


def _next_video(published: Mapping[str, Any]) -> dict[str, Any]:
    mode = published.get("spatial_pool_mode", "average")
    if mode != "average":
        raise UnsupportedModelError(f"spatial_pool_mode {mode!r} is not supported, only 'average'")
    frames = {"pool": published.get("spatial_pool_stride", 2), "tile_row_end": True}
    image = {"fit": "crop", "tiles": published.get("image_grid_pinpoints") or _NEXT_SIZES, **CLIP_COLOURS}
    return translate_common(published, _USUAL_NEXT, frames, image, {"max_frames": 16})


def _onevision(published: Mapping[str, Any]) -> dict[str, Any]:
    frames = {"shrink": 2, "video_end": True, "tile_row_end": True}
    most = str(published.get("vision_aspect_ratio", "anyres_max_9")).removeprefix("anyres_max_")
    if not most.isdigit():
        raise UnsupportedModelError(
            f"vision_aspect_ratio {most!r} is not supported, only 'anyres_max_' and a number"
        )
    tiles = published.get("image_grid_pinpoints") or _ONEVISION_SIZES
    image = {"fit": "stretch", "tiles": tiles, "most_tiles": int(most), **HALF_COLOURS}
    return translate_common(published, _USUAL_ONEVISION, frames, image, {"max_frames": 32})


def translate_common(
    published: Mapping[str, Any],
    usual: Usual,
    frames: dict[str, Any],
    image: dict[str, Any],
    video: dict[str, Any],
) -> dict[str, Any]:
    """Translates what the family's configurations have in common.

    Args:
        published: The published configuration.
        usual: What it may leave out.
        frames: Layout of whole frames.
        image: How frames are prepared, besides their size.
        video: How videos are read, besides one frame a second.
    """
    vision = dict(published.get("vision_config") or usual.vision)
    if vision["model_type"] == "siglip_vision_model":
        vision["vision_use_head"] = False
    text = {"model_type": usual.text, **(published.get("text_config") or {})}
    # The head is the whole model's there, and so is the word on whether it is tied; older files say it of the text.
    tied = published.get("tie_word_embeddings", text.get("tie_word_embeddings", False))
    text["tie_word_embeddings"] = tied
    _check(published, vision)
    return {
        "vision_config": vision,
        "text_config": text,
        "vision_layer": published.get("vision_feature_layer", usual.layer),
        "compressor": {"kind": "frames", "frames": frames},
        "projector": {"layers": 2, "norm": False},
        "video": {"fps": 1.0, "frames_per_segment": 1, "max_segments": video["max_frames"], **video},
        "image": {"size": vision["image_size"], **image},
        "prompt": {
            "placeholder": "<image>",
            "vision_start": None,
            "vision_end": None,
            "write_times": False,
        },
        "placeholder_token_id": published.get(
            "image_token_index", published.get("image_token_id", usual.image_id)
        ),
    }


def _check(published: Mapping[str, Any], vision: Mapping[str, Any]) -> None:
    """Refuses what these families could have and no published model of them has."""
    has_class = vision["model_type"] == "clip_vision_model"
    wanted = {
        "projector_hidden_act": "gelu",
        "multimodal_projector_bias": True,
        "vision_feature_select_strategy": "default" if has_class else "full",
    }
    for name, value in wanted.items():
        if published.get(name, value) != value:
            raise UnsupportedModelError(f"{name} {published[name]!r} is not supported, only {value!r}")
    if not isinstance(published.get("vision_feature_layer", -1), int):
        raise UnsupportedModelError("several vision_feature_layers are not supported, only one")


def _of_type(model_type: str) -> Any:
    return lambda published: published.get("model_type") == model_type


LLAVA = Family("LLaVA-1.5", _of_type("llava"), _llava, WEIGHTS, UNUSED, VICUNA, "<image>")
LLAVA_NEXT_VIDEO = Family(
    "LLaVA-NeXT-Video", _of_type("llava_next_video"), _next_video, WEIGHTS, UNUSED, VICUNA, "<image>"
)
LLAVA_ONEVISION = Family(
    "LLaVA-OneVision", _of_type("llava_onevision"), _onevision, WEIGHTS, UNUSED, _CHATML, "<image>"
)
