"""One answer to a conversation: from its messages and media to text as it comes, and in the end evidence and costs."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from .clock import format_time
from .errors import ContextOverflowError
from .media import Medium, processor_of
from .model.attribution import visual_weights
from .model.evidence import light
from .model.generation import FinishReason, PromptCache, stream_generate
from .model.modeling import VideoLLM
from .model.prompting import plain_text
from .values import Answer, EncodedVideo, GenerationSettings, Message, Span, Usage

Result = TypeVar("Result")

# Share of the context that older turns must leave free for an answer.
_ANSWER_SHARE = 4
_NOTHING_TO_SEE = "there is no video or image in this conversation yet: the answer rests on nothing seen"


class Stream(Protocol):
    """Pieces of an answer as they come; see :class:`~videollm.model.generation.TextStream`."""

    ids: list[int]
    text: str
    finish_reason: FinishReason | None
    prompt_tokens: int
    cached_tokens: int
    seconds: dict[str, float]

    def __iter__(self) -> Iterator[str]:
        """Yields the pieces; empty ones say that the answer has still to wait."""

    def close(self) -> None:
        """Stops the work; what was given stays."""


class Driver(Protocol):
    """Where the model is called: here, or by somebody who shares it out among many."""

    def stream(
        self,
        input_ids: Sequence[int],
        visual_tokens: Tensor | None,
        settings: GenerationSettings,
        *,
        cache: PromptCache,
        should_stop: Callable[[], bool],
    ) -> Stream:
        """Answers a prompt; see :func:`~videollm.model.generation.stream_generate`."""

    def run(self, work: Callable[[], Result]) -> Result:
        """Calls a function that uses the model, and returns its result."""


@dataclass(frozen=True, slots=True)
class DirectDriver:
    """Calls the model in the caller's own thread.

    Attributes:
        model: The model.
    """

    model: VideoLLM

    def stream(
        self,
        input_ids: Sequence[int],
        visual_tokens: Tensor | None,
        settings: GenerationSettings,
        *,
        cache: PromptCache,
        should_stop: Callable[[], bool],
    ) -> Stream:
        """See :class:`Driver`."""
        return stream_generate(
            self.model, input_ids, visual_tokens, settings, cache=cache, should_stop=should_stop
        )

    def run(self, work: Callable[[], Result]) -> Result:
        """See :class:`Driver`."""
        return work()


class AnswerStream(Iterator[str]):
    """The answer to a conversation's last message, in pieces. Closing it stops the work; so does dropping it.

    Nothing is computed before the first piece is asked for.

    Attributes:
        answer: The whole once the pieces have ended or were closed; ``None`` before, and where it failed.
    """

    def __init__(
        self,
        model: VideoLLM,
        messages: Sequence[Message],
        media: Sequence[Medium],
        settings: GenerationSettings,
        *,
        cache: PromptCache,
        should_stop: Callable[[], bool] = lambda: False,
        driver: Driver | None = None,
        untold: Sequence[Medium] | None = None,
        evidence: bool = True,
    ) -> None:
        """Takes a conversation.

        Args:
            model: A model of :func:`~videollm.checkpoints.load_model`.
            messages: The turns, the person's question last.
            media: What their ``<video>`` marks stand for, in order.
            settings: How the answer is drawn.
            cache: The conversation's keys and values, which are brought up to date.
            should_stop: Asked before each token; may be asked by another thread.
            driver: Who calls the model; ``None`` for this thread.
            untold: Those of the media whose costs and notices no earlier answer has told; ``None`` for all.
            evidence: Whether the answer says on which seconds of the videos it rests.
        """
        self.answer: Answer | None = None
        self._model, self._media = model, tuple(media)
        self._untold = self._media if untold is None else tuple(untold)
        self._cache, self._finds_evidence = cache, evidence
        self._driver = driver or DirectDriver(model)
        self._pieces = self._run(tuple(messages), settings, should_stop)

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stops the work; :attr:`answer` is what has come if anything was begun."""
        self._pieces.close()

    @property
    def _videos(self) -> tuple[EncodedVideo, ...]:
        return tuple(medium.encoded for medium in self._media)

    def _run(
        self, messages: tuple[Message, ...], settings: GenerationSettings, should_stop: Callable[[], bool]
    ) -> Generator[str, None, None]:
        model = self._model
        kept, dropped = self._fit(messages, settings.max_new_tokens)
        prompt = processor_of(model).render(kept, self._videos)
        shown = self._shown(messages[-1])
        stream = self._driver.stream(
            prompt.input_ids,
            torch.cat([video.tokens_KD.to(model.device) for video in shown]) if shown else None,
            settings,
            cache=self._cache,
            should_stop=should_stop,
        )
        is_first = sum(message.role == "user" for message in messages) == 1
        notices = (*self._media_notices(is_first), *_dropped_notice(dropped, model.config.context_length))
        evidence: tuple[Span, ...] = ()
        try:
            yield from stream
            if self._finds_evidence and stream.finish_reason != "cancelled":
                evidence = self._evidence([*prompt.input_ids, *stream.ids], len(prompt.input_ids), shown)
        except (GeneratorExit, KeyboardInterrupt):
            stream.close()
            self.answer = self._told(stream, notices, ())
            raise
        self.answer = self._told(stream, notices, evidence)

    def _evidence(
        self, ids: Sequence[int], prompt_tokens: int, shown: Sequence[EncodedVideo]
    ) -> tuple[Span, ...]:
        """The spans that an answer rests on; only what takes the model is done where it runs."""
        model, cache = self._model, self._cache
        weights_K = self._driver.run(lambda: visual_weights(model, cache, ids, prompt_tokens))
        return () if weights_K is None else light(weights_K.tolist(), shown)

    def _shown(self, asked: Message) -> list[EncodedVideo]:
        """The videos as the question lets them be seen."""
        if all(video.states is None for video in self._videos):
            return list(self._videos)
        question = plain_text(asked.content)
        return self._driver.run(lambda: [self._model.read_for(video, question) for video in self._videos])

    def _told(self, stream: Stream, notices: tuple[str, ...], evidence: tuple[Span, ...]) -> Answer:
        usage = Usage(
            frames=sum(video.plan.frame_count for video in self._videos),
            visual_tokens=sum(video.token_count for video in self._videos),
            prompt_tokens=stream.prompt_tokens,
            cached_tokens=stream.cached_tokens,
            completion_tokens=len(stream.ids),
            seconds={
                "read": sum(medium.read_s for medium in self._untold),
                "vision": sum(medium.vision_s for medium in self._untold),
                **stream.seconds,
            },
        )
        return Answer(stream.text, evidence, usage, stream.finish_reason or "cancelled", notices)

    def _fit(
        self, messages: tuple[Message, ...], answer_tokens: int
    ) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        """Leaves out the oldest turns where the context is too short; see ``VideoLLMProcessor.fit_context``."""
        context = self._model.config.context_length
        if context is None:
            return messages, ()
        processor = processor_of(self._model)
        try:
            room = min(answer_tokens, context // _ANSWER_SHARE)
            return processor.fit_context(messages, self._videos, context - room)
        except ContextOverflowError:  # large media may still leave room for a short answer
            return processor.fit_context(messages, self._videos, context - 1)

    def _media_notices(self, is_first: bool) -> tuple[str, ...]:
        """What is to be said of media that no answer has spoken of yet, or of their absence."""
        if not self._media and is_first:
            return (_NOTHING_TO_SEE,)
        trained = self._model.config.video
        of_each = (
            (*medium.notices, *_length_notice(medium.encoded, trained.trained_max_s))
            for medium in self._untold
        )
        of_all = _number_notice(len(self._media), trained.trained_max_videos) if self._untold else ()
        return (*chain.from_iterable(of_each), *of_all)


def _dropped_notice(dropped: tuple[Message, ...], context: int | None) -> Iterator[str]:
    turns = sum(message.role == "user" for message in dropped)
    if turns:
        oldest = (
            "the oldest question and its answer"
            if turns == 1
            else f"the {turns} oldest questions and their answers"
        )
        yield f"the conversation is longer than the model's context of {context} tokens: it no longer sees {oldest}"


def _length_notice(encoded: EncodedVideo, longest_s: float | None) -> Iterator[str]:
    seconds = encoded.plan.end_s - encoded.plan.start_s
    if longest_s is not None and seconds > longest_s + 0.5:
        yield (
            f"{os.path.basename(encoded.source) or 'this clip'} lasts {format_time(seconds)}, the model was trained on "
            f"clips up to {format_time(longest_s)}: times and counts may be wrong"
        )


def _number_notice(videos: int, most: int | None) -> Iterator[str]:
    if most is not None and videos > most:
        yield (
            f"the model was trained on {most} {'video' if most == 1 else 'videos'} at a time, here are {videos}: "
            "what it says may mix them up"
        )
