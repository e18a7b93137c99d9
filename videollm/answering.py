"""Answers to many questions at once: greedy, in left-padded batches, the same as one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import torch
from transformers import LogitsProcessorList
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

from .media import processor_of
from .model.generation import answer_room, default_settings
from .model.modeling import VideoLLM
from .model.processing import VideoLLMProcessor
from .model.prompting import IGNORED, RenderedPrompt, escape_marks, plain_text
from .model.streaming import decode_stepwise
from .values import EncodedVideo, Message

BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question about an encoded video.

    Attributes:
        video: What is looked at.
        question: What is asked.
        max_new_tokens: Most tokens of the answer.
    """

    video: EncodedVideo
    question: str
    max_new_tokens: int = 96

    @property
    def messages(self) -> tuple[Message, ...]:
        """The question as a conversation."""
        return (Message("user", f"<video>\n{escape_marks(self.question)}"),)

    @property
    def videos(self) -> tuple[EncodedVideo, ...]:
        """The video, as what the conversation's marks stand for."""
        return (self.video,)


@dataclass(frozen=True, slots=True, eq=False)
class Prompted:
    """A conversation that waits for an answer.

    Attributes:
        messages: The conversation, the user's question last.
        videos: What its ``<video>`` marks stand for, in order.
        max_new_tokens: Most tokens of the answer.
    """

    messages: tuple[Message, ...]
    videos: tuple[EncodedVideo, ...]
    max_new_tokens: int = 256


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of a batch.

    Attributes:
        text: The answer.
        prompt_tokens: Rows of its prompt, visual tokens included.
        tokens: Tokens of the answer; what ended it is one of them.
        finished: Whether the model ended it; else it was cut short.
    """

    text: str
    prompt_tokens: int
    tokens: int
    finished: bool


def answer_all(
    model: VideoLLM, asked: Sequence[Asked | Prompted], *, batch_size: int = BATCH
) -> Iterator[tuple[int, Reply]]:
    """Answers questions with the likeliest token each time.

    Prompts of like length share a batch, so that little is padding; answers therefore come in another order.

    Args:
        model: A model with its processor.
        asked: The questions.
        batch_size: Questions that are answered together.

    Yields:
        The index of a question and its answer, batch by batch.

    Raises:
        ContextOverflowError: A prompt leaves no room for an answer.
    """
    processor = processor_of(model)
    prompts = [processor.render(one.messages, one.videos) for one in asked]
    context = model.config.context_length
    rooms = [
        answer_room(context, len(prompt.input_ids), one.max_new_tokens)
        for prompt, one in zip(prompts, asked, strict=True)
    ]
    order = sorted(range(len(asked)), key=lambda i: (rooms[i], len(prompts[i].input_ids)))
    for room, alike in groupby(order, key=lambda i: rooms[i]):
        while batch := tuple(islice(alike, batch_size)):
            replies = _answer_batch(
                model, processor, [asked[i] for i in batch], [prompts[i] for i in batch], room
            )
            yield from zip(batch, replies, strict=True)


@torch.no_grad()
def score_options(model: VideoLLM, asked: Prompted, options: Sequence[str]) -> list[float]:
    """Returns how likely each option is as the answer: mean log probability of its tokens, end of turn included.

    The mean does not prefer short options. Nothing has to be parsed, so no answer can be unreadable.

    Args:
        model: A model with its processor.
        asked: The conversation.
        options: What the answer is one of.
    """
    processor = processor_of(model)
    learnt = [False] * len(asked.messages) + [True]
    prompts = [
        processor.render(
            [*asked.messages, Message("assistant", option)], asked.videos, False, supervise=learnt
        )
        for option in options
    ]
    batch = processor.collate(prompts, padding_side="right")
    shown = _shown(model, asked) * len(options)
    logits_ONV = model(
        input_ids=batch["input_ids"].to(model.device),
        attention_mask=batch["attention_mask"].to(model.device),
        visual_tokens=torch.cat(shown) if shown else None,
    ).logits
    labels_ON = batch["labels"][:, 1:].to(model.device)
    losses_ON = torch.nn.functional.cross_entropy(
        logits_ONV[:, :-1].float().transpose(1, 2), labels_ON, ignore_index=IGNORED, reduction="none"
    )
    counts_O = (labels_ON != IGNORED).sum(1)
    return [-float(loss) for loss in losses_ON.sum(1) / counts_O]


@torch.no_grad()
def _answer_batch(
    model: VideoLLM,
    processor: VideoLLMProcessor,
    asked: Sequence[Asked | Prompted],
    prompts: Sequence[RenderedPrompt],
    room: int,
) -> list[Reply]:
    inputs = processor.collate(prompts, padding_side="left")
    ids = inputs["input_ids"].to(model.device)
    shown = [tokens for one in asked for tokens in _shown(model, one)]
    generator: Any = model  # the mixin's annotation of generate refuses every class but transformers' own
    generated: torch.Tensor = generator.generate(
        input_ids=ids,
        attention_mask=inputs["attention_mask"].to(model.device),
        visual_tokens=torch.cat(shown) if shown else None,
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        logits_processor=_penalties(model, ids.shape[1]),
        max_new_tokens=room,
    )
    ends = model.generation_config.eos_token_id
    return [
        _reply(processor, written, len(prompt.input_ids), ends)
        for written, prompt in zip(generated[:, ids.shape[1] :].tolist(), prompts, strict=True)
    ]


def _penalties(model: VideoLLM, prompt_tokens: int) -> LogitsProcessorList:
    """The checkpoint's repetition penalty, over the answer alone as in a conversation."""
    penalty = default_settings(model).repetition_penalty
    if penalty == 1:
        return LogitsProcessorList()
    return LogitsProcessorList(
        [RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=prompt_tokens)]
    )


def _reply(
    processor: VideoLLMProcessor, written: list[int], prompt_tokens: int, ends: Sequence[int]
) -> Reply:
    """An answer without what pads it to the longest of its batch."""
    length = next((place + 1 for place, token in enumerate(written) if token in ends), len(written))
    text = decode_stepwise(processor.tokenizer, written[:length]).strip()
    return Reply(text, prompt_tokens, length, written[length - 1] in ends)


def _shown(model: VideoLLM, asked: Asked | Prompted) -> list[torch.Tensor]:
    """Visual tokens of a conversation's videos, as its last question lets them be seen."""
    question = plain_text(asked.messages[-1].content)
    return [model.read_for(video, question).tokens_KD for video in asked.videos]
