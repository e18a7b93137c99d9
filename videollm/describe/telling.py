"""Questions of descriptions answered together: one pass through the encoder, batches through the language model."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..answering import Prompted, answer_all
from ..media import processor_of
from ..model.generation import default_settings
from ..model.modeling import VideoLLM
from ..model.prompting import escape_marks
from ..values import EncodedVideo, Message, Usage
from .script import Ask, Told
from .settings import DescribeOptions


def tell(model: VideoLLM, asks: Sequence[Ask], options: DescribeOptions) -> list[Told]:
    """Answers questions, of one description or of several: the same as one by one, with the likeliest token each time.

    Args:
        model: A model with its processor.
        asks: The questions.
        options: The length of answers and the number of visual tokens.

    Raises:
        ConfigError: The budget of visual tokens cannot be met.
        ContextOverflowError: A question leaves no room for an answer.
    """
    started = time.perf_counter()
    videos = _encode(model, asks, options.reading.max_visual_tokens)
    encoded_s = time.perf_counter() - started
    most = options.max_new_tokens or default_settings(model).max_new_tokens
    prompts = [_prompted(ask, video, most) for ask, video in zip(asks, videos, strict=True)]
    replies = dict(answer_all(model, prompts, batch_size=len(asks)))
    answered_s = time.perf_counter() - started - encoded_s
    frames = sum(ask.frames.plan.frame_count for ask in asks if ask.frames)
    tokens = sum(reply.tokens for reply in replies.values())
    told = []
    for index, (ask, video) in enumerate(zip(asks, videos, strict=True)):
        reply, seen = replies[index], ask.frames.plan.frame_count if ask.frames else 0
        # What a batch costs is shared out by what each takes of it.
        seconds = {
            "read": ask.frames.seconds if ask.frames else 0.0,
            "vision": encoded_s * seen / max(frames, 1),
            "generate": answered_s * reply.tokens / tokens,
        }
        usage = Usage(seen, video.token_count if video else 0, reply.prompt_tokens, 0, reply.tokens, seconds)
        cut = () if reply.finished else (f"a text was cut short at {most} tokens: allow more",)
        told.append(Told(reply.text, usage, (*(ask.frames.notices if ask.frames else ()), *cut)))
    return told


def _encode(model: VideoLLM, asks: Sequence[Ask], max_visual_tokens: int | None) -> list[EncodedVideo | None]:
    processor = processor_of(model)
    shown = [(place, ask.frames) for place, ask in enumerate(asks) if ask.frames is not None]
    videos: list[EncodedVideo | None] = [None] * len(asks)
    if shown:
        prepared = [processor.prepare(frames.frames_THW3, frames.plan) for _, frames in shown]
        plans = [frames.plan for _, frames in shown]
        encoded = model.encode_videos(prepared, plans, max_visual_tokens=max_visual_tokens)
        for (place, _), video in zip(shown, encoded, strict=True):
            videos[place] = video
    return videos


def _prompted(ask: Ask, video: EncodedVideo | None, max_new_tokens: int) -> Prompted:
    question = escape_marks(ask.question)
    if video is None:
        return Prompted((Message("user", question),), (), max_new_tokens)
    return Prompted((Message("user", f"<video>\n{question}"),), (video,), max_new_tokens)
