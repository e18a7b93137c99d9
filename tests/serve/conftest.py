"""Fixtures of the page's tests: a tiny checkpoint with random weights, clips, and a service on top of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from PIL import Image

from videollm import load_model
from videollm.model.compressor_config import CompressorConfig, QFormerConfig
from videollm.model.configuration import VideoLLMConfig
from videollm.model.modeling import VideoLLM
from videollm.model.processing import VideoLLMProcessor
from videollm.model.tokenization import build_tokenizer, train_sentencepiece
from videollm.synthetic.files import write_clip
from videollm.synthetic.rendering import render_frame
from videollm.synthetic.sampling import sample_clip
from videollm_serve.service import ChatService
from videollm_serve.session import ChatSession

T = TypeVar("T")
CARD = "---\nlicense: mit\n---\n# Tiny\n\nA model with random weights.\nIt sees nothing.\n\nMore about it.\n"


@pytest.fixture(scope="session")
def in_event_loop() -> Callable[[Callable[[], T]], T]:
    """Calls a function that builds a page; outside a running loop gradio would open loops and never close them."""

    def call(build: Callable[[], T]) -> T:
        async def building() -> T:
            return build()

        return asyncio.run(building())

    return call


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
            "max_position_embeddings": 8192,
        },
        compressor=CompressorConfig(
            merged_tokens=8,
            num_queries=4,
            memory_layers=2,
            qformer=QFormerConfig(layers=1, hidden_size=32, heads=2, intermediate_size=48),
        ),
        placeholder_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    )
    model, processor = VideoLLM(config), VideoLLMProcessor.for_config(config, tokenizer)
    # It must go on talking, so that an answer can be stopped: of some hundred random scores, zero is never the highest.
    with torch.no_grad():
        model.get_output_embeddings().weight[list(processor.stop_ids)] = 0
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    (directory / "README.md").write_text(CARD, encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path) -> VideoLLM:
    """The tiny model, loaded once."""
    return load_model(tiny_checkpoint, device="cpu")


@pytest.fixture
def service(tiny_model: VideoLLM) -> ChatService:
    """A service on the tiny model."""
    return ChatService(tiny_model, "tiny", "It sees nothing.")


@pytest.fixture
def session(service: ChatService) -> ChatSession:
    """A fresh session."""
    return service.open()


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files as people upload them: two short videos, an animation, a still, and some that cannot be read."""
    directory = tmp_path_factory.mktemp("clips")
    for name, seed, codec in (("one.mp4", 42, "h264"), ("two.mp4", 10, "h264"), ("hevc.mkv", 42, "hevc")):
        write_clip(sample_clip(seed, "test"), directory / name, codec=codec)
    Image.fromarray(render_frame(sample_clip(42, "test"), 1.0)).save(directory / "still.png")
    (directory / "noise.mp4").write_bytes(random.Random(0).randbytes(5000))
    (directory / "empty.mp4").touch()
    (directory / "letter.mp4").write_text("Dear reader, this is no video.\n" * 20, encoding="utf-8")
    return {path.name: path for path in directory.iterdir()}
