"""``/media/{id}``: an owner's file, whole or in part, under the type its content was judged to be."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from ..store.values import Upload
from .errors import RequestError
from .kinds import MIME_TYPES
from .owners import owner_of
from .storage import UploadStore, in_thread
from .uploads import known_id

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


def media_router(store: UploadStore) -> APIRouter:
    """Returns the route ``GET /media/{id}`` (and ``HEAD``)."""
    router = APIRouter()

    async def media(request: Request, id: str) -> Response:
        return await _hand_out(store, request, known_id(id))

    router.add_api_route("/media/{id}", media, methods=["GET", "HEAD"])
    return router


async def _hand_out(store: UploadStore, request: Request, id: str) -> Response:
    owner = owner_of(request.scope)
    upload = await in_thread(store.get, owner, id)
    path = await in_thread(store.path, owner, id)
    headers = _headers(upload)
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range", "")
    if request.headers.get("if-range", headers["ETag"]) != headers["ETag"]:
        wanted = ""  # a part of another file than the client has begun with would be of no use
    return _Part(path, upload.mime, headers, byte_range(wanted, upload.size))


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Reads a header ``Range`` (RFC 9110, section 14.1.2) of one range.

    Args:
        header: The header, or ``""``.
        size: Bytes of the file.

    Returns:
        First and last byte wanted; nothing where the whole is to be sent: without such a header, and for several ranges
        or a malformed one, which the standard lets a server ignore.

    Raises:
        RequestError: The range lies outside of the file (416).
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match[0].endswith("=-"):
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is None:
        first, last = max(0, size - (last or 0)), None
    if last is not None and last < first:
        return None
    if first >= size:
        raise RequestError(
            416,
            f"the range lies outside of the file of {size} bytes",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return first, size - 1 if last is None else min(last, size - 1)


def _headers(upload: Upload) -> dict[str, str]:
    if upload.mime not in MIME_TYPES:
        raise RequestError(404, "this file is of a kind that is not handed out", code="not_found")
    return {
        "ETag": f'"{upload.sha256}"',
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(upload.name, safe='')}",
        # Opened by itself, the file is a page of no origin that runs and loads nothing.
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }


class _Part(FileResponse):
    """A file, or the one part of it that was found to be wanted."""

    def __init__(self, path: Path, mime: str, headers: dict[str, str], part: tuple[int, int] | None) -> None:
        super().__init__(path, headers=headers, media_type=mime)
        self._part = part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = [(name, value) for name, value in scope["headers"] if name not in (b"range", b"if-range")]
        if self._part is not None:
            asked.append((b"range", b"bytes=%d-%d" % self._part))
        await super().__call__({**scope, "headers": asked}, receive, send)
