"""Gradio's own ways in and out of files are closed: our uploads and media know owners, Gradio's do not.

Whoever names the path of a file that Gradio keeps is given it, and whatever is sent to it lands beside the files of all
others. Below ``/gradio_api`` only what is known to be harmless is open, so that a way which a later Gradio adds is
closed from the first day; elsewhere the ways listed here are.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import RequestError, refuse

_API = "/gradio_api/"

#: Routes of Gradio that read or write files, fetch an address or act for one, as Gradio names them, and why.
CLOSED = {
    "/gradio_api/upload": "writes files of any kind, for anyone, without quota",
    "/gradio_api/upload_progress": "tells about such files; part of the same way in",
    "/gradio_api/file={path_or_url:path}": "reads any file that Gradio keeps, whoever brought it; fetches addresses",
    "/gradio_api/file/{path:path}": "the same under an older name",
    "/gradio_api/proxy={url_path:path}": "fetches an address for the browser",
    "/gradio_api/stream/{event_id}": "sends data into somebody's running event",
    "/gradio_api/stream/{event_id}/close": "ends somebody's running event",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8": "reads a session's media",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}": "reads a session's media",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file": "writes and reads a session's media",
    "/gradio_api/component_server": "calls functions of components, some of which read files",
    "/gradio_api/custom_component/{id}/{environment}/{type}/{file_name}": "reads files beside a component's module",
    "/gradio_api/deep_link": "writes what a session holds into a file that everybody can open",
    "/gradio_api/process_recording": "writes a file and starts ffmpeg on it",
    "/gradio_api/run-history/connect": "talks to a server elsewhere",
    "/gradio_api/run-history/buckets": "talks to a server elsewhere",
    "/gradio_api/run-history/records": "talks to a server elsewhere",
    "/gradio_api/run-history/records/{endpoint}/{record_id}/assets/{asset_id}": "fetches a file from elsewhere",
    "/gradio_api/vibe-edit": "rewrites the program's own file",
    "/gradio_api/undo-vibe-edit": "rewrites the program's own file",
    "/gradio_api/vibe-code": "reads and rewrites the program's own file",
    "/gradio_api/vibe-starter-queries": "reads the program's own file and talks to a server elsewhere",
    "/gradio_api/dev/reload": "keeps a connection open to watch the program's own files",
    "/monitoring": "a page about all sessions",
    "/monitoring/summary": "figures about all sessions",
    "/monitoring/{key}": "a page about all sessions",
    "/pwa_icon": "reads an image file",
    "/pwa_icon/{size}": "reads an image file and makes it any size that is asked for, in memory",
    "/login": "Gradio's own accounts, which are not used; the password has a page of its own",
    "/logout": "the same",
}
#: Routes of Gradio that the page needs or that tell what everyone may know.
HARMLESS = {
    "/": "the page",
    "/config": "what the page is made of",
    "/theme.css": "its colours",
    "/static/{path:path}": "files of Gradio's package",
    "/assets/{path:path}": "files of Gradio's package",
    "/svelte/{path:path}": "files of Gradio's package",
    "/favicon.ico": "a file of Gradio's package",
    "/manifest.json": "the page's name",
    "/robots.txt": "a line of text",
    "/openapi.json": "what the page is made of",
    "/gradio_api/user": "who is logged in at Gradio: nobody",
    "/gradio_api/login_check": "whether somebody is",
    "/gradio_api/token": "the asker's own token: none",
    "/gradio_api/app_id": "a random number",
    "/gradio_api/info": "the named functions: none",
    "/gradio_api/openapi.json": "the same",
    "/gradio_api/runs": "an empty page: no history is kept by Gradio",
    "/gradio_api/run/{api_name}": "calls functions of the page that do not wait in the queue",
    "/gradio_api/api/{api_name}": "the same under an older name",
    "/gradio_api/call/{api_name}": "puts a call into the queue",
    "/gradio_api/call/v2/{api_name}": "the same",
    "/gradio_api/call/v2/{api_name}/{event_id}": "the result of a call",
    "/gradio_api/call/{api_name}/{event_id}": "the result of a call",
    "/gradio_api/queue/join": "puts a call into the queue",
    "/gradio_api/queue/data": "the results of a session's calls",
    "/gradio_api/queue/status": "how long the queue is",
    "/gradio_api/cancel": "ends a call whose random id is known",
    "/gradio_api/reset": "does nothing",
    "/gradio_api/heartbeat/{session_hash}": "says that a page is still open",
    "/gradio_api/startup-events": "runs what runs once",
    "/gradio_api/theme.css": "its colours",
}
# A page asked for with this opens a file that a deep link wrote.
_CLOSED_PARAMETER = "deep_link"
# Layers of percent-encoding that are taken off; no client puts on as many.
_MOST_LAYERS = 4


class CloseGradio:
    """ASGI middleware around the page that answers 403 on those routes, however their path is written."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] in ("http", "websocket") and (
            is_closed(scope["path"]) or _asks_for_file(scope.get("query_string", b""))
        ):
            error = RequestError(
                403, "this way is closed: files go through /v1/videos and /media", code="closed"
            )
            await refuse(error, scope, receive, send)
            return
        await self.app(scope, receive, send)


def is_closed(path: str) -> bool:
    """Whether a path leads to a closed route, in any of the ways in which it may be understood."""
    for _ in range(_MOST_LAYERS):
        if any(_is_closed_form(form) for form in _spellings(path)):
            return True
        decoded = unquote(path)
        if decoded == path:
            return False
        path = decoded
    return True


def _spellings(path: str) -> Iterator[str]:
    """The path in one spelling; whether dots are followed depends on who reads, so both readings count."""
    spelled = re.sub(r"/+", "/", path.replace("\\", "/").lower())
    yield spelled
    yield posixpath.normpath(spelled)


def _is_closed_form(path: str) -> bool:
    path = path.rstrip("/") or "/"
    if any(pattern.fullmatch(path) for pattern in _CLOSED):
        return True
    return (path + "/").startswith(_API) and not any(pattern.fullmatch(path) for pattern in _HARMLESS)


def _asks_for_file(query: bytes) -> bool:
    names = (name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    return any(name.strip().lower() == _CLOSED_PARAMETER for name in names)


def _pattern(route: str) -> re.Pattern[str]:
    """What paths a route of Starlette takes, in lower case."""
    parts = re.split(r"\{[^}]*\}", route)
    kinds = [".*" if field.endswith(":path}") else "[^/]+" for field in re.findall(r"\{[^}]*\}", route)] + [
        ""
    ]
    return re.compile(
        "".join(re.escape(part.lower()) + kind for part, kind in zip(parts, kinds, strict=True)), re.DOTALL
    )


_CLOSED = [_pattern(route) for route in CLOSED]
_HARMLESS = [_pattern(route) for route in HARMLESS if route.startswith(_API)]
