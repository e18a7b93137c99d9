"""The thread that owns the model: the answers of many people at once, and what is encoded for them between tokens.

Nothing else may call the model. Work waits in fair queues: everybody's first piece before anybody's second. Answers
that run are decoded together, token by token (continuous batching); between two tokens at most one other piece of work
is done, such as encoding a video, so that nobody's answer stands still for long.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from videollm.errors import CancelledError

from .engine_waiting import BusyError, EngineStream, Task, Waiting
from .fair_queue import FairQueue

if TYPE_CHECKING:
    from torch import Tensor

    from videollm.model.batching import BatchGenerator, Running
    from videollm.model.generation import PromptCache
    from videollm.values import GenerationSettings

Result = TypeVar("Result")

_logger = logging.getLogger(__name__)
#: What is said of work that a server which ends does not take or does not finish.
CLOSING = "the server is closing"
# A step that does not come back may be one of minutes: the end does not wait for it.
_LAST_STEP_S = 2.0
# Seconds between two times that all who wait for an answer hear of their place.
_TELL_S = 0.25


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """How much an engine takes on.

    Attributes:
        rows: Most answers that run at a time.
        waiting: Most pieces of work that wait, in all.
        waiting_each: Most pieces of work of one owner that wait.
        kv_bytes: Most bytes of keys and values of the answers that run; one that is alone may take more.
    """

    rows: int = 8
    waiting: int = 256
    waiting_each: int = 64
    kv_bytes: int = 4 << 30


@dataclass(frozen=True, slots=True)
class EngineState:
    """What an engine does at a moment, and what it has done so far.

    Attributes:
        running: Answers that run.
        waiting: Pieces of work that wait.
        kv_bytes: Bytes of keys and values of what runs.
        answers: Answers that have ended, however they did.
        tokens: Tokens written.
    """

    running: int
    waiting: int
    kv_bytes: int
    answers: int
    tokens: int


class Engine:
    """Runs a model for many people; its methods may be called from any thread.

    Args:
        generator: What decodes answers together; the engine's thread alone uses it from now on.
        limits: How much it takes on.
    """

    def __init__(self, generator: BatchGenerator, limits: EngineLimits = EngineLimits()) -> None:
        self._generator, self._limits = generator, limits
        self._answers: FairQueue[EngineStream] = FairQueue()
        self._tasks: FairQueue[Task[Any]] = FairQueue()
        self._running: dict[Running, EngineStream] = {}
        self._changed = threading.Condition()
        # One after the other: nothing new is taken; the thread ends when it has nothing to do; nothing at all is taken.
        self._is_closing = self._is_ending = self._is_over = self._has_ended = False
        self._answered = self._written = 0
        self._tell_next_s = 0.0
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def state(self) -> EngineState:
        """What is going on."""
        with self._changed:
            return EngineState(
                len(self._running),
                len(self._answers) + len(self._tasks),
                self._generator.kv_bytes,
                self._answered,
                self._written,
            )

    def takes(self, *, is_admitted: bool) -> bool:
        """Whether work is taken at all: not where the server is ending.

        Args:
            is_admitted: Whether it belongs to something that has begun.
        """
        return not (self._has_ended or self._is_over or (self._is_closing and not is_admitted))

    def kv_bytes_of_token(self) -> int:
        """Returns the bytes of a token's keys and values; for work that runs in the engine's thread."""
        return self._generator.kv_bytes_of_token

    def submit(
        self,
        owner: str,
        work: Callable[[], Result],
        *,
        should_stop: Callable[[], bool] = lambda: False,
        is_admitted: bool = False,
    ) -> Task[Result]:
        """Has a function called where the model may be used.

        Args:
            owner: On whose behalf.
            work: The function; it should not take longer than a person would wait for the next word.
            should_stop: Asked before the function is called; if it says yes the task's result is a ``CancelledError``.
            is_admitted: Whether it belongs to an answer that was taken on: such work is not refused for want of room,
                nor because the server is closing, or what was answered already would be lost.

        Raises:
            BusyError: Too much waits already.
        """
        task: Task[Result] = Task(owner, self._withdraw, work, should_stop, is_admitted)
        self._put(self._tasks, task)
        return task

    def stream(
        self,
        owner: str,
        input_ids: Sequence[int],
        visual_tokens: Tensor | None,
        settings: GenerationSettings,
        *,
        cache: PromptCache | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> EngineStream:
        """Answers a prompt, as :func:`videollm.model.generation.stream_generate` does.

        The stream yields an empty piece whenever its place in the queue has changed.

        Args:
            owner: On whose behalf.
            input_ids: The prompt.
            visual_tokens: A row for each of its placeholders.
            settings: How the answer is drawn.
            cache: The conversation's cache.
            should_stop: Asked before each token.

        Raises:
            BusyError: Too much waits already.
        """

        def begin() -> Running:
            return self._generator.add(input_ids, visual_tokens, settings, cache=cache)

        def bytes_with() -> int:
            return self._generator.kv_bytes_with(len(input_ids), settings.max_new_tokens)

        stream = EngineStream(owner, self._withdraw, begin, should_stop, bytes_with)
        self._put(self._answers, stream)
        return stream

    def refuse(self) -> None:
        """Takes nothing new, and ends what waits; what runs goes on, with all that belongs to it."""
        with self._changed:
            self._is_closing = True
            for queue in (self._answers, self._tasks):
                _drop(queue, lambda waiting: not waiting.is_admitted, CancelledError(CLOSING))

    def close(self, grace_s: float = 5.0) -> bool:
        """Takes nothing more, lets what runs come to its end for a while, and ends the thread.

        Args:
            grace_s: Seconds until what still runs ends as cancelled.

        Returns:
            Whether the thread has ended. Where it is in a step that lasts, it ends behind it, and nobody need wait.
        """
        self.refuse()
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        self._thread.join(grace_s)
        with self._changed:
            self._is_over = True
            for running in self._running:
                running.cancel()
            for queue in (self._answers, self._tasks):
                _drop(queue, lambda _: True, CancelledError(CLOSING))
        self._thread.join(_LAST_STEP_S)
        return not self._thread.is_alive()

    def _put(self, queue: FairQueue[Any], waiting: Waiting) -> None:
        with self._changed:
            if not self.takes(is_admitted=waiting.is_admitted):
                raise CancelledError(CLOSING)
            if not waiting.is_admitted:
                self._check_room(queue, waiting.owner)
            queue.put(waiting.owner, waiting)
            waiting.tell_place(next(place for place, one in enumerate(queue) if one is waiting))
            self._changed.notify_all()

    def _check_room(self, queue: FairQueue[Any], owner: str) -> None:
        if len(self._answers) + len(self._tasks) >= self._limits.waiting:
            raise BusyError("the server is busy: too many people wait already; try again in a minute")
        if queue.count(owner) >= self._limits.waiting_each:
            raise BusyError(
                f"{self._limits.waiting_each} of your requests wait already; let some of them end first"
            )

    def _withdraw(self, waiting: Waiting) -> None:
        """Ends a piece of work early, on behalf of whoever waits for it."""
        with self._changed:
            queue: FairQueue[Any] = self._answers if isinstance(waiting, EngineStream) else self._tasks
            if queue.remove(waiting):
                waiting.abandon(CancelledError("stopped while it waited"))
                _tell_places(queue)
            elif isinstance(waiting, EngineStream) and waiting.running is not None:
                waiting.running.cancel()
            self._changed.notify_all()

    def _work(self) -> None:
        """The thread: one task at most, then one step of all answers, and so on."""
        while self._wait_for_work():
            if (task := self._next_task()) is not None:
                task.run()
            self._begin_answers()
            if self._running:
                self._step()

    def _wait_for_work(self) -> bool:
        """Waits until there is something to do; returns whether there ever will be."""
        with self._changed:
            while not (self._running or self._answers or self._tasks):
                if self._is_ending:
                    self._has_ended = True
                    return False
                self._changed.wait()
            return True

    def _next_task(self) -> Task[Any] | None:
        with self._changed:
            _drop_stopped(self._tasks)
            if not self._tasks:
                return None
            task = self._tasks.take()
            _tell_places(self._tasks)
            return task

    def _begin_answers(self) -> None:
        """Lets answers join while there is room for them."""
        with self._changed:
            _drop_stopped(self._answers)
            while self._answers and self._has_room_for(next(iter(self._answers))):
                stream = self._answers.take()
                try:
                    self._running[stream.start()] = stream
                except Exception as error:  # noqa: BLE001 - handed to whoever asked
                    stream.abandon(error)
            self._tell_answers()

    def _tell_answers(self) -> None:
        """Says how many come before; each who waits is a thread that is woken, so only now and then."""
        if (now_s := time.monotonic()) >= self._tell_next_s:
            self._tell_next_s = now_s + _TELL_S
            _tell_places(self._answers)

    def _has_room_for(self, stream: EngineStream) -> bool:
        if not self._running:
            return True
        return len(self._running) < self._limits.rows and stream.bytes_with() <= self._limits.kv_bytes

    def _step(self) -> None:
        for running, stream in self._running.items():
            if stream.should_stop():
                running.cancel()
        try:
            changed = self._generator.step()
        except Exception as error:
            _logger.exception("while answering %d at once", len(self._running))
            self._fail_all(error)
            return
        with self._changed:
            for running in changed:
                if running not in self._running:
                    continue  # given up after an error
                stream = self._running[running]
                self._written += stream.take()
                if running.ended:
                    del self._running[running]
                    self._answered += 1

    def _fail_all(self, error: Exception) -> None:
        """Ends all that runs with an error that none of them can be blamed for, so that nobody waits for ever."""
        with self._changed:
            for running, stream in self._running.items():
                running.cancel()
                stream.abandon(error)
            self._running.clear()


def _drop_stopped(queue: FairQueue[Any]) -> None:
    """Ends what nobody waits for any more."""
    _drop(queue, lambda waiting: waiting.should_stop(), None)


def _drop(queue: FairQueue[Any], chosen: Callable[[Waiting], bool], error: Exception | None) -> None:
    for waiting in [one for one in queue if chosen(one)]:
        queue.remove(waiting)
        waiting.abandon(error)


def _tell_places(queue: FairQueue[Any]) -> None:
    for place, waiting in enumerate(queue):
        waiting.tell_place(place)
