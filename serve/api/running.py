"""Work that runs in a thread of its own, heard from the event loop; whoever leaves ends it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, Protocol, TypeAlias, TypeVar

from starlette.types import Receive

from videollm.errors import VideoLLMError

from ..web.errors import RequestError
from .counting import NOBODY_WAITED
from .refusals import as_request_error

Event = TypeVar("Event")
Event_co = TypeVar("Event_co", covariant=True)
#: Says which field of the request an error is about, if one is.
Blame: TypeAlias = Callable[[VideoLLMError], str | None]


class Work(Protocol[Event_co]):
    """What is done: iterating does it and tells what happens, the result last."""

    def __iter__(self) -> Iterator[Event_co]: ...

    def stop(self) -> None:
        """Ends it as soon as may be; may be called from any thread."""


class Runs:
    """Threads for work.

    Args:
        most: Most pieces of work that run or wait at a time.
        kind: What they are, for people.
    """

    def __init__(self, most: int, kind: str = "questions are being answered") -> None:
        self._most, self._kind, self._count = most, kind, 0
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="request")

    @property
    def count(self) -> int:
        """How many run or wait now."""
        return self._count

    def begin(self, work: Work[Event], blame: Blame, *, only_last: bool) -> Run[Event]:
        """Begins with a piece of work; the event loop's thread calls this.

        Args:
            work: The work.
            blame: Says which field of the request an error is about.
            only_last: Whether nobody wants to hear more than the last event.

        Raises:
            RequestError: Too many run already (429).
        """
        if self._count >= self._most:
            raise RequestError(
                429,
                f"the server is busy: too many {self._kind}; try again in a minute",
                code="busy",
                headers={"Retry-After": "30"},
            )
        self._count += 1
        run = Run(work, blame, only_last)
        self._threads.submit(run.work).add_done_callback(lambda _: self._forget())
        return run

    def _forget(self) -> None:
        self._count -= 1


class Run(Generic[Event]):
    """Work that is being done; iterating gives its events, and raises its error as the API tells it.

    Args:
        work: The work.
        blame: Says which field of the request an error is about.
        only_last: Whether the last event is the only one that is passed on.
    """

    def __init__(self, work: Work[Event], blame: Blame, only_last: bool) -> None:
        self._work, self._blame, self._only_last = work, blame, only_last
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[Event | Exception | None] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self._heard.get()) is not None:
            if isinstance(event, VideoLLMError):
                raise as_request_error(event, self._blame(event)) from event
            if isinstance(event, Exception):
                raise event
            yield event

    async def last(self, receive: Receive) -> Event:
        """Returns the last event; waits for it as long as the client does.

        Args:
            receive: Of a request whose body has been read.

        Raises:
            RequestError: What went wrong, if it is the request's fault or the server is busy; also where the client
                has left, which only those who count hear of.
        """
        watch = asyncio.create_task(self._stop_when_gone(receive))
        try:
            events = [event async for event in self]
        finally:
            has_left = watch.done()
            watch.cancel()
        if has_left:
            raise RequestError(NOBODY_WAITED, "nobody waited for the answer")
        return events[-1]

    def stop(self) -> None:
        """Ends the work as soon as may be; without effect if it has ended."""
        self._work.stop()

    async def _stop_when_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.stop()

    def work(self) -> None:
        """Passes the events on, and an error as the last of them; in a thread."""
        try:
            # Each event wakes the loop's thread, which takes the interpreter from the model's.
            for event in deque(self._work, maxlen=1) if self._only_last else self._work:
                self._tell(event)
        except Exception as error:  # noqa: BLE001 - raised where it is listened to
            self._tell(error)
        self._tell(None)

    def _tell(self, event: Event | Exception | None) -> None:
        with suppress(RuntimeError):  # the loop has been closed: the server has ended
            self._loop.call_soon_threadsafe(self._heard.put_nowait, event)
