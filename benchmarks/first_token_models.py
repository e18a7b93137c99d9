"""The models that ``first_token.py`` measures: ours and three of transformers, of one shape, with random weights.

All read the same frames (InstructBLIP-Video: those it takes) and the same text, and all are asked the same way: a first
question, then a second one that follows the first answer. Pictures come as finished tensors, since the peers' own video
processors need torchvision.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
from first_token_setup import (
    ANSWER,
    DTYPE,
    FIRST,
    SECOND,
    Contender,
    Cost,
    Sizes,
    Texts,
    tokenizer_for_questions,
)
from torch import Tensor
from transformers import (
    AutoModelForImageTextToText,
    InstructBlipVideoConfig,
    LlavaNextVideoConfig,
    LlavaOnevisionConfig,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from videollm.model import PromptCache, VideoLLM, VideoLLMConfig, VideoLLMProcessor, stream_generate
from videollm.model.prompting import IGNORED, RenderedPrompt
from videollm.model.tokenization import VIDEO_PAD
from videollm.values import EncodedVideo, FramePlan, GenerationSettings, Message

INSTRUCTBLIP_FRAMES = 4
INSTRUCTBLIP_QUERIES = 32


class Ours:
    """VideoLLM with one kind of compressor."""

    def __init__(self, kind: str, sizes: Sizes, tokenizer: PreTrainedTokenizerBase) -> None:
        """Builds the model with random weights."""
        # Likeness by the mean over the encoder's heads, as LongVLM and the built-in model do it.
        compressor: dict[str, Any] = {
            "kind": kind,
            "memory_layers": sizes.memory,
            "merge_heads": sizes.vision["num_attention_heads"],
        }
        if kind == "merge":
            compressor["merged_tokens"] = sizes.segment_tokens
        else:
            width, heads = sizes.vision["hidden_size"], sizes.vision["num_attention_heads"]
            compressor["num_queries"] = sizes.segment_tokens
            compressor["qformer"] = {
                "hidden_size": width,
                "heads": heads,
                "intermediate_size": sizes.vision["intermediate_size"],
            }
        config = VideoLLMConfig(
            vision_config=sizes.vision_config(),
            text_config=sizes.text_config(),
            compressor=compressor,
            placeholder_token_id=tokenizer.convert_tokens_to_ids(VIDEO_PAD),
        )
        self.model: VideoLLM = AutoModelForImageTextToText.from_config(config, dtype=DTYPE).eval()
        self.processor = VideoLLMProcessor.for_config(config, tokenizer)
        self.model.attach(self.processor)
        self.name, self.frames = f"VideoLLM, {kind}", sizes.frames
        self._plan = _even_plan(sizes.frames, sizes.segments)
        self.visual_tokens = self.model.plan_tokens(self._plan).total
        self._pixels = sizes.pixels()
        self._cache = PromptCache()
        self._video: EncodedVideo | None = None

    def texts(self) -> Texts:
        """Returns the text ids of both prompts, for the other models to read the same."""
        first, both = (self._prompt(self._encode(), second=second) for second in (False, True))
        assert both.input_ids[: len(first.input_ids)] == first.input_ids
        placeholder, read = self.processor.placeholder_id, self._read_after_answer(both)
        return Texts(
            first=tuple(token for token in first.input_ids if token != placeholder),
            place=first.input_ids.index(placeholder),
            answer=tuple(both.input_ids[len(first.input_ids) : read]),
            second=tuple(both.input_ids[read:]),
        )

    def first(self) -> Cost:
        """Encodes the video and answers."""
        self._cache = PromptCache()
        started = time.perf_counter()
        self._video = self._encode()
        encoded = time.perf_counter()
        self._read(self._prompt(self._video, second=False).input_ids)
        return Cost(encoded - started, time.perf_counter() - encoded)

    def again(self) -> None:
        """Its usual way is :meth:`kept`."""

    def kept(self) -> Cost:
        """Answers from the encoded video and the conversation's ``PromptCache``."""
        assert self._video is not None
        both = self._prompt(self._video, second=True)
        self._read(both.input_ids[: self._read_after_answer(both)])
        started = time.perf_counter()
        self._read(self._prompt(self._video, second=True).input_ids)
        return Cost(0.0, time.perf_counter() - started)

    def _encode(self) -> EncodedVideo:
        return self.model.encode_video(self._pixels, self._plan)

    def _prompt(self, video: EncodedVideo, *, second: bool) -> RenderedPrompt:
        messages = [Message("user", f"<video>\n{FIRST}")]
        if second:
            messages += [Message("assistant", ANSWER), Message("user", SECOND)]
        return self.processor.render(messages, [video])

    def _read_after_answer(self, both: RenderedPrompt) -> int:
        """How many ids have been read once the first answer is generated: all before the one that ends it."""
        return max(place for place, label in enumerate(both.labels) if label != IGNORED)

    def _read(self, ids: list[int]) -> None:
        assert self._video is not None
        settings = GenerationSettings(max_new_tokens=1)
        list(stream_generate(self.model, ids, self._video.tokens_KD, settings, cache=self._cache))


