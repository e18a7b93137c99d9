"""Answers to many questions at once: greedy, in left-padded batches, the same as one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..media import processor_of
from ..model.modeling import VideoLLM
from ..model.processing import VideoLLMProcessor
from ..model.prompting import RenderedPrompt, escape_marks
from ..values import EncodedVideo, Message

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


def answer_all(
    model: VideoLLM, asked: Sequence[Asked], *, batch_size: int = BATCH
) -> Iterator[tuple[int, str]]:
    """Answers questions with the likeliest token each time.

    Prompts of like length share a batch, so that little is padding; answers therefore come in another order.

    Args:
        model: A model with its processor.
        asked: The questions.
        batch_size: Questions that are answered together.

    Yields:
        The index of a question and its answer, batch by batch.
    """
    processor = processor_of(model)
    prompts = [
        processor.render([Message("user", f"<video>\n{escape_marks(one.question)}")], [one.video])
        for one in asked
    ]
    order = sorted(range(len(asked)), key=lambda i: (asked[i].max_new_tokens, len(prompts[i].input_ids)))
    for first in range(0, len(order), batch_size):
        batch = order[first : first + batch_size]
        texts = _answer_batch(model, processor, [asked[i] for i in batch], [prompts[i] for i in batch])
        yield from zip(batch, texts, strict=True)


@torch.inference_mode()
def _answer_batch(
    model: VideoLLM, processor: VideoLLMProcessor, asked: Sequence[Asked], prompts: Sequence[RenderedPrompt]
) -> list[str]:
    inputs = processor.collate(prompts, padding_side="left")
    ids = inputs["input_ids"].to(model.device)
    generator: Any = model  # the mixin's annotation of generate refuses every class but transformers' own
    generated: torch.Tensor = generator.generate(
        input_ids=ids,
        attention_mask=inputs["attention_mask"].to(model.device),
        visual_tokens=torch.cat([one.video.tokens_KD for one in asked]),
        do_sample=False,
        max_new_tokens=max(one.max_new_tokens for one in asked),
    )
    answers = processor.tokenizer.batch_decode(generated[:, ids.shape[1] :], skip_special_tokens=True)
    return [answer.strip() for answer in answers]
