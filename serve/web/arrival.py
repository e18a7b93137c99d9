"""A person who follows a link from another site comes without cookies; they are asked in once more, with them.

``SameSite=Strict`` keeps a browser from sending the cookie along with a link from elsewhere. Taken for a newcomer, that
person would be given a new cookie in the place of the old one, and would have lost what is theirs. So the first answer
is a page that loads itself again at once: that request comes from this site and brings the cookie, if there is one.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from .cookies import cookie_values, set_cookie

_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    '<meta http-equiv="refresh" content="0"><title>One moment</title><p>One moment … '
    '<a href="">Go on</a></p></html>\n'
)
# A browser that does not see the difference is not sent round for ever: it says that it was asked in. Once it has,
# that is taken back, so that the next link is seen as one; if it never comes again, it ends by itself.
_ASKED_S = 20


def comes_by_link(scope: Scope, name: str) -> bool:
    """Whether a request without a known cookie may be a link followed from another site, and was not yet asked in.

    Args:
        scope: The request.
        name: Name of the cookie that says it was asked in.
    """
    if scope["type"] != "http" or scope["method"] != "GET" or cookie_values(scope, name):
        return False
    headers = Headers(scope=scope)
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "cross-site" and headers.get("sec-fetch-mode") == "navigate"
    # Over plain http on a network browsers do not say where a link stood: any of them may have come by one.
    is_browser = headers.get("user-agent", "").startswith("Mozilla/")
    return is_browser and headers.get("accept", "").startswith("text/html")


def ask_in(scope: Scope, name: str) -> Response:
    """Returns the page that loads itself again."""
    response = HTMLResponse(_PAGE, headers={"Cache-Control": "no-store"})
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["Set-Cookie"] = set_cookie(scope, name, "1", _ASKED_S, same_site="Lax")
    return response


def came_in(scope: Scope, name: str) -> str | None:
    """Returns the header ``Set-Cookie`` that takes back the mark of having been asked in, if a request carries it."""
    return set_cookie(scope, name, "", 0, same_site="Lax") if cookie_values(scope, name) else None
