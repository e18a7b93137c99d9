"""What all models of ``first_token.py`` have in common: sizes, questions, and how a model's cost is told.

A model's figures are ``Cost``: seconds of vision (pixels to the rows that the language model reads) and seconds of
everything after it up to the first token of the answer.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from transformers import CLIPVisionConfig, PreTrainedTokenizerBase, Qwen2Config

from videollm.model.tokenization import build_tokenizer, train_sentencepiece

DTYPE = torch.bfloat16
FIRST = "What happens in this video?"
ANSWER = "A man in a red jacket walks a dog along the beach."
SECOND = "And what does the dog do after they have reached the pier?"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the towers, which all models share, and of the video.

    Attributes:
        frames: Frames of the video.
        image_size: Side of a frame in pixels.
        patch_size: Side of a patch.
        vision: Width, layers, heads and inner width of the vision transformer.
        text: Qwen2 settings of the language model.
        qformer: Width, layers, heads and inner width of InstructBLIP-Video's Q-Former, that of BERT-base.
        segments: Segments that ours cuts the video into.
        segment_tokens: Tokens that ours makes of each.
        memory: Memory tokens of ours.
    """

    frames: int = 64
    image_size: int = 224
    patch_size: int = 16
    vision: dict[str, int] = field(
        default_factory=lambda: {
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
        }
    )
    text: dict[str, int] = field(
        default_factory=lambda: {
            "vocab_size": 151_936,
            "hidden_size": 896,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "intermediate_size": 4864,
        }
    )
    qformer: dict[str, int] = field(
        default_factory=lambda: {
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
        }
    )
    segments: int = 10
    segment_tokens: int = 30
    memory: int = 5

    @property
    def grid(self) -> int:
        """Patches along a side of a frame."""
        return self.image_size // self.patch_size

    def vision_config(self) -> CLIPVisionConfig:
        """The vision transformer, CLIP's in ours and both LLaVA."""
        return CLIPVisionConfig(image_size=self.image_size, patch_size=self.patch_size, **self.vision)

    def text_config(self) -> Qwen2Config:
        """The language model."""
        return Qwen2Config(
            tie_word_embeddings=True, max_position_embeddings=32_768, use_cache=True, **self.text
        )

    def pixels(self) -> Tensor:
        """Frames of noise, (T, 3, H, W): what they show costs nothing."""
        generator = torch.Generator().manual_seed(0)
        shape = (self.frames, 3, self.image_size, self.image_size)
        return torch.randn(shape, generator=generator).to(DTYPE)


_TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
#: Sizes at which the whole program runs in seconds; their figures mean nothing.
QUICK = Sizes(
    frames=8,
    image_size=64,
    vision=_TINY,
    text={**_TINY, "vocab_size": 1024, "num_key_value_heads": 2},
    qformer=_TINY,
    segments=2,
    segment_tokens=6,
    memory=2,
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall-clock seconds of one answer up to its first token.

    Attributes:
        vision_s: From pixels to the rows that the language model reads.
        prefill_s: All the rest.
    """

    vision_s: float
    prefill_s: float

    @property
    def total_s(self) -> float:
        """Both."""
        return self.vision_s + self.prefill_s


class Contender(Protocol):
    """A model to measure. ``kept`` and ``again`` follow ``first``, any number of times.

    Attributes:
        name: What it is called in the tables.
        frames: Frames that it looks at.
        visual_tokens: Rows that they become in the prompt.
    """

    name: str
    frames: int
    visual_tokens: int

    def first(self) -> Cost:
        """The first question, nothing known of the video."""

    def again(self) -> Cost | None:
        """The second question as the model's own ``generate`` answers it; ``None`` where that keeps its cache."""

    def kept(self) -> Cost:
        """The second question with the keys and values of the first prompt and answer kept."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The text ids that every model reads, as our processor writes them.

    Attributes:
        first: Those of the first prompt, without visual tokens.
        place: How many of them stand before the video.
        answer: The first answer. Whoever generated it has read it, so a kept cache holds it.
        second: What then comes: the end of that turn, and the second question in its turn.
    """

    first: tuple[int, ...]
    place: int
    answer: tuple[int, ...]
    second: tuple[int, ...]

    @property
    def lengths(self) -> dict[str, int]:
        """How many ids each part has."""
        return {"first": len(self.first), "answer": len(self.answer), "second": len(self.second)}


def tokenizer_for_questions() -> PreTrainedTokenizerBase:
    """Makes a tokenizer that knows the words of the questions, so that they take about one id each, as with Qwen."""
    sentences = [FIRST, ANSWER, SECOND]
    with tempfile.TemporaryDirectory() as folder:
        trained = train_sentencepiece(sentences * 20, Path(folder, "questions.model"), vocab_size=430)
        return build_tokenizer(trained, Path(folder, "tokenizer"), samples=sentences)