class Peer:
    """A model of transformers, asked through its own ``generate``."""

    def __init__(
        self,
        name: str,
        config: PreTrainedConfig,
        pixels: Tensor,
        visual_tokens: int,
        texts: Texts,
        *,
        pixels_name: str = "pixel_values_videos",
        more_inputs: dict[str, Tensor] | None = None,
    ) -> None:
        """Builds the model with random weights.

        Args:
            name: What it is called in the tables.
            config: Its sizes.
            pixels: The frames it looks at, (T, 3, H, W).
            visual_tokens: Rows that they become.
            texts: What it reads besides.
            pixels_name: Argument of ``generate`` that takes the frames.
            more_inputs: Further arguments of ``generate`` that belong to the frames.
        """
        self.model: Any = AutoModelForImageTextToText.from_config(config, dtype=DTYPE).eval()
        self.name, self.frames, self.visual_tokens = name, len(pixels), visual_tokens
        video = (config.video_token_index,) * visual_tokens
        self._first = (*texts.first[: texts.place], *video, *texts.first[texts.place :])
        self._both = (*self._first, *texts.answer, *texts.second)
        self._read_after_answer = len(self._first) + len(texts.answer)
        self._visual = {pixels_name: pixels[None], **(more_inputs or {})}
        self._cache: Any = None
        self._vision_s = 0.0
        # LLaVA's generate takes the features from its base model, InstructBLIP's from itself.
        owner = next(
            part for part in (self.model.base_model, self.model) if hasattr(part, "get_video_features")
        )
        owner.get_video_features = self._timed(owner.get_video_features)

    def first(self) -> Cost:
        """Asks with the video."""
        cost, self._cache = self._generate(self.model, self._first, **self._visual)
        return cost

    def again(self) -> Cost:
        """Asks with the whole conversation and the video."""
        return self._generate(self.model, self._both, **self._visual)[0]

    def kept(self) -> Cost:
        """Asks with the whole conversation and the cache so far, the video left out."""
        # InstructBLIP's own generate insists on pixels; beneath it is the language model's.
        reader = getattr(self.model, "language_model", self.model)
        surplus = self._cache.get_seq_length() - (self._read_after_answer - 1)
        if surplus > 0:
            self._cache.crop(-surplus)
        self._generate(reader, self._both[: self._read_after_answer], past_key_values=self._cache)
        return self._generate(reader, self._both, past_key_values=self._cache)[0]

    def _generate(self, model: Any, ids: tuple[int, ...], **inputs: Any) -> tuple[Cost, Any]:
        input_ids = torch.tensor([ids])
        self._vision_s = 0.0
        started = time.perf_counter()
        output = model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=1,
            do_sample=False,
            pad_token_id=0,
            return_dict_in_generate=True,
            **inputs,
        )
        total = time.perf_counter() - started
        return Cost(self._vision_s, total - self._vision_s), output.past_key_values

    def _timed(self, features: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(features)
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return features(*args, **kwargs)
            finally:
                self._vision_s += time.perf_counter() - started

        return timed


def contenders(sizes: Sizes) -> tuple[list[Contender], Texts]:
    """Builds all models, about 6 GB at the common sizes, and the text that they read."""
    torch.manual_seed(0)
    tokenizer = tokenizer_for_questions()
    ours = [Ours(kind, sizes, tokenizer) for kind in ("merge", "merge+qformer")]
    texts = ours[0].texts()
    assert ours[1].texts() == texts
    tokens = {"video_token_index": ours[0].processor.placeholder_id}
    peers = [
        _llava_onevision(sizes, texts, tokens),
        _llava_next_video(sizes, texts, tokens),
        _instructblip(sizes, texts, tokens, INSTRUCTBLIP_FRAMES),
        _instructblip(sizes, texts, tokens, sizes.frames),
    ]
    return [*ours, *peers], texts


def _llava_onevision(sizes: Sizes, texts: Texts, tokens: dict[str, int]) -> Peer:
    config = LlavaOnevisionConfig(
        vision_config=sizes.vision_config(),
        text_config=sizes.text_config(),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_token_index=sizes.text["vocab_size"] - 1,
        **tokens,
    )
    # Each frame is shrunk to half its side, rounded up; a newline's row ends the video.
    rows = sizes.frames * (-(-sizes.grid // 2)) ** 2 + 1
    return Peer("LLaVA-OneVision", config, sizes.pixels(), rows, texts)


def _llava_next_video(sizes: Sizes, texts: Texts, tokens: dict[str, int]) -> Peer:
    config = LlavaNextVideoConfig(
        vision_config=sizes.vision_config(),
        text_config=sizes.text_config(),
        image_token_index=sizes.text["vocab_size"] - 1,
        **tokens,
    )
    rows = sizes.frames * (sizes.grid // 2) ** 2
    return Peer("LLaVA-NeXT-Video", config, sizes.pixels(), rows, texts)


def _instructblip(sizes: Sizes, texts: Texts, tokens: dict[str, int], frames: int) -> Peer:
    config = InstructBlipVideoConfig(
        vision_config={"image_size": sizes.image_size, "patch_size": sizes.patch_size, **sizes.vision},
        qformer_config=sizes.qformer,
        text_config=sizes.text_config(),
        num_query_tokens=INSTRUCTBLIP_QUERIES,
        **tokens,
    )
    question = torch.tensor([texts.first[texts.place :]])
    return Peer(
        f"InstructBLIP-Video, {frames} frames",
        config,
        sizes.pixels()[:: sizes.frames // frames],
        frames * INSTRUCTBLIP_QUERIES,
        texts,
        pixels_name="pixel_values",
        more_inputs={"qformer_input_ids": question},
    )


def _even_plan(frames: int, segments: int) -> FramePlan:
    """One frame a second, in segments that differ by at most one frame."""
    edges = [part * frames // segments for part in range(segments + 1)]
    runs = tuple(itertools.pairwise(edges))
    return FramePlan(tuple(index + 0.5 for index in range(frames)), runs, 0.0, float(frames), resolved=True)
