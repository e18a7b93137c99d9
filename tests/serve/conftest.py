"""Fixtures of the page's tests: a tiny checkpoint with random weights, clips, and a service on top of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from videollm.model.compressor_config import CompressorConfig, QFormerConfig
from videollm.model.configuration import VideoLLMConfig
from videollm.model.modeling import VideoLLM
from videollm.model.processing import VideoLLMProcessor
from videollm.model.tokenization import build_tokenizer, train_sentencepiece

CARD = "---\nlicense: mit\n---\n# Tiny\n\nA model with random weights.\nIt sees nothing.\n\nMore about it.\n"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint directory of the real classes, small and untrained, with a model card."""
    directory = tmp_path_factory.mktemp("tiny")
    texts = ["what happens in this video?", "a small red star moves left from 0:03 to 0:05"] * 20
    pieces = train_sentencepiece(texts, directory / "tokenizer.model", vocab_size=400)
    tokenizer = build_tokenizer(pieces, directory)
    torch.manual_seed(0)
    config = VideoLLMConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 2048,
        },
        compressor=CompressorConfig(
            merged_tokens=8,
            num_queries=4,
            memory_layers=2,
            qformer=QFormerConfig(layers=1, hidden_size=32, heads=2, intermediate_size=48),
        ),
        placeholder_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    )
    VideoLLM(config).save_pretrained(directory)
    VideoLLMProcessor.for_config(config, tokenizer).save_pretrained(directory)
    (directory / "README.md").write_text(CARD, encoding="utf-8")
    return directory
