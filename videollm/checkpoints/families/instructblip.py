"""InstructBLIP (arXiv 2305.06500) with a decoder-only language model, as transformers writes it, also its video class.

BLIP-2, whose Q-Former reads the question together with each picture: what the language model is shown of a video
depends on what is asked. The question goes in as it is, without words around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from .blip2 import WEIGHTS, translate_queries
from .family import Family

# The paper asks about four frames of a video, and transformers' video class knows no other number.
_FRAMES = 4
_UNUSED = (r"^vision_model\.embeddings\.position_ids$", r"^qformer\.embeddings\.position_ids$")
_CHAT = (
    "<s>{% for message in messages %}"
    "{% if message['role'] == 'assistant' %} {{ message['content'] }}</s>"
    "{% elif message['role'] == 'user' %}{{ message['content'] }}"
    "{% else %}{{ message['content'] }}\n{% endif %}"
    "{% endfor %}"
)


def _translate(published: Mapping[str, Any], medium: str) -> dict[str, Any]:
    fields = translate_queries(
        {**published, "text_config": {"model_type": "llama", **(published.get("text_config") or {})}},
        "InstructBLIP",
        medium=medium,
        max_frames=_FRAMES,
    )
    qformer = published.get("qformer_config") or {}
    fields["frame_queries"]["question"] = {
        "vocab_size": qformer.get("vocab_size", 30_522),
        "most_tokens": qformer.get("max_position_embeddings", 512),
    }
    return fields


def _family(name: str, model_type: str, medium: str) -> Family:
    return Family(
        name,
        lambda published: published.get("model_type") == model_type,
        partial(_translate, medium=medium),
        WEIGHTS,
        _UNUSED,
        _CHAT,
        f"<{medium}>",
    )


INSTRUCTBLIP = _family("InstructBLIP", "instructblip", "image")
INSTRUCTBLIP_VIDEO = _family("InstructBLIP-Video", "instructblipvideo", "video")
