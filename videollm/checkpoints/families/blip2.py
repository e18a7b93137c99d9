"""BLIP-2 (arXiv 2301.12597) with a decoder-only language model, as transformers writes it.

An EVA ViT, a Q-Former of 32 queries that reads each picture, one linear layer. The queries' 32 tokens stand in front of
the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import UnsupportedModelError
from .colours import CLIP_COLOURS
from .family import Family

_EVA_G_224 = {
    "hidden_size": 1408,
    "intermediate_size": 6144,
    "num_hidden_layers": 39,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
}
_QFORMER = {
    "hidden_size": ("hidden_size", 768),
    "layers": ("num_hidden_layers", 12),
    "heads": ("num_attention_heads", 12),
    "intermediate_size": ("intermediate_size", 3072),
    "cross_attention_every": ("cross_attention_frequency", 2),
}

WEIGHTS = (
    (r"^vision_model\.", "vision.tower."),
    (r"^qformer\.", "vision.queries.qformer."),
    (r"^query_tokens$", "vision.queries.query_tokens"),
    (r"^language_projection\.", "projector.layers.0."),
    (r"^language_model\.", "language_model."),
)
_CHAT = (
    "</s>{% for message in messages %}"
    "{% if message['role'] == 'assistant' %} {{ message['content'] }}</s>"
    "{% elif message['role'] == 'user' %}Question: {{ message['content'] }} Answer:"
    "{% else %}{{ message['content'] }}\n{% endif %}"
    "{% endfor %}"
)


def _translate(published: Mapping[str, Any]) -> dict[str, Any]:
    # Trained on single images, with a context of 2,048.
    return translate_queries(published, "BLIP-2", medium="image", max_frames=16)


def translate_queries(
    published: Mapping[str, Any], name: str, *, medium: str, max_frames: int
) -> dict[str, Any]:
    """Returns what BLIP-2 and the models built on it have in common.

    Args:
        published: Their ``config.json``.
        name: What the family is called, for messages.
        medium: What the placeholder is named for, ``"image"`` or ``"video"``.
        max_frames: Frames of a video that are read by default.

    Raises:
        UnsupportedModelError: Its language model is no decoder, or the placeholder is not told.
    """
    text = {"model_type": "opt", **(published.get("text_config") or {})}
    if text["model_type"] == "t5" or not published.get("use_decoder_only_language_model", True):
        raise UnsupportedModelError(f"{name} with an encoder-decoder language model (T5) is not supported")
    placeholder = published.get(f"{medium}_token_index", published.get(f"{medium}_token_id"))
    if placeholder is None:
        raise UnsupportedModelError(
            f"its config.json names no {medium}_token_index; newer revisions of {name} do"
        )
    return {
        **translate_vision(published),
        "text_config": text,
        "vision_layer": -1,
        "compressor": {"kind": "frames"},
        "projector": {"layers": 1, "norm": False},
        "video": {"fps": 1.0, "max_frames": max_frames, "frames_per_segment": 1, "max_segments": max_frames},
        "prompt": {
            "placeholder": f"<{medium}>",
            "vision_start": None,
            "vision_end": None,
            "write_times": False,
            "media_first": True,
        },
        "placeholder_token_id": placeholder,
    }


def translate_vision(published: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that tell of the ViT, the Q-Former behind it and how pictures are prepared."""
    qformer = published.get("qformer_config") or {}
    vision = {**_EVA_G_224, **(published.get("vision_config") or {}), "model_type": "blip_2_vision_model"}
    queries = {ours: qformer.get(theirs, usual) for ours, (theirs, usual) in _QFORMER.items()}
    return {
        "vision_config": vision,
        "frame_queries": {"num_queries": published.get("num_query_tokens", 32), **queries},
        "image": {"size": vision["image_size"], "fit": "stretch", **CLIP_COLOURS},
    }


BLIP2 = Family(
    "BLIP-2",
    lambda published: published.get("model_type") == "blip-2",
    _translate,
    WEIGHTS,
    (r"^vision_model\.embeddings\.position_ids$",),
    _CHAT,
    "<image>",
)
