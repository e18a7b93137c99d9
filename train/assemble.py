"""Putting towers and a compressor together into one model: where the stages on whole models start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedTokenizerBase

from videollm.checkpoints import load_model
from videollm.errors import ConfigError
from videollm.media import processor_of
from videollm.model.configuration import VideoLLMConfig
from videollm.model.modeling import VideoLLM
from videollm.model.processing import VideoLLMProcessor

from .config import Assembly, LanguageShape, VisionShape
from .encoder_files import load_encoder
from .pretrain_vision import vision_config


def assemble(settings: Assembly, directory: Path) -> None:
    """Writes a checkpoint made of the parts that ``settings`` name; what has no source is fresh.

    Raises:
        ConfigError: A fresh language model has no tokenizer, or a whole checkpoint is given other settings.
    """
    torch.manual_seed(settings.seed)
    whole = (
        isinstance(settings.language, Path) and _model_type(settings.language) == VideoLLMConfig.model_type
    )
    model = _with_other_eyes(settings) if whole else _joined(settings)
    if isinstance(settings.vision, Path):
        load_encoder(model.vision, settings.vision)
    model.save_pretrained(directory)
    processor_of(model).save_pretrained(directory)


def _joined(settings: Assembly) -> VideoLLM:
    """A model with a fresh compressor and projector between its towers."""
    tokenizer, text_config = _language(settings)
    config = VideoLLMConfig(vision_config=_vision(settings), text_config=text_config, **settings.model)
    placeholder = tokenizer.convert_tokens_to_ids(config.prompt.placeholder)
    assert isinstance(placeholder, int)
    config.placeholder_token_id = placeholder
    model = VideoLLM(config)
    if isinstance(settings.language, Path):
        language = AutoModelForCausalLM.from_pretrained(settings.language, local_files_only=True)
        model.language_model.load_state_dict(language.state_dict())
    model.attach(VideoLLMProcessor.for_config(config, tokenizer))
    return model


def _with_other_eyes(settings: Assembly) -> VideoLLM:
    """A whole checkpoint with a ViT of the same shape in place of its own."""
    if settings.model or settings.tokenizer:
        raise ConfigError(
            f"{settings.language} is a whole model: 'model' and 'tokenizer' are taken from it, leave them out"
        )
    return load_model(str(settings.language), device="cpu")


def _vision(settings: Assembly) -> Any:
    if isinstance(settings.vision, VisionShape):
        return vision_config(settings.vision)
    return AutoConfig.from_pretrained(settings.vision, local_files_only=True)


def _language(settings: Assembly) -> tuple[PreTrainedTokenizerBase, Any]:
    if isinstance(settings.language, Path):
        tokenizer = AutoTokenizer.from_pretrained(settings.language, local_files_only=True)
        return tokenizer, AutoConfig.from_pretrained(settings.language, local_files_only=True)
    if settings.tokenizer is None:
        raise ConfigError("a fresh language model needs a tokenizer: name its directory under 'tokenizer'")
    tokenizer = AutoTokenizer.from_pretrained(settings.tokenizer, local_files_only=True)
    return tokenizer, language_config(settings.language, tokenizer)


def language_config(shape: LanguageShape, tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    """Returns transformers' configuration of a Llama of this shape with tied embeddings."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _model_type(directory: Path) -> str:
    return str(AutoConfig.from_pretrained(directory, local_files_only=True).model_type)
