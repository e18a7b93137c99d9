"""Many answers at once, each as if alone: all that are running share every step of the language model.

    generator = BatchGenerator(model)
    one, other = generator.add(ids, tokens, settings), generator.add(more_ids, None, settings)
    while generator.rows or generator.waiting:
        for running in generator.step():
            print(running.id, running.take())

Answers join and leave between two steps, as in Orca (Yu et al., OSDI 2022). Ids are those of
:func:`~videollm.model.generation.stream_generate`, up to the rounding of a matrix product that has more rows.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from ..errors import ConfigError
from ..values import GenerationSettings
from .batching_cache import BatchCache
from .choosing import Chooser, choose_each
from .generation import FinishReason, PromptCache, Reader, Texts, can_shrink, prepare
from .modeling import VideoLLM


class Running:
    """An answer that waits, is coming or has ended.

    Attributes:
        id: Its number, unique in its generator.
        ids: Ids generated so far, the one that ends the answer included.
        text: Text so far, in whole characters and without anything of a stop string.
        finish_reason: ``"stop"``, ``"length"`` or ``"cancelled"``; ``None`` before, and where there is an error.
        error: What ended the answer before its time.
        prompt_tokens: Rows of the prompt, visual tokens included.
        cached_tokens: How many of them came from the conversation's cache.
        seconds: Wall-clock seconds of its ``prefill``, and of ``generate``, the steps that it shared with others.
    """

    def __init__(self, number: int, reader: Reader, chooser: Chooser, texts: Texts, *, is_kept: bool) -> None:
        """Puts the parts together; :meth:`BatchGenerator.add` does it for you."""
        self.id = number
        self.ids: list[int] = []
        self.text = ""
        self.finish_reason: FinishReason | None = None
        self.error: BaseException | None = None
        self.prompt_tokens = len(reader.prompt)
        self.cached_tokens = 0
        self.seconds = {"prefill": 0.0, "generate": 0.0}
        self._most_tokens = self.prompt_tokens + texts.room
        self._reader, self._chooser, self._texts = reader, chooser, texts
        self._is_kept = is_kept  # what it has read, for a next turn
        self._taken = 0
        self._cancelled = False

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.finish_reason is not None or self.error is not None

    def take(self) -> str:
        """Returns the text that has come since it was last asked for."""
        piece = self.text[self._taken :]
        self._taken += len(piece)
        return piece

    def cancel(self) -> None:
        """Ends the answer before its next token; may be called from any thread."""
        self._cancelled = True

    def _accept(self, choice: int | ConfigError) -> None:
        if isinstance(choice, ConfigError):
            self.error = choice
            return
        self.ids.append(choice)
        self.text += self._texts.push(choice)
        if self._texts.ended:
            self._end(self._texts.ended)

    def _end(self, reason: FinishReason) -> None:
        self.text += self._texts.finish()
        self.finish_reason = reason


class BatchGenerator:
    """Answers many prompts at once. For one thread; only :meth:`Running.cancel` may be called from another.

    A model whose cache forgets (sliding windows, running states) reads its answers one after another in each step.
    """

    def __init__(self, model: VideoLLM, *, max_rows: int = 8) -> None:
        """Starts without answers.

        Args:
            model: A model with a processor (see ``VideoLLM.attach``), in evaluation mode.
            max_rows: Most answers that run at the same time; more of them wait.

        Raises:
            ConfigError: ``max_rows`` is below 1.
        """
        if max_rows < 1:
            raise ConfigError(f"max_rows must be at least 1, got {max_rows}")
        self._model, self._max_rows = model, max_rows
        self._waiting: deque[Running] = deque()
        self._joined: list[Running] = []  # in the order of the batch's rows
        self._apart: list[Running] = []
        self._batch = BatchCache(max_rows)
        self._prefilled = False
        self._numbers = itertools.count()

    @property
    def rows(self) -> tuple[Running, ...]:
        """The answers that are running."""
        return (*self._joined, *self._apart)

    @property
    def waiting(self) -> tuple[Running, ...]:
        """The answers whose prompt has not been read yet, the next one first."""
        return tuple(self._waiting)

    @property
    def kv_bytes(self) -> int:
        """Bytes of the keys and values of what is running, room for the next ids included."""
        return self._batch.nbytes + sum(row._reader.cache.nbytes for row in self._apart)

    @property
    def kv_bytes_of_token(self) -> int:
        """Bytes of the keys and values of one token."""
        return self._memory[0]

    def kv_bytes_with(self, prompt_tokens: int, max_new_tokens: int) -> int:
        """Returns what :attr:`kv_bytes` is at most if one more prompt is added and all answers take their full length.

        While a prompt is read, its own keys and values come on top, and so do those of conversations that are not
        running. The first call lets the model read one id, to see what that takes.

        Args:
            prompt_tokens: Rows of the prompt.
            max_new_tokens: Most tokens of its answer.
        """
        lengths = [row._most_tokens for row in (*self.rows, *self._waiting)]
        lengths.append(prompt_tokens + max_new_tokens)
        bytes_per_token, joins = self._memory
        if not joins:
            return bytes_per_token * sum(heapq.nlargest(self._max_rows, lengths))
        columns = self._batch.columns_at_most(min(self._max_rows, len(lengths)), max(lengths))
        return max(self.kv_bytes, bytes_per_token * columns)

    def add(
        self,
        input_ids: Sequence[int],
        visual_tokens: Tensor | None,
        settings: GenerationSettings,
        *,
        cache: PromptCache | None = None,
    ) -> Running:
        """Takes in a prompt; nothing is computed before :meth:`step`.

        Args:
            input_ids: The prompt, with a placeholder for each visual token.
            visual_tokens: A row for each placeholder, in reading order, (K, D); ``None`` where there is none.
            settings: Length, sampling, stop strings and seed.
            cache: The conversation's cache. It is empty while the answer runs, and brought up to date when it ends. An
                unfinished answer of the same conversation ends as cancelled when the new prompt's turn comes.

        Returns:
            The answer to come.

        Raises:
            ConfigError: The model has no processor.
            DataError: The number of placeholders is not that of the visual tokens.
            ContextOverflowError: The prompt leaves no room for an answer.
        """
        parts = prepare(self._model, input_ids, visual_tokens, settings, cache)
        running = Running(next(self._numbers), *parts, is_kept=cache is not None)
        self._waiting.append(running)
        return running

    def step(self) -> list[Running]:
        """Reads the next waiting prompt, or one more id of every answer that is running.

        Prompts and ids take turns, so that new prompts do not hold up what is running. An error ends its answer alone
        and stands in :attr:`Running.error`; one in what all share ends those that are running.

        Returns:
            The answers that got a token or ended.
        """
        news = self._drop_cancelled()
        running = len(self._joined) + len(self._apart)
        if self._waiting and running < self._max_rows and not (self._prefilled and running):
            self._prefilled = True
            news += self._prefill(self._waiting.popleft())
        elif running:
            self._prefilled = False
            news += self._read_apart()
            news += self._read_together()
        return news

    def _drop_cancelled(self) -> list[Running]:
        # Asked once for each, because another thread may cancel meanwhile.
        waiting = [row for row in self._waiting if row._cancelled]
        running = [row for row in self.rows if row._cancelled or row._reader.displaced]
        for row in waiting:
            self._waiting.remove(row)
            row._end("cancelled")
        for row in running:
            row._end("cancelled")
            self._let_go(row)
        return [*waiting, *running]

    def _prefill(self, row: Running) -> list[Running]:
        """Reads a prompt and picks the answer's first token."""
        older = [other for other in self.rows if other._reader.cache is row._reader.cache]
        for other in older:
            other._end("cancelled")
            self._let_go(other)
        with _errors_end([row]):
            started = time.perf_counter()
            row.cached_tokens = row._reader.start()
            token_id = row._chooser.choose([], row._reader.read([]))
            row.seconds["prefill"] += time.perf_counter() - started
            row._accept(token_id)
            if not row.ended:
                self._join(row)
        if row.error:
            row._reader.cache.clear()
        return [*older, row]

    def _join(self, row: Running) -> None:
        read = row._reader.cache.cache
        assert read is not None
        if not _joins(read):
            self._apart.append(row)
            return
        self._batch.join(read)
        self._joined.append(row)
        row._reader.lend()

    def _read_apart(self) -> list[Running]:
        rows = tuple(self._apart)
        for row in rows:
            with self._letting_go([row]):
                started = time.perf_counter()
                token_id = row._chooser.choose(row.ids, row._reader.read(row.ids))
                row.seconds["generate"] += time.perf_counter() - started
                row._accept(token_id)
        return list(rows)

    def _read_together(self) -> list[Running]:
        rows = tuple(self._joined)
        if not rows:
            return []
        with self._letting_go(rows):
            started = time.perf_counter()
            logits_BV = self._next_logits([row.ids[-1] for row in rows])
            chosen = choose_each([row._chooser for row in rows], [row.ids for row in rows], logits_BV)
            seconds = time.perf_counter() - started
            for row, choice in zip(rows, chosen, strict=True):
                row.seconds["generate"] += seconds
                row._accept(choice)
        return list(rows)

    @torch.no_grad()
    def _next_logits(self, last_ids: Sequence[int]) -> Tensor:
        """Reads one more id of each joined row; returns the logits of what comes next, float32, (B, V)."""
        device = self._model.device
        output = self._model(
            input_ids=torch.tensor(last_ids, device=device)[:, None],
            use_cache=True,
            logits_to_keep=1,
            **self._batch.next_inputs(device),
        )
        self._batch.grown()
        logits_BV: Tensor = output.logits[:, -1].float()
        return logits_BV

    @contextmanager
    def _letting_go(self, rows: Sequence[Running]) -> Iterator[None]:
        """Lets go of those of the running rows that have ended after the block, or by an error in it."""
        try:
            with _errors_end(rows):
                yield
        finally:
            for row in rows:
                if row.ended:
                    self._let_go(row)

    def _let_go(self, row: Running) -> None:
        """Parts with a row that has ended; the cache of its conversation is brought up to date."""
        if row in self._apart:
            self._apart.remove(row)
            if row.error:
                row._reader.cache.clear()
            return
        place = self._joined.index(row)
        if row._is_kept and row.error is None and not row._reader.displaced:
            with suppress(torch.OutOfMemoryError):  # then the next turn reads anew
                row._reader.put_back(self._batch.row(place), row.ids)
        self._batch.leave(place)
        last = self._joined.pop()
        if last is not row:
            self._joined[place] = last

    @cached_property
    def _memory(self) -> tuple[int, bool]:
        """Bytes of one id's keys and values, and whether rows can be joined."""
        # By reading an id: configurations name their numbers in too many ways.
        ids = [self._model.generation_config.eos_token_id[0]]
        reader, _, _ = prepare(self._model, ids, None, GenerationSettings(max_new_tokens=1), None)
        reader.start()
        reader.read([])
        assert reader.cache.cache is not None
        return reader.cache.nbytes, _joins(reader.cache.cache)


def _joins(cache: DynamicCache) -> bool:
    """Whether a row with such a cache can be read together with others."""
    layers: list[Any] = cache.layers
    return can_shrink(cache) and all(layer.is_initialized for layer in layers)


@contextmanager
def _errors_end(rows: Sequence[Running]) -> Iterator[None]:
    """Makes an error that of the answers it belongs to; what is no ``Exception`` is raised besides."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - of these answers: whoever waits for them gets it, and the others go on
        for row in rows:
            row.error = error
    except BaseException as error:
        for row in rows:
            row.error = error
        raise
