"""Cookies as this server sets and reads them: signed, unseen by scripts, never sent along from other sites."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

# A browser may hold several cookies of one name (other paths, other domains); more than a few are somebody's play.
_MOST_OF_A_NAME = 8


def cookie_values(scope: Scope, name: str) -> list[str]:
    """Returns the values a request carries under a name, in its order."""
    pairs = (pair.strip().partition("=") for pair in "; ".join(_cookie_headers(scope)).split(";"))
    return [value for found, _, value in pairs if found == name][:_MOST_OF_A_NAME]


def _cookie_headers(scope: Scope) -> list[str]:
    return Headers(scope=scope).getlist("cookie")


def is_https(scope: Scope) -> bool:
    """Whether a request came by https (or wss)."""
    return scope.get("scheme") in ("https", "wss")


def set_cookie(scope: Scope, name: str, value: str, max_age_s: int, same_site: str = "Strict") -> str:
    """Returns the header ``Set-Cookie`` for the whole site (RFC 6265); ``max_age_s`` 0 takes the cookie back."""
    secure = "; Secure" if is_https(scope) else ""
    return f"{name}={value}; Max-Age={max_age_s}; Path=/; HttpOnly; SameSite={same_site}{secure}"
