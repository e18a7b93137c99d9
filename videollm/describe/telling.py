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
from .sights import Look, Sight


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
    # What a batch costs is shared out by what each takes of it.
    shown = sum(ask.plan.frame_count for ask in asks if ask.sight)
    tokens = sum(reply.tokens for reply in replies.values())
    told = []
    for index, (ask, video) in enumerate(zip(asks, videos, strict=True)):
        reply = replies[index]
        usage = Usage(
            0, 0, reply.prompt_tokens, 0, reply.tokens, {"generate": answered_s * reply.tokens / tokens}
        )
        if ask.sight is not None and video is not None:
            usage = usage + _looked(ask.sight, video, encoded_s / shown)
        notices = ask.sight.frames.notices if ask.sight else ()
        cut = () if reply.finished else (f"a text was cut short at {most} tokens: allow more",)
        told.append(Told(reply.text, usage, (*notices, *cut)))
    return told


def _looked(sight: Sight, video: EncodedVideo, seconds_per_frame: float) -> Usage:
    """What it costs to look; what other questions need too is counted with them."""
    frames = sight.frames
    seconds = {"vision": seconds_per_frame * frames.plan.frame_count}
    if sight.is_again:
        return Usage(0, video.token_count, 0, 0, 0, seconds)
    return Usage(frames.plan.frame_count, video.token_count, 0, 0, 0, {"read": frames.seconds, **seconds})


def _encode(model: VideoLLM, asks: Sequence[Ask], max_visual_tokens: int | None) -> list[EncodedVideo | None]:
    for ask in asks:  # a budget that cannot be met is refused before the work begins
        if ask.sight is not None:
            model.plan_tokens(ask.plan, max_visual_tokens)
    looks = dict.fromkeys(ask.sight.look for ask in asks if ask.sight is not None)
    _look(model, [look for look in looks if None in look.seen.values()])
    return [
        None
        if ask.sight is None
        else model.encode_seen(ask.sight.seen, ask.plan, max_visual_tokens=max_visual_tokens)
        for ask in asks
    ]


def _look(model: VideoLLM, looks: Sequence[Look]) -> None:
    """Looks at what was not looked at yet, all of it together."""
    if not looks:
        return
    processor = processor_of(model)
    frames = [look.frames for look in looks]
    prepared = [processor.prepare(one.frames_THW3, one.plan) for one in frames]
    parts = [list(look.seen) for look in looks]
    found = model.look(prepared, [one.plan for one in frames], parts)
    for look, wanted, seen in zip(looks, parts, found, strict=True):
        look.seen = dict(zip(wanted, seen, strict=True))


def _prompted(ask: Ask, video: EncodedVideo | None, max_new_tokens: int) -> Prompted:
    question = escape_marks(ask.question)
    if video is None:
        return Prompted((Message("user", question),), (), max_new_tokens)
    return Prompted((Message("user", f"<video>\n{question}"),), (video,), max_new_tokens)
