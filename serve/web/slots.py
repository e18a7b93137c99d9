"""How many large bodies one owner may send at once."""

from __future__ import annotations

from collections import Counter

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import RequestError, refuse


class LimitUploads:
    """ASGI middleware, inside the one that knows owners; a body holds its place until it has been received.

    Args:
        app: What is inside.
        most: Most large bodies of an owner at once. Those who come without a cookie or key are counted by address:
            otherwise everyone could be as many owners as they like.
        large_bytes: From this size on a body counts; one of unknown size always does.
    """

    def __init__(self, app: ASGIApp, most: int = 4, large_bytes: int = 100_000) -> None:
        self.app = app
        self._most = most
        self._large_bytes = large_bytes
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or not self._is_large(scope):
            await self.app(scope, receive, send)
            return
        who = _who(scope)
        if self._running[who] >= self._most:
            error = RequestError(
                429,
                f"{self._most} uploads of yours are running: wait for one to end",
                code="too_many_uploads",
                headers={"Retry-After": "5"},
            )
            await refuse(error, scope, receive, send)
            return
        with _Place(self._running, who) as place:

            async def receive_in_place() -> Message:
                message = await receive()
                if not message.get("more_body", False):
                    place.leave()
                return message

            await self.app(scope, receive_in_place, send)

    def _is_large(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        return "transfer-encoding" in headers or int(headers.get("content-length", "0")) >= self._large_bytes


def _who(scope: Scope) -> str:
    if scope["state"]["proof"] == "none":
        client = scope.get("client")
        return f"address {client[0] if client else ''}"
    return f"owner {scope['state']['owner']}"


class _Place:
    """One of the places; left once, however often it is said."""

    def __init__(self, running: Counter[str], who: str) -> None:
        self._running, self._who = running, who
        self._held = False

    def __enter__(self) -> _Place:
        self._running[self._who] += 1
        self._held = True
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        if not self._held:
            return
        self._held = False
        self._running[self._who] -= 1
        if not self._running[self._who]:
            del self._running[self._who]
