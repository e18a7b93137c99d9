"""Putting towers and a compressor together into one model: where the stages on whole models start."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    SiglipVisionConfig,
)

from videollm.checkpoints import load_model
from videollm.errors import ConfigError
from videollm.media import processor_of
from videollm.model.configuration import VideoLLMConfig
from videollm.model.modeling import VideoLLM
from videollm.model.processing import VideoLLMProcessor, add_prompt_tokens

from .encoder_files import load_encoder
from .parts import from_source, published_config, read_config
from .pretrain_vision import vision_config
from .pretrained_queries import begin_with_blip2
from .settings import Assembly, LanguageShape, VisionShape

_SIGLIP_COLOURS = dict.fromkeys(("mean", "std", "fill"), (0.5, 0.5, 0.5))


def assemble(settings: Assembly, directory: Path) -> None:
    """Writes a checkpoint made of the parts that ``settings`` name; what has no source is fresh.

    Raises:
        ConfigError: A fresh language model has no tokenizer, a part is neither here nor on the hub, or a whole
            checkpoint is given other settings, or the Q-Former has other sizes than the published one.
        UnsupportedModelError: ``queries`` names something that is no BLIP-2.
        CheckpointError: The ViT's files lack weights, or a file is broken.
    """
    torch.manual_seed(settings.seed)
    model = _with_other_eyes(settings) if _is_whole(settings) else _joined(settings)
    if isinstance(settings.vision, Path):
        load_encoder(model.vision, settings.vision)
    if settings.queries is not None:
        begun = begin_with_blip2(model.compressor, str(settings.queries))
        print(f"Q-Former: {begun.taken:,} weights of {settings.queries}; fresh: {', '.join(begun.fresh)}")
    model.save_pretrained(directory)
    processor_of(model).save_pretrained(directory)


def assembled_config(settings: Assembly) -> VideoLLMConfig:
    """Returns the configuration of what :func:`assemble` would write, without weights.

    Raises:
        ConfigError: As :func:`assemble`.
    """
    if not isinstance(settings.language, Path):
        return _config(settings, language_config(settings.language, _tokenizer(settings)))
    found = published_config(settings.language)
    return found if isinstance(found, VideoLLMConfig) else _config(settings, found)


def _is_whole(settings: Assembly) -> bool:
    source = settings.language
    return isinstance(source, Path) and read_config(source).model_type == VideoLLMConfig.model_type


def _joined(settings: Assembly) -> VideoLLM:
    """A model with a fresh compressor and projector between its towers."""
    tokenizer = _tokenizer(settings)
    language: PreTrainedModel | None = None
    if isinstance(settings.language, Path):
        language = from_source(AutoModelForCausalLM, settings.language)
        text_config = language.config
    else:
        text_config = language_config(settings.language, tokenizer)
    config = _config(settings, text_config)
    _add_marks(tokenizer, config, language)
    model = VideoLLM(config)
    if language is not None:
        model.language_model.load_state_dict(language.state_dict())
    model.attach(VideoLLMProcessor.for_config(config, tokenizer))
    return model


def _config(settings: Assembly, text_config: Any) -> VideoLLMConfig:
    if isinstance(settings.vision, VisionShape):
        vision: Any = vision_config(settings.vision)
    else:
        found = published_config(settings.vision)
        vision = getattr(found, "vision_config", found)  # both towers, or the one alone
    model = dict(settings.model)
    if isinstance(vision, SiglipVisionConfig):
        vision.vision_use_head = False  # it pools the patches, which are wanted one by one
        model.setdefault("image", {"size": vision.image_size, **_SIGLIP_COLOURS})
    return VideoLLMConfig(vision_config=vision, text_config=text_config, **model)


def _tokenizer(settings: Assembly) -> PreTrainedTokenizerBase:
    source = settings.language if isinstance(settings.language, Path) else settings.tokenizer
    if source is None:
        raise ConfigError("a fresh language model needs a tokenizer: name its directory under 'tokenizer'")
    return cast(PreTrainedTokenizerBase, from_source(AutoTokenizer, source))


def _add_marks(
    tokenizer: PreTrainedTokenizerBase, config: VideoLLMConfig, language: PreTrainedModel | None
) -> None:
    """Teaches a tokenizer the special tokens that stand around videos, and gives new ones a row in the model."""
    add_prompt_tokens(tokenizer, config.prompt)
    if language is not None and len(tokenizer) > language.config.vocab_size:
        language.resize_token_embeddings(len(tokenizer))
        config.text_config.vocab_size = language.config.vocab_size
    placeholder = tokenizer.convert_tokens_to_ids(config.prompt.placeholder)
    assert isinstance(placeholder, int)
    config.placeholder_token_id = placeholder


def _with_other_eyes(settings: Assembly) -> VideoLLM:
    """A whole checkpoint with a ViT of the same shape in place of its own."""
    if settings.model or settings.tokenizer or settings.queries:
        raise ConfigError(
            f"{settings.language} is a whole model: 'model', 'tokenizer' and 'queries' are taken from it, leave them "
            "out"
        )
    return load_model(str(settings.language), device="cpu")


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
