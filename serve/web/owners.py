"""Whose request it is: a signed cookie, or a key, stands for an owner; who has neither becomes a new one."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .arrival import ask_in, came_in, comes_by_link
from .cookies import cookie_values, set_cookie
from .errors import RequestError, is_api, refuse
from .keys import ApiKeys
from .signing import Signer

_DAY_S = 24 * 3600
# Browsers keep no cookie longer (RFC 6265bis, section 5.5).
_LIFE_S = 400 * _DAY_S
_RENEW_S = 7 * _DAY_S

Proof = Literal["cookie", "key", "none"]


def owner_of(scope: Scope) -> str:
    """Returns the owner of a request, as :class:`Owners` found it."""
    owner: str = scope["state"]["owner"]
    return owner


@dataclass(frozen=True, slots=True)
class _Visitor:
    """Who asks, what proves it, and the cookie to be set, if one is."""

    owner: str
    proof: Proof
    cookie: str | None = None


class Owners:
    """ASGI middleware that puts ``owner`` and ``proof`` (``"cookie"``, ``"key"``, ``"none"``) into ``scope["state"]``.

    Args:
        app: What is inside.
        secret: The server's secret.
        keys: Keys of the API; with them ``/v1`` takes nobody who has neither a key nor a cookie. Without them a key
            that is sent is not looked at: clients of OpenAI's API always send one.
        program_owner: Owner of requests to ``/v1`` without a cookie when there are no keys. Programs keep no
            cookies, so without it each request is a stranger's and finds nothing of the one before. All programs
            share it: leave it out on a network.
        now_s: The time in seconds since 1970.
    """

    def __init__(
        self,
        app: ASGIApp,
        secret: bytes,
        keys: ApiKeys | None = None,
        program_owner: str | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self._signer = Signer(secret, b"owner")
        # Cookies know no ports: two servers on one machine must not take each other's for a forgery and replace it.
        self._name = f"videollm-{hashlib.sha256(secret).hexdigest()[:8]}"
        self._keys = keys
        self._program_owner = program_owner
        self._now_s = now_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            visitor = self._by_key(scope) or self._by_cookie(scope) or self._stranger(scope)
        except RequestError as error:
            await refuse(error, scope, receive, send)
            return
        if visitor.proof == "none" and comes_by_link(scope, self._name_of_arrival):
            await ask_in(scope, self._name_of_arrival)(scope, receive, send)
            return
        scope.setdefault("state", {}).update(owner=visitor.owner, proof=visitor.proof)
        cookies = (visitor.cookie, came_in(scope, self._name_of_arrival))
        await self.app(
            scope, receive, _with_cookies(send, [cookie for cookie in cookies if cookie is not None])
        )

    @property
    def _name_of_arrival(self) -> str:
        return f"{self._name}-arrival"

    def _by_key(self, scope: Scope) -> _Visitor | None:
        kind, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        if self._keys is None or kind.lower() != "bearer":
            return None
        owner = self._keys.owner_of(key.strip())
        if owner is None:
            raise _no_key("this API key is not known")
        return _Visitor(owner, "key")

    def _by_cookie(self, scope: Scope) -> _Visitor | None:
        for value in cookie_values(scope, self._name):
            signed = self._signer.read(value)
            if signed is None or self._age_s(signed.issued_s) > _LIFE_S:
                continue
            old = self._age_s(signed.issued_s) > _RENEW_S
            return _Visitor(signed.value, "cookie", self._cookie(scope, signed.value) if old else None)
        return None

    def _stranger(self, scope: Scope) -> _Visitor:
        if is_api(scope["path"]):
            if self._keys is not None:
                raise _no_key("an API key is needed: Authorization: Bearer KEY")
            if self._program_owner is not None:
                return _Visitor(self._program_owner, "none")
        owner = f"visitor-{secrets.token_urlsafe(16)}"
        return _Visitor(owner, "none", self._cookie(scope, owner))

    def _age_s(self, issued_s: int) -> float:
        return self._now_s() - issued_s

    def _cookie(self, scope: Scope, owner: str) -> str:
        return set_cookie(scope, self._name, self._signer.sign(owner, int(self._now_s())), _LIFE_S)


def _no_key(message: str) -> RequestError:
    return RequestError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


def _with_cookies(send: Send, cookies: list[str]) -> Send:
    async def send_with_cookies(message: Message) -> None:
        if cookies and message["type"] in ("http.response.start", "websocket.accept"):
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for cookie in cookies:
                headers.append("Set-Cookie", cookie)
            # An answer with somebody's cookie must not be kept by a cache that others ask.
            if headers.get("cache-control") != "no-store":
                headers["Cache-Control"] = "private"
        await send(message)

    return send_with_cookies
