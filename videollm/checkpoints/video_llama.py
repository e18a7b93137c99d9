"""Video-LLaMA (arXiv 2306.02858), whose published file holds only what was trained; the rest is BLIP-2's and a Llama.

    VL_….pth ────▶ video_queries, projector ─┐
    BLIP-2 ──────▶ vision, its Q-Former ─────┼──▶ one checkpoint
    Llama, Vicuna ▶ language_model, tokenizer ┘

The ``.pth`` is a pickle; it is read by torch's ``weights_only``, which runs no code. The audio branch is left out.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from ..errors import CheckpointError
from ..model.configuration import VideoLLMConfig
from ..model.processing import VideoLLMProcessor, add_prompt_tokens
from .families import BLIP2, Family
from .families.blip2 import translate_vision
from .importing import Import, check_free, write_checkpoint
from .published import find_part, read_config, read_file, weight_files

_NAME = "Video-LLaMA"
_PLACEHOLDER = "<ImageHere>"
_LAYER = r"^video_Qformer\.bert\.encoder\.layer\.(\d+)\."
_OURS = r"video_queries.queries.qformer.encoder.layer.\1."
_TRAINED = (
    (r"^video_query_tokens$", "video_queries.queries.query_tokens"),
    (r"^video_frame_position_embedding\.", "video_queries.positions."),
    (r"^llama_proj\.", "projector.layers.0."),
    (r"^video_Qformer\.bert\.embeddings\.LayerNorm\.", "video_queries.queries.qformer.layernorm."),
    (rf"{_LAYER}(attention|crossattention)\.self\.", rf"{_OURS}\2.attention."),
    (rf"{_LAYER}(attention|crossattention)\.output\.", rf"{_OURS}\2.output."),
    (rf"{_LAYER}(intermediate_query|output_query)\.", rf"{_OURS}\2."),
)
# The branch for sound, and what BERT would need for text.
_UNUSED = (
    r"^audio_",
    r"^video_Qformer\.bert\.embeddings\.position_ids$",
    rf"{_LAYER}(intermediate|output)\.",
)
_LANGUAGE = Family(
    "a Llama",
    lambda published: published.get("model_type") == "llama",
    lambda published: dict(published),
    ((r"^model\.", "language_model.model."), (r"^lm_head\.", "language_model.lm_head.")),
    (r".*rotary_emb\.inv_freq$",),
    "",
    _PLACEHOLDER,
)
_VICUNA_V0 = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% elif message['role'] == 'user' %}###Human: {{ message['content'] }}"
    "{% else %}###Assistant: {{ message['content'] }}</s>{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}###Assistant:{% endif %}"
)


def import_video_llama(
    trained: str | os.PathLike[str], out: Path, *, vision: str, language: str, overwrite: bool = False
) -> Import:
    """Writes Video-LLaMA as one checkpoint, in the precision that each part has.

    Args:
        trained: The published ``.pth``, such as ``VL_LLaMA_2_7B_Finetuned.pth``.
        out: Directory of the checkpoint.
        vision: BLIP-2 whose ViT and Q-Former it was trained over, ``Salesforce/blip2-flan-t5-xxl``: directory or name
            on the hub.
        language: The Llama or Vicuna it was trained over: directory or name on the hub.
        overwrite: Replace ``out`` if it exists.

    Raises:
        UnsupportedModelError: A part is not there, or is something else.
        ConfigError: ``out`` exists.
        CheckpointError: A file is broken, or tensors are missing, unknown or of the wrong shape.
    """
    check_free(out, overwrite=overwrite)
    eyes, words = find_part(vision, BLIP2), find_part(language, _LANGUAGE)
    tensors, left_out = _read_trained(Path(trained))
    tokenizer = AutoTokenizer.from_pretrained(words, local_files_only=True)
    config = _configure(tensors, read_config(eyes), read_config(words))
    if not tokenizer.chat_template:
        tokenizer.chat_template = _VICUNA_V0
    add_prompt_tokens(tokenizer, config.prompt)
    placeholder = tokenizer.convert_tokens_to_ids(_PLACEHOLDER)
    assert isinstance(placeholder, int)
    config.placeholder_token_id = placeholder
    config.text_config.vocab_size = max(config.text_config.vocab_size, len(tokenizer))
    parts: list[Callable[[], tuple[dict[str, Tensor], list[str]]]] = [
        lambda: (tensors, left_out),
        *(partial(_read_vision, path, read_config(eyes)) for path in weight_files(eyes)),
        *(partial(_read_language, path, config) for path in weight_files(words)),
    ]
    processor = VideoLLMProcessor.for_config(config, tokenizer)
    return write_checkpoint(str(trained), _NAME, parts, config, processor, out)


def _read_trained(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """What the published file holds, under our names, and the names of what is left out."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise CheckpointError(
            f"{path}: it cannot be read without running code that is in it ({reason})"
        ) from error
    state = state.get("model", state) if isinstance(state, dict) else {}
    trained = Family(_NAME, lambda _: True, dict, _TRAINED, _UNUSED, "", _PLACEHOLDER)
    named, left_out, unknown = trained.sort(state)
    tensors: dict[str, Tensor] = {ours: state[published] for published, ours in named.items()}
    if unknown or not tensors:
        raise CheckpointError(
            f"{path}: "
            + (f"{len(unknown)} tensors are none of {_NAME}'s ({unknown[0]})" if unknown else "it is empty")
        )
    return tensors, left_out


