"""A tiny tokenizer and a tiny video language model with random weights, shared by the tests of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from videollm.model import VideoLLM, VideoLLMConfig, VideoLLMProcessor
from videollm.model.tokenization import VIDEO_PAD, build_tokenizer, train_sentencepiece
from videollm.values import EncodedVideo, FramePlan

CORPUS = [
    f"What does the {colour} {shape} do?\na {size} {colour} {shape} {action} from 0:0{second} to 0:1{second}"
    for colour in ("red", "green", "blue")
    for shape in ("star", "ring", "circle")
    for size, action in (("small", "moves left"), ("large", "grows"), ("large", "stays still"))
    for second in range(3)
]


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    """What the tokenizer was trained on."""
    return CORPUS


@pytest.fixture(scope="session")
def tokenizer_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer as the pocket model's, trained on a few sentences."""
    directory = tmp_path_factory.mktemp("tokenizer")
    trained = train_sentencepiece(CORPUS, directory / "trained.model", vocab_size=420)
    build_tokenizer(trained, directory / "saved", samples=CORPUS)
    return directory / "saved"


@pytest.fixture
def tokenizer(tokenizer_directory: Path) -> PreTrainedTokenizerFast:
    """A fresh copy of the tokenizer."""
    return PreTrainedTokenizerFast.from_pretrained(tokenizer_directory)


@pytest.fixture(scope="session")
def shared_processor(tokenizer_directory: Path) -> VideoLLMProcessor:
    """A processor that no test changes."""
    return VideoLLMProcessor(PreTrainedTokenizerFast.from_pretrained(tokenizer_directory))


@pytest.fixture(scope="session")
def make_config(tokenizer_directory: Path) -> Callable[..., VideoLLMConfig]:
    """Makes configurations of tiny models whose sizes differ pairwise, with parts replaced."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_directory)

    def make(**parts: Any) -> VideoLLMConfig:
        text = {
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 80,
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 3,
        }
        vision = {
            "hidden_size": 32,
            "image_size": 40,
            "patch_size": 8,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "intermediate_size": 56,
        }
        compressor = {
            "kind": "merge+qformer",
            "merged_tokens": 9,
            "num_queries": 4,
            "memory_layers": 2,
            "qformer": {"hidden_size": 24, "heads": 3, "intermediate_size": 44},
        }
        settings = {
            "text_config": text | parts.pop("text_config", {}),
            "vision_config": vision | parts.pop("vision_config", {}),
            "compressor": compressor | parts.pop("compressor", {}),
            "placeholder_token_id": tokenizer.convert_tokens_to_ids(VIDEO_PAD),
        }
        return VideoLLMConfig(**settings, **parts)

    return make


@pytest.fixture
def make_model(
    make_config: Callable[..., VideoLLMConfig], tokenizer: PreTrainedTokenizerFast
) -> Callable[..., VideoLLM]:
    """Makes tiny models with random weights and a processor, in evaluation mode; the same each time."""

    def make(**parts: Any) -> VideoLLM:
        torch.manual_seed(7)
        model = VideoLLM(make_config(**parts))
        # Fresh weights of 0.02 all but copy the embeddings to the logits; larger ones make attention matter.
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "embed" not in name:
                torch.nn.init.normal_(weight, std=0.15)
        model.attach(VideoLLMProcessor.for_config(model.config, tokenizer))
        return model.eval()

    return make


@pytest.fixture
def model(make_model: Callable[..., VideoLLM]) -> VideoLLM:
    """A tiny model with random weights and a processor."""
    return make_model()


@pytest.fixture
def processor(model: VideoLLM) -> VideoLLMProcessor:
    """The processor of the tiny model."""
    assert model.processor is not None
    return model.processor


@pytest.fixture
def plan() -> FramePlan:
    """Five frames in three segments, resolved."""
    return FramePlan((0.5, 1.5, 2.5, 3.5, 4.4), ((0, 2), (2, 4), (4, 5)), 0.0, 5.0, resolved=True)


@pytest.fixture(scope="session")
def noise() -> Callable[..., Tensor]:
    """Makes raw frames of noise, uint8, (count, 3, height, width)."""

    def make(count: int = 5, seed: int = 0, height: int = 30, width: int = 52) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)

    return make


@pytest.fixture
def encode(model: VideoLLM, plan: FramePlan, noise: Callable[..., Tensor]) -> Callable[..., EncodedVideo]:
    """Encodes a video of noise with the tiny model; another seed is another video."""

    def encode_noise(seed: int = 0, max_visual_tokens: int | None = None) -> EncodedVideo:
        return model.encode_video(noise(seed=seed), plan, max_visual_tokens=max_visual_tokens)

    return encode_noise


@pytest.fixture
def inputs_of() -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Takes of a processor's batch what the model's ``forward`` and ``generate`` take."""
    names = ("input_ids", "attention_mask", "visual_tokens")
    return lambda batch: {name: batch[name] for name in names if name in batch}
