"""What waits for an engine: a piece of work with a result, and an answer that comes in pieces."""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

from videollm.errors import CancelledError, VideoLLMError

if TYPE_CHECKING:
    from videollm.model.batching import Running
    from videollm.model.generation import FinishReason

Result = TypeVar("Result")


class BusyError(VideoLLMError):
    """The server has more to do than it may put off."""


class Waiting(ABC):
    """A piece of work in a queue; whoever brought it hears of its place.

    Attributes:
        owner: On whose behalf it is done.
        should_stop: Asked whether anybody still waits for it.
        is_admitted: Whether it belongs to an answer that was taken on, and is done even while the server closes.
    """

    def __init__(self, owner: str, should_stop: Callable[[], bool], *, is_admitted: bool = False) -> None:
        self.owner, self.should_stop, self.is_admitted = owner, should_stop, is_admitted
        self._place: int | None = None

    def tell_place(self, place: int) -> None:
        """Says how many others come before."""
        if place != self._place:
            self._place = place
            self._heard(place)

    @abstractmethod
    def abandon(self, error: BaseException | None) -> None:
        """Ends it with an error, or without one if it was stopped."""

    @abstractmethod
    def _heard(self, place: int) -> None:
        """Tells whoever brought it of its place."""


class Task(Waiting, Generic[Result]):
    """A function that is called where the model may be used.

    Iterating yields how many others come before, whenever that changes, until the function is called.
    """

    def __init__(
        self,
        owner: str,
        withdraw: Callable[[Waiting], None],
        work: Callable[[], Result],
        should_stop: Callable[[], bool],
        is_admitted: bool,
    ) -> None:
        super().__init__(owner, should_stop, is_admitted=is_admitted)
        self._work, self._withdraw = work, withdraw
        self._places: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._future: Future[Result] = Future()

    def __iter__(self) -> Iterator[int]:
        while (place := self._places.get()) is not None:
            yield place

    def result(self) -> Result:
        """Waits for the function's result, or raises its error.

        Raises:
            CancelledError: The work was withdrawn, or the server is closing.
        """
        return self._future.result()

    def cancel(self) -> None:
        """Takes the work back if it has not begun."""
        self._withdraw(self)

    def run(self) -> None:
        """Calls the function; the engine's thread does."""
        self._places.put(None)
        try:
            self._future.set_result(self._work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._future.set_exception(error)

    def abandon(self, error: BaseException | None) -> None:
        """Ends it before it began."""
        self._places.put(None)
        self._future.set_exception(error or CancelledError("stopped before it began"))

    def _heard(self, place: int) -> None:
        self._places.put(place)


class _End:
    """The end of an answer's pieces."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class EngineStream(Waiting, Iterator[str]):
    """The pieces of an answer as they come, like :class:`videollm.model.generation.TextStream`.

    An empty piece says that its place in the queue has changed.

    Attributes:
        running: The answer in the batch; ``None`` while it waits.
        bytes_with: Tells how many bytes of keys and values run at most once this answer does too.
        place: How many others come before; ``None`` once it has begun.
        ids: Ids generated so far.
        text: Text given so far.
        finish_reason: ``"stop"``, ``"length"`` or ``"cancelled"``; ``None`` while the answer is coming.
        prompt_tokens: Rows of the prompt.
        cached_tokens: How many of them came from the conversation's cache.
        seconds: Wall-clock seconds of ``prefill`` and ``generate``.
    """

    def __init__(
        self,
        owner: str,
        withdraw: Callable[[Waiting], None],
        begin: Callable[[], Running],
        should_stop: Callable[[], bool],
        bytes_with: Callable[[], int],
    ) -> None:
        super().__init__(owner, should_stop)
        self.bytes_with = bytes_with
        self.running: Running | None = None
        self.place: int | None = None
        self.text = ""
        self.ids: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.prompt_tokens = self.cached_tokens = 0
        self.seconds = {"prefill": 0.0, "generate": 0.0}
        self._withdraw, self._begin = withdraw, begin
        self._events: queue.SimpleQueue[str | int | _End] = queue.SimpleQueue()

    def __next__(self) -> str:
        if self.finish_reason is not None:
            raise StopIteration
        event = self._events.get()
        if isinstance(event, _End):
            self._finish(event)
            raise StopIteration
        if isinstance(event, int):
            self.place = event
            return ""
        self.place = None
        self.text += event
        return event

    def close(self) -> None:
        """Stops the work and waits until the model has let go of it; what was given stays."""
        if self.finish_reason is not None:
            return
        self._withdraw(self)
        while not isinstance(self._events.get(), _End):
            pass
        self._finish(_End(None))

    def start(self) -> Running:
        """Joins the batch; the engine's thread calls this and what follows."""
        self.running = self._begin()
        return self.running

    def take(self) -> int:
        """Passes on what the batch has written; returns the number of tokens that are new."""
        running = self.running
        assert running is not None
        if piece := running.take():
            self._events.put(piece)
        new = len(running.ids) - len(self.ids)
        self.ids = list(running.ids)
        if running.ended:
            self._events.put(_End(running.error))
        return new

    def abandon(self, error: BaseException | None) -> None:
        """Ends it without a further token."""
        self._events.put(_End(error))

    def _finish(self, end: _End) -> None:
        running = self.running
        self.finish_reason = "cancelled"
        if running is not None:
            self.finish_reason = running.finish_reason or "cancelled"
            self.prompt_tokens, self.cached_tokens = running.prompt_tokens, running.cached_tokens
            self.seconds = dict(running.seconds)
        if end.error is not None:
            raise end.error

    def _heard(self, place: int) -> None:
        self._events.put(place)
