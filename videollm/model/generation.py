"""Answers as a stream of text, with the key-value cache of a conversation kept from turn to turn.

A loop of our own over ``VideoLLM.forward`` with transformers' logits processors: unlike ``generate`` it can stop
between any two tokens, gives text as it comes, and goes on from what the last prompt and this one have in common. It
answers one conversation at a time; ``BatchGenerator`` does the same for many. Greedy ids are those of ``generate``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from ..errors import ConfigError, ContextOverflowError, DataError
from ..values import GenerationSettings
from .choosing import Chooser
from .modeling import VideoLLM
from .processing import VideoLLMProcessor
from .streaming import StopFilter, TextDecoder

FinishReason = Literal["stop", "length", "cancelled"]


class PromptCache:
    """Keys and values of what the language model has read in one conversation.

    It belongs to one model with its present weights: start a new one after training or loading others.

    Attributes:
        ids: The ids that have been read.
        visual_tokens: The visual tokens read at their placeholders, (K, D).
        cache: Their keys and values.
        reader: A mark of what reads with this cache: a new answer takes it over, and an unfinished older one ends as
            cancelled.
    """

    def __init__(self) -> None:
        """Starts empty."""
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.ids: list[int] = []
        self.visual_tokens: Tensor | None = None
        self.cache: DynamicCache | None = None
        self.reader: object = None

    @property
    def nbytes(self) -> int:
        """Bytes of the keys and values."""
        layers = () if self.cache is None else self.cache.layers
        tensors = (getattr(layer, name, None) for layer in layers for name in ("keys", "values"))
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)

    def keep_prefix(self, model: VideoLLM, ids: Sequence[int], visual_tokens: Tensor | None) -> int:
        """Shortens the cache to what it has in common with a new prompt, of which at least one id is left to read.

        Args:
            model: The model that will read on.
            ids: The new prompt.
            visual_tokens: A row for each of its placeholders.

        Returns:
            How many ids need not be read again.
        """
        common = self._common(model.config.placeholder_token_id, ids[:-1], visual_tokens)
        surplus = len(self.ids) - common
        if self.cache is None or (surplus and not can_shrink(self.cache)):
            self.cache = DynamicCache(config=model.config.text_config)
            common = surplus = 0
        if surplus:
            self.cache.crop(-surplus)
        self.ids, self.visual_tokens = list(ids[:common]), visual_tokens
        return common

    def _common(self, placeholder_id: int, ids: Sequence[int], visual_tokens: Tensor | None) -> int:
        rows = iter(_same_rows(self.visual_tokens, visual_tokens))
        for place, (ours, theirs) in enumerate(zip(self.ids, ids, strict=False)):
            if ours != theirs or (ours == placeholder_id and not next(rows, False)):
                return place
        return min(len(self.ids), len(ids))


class TextStream(Iterator[str]):
    """The pieces of an answer as they come. Closing it stops the work; so does dropping it.

    Attributes:
        ids: Ids generated so far, the one that ends the answer included.
        text: Text given so far.
        finish_reason: ``"stop"``, ``"length"`` or ``"cancelled"``; ``None`` while the answer is coming.
        prompt_tokens: Rows of the prompt, visual tokens included.
        cached_tokens: How many of them came from the kept cache.
        seconds: Wall-clock seconds of ``prefill`` and ``generate``.
    """

    def __init__(self, reader: Reader, chooser: Chooser, texts: Texts, should_stop: Callable[[], bool]):
        """Puts the parts together; :func:`stream_generate` does it for you."""
        self.ids: list[int] = []
        self.text = ""
        self.finish_reason: FinishReason | None = None
        self.prompt_tokens = len(reader.prompt)
        self.cached_tokens = 0
        self.seconds = {"prefill": 0.0, "generate": 0.0}
        self._reader, self._chooser, self._texts = reader, chooser, texts
        self._should_stop = should_stop
        self._pieces = self._run()

    def __next__(self) -> str:
        piece = next(self._pieces)
        self.text += piece
        return piece

    def close(self) -> None:
        """Stops the work; what was given stays."""
        self._pieces.close()
        self.finish_reason = self.finish_reason or "cancelled"

    def _run(self) -> Generator[str, None, None]:
        while self.finish_reason is None:
            if self._should_stop() or (self.ids and self._reader.displaced):
                self.finish_reason = "cancelled"
                break
            if piece := self._texts.push(self._next_id()):
                yield piece
            self.finish_reason = self._texts.ended
        if rest := self._texts.finish():
            yield rest

    def _next_id(self) -> int:
        started = time.perf_counter()
        if not self.ids:
            self.cached_tokens = self._reader.start()
        logits = self._reader.read(self.ids)
        token_id = self._chooser.choose(self.ids, logits)
        self.seconds["generate" if self.ids else "prefill"] += time.perf_counter() - started
        self.ids.append(token_id)
        return token_id


def default_settings(model: VideoLLM) -> GenerationSettings:
    """Returns how a model's answers are drawn unless asked otherwise: as its checkpoint's ``generation_config`` says.

    Where that does not ask for sampling, as for the built-in model, it is the likeliest token each time.
    """
    how = model.generation_config
    return GenerationSettings(
        temperature=(1.0 if how.temperature is None else how.temperature) if how.do_sample else 0.0,
        top_p=1.0 if how.top_p is None else how.top_p,
        repetition_penalty=how.repetition_penalty or 1.0,
    )


def stream_generate(
    model: VideoLLM,
    input_ids: Sequence[int],
    visual_tokens: Tensor | None,
    settings: GenerationSettings,
    *,
    cache: PromptCache | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TextStream:
    """Answers a prompt.

    Args:
        model: A model with a processor (see ``VideoLLM.attach``), in evaluation mode.
        input_ids: The prompt, with a placeholder for each visual token.
        visual_tokens: A row for each placeholder, in reading order, (K, D); ``None`` where there is none.
        settings: Length, sampling, stop strings and seed. The repetition penalty counts the answer only, since a good
            answer often repeats words of the question.
        cache: The conversation's cache, which is brought up to date; ``None`` to keep nothing.
        should_stop: Asked before each token; the answer ends as cancelled once it says yes.

    Returns:
        The answer's text in pieces that never break a character and hold nothing of a stop string. Nothing is computed
        before the first piece is asked for; reading raises ``ConfigError`` where the model's numbers are not finite.

    Raises:
        ConfigError: The model has no processor.
        DataError: The number of placeholders is not that of the visual tokens.
        ContextOverflowError: The prompt leaves no room for an answer.
    """
    return TextStream(
        *prepare(model, input_ids, visual_tokens, settings, cache), should_stop or (lambda: False)
    )


def prepare(
    model: VideoLLM,
    input_ids: Sequence[int],
    visual_tokens: Tensor | None,
    settings: GenerationSettings,
    cache: PromptCache | None,
) -> tuple[Reader, Chooser, Texts]:
    """Returns what reads a prompt, what picks the tokens of its answer and what turns them into text.

    Arguments and errors are those of :func:`stream_generate`; nothing is computed.
    """
    if model.processor is None:
        raise ConfigError(
            "the model has no processor; load it with load_model, or use model.attach(processor)"
        )
    prompt, placeholder_id = list(input_ids), model.config.placeholder_token_id
    wanted, given = prompt.count(placeholder_id), 0 if visual_tokens is None else len(visual_tokens)
    if wanted != given:
        raise DataError(f"the prompt has {wanted} placeholders for {given} visual tokens")
    if visual_tokens is not None:
        visual_tokens = visual_tokens.to(model.device, model.dtype)
    room = answer_room(model.config.context_length, len(prompt), settings.max_new_tokens)
    return (
        Reader(model, prompt, visual_tokens, PromptCache() if cache is None else cache),
        Chooser(settings, placeholder_id, model.device),
        Texts(model.processor, model.generation_config.eos_token_id, settings.stop, room),
    )


def answer_room(context: int | None, prompt_tokens: int, max_new_tokens: int) -> int:
    """Returns how many ids an answer may take.

    Args:
        context: What the language model reads at most; ``None`` where there is no bound.
        prompt_tokens: Rows of the prompt.
        max_new_tokens: Most tokens of the answer.

    Raises:
        ContextOverflowError: The prompt leaves no room.
    """
    room = max_new_tokens if context is None else min(max_new_tokens, context - prompt_tokens)
    if room < 1:
        raise ContextOverflowError(
            f"the prompt takes {prompt_tokens} tokens of the language model's context of {context}, "
            "which leaves no room for an answer: shorten the question, lower max_visual_tokens or drop older turns"
        )
    return room


class Reader:
    """Lets the language model read what it has not read yet.

    Attributes:
        prompt: Ids of the prompt.
        cache: The conversation's cache.
    """

    def __init__(
        self, model: VideoLLM, prompt: list[int], visual_tokens: Tensor | None, cache: PromptCache
    ) -> None:
        """Reads nothing yet; see :func:`prepare`."""
        self.prompt, self.cache = prompt, cache
        self._model, self._visual_tokens = model, visual_tokens
        # Not the reader itself: each would hold the other, and a cache let go would keep its memory for a long time.
        self._mark = object()

    def start(self) -> int:
        """Goes back to the part of the cache that this prompt begins with, and returns its length."""
        self.cache.reader = self._mark
        return self.cache.keep_prefix(self._model, self.prompt, self._visual_tokens)

    @property
    def displaced(self) -> bool:
        """Whether another answer has taken the cache over, or it was cleared, since this one began."""
        return self.cache.reader is not self._mark

    @torch.no_grad()
    def read(self, answer: Sequence[int]) -> Tensor:
        """Reads on up to the end of the answer so far; returns the logits of what comes next, float32, (1, V)."""
        unread = [*self.prompt, *answer][len(self.cache.ids) :]
        places = unread.count(self._model.config.placeholder_token_id)
        rows = None if self._visual_tokens is None or not places else self._visual_tokens[-places:]
        try:
            output = self._model(
                input_ids=torch.tensor([unread], device=self._model.device),
                visual_tokens=rows,
                past_key_values=self.cache.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        except BaseException:
            self.cache.clear()  # some layers may have read more than others
            raise
        self.cache.ids += unread
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def lend(self) -> None:
        """Empties the cache while its keys and values are elsewhere; it stays this answer's."""
        self.cache.ids, self.cache.cache = [], None

    def put_back(self, cache: DynamicCache, answer: Sequence[int]) -> None:
        """Fills the cache again, with keys and values of the prompt and of the answer as far as it was read."""
        self.cache.ids, self.cache.cache = [*self.prompt, *answer][: cache.get_seq_length()], cache


