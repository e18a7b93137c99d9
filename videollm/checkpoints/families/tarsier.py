"""Tarsier (arXiv 2407.00634), first version: LLaVA-1.5 over frames, with marks between rows of patches and frames.

The marks are word embeddings of the language model, whose ids the configuration names; they are copied from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .colours import CLIP_COLOURS
from .family import Family
from .llava import UNUSED, USUAL_LLAVA, VICUNA, WEIGHTS, translate_common

if TYPE_CHECKING:
    from torch import Tensor

_ROW, _FRAME = "image_newline_idx", "image_new_idx"
_USUAL = {_ROW: 32_002, _FRAME: 32_003}
_WORDS = "language_model.model.embed_tokens.weight"


def _translate(published: Mapping[str, Any]) -> dict[str, Any]:
    frames = {"row_end": True, "frame_end": True}
    image = {"fit": "stretch", **CLIP_COLOURS}
    return translate_common(published, USUAL_LLAVA, frames, image, {"max_frames": 8})


def _marks(published: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The learned rows, out of the file that holds the word embeddings."""
    if _WORDS not in tensors:
        return {}
    rows = (("whole_frames.newline", _ROW), ("whole_frames.frame_end", _FRAME))
    return {ours: tensors[_WORDS][published.get(name, _USUAL[name])].clone() for ours, name in rows}


TARSIER = Family(
    "Tarsier",
    lambda published: published.get("model_type") == "llava" and _ROW in published,
    _translate,
    WEIGHTS,
    UNUSED,
    VICUNA,
    "<image>",
    _marks,
)
