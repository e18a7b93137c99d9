"""The first look at a request: is it for this server, from this site, and one that an honest client would send?"""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import RequestError, refuse
from .hosts import AllowedHosts, parse_authority

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# Control characters, backslashes, segments of dots: browsers resolve or encode them before they ask.
_UNPLAIN_PATH = re.compile(r"[\x00-\x1f\x7f\\]|/\.{1,2}(?:/|$)")


class Guard:
    """ASGI middleware that refuses requests for other hosts, requests that other sites make, and crooked paths.

    A page of another site can make a person's browser ask this server. What it may do is follow a link to the page;
    whatever changes something, opens a WebSocket or would be used by the other page must come from here, as the
    browser's own headers say (Fetch Metadata; ``Origin`` for browsers without). Programs send neither and are let
    through: they act for themselves.

    Args:
        app: What is guarded.
        hosts: The hosts that may be asked for.
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self.app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        fault = _fault_of_path(scope["path"]) or self._fault_of_host(scope) or _fault_of_origin(scope)
        if fault is not None:
            await refuse(fault, scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _fault_of_host(self, scope: Scope) -> RequestError | None:
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) == 1 and self._hosts.allow(hosts[0]):
            return None
        return RequestError(
            421,
            "this server is not known by that host name: start it with --allow-host NAME",
            code="wrong_host",
        )


def _fault_of_path(path: str) -> RequestError | None:
    if path.startswith("/") and not _UNPLAIN_PATH.search(path):
        return None
    return RequestError(400, "the path is not one a client would send", code="bad_path")


def _fault_of_origin(scope: Scope) -> RequestError | None:
    headers = Headers(scope=scope)
    changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
    if _is_from_elsewhere(headers, changes) or (changes and _hides_its_origin(headers)):
        return RequestError(403, "requests from other sites are refused", code="cross_site")
    return None


def _is_from_elsewhere(headers: Headers, changes: bool) -> bool:
    site = headers.get("sec-fetch-site", "none")
    if site == "same-origin":
        return False
    if site != "none":
        follows_link = headers.get("sec-fetch-mode") == "navigate" and not changes
        return not (follows_link and headers.get("sec-fetch-dest", "document") == "document")
    origin = headers.get("origin")
    return changes and origin is not None and not _is_origin_of(origin, headers.get("host", ""))


def _is_origin_of(origin: str, host: str) -> bool:
    """Whether an origin and a host are the same place; a proxy may have taken https off, so the scheme may differ."""
    scheme, _, rest = origin.partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    ours, theirs = parse_authority(host), parse_authority(rest)
    if default is None or ours is None or theirs is None:
        return False
    return (ours[0], ours[1] or default) == (theirs[0], theirs[1] or default)


def _hides_its_origin(headers: Headers) -> bool:
    """Whether a browser says nothing of where a request comes from; every browser of today says it."""
    says = "origin" in headers or "sec-fetch-site" in headers
    return headers.get("user-agent", "").startswith("Mozilla/") and not says
