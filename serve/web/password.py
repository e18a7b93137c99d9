"""A password that all who may come in share, for a server on a network."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
import unicodedata
from collections.abc import Callable
from contextlib import aclosing
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from videollm.errors import ConfigError

from .attempts import Attempts
from .cookies import cookie_values, set_cookie
from .errors import RequestError, error_response, is_api, refuse
from .login_page import login_page, logout_page
from .owners import owner_of
from .signing import Signer

_FEWEST_CHARACTERS = 8
_MOST_FORM_BYTES = 4096
_DAY_S = 24 * 3600
_LIFE_S = 30 * _DAY_S


class PasswordDoor:
    """ASGI middleware, inside the one that knows owners: all but ``/login`` and ``/healthz`` needs the password.

    Whoever knows it gets a second cookie, which holds for this owner and this password only: a new password logs
    everybody out. A key of the API opens the door as well.

    Args:
        app: What is inside.
        secret: The server's secret.
        password: The password.
        attempts: Counts failures.
        now_s: The time in seconds since 1970.

    Raises:
        ConfigError: The password is too short.
    """

    def __init__(
        self,
        app: ASGIApp,
        secret: bytes,
        password: str,
        attempts: Attempts | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        if len(password) < _FEWEST_CHARACTERS:
            raise ConfigError(
                f"the password is too short: expected {_FEWEST_CHARACTERS} characters or more, got {len(password)}"
            )
        self.app = app
        self._digest = _digest(password)
        self._signer = Signer(secret, b"login " + self._digest)
        self._name = f"videollm-{hashlib.sha256(secret).hexdigest()[:8]}-login"
        self._attempts = attempts or Attempts()
        self._now_s = now_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] not in ("http", "websocket") or scope["path"] == "/healthz":
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/login":
            await (await self._login(Request(scope, receive)))(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/logout":
            await self._logout(Request(scope, receive))(scope, receive, send)
        elif scope["state"]["proof"] == "key" or self._is_logged_in(scope):
            await self.app(scope, receive, send)
        else:
            await self._turn_away(scope, receive, send)

    def _is_logged_in(self, scope: Scope) -> bool:
        for value in cookie_values(scope, self._name):
            signed = self._signer.read(value)
            if signed is not None and signed.value == owner_of(scope):
                return self._now_s() - signed.issued_s < _LIFE_S
        return False

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepts = Headers(scope=scope).get("accept", "")
        if (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and "text/html" in accepts
            and not is_api(scope["path"])
        ):
            response = RedirectResponse(f"/login?next={quote(scope['path'], safe='/')}", 303)
            response.headers["Cache-Control"] = "no-store"
            await response(scope, receive, send)
            return
        error = RequestError(401, "the password is needed: log in at /login", code="login_needed")
        await refuse(error, scope, receive, send)

    async def _login(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD"):
            return login_page(_local_path(request.query_params.get("next", "/")))
        if request.method != "POST":
            return _method_not_allowed(request)
        try:
            form = await _read_form(request)
        except RequestError as error:
            return error_response("/login", error)
        following = _local_path(form.get("next", "/"))
        # From here to the count of a failure nothing is awaited: no two attempts can share one look at the clock.
        address = request.client.host if request.client else ""
        wait_s = math.ceil(self._attempts.wait_s(address))
        if wait_s:
            wrong = f"Too many attempts: try again in {wait_s} s."
            return login_page(following, wrong, 429, retry_after_s=wait_s)
        if not hmac.compare_digest(_digest(form.get("password", "")), self._digest):
            self._attempts.failed(address)
            return login_page(following, "That is not the password.", 401)
        self._attempts.succeeded(address)
        token = self._signer.sign(owner_of(request.scope), int(self._now_s()))
        return self._go(request, following, token, _LIFE_S)

    def _logout(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD"):
            return logout_page()
        if request.method != "POST":
            return _method_not_allowed(request)
        return self._go(request, "/login", "", 0)

    def _go(self, request: Request, path: str, token: str, max_age_s: int) -> Response:
        response = RedirectResponse(path, 303)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Set-Cookie"] = set_cookie(request.scope, self._name, token, max_age_s)
        return response


def _digest(password: str) -> bytes:
    """Hash of a password however the keyboard composes its letters; of one length, so that comparing tells none."""
    return hashlib.sha256(unicodedata.normalize("NFKC", password).encode("utf-8", "replace")).digest()


def _local_path(path: str) -> str:
    """A path of this server; a form must not send people elsewhere."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain else "/"


async def _read_form(request: Request) -> dict[str, str]:
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise RequestError(415, "expected a form: application/x-www-form-urlencoded")
    body = b""
    async with aclosing(request.stream()) as stream:
        async for piece in stream:
            body += piece
            if len(body) > _MOST_FORM_BYTES:
                raise RequestError(413, f"the form is too large: at most {_MOST_FORM_BYTES} bytes are taken")
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=8)
    except ValueError:
        raise RequestError(400, "the form cannot be read") from None
    return {name: values[0] for name, values in fields.items()}


def _method_not_allowed(request: Request) -> Response:
    error = RequestError(405, f"{request.method} is not taken here", headers={"Allow": "GET, HEAD, POST"})
    return error_response(request.url.path, error)
