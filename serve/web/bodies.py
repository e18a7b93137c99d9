"""Bodies of requests: how large they may be, how long they may take, and how one is refused that is still coming."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import RequestError, refuse


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a body may cost.

    Attributes:
        default_bytes: Most bytes of a body.
        path_bytes: Most bytes for paths of their own, as ``{"/v1/videos": …}``.
        silent_s: Seconds a body may be silent before it is given up.
        slowest_bytes_s: Slowest rate over the whole body, in bytes a second; ``silent_s`` are granted on top.
        linger_s: Seconds that a refused client gets to stop sending: were the connection cut at once, the system
            would throw away the answer before it is read (RFC 9112, section 9.6).
    """

    default_bytes: int = 8_000_000
    path_bytes: Mapping[str, int] = field(default_factory=dict)
    silent_s: float = 30.0
    slowest_bytes_s: float = 1000.0
    linger_s: float = 1.0

    def most_bytes(self, path: str) -> int:
        """Most bytes of a body sent to a path."""
        return self.path_bytes.get(path, self.default_bytes)


class LimitBodies:
    """ASGI middleware that holds the limits. What is inside sees a refused client as one that has gone.

    Args:
        app: What is inside.
        limits: The limits.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self.app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._limits)
        if not await exchange.refuses_declared_size():
            # A client that has gone needs no answer, and the log no traceback.
            with suppress(ClientDisconnect):
                await self.app(scope, exchange.receive, exchange.send)


class _Exchange:
    """A request and its answer as they go by."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: BodyLimits) -> None:
        headers = Headers(scope=scope)
        self._scope, self._receive, self._send = scope, receive, send
        self._limits = limits
        self._most_bytes = limits.most_bytes(scope["path"])
        self._declared_bytes = int(headers.get("content-length", "0"))
        self._complete = self._declared_bytes == 0 and "transfer-encoding" not in headers
        self._received_bytes = 0
        self._began_s = anyio.current_time()
        self._answer_began = False
        self._refused = False

    async def refuses_declared_size(self) -> bool:
        """Refuses a body whose declared size is too large, before a byte of it is read."""
        if self._declared_bytes > self._most_bytes:
            await self._refuse(_too_large(self._most_bytes))
        return self._refused

    async def receive(self) -> Message:
        """Hands on the next message while the body keeps to its limits."""
        if self._refused:
            return {"type": "http.disconnect"}
        if self._complete:
            return await self._receive()
        message: Message | None = None
        with anyio.move_on_after(self._patience_s()):
            message = await self._receive()
        fault = _too_slow() if message is None else self._fault_of(message)
        if fault is not None:
            await self._refuse(fault)
        return {"type": "http.disconnect"} if message is None or fault is not None else message

    def _patience_s(self) -> float:
        """Seconds the next piece may take."""
        earned_s = self._limits.silent_s + self._received_bytes / self._limits.slowest_bytes_s
        left_s = self._began_s + earned_s - anyio.current_time()
        return max(0.0, min(self._limits.silent_s, left_s))

    def _fault_of(self, message: Message) -> RequestError | None:
        if message["type"] != "http.request":
            return None
        self._received_bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        return _too_large(self._most_bytes) if self._received_bytes > self._most_bytes else None

    async def _refuse(self, error: RequestError) -> None:
        self._refused = True
        if not self._answer_began:
            await refuse(error, self._scope, self._receive, self._send_closing)

    async def send(self, message: Message) -> None:
        """Hands on the answer, unless another was given already."""
        if self._refused:
            return
        if message["type"] == "http.response.start":
            self._answer_began = True
        await self._send_closing(message)

    async def _send_closing(self, message: Message) -> None:
        """Sends; an answer before the end of the body ends the connection: the rest would be read for naught."""
        if self._complete:
            await self._send(message)
        elif message["type"] == "http.response.start":
            MutableHeaders(scope=message)["connection"] = "close"
            await self._send(message)
        elif message.get("more_body", False):
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body", "body": b""})

    async def _linger(self) -> None:
        with anyio.move_on_after(self._limits.linger_s):
            more = True
            while more:
                more = (await self._receive()).get("more_body", False)


def _too_large(most_bytes: int) -> RequestError:
    return RequestError(
        413, f"the body is too large: at most {most_bytes:,} bytes are taken", code="too_large"
    )


def _too_slow() -> RequestError:
    return RequestError(408, "the body came too slowly and was given up", code="too_slow")
