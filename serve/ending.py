"""An end that cuts nobody off: no new questions, and time for the answers that are coming."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from socket import socket
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from videollm.errors import CancelledError

from .api.refusals import as_request_error
from .service.engine import CLOSING
from .web.errors import refuse

if TYPE_CHECKING:
    from .service.models import Models

# Seconds between two looks at what is still coming.
_LOOK_S = 0.05
_LIFESPAN_S = 0.5
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Where a page hears what comes of its questions, for as long as anything does.
_PAGE_ANSWERS = "/gradio_api/queue/data"
_PAGE_IS_OPEN = "/gradio_api/heartbeat/"


@dataclass(slots=True)
class Ending:
    """Whether a server is ending, and what it still does for others; its event loop changes it.

    Attributes:
        has_begun: Whether new questions are refused.
        awaited: Requests that are waited for.
        is_over: Set when nothing is waited for any more.
    """

    has_begun: bool = False
    awaited: int = 0
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


class EndGently:
    """ASGI middleware that counts what is waited for, and answers new questions of programs with 503 at the end.

    What a page asks then, the engine refuses, and the page says so. Downloads, and the streams by which pages show
    that they are open, are not waited for: they may last for ever. The latter end as if the pages had been closed.

    Args:
        app: What is inside.
        ending: Where it is counted.
        questions: Paths at which programs ask.
    """

    def __init__(self, app: ASGIApp, ending: Ending, questions: frozenset[str]) -> None:
        self.app = app
        self._ending, self._questions = ending, questions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if path in self._questions and self._ending.has_begun:
            await refuse(as_request_error(CancelledError(CLOSING)), scope, receive, send)
            return
        if path.startswith(_PAGE_IS_OPEN):
            receive = _until(self._ending.is_over, receive)
        is_awaited = path == _PAGE_ANSWERS or scope["method"] not in _SAFE_METHODS
        self._ending.awaited += is_awaited
        try:
            await self.app(scope, receive, send)
        finally:
            self._ending.awaited -= is_awaited


def _until(is_over: asyncio.Event, receive: Receive) -> Receive:
    """What a client says, and from some moment on that it has left."""

    async def receive_until() -> Message:
        said, over = asyncio.ensure_future(receive()), asyncio.ensure_future(is_over.wait())
        try:
            await asyncio.wait((said, over), return_when=asyncio.FIRST_COMPLETED)
            return said.result() if said.done() else {"type": "http.disconnect"}
        finally:
            said.cancel()
            over.cancel()

    return receive_until


class GentleServer(uvicorn.Server):
    """A server that lets answers come to their end before it ends itself; a second signal ends it at once.

    Args:
        config: As uvicorn takes it.
        models: What answers; they are closed in the end.
        ending: What the application counts.
        grace_s: Seconds that answers may take to come to their end.

    Attributes:
        was_quiet: Whether nothing was going on any more when it ended, so that no thread is still at work.
        was_cut_short: Whether a second signal ended it before the answers that were coming.
    """

    def __init__(self, config: uvicorn.Config, models: Models, ending: Ending, grace_s: float) -> None:
        super().__init__(config)
        self.was_quiet = self.was_cut_short = False
        self._models, self._ending, self._grace_s = models, ending, grace_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins the end, or ends at once if it has begun; the signal is not raised again behind the end."""
        self._ending.has_begun = True
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Waits for the answers that are coming while all connections are served, then closes them."""
        self._ending.has_begun = True
        self._models.refuse()
        if self._ending.awaited:
            print(
                f"ending: answers that are coming have {self._grace_s:g} s; a second signal ends at once",
                file=sys.stderr,
                flush=True,
            )
        await self._wait_while(lambda: self._ending.awaited > 0, self._grace_s)
        is_quiet = self._ending.awaited == 0
        are_closed = await self._close_models()
        self._ending.is_over.set()
        # What is cut off now was told so; tracebacks of it would say nothing more.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)
        if self.force_exit:  # left out there; what was started with the application is ended all the same
            with suppress(TimeoutError):
                await asyncio.wait_for(self.lifespan.shutdown(), _LIFESPAN_S)
        self.was_quiet = is_quiet and are_closed
        self.was_cut_short = self.force_exit and not is_quiet

    async def _close_models(self) -> bool:
        """Cuts off what still runs: whoever waits for it is told, by connections that are still open."""
        ended: list[bool] = []
        # Not one of the loop's own threads: for these it would wait in the end, whatever signals come.
        closing = threading.Thread(target=lambda: ended.append(self._models.close(0.0)), daemon=True)
        closing.start()
        await self._wait_while(closing.is_alive)
        return ended == [True]

    async def _wait_while(self, goes_on: Callable[[], bool], most_s: float = float("inf")) -> None:
        until_s = time.monotonic() + most_s
        while goes_on() and not self.force_exit and time.monotonic() < until_s:
            await asyncio.sleep(_LOOK_S)
