"""Putting pretrained towers and a fresh compressor together into one model: where stage 1 starts."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, CLIPVisionModel

from videollm.model.configuration import VideoLLMConfig
from videollm.model.modeling import VideoLLM
from videollm.model.processing import VideoLLMProcessor

from .config import Assembly


def assemble(settings: Assembly, directory: Path) -> None:
    """Writes a checkpoint whose towers are pretrained and whose compressor and projector are fresh."""
    tokenizer = AutoTokenizer.from_pretrained(settings.language, local_files_only=True)
    config = VideoLLMConfig(
        vision_config=AutoConfig.from_pretrained(settings.vision, local_files_only=True),
        text_config=AutoConfig.from_pretrained(settings.language, local_files_only=True),
        **settings.model,
    )
    placeholder = tokenizer.convert_tokens_to_ids(config.prompt.placeholder)
    assert isinstance(placeholder, int)
    config.placeholder_token_id = placeholder
    torch.manual_seed(settings.seed)
    model = VideoLLM(config)
    vision = CLIPVisionModel.from_pretrained(settings.vision, local_files_only=True)
    language = AutoModelForCausalLM.from_pretrained(settings.language, local_files_only=True)
    model.vision.tower.load_state_dict(vision.state_dict())
    model.language_model.load_state_dict(language.state_dict())
    model.save_pretrained(directory)
    VideoLLMProcessor.for_config(config, tokenizer).save_pretrained(directory)
