"""A page that is open belongs to whoever opened it: Gradio asks only for its name.

Gradio calls an open page by a ``session_hash`` that its browser made up. Whoever names it is given what the server says
to that page, and is taken for it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..web.errors import RequestError, refuse
from ..web.owners import owner_of

_API = "/gradio_api/"
_ALIVE = "/gradio_api/heartbeat/"
# Pages that are known at a time; who used theirs the longest ago has left.
_MOST_PAGES = 20_000


class PageOwners:
    """ASGI middleware, within :class:`.web.owners.Owners`, that answers 403 where a page of another owner is named.

    Args:
        app: What is inside.
        most_pages: Pages that are remembered; of more, those that were quiet the longest are forgotten.
    """

    def __init__(self, app: ASGIApp, most_pages: int = _MOST_PAGES) -> None:
        self.app = app
        self._most_pages = most_pages
        self._owners: OrderedDict[str, str] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or not scope["path"].startswith(_API):
            await self.app(scope, receive, send)
            return
        body = b""
        if scope["method"] not in ("GET", "HEAD"):
            try:
                body = await Request(scope, receive).body()
            except ClientDisconnect:
                return
            receive = _said_again(body, receive)
        if self._are_of(owner_of(scope), list(_pages_named(scope, body))):
            await self.app(scope, receive, send)
        else:
            error = RequestError(403, "this page was opened by somebody else: reload it", code="not_yours")
            await refuse(error, scope, receive, send)

    def _are_of(self, owner: str, pages: Sequence[str]) -> bool:
        """Whether the pages are the owner's; one that nobody has named so far becomes it."""
        if any(self._owners.get(page, owner) != owner for page in pages):
            return False
        for page in pages:
            self._owners[page] = owner
            self._owners.move_to_end(page)
        while len(self._owners) > self._most_pages:
            self._owners.popitem(last=False)
        return True


def _pages_named(scope: Scope, body: bytes) -> Iterator[str]:
    for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name == "session_hash":
            yield value
    if scope["path"].startswith(_ALIVE):
        yield scope["path"].removeprefix(_ALIVE)
    try:
        told = json.loads(body or b"null")
    except (ValueError, RecursionError):
        return  # what is inside cannot read it either
    if isinstance(told, dict) and isinstance(page := told.get("session_hash"), str):
        yield page


def _said_again(body: bytes, receive: Receive) -> Receive:
    """Says a body that was read once more, and behind it what comes then."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def say() -> Message:
        return pending.pop() if pending else await receive()

    return say