def _configure(
    trained: Mapping[str, Tensor], eyes: Mapping[str, Any], language: Mapping[str, Any]
) -> VideoLLMConfig:
    """The configuration; sizes that no file names are those of the tensors."""
    queries = trained.get("video_queries.queries.query_tokens")
    positions = trained.get("video_queries.positions.weight")
    inner = trained.get("video_queries.queries.qformer.encoder.layer.0.intermediate_query.dense.weight")
    if queries is None or positions is None or inner is None:
        raise CheckpointError(f"it does not hold the video Q-Former of {_NAME}, its queries and positions")
    layers = {
        int(found[1]) for name in trained if (found := re.search(r"video_queries.*\.layer\.(\d+)\.", name))
    }
    fields = translate_vision(eyes)
    second = {
        "num_queries": queries.shape[1],
        "hidden_size": queries.shape[2],
        "layers": len(layers),
        "heads": fields["frame_queries"]["heads"],
        "intermediate_size": inner.shape[0],
        "cross_attention_every": 1,
    }
    return VideoLLMConfig(
        **fields,
        text_config=dict(language),
        vision_layer=-1,
        video_queries={"frames": positions.shape[0], "queries": second},
        compressor={"kind": "frames"},
        projector={"layers": 1, "norm": False},
        video={"fps": 1.0, "max_frames": 8, "frames_per_segment": 1, "max_segments": 8},
        prompt={
            "placeholder": _PLACEHOLDER,
            "vision_start": None,
            "vision_end": None,
            "write_times": False,
            "text_before": "<Video>",
            "text_behind": "</Video> The video contains {frames} frames sampled at {seconds} seconds. ",
        },
    )


def _read_vision(path: Path, published: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """ViT and Q-Former of BLIP-2; its projection and language model are not needed."""
    tensors, _ = read_file(path, BLIP2, published)
    return {name: tensor for name, tensor in tensors.items() if name.startswith("vision.")}, []


def _read_language(path: Path, config: VideoLLMConfig) -> tuple[dict[str, Tensor], list[str]]:
    """A file of the language model, with a row for each new token, which nothing reads."""
    tensors, unused = read_file(path, _LANGUAGE, {})
    for name in ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight"):
        if name in tensors and (lacking := config.text_config.vocab_size - len(tensors[name])) > 0:
            rows = tensors[name].new_zeros(lacking, tensors[name].shape[1])
            tensors[name] = torch.cat([tensors[name], rows])
    return tensors, unused