class Texts:
    """Text of the answer's ids, up to a stop id, a stop string or as many ids as there is room for.

    Attributes:
        ended: Why the answer is at its end; ``None`` while it goes on.
        room: How many more ids there may be.
    """

    def __init__(
        self, processor: VideoLLMProcessor, stop_ids: Sequence[int], stop: Sequence[str], room: int
    ) -> None:
        """Starts with no ids."""
        self._decoder, self._filter = TextDecoder(processor.tokenizer), StopFilter(stop)
        self._stop_ids, self.room = frozenset(stop_ids), room
        self.ended: FinishReason | None = None

    def push(self, token_id: int) -> str:
        """Returns the text that one more id completes."""
        self.room -= 1
        if token_id in self._stop_ids:
            self.ended = "stop"
            return ""
        text = self._filter.push(self._decoder.push(token_id))
        if self._filter.stopped:
            self.ended = "stop"
        elif self.room <= 0:
            self.ended = "length"
        return text

    def finish(self) -> str:
        """Returns what is still held back."""
        return (
            "" if self._filter.stopped else self._filter.push(self._decoder.finish()) + self._filter.finish()
        )


def can_shrink(cache: DynamicCache) -> bool:
    """Whether all that a cache has read is still there, in every layer."""
    # Layers with a sliding window or a running state have let go of what came before.
    return all(type(layer) is DynamicLayer for layer in cache.layers)


def _same_rows(ours: Tensor | None, theirs: Tensor | None) -> list[bool]:
    if ours is None or theirs is None:
        return []
    count = min(len(ours), len(theirs))
    same: list[bool] = (ours[:count] == theirs[:count]).all(dim=-1).tolist()
    return same
