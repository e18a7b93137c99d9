"""``/v1/videos``: files are brought, listed and taken away, each by its owner."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..store.values import Upload
from .errors import RequestError
from .forms import FormFile, is_form
from .incoming import IncomingFile
from .kinds import HEAD_BYTES, medium_of, mime_of
from .names import clean_name
from .owners import owner_of
from .quotas import Ledger, Quotas
from .storage import UploadStore, in_thread

T = TypeVar("T")

UPLOAD_PATH = "/v1/videos"
#: What a form may add to its file: boundaries, headers and small fields.
FORM_BYTES = 200_000
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def upload_router(store: UploadStore, quotas: Quotas) -> APIRouter:
    """Returns the routes ``POST`` and ``GET /v1/videos``, ``GET`` and ``DELETE /v1/videos/{id}``."""
    videos = _Videos(store, quotas)
    router = APIRouter()
    router.add_api_route(UPLOAD_PATH, videos.bring, methods=["POST"])
    router.add_api_route(UPLOAD_PATH, videos.list_all, methods=["GET"])
    router.add_api_route(UPLOAD_PATH + "/{id}", videos.show, methods=["GET"])
    router.add_api_route(UPLOAD_PATH + "/{id}", videos.remove, methods=["DELETE"])
    return router


def media_path(upload: Upload) -> str:
    """Returns the path under which the file is handed out to its owner."""
    return f"/media/{upload.id}"


def known_id(id: str) -> str:
    """Returns an id as it came, if it can be one.

    Raises:
        RequestError: It cannot (404): the store need not be asked, and nothing crooked gets further than here.
    """
    if not _ID.fullmatch(id):
        raise RequestError(404, "there is no such upload", code="not_found")
    return id


class _Videos:
    def __init__(self, store: UploadStore, quotas: Quotas) -> None:
        self._store = store
        self._ledger = Ledger(store, quotas)

    async def bring(self, request: Request) -> Response:
        """Takes a file: the field ``file`` of a form, or the body itself with its name as ``?name=``."""
        owner, body = owner_of(request.scope), _Body(request)
        async with (
            self._ledger.claim(owner, self._declared_bytes(request)) as claim,
            IncomingFile(self._store.incoming) as file,
            aclosing(body.pieces()) as pieces,
        ):
            mime = None
            async for piece in pieces:
                await claim.take(len(piece))
                await file.write(piece)
                if mime is None and len(file.head) == HEAD_BYTES:
                    mime = _judge(file)  # what is not taken need not be sent to its end
            mime = mime or _judge(file)
            await file.finish()
            kept = (owner, clean_name(body.name), mime, medium_of(mime), file.size, file.sha256, file.path)
            upload = await in_thread(self._store.add, *kept)
        return JSONResponse(_shown(upload), 201, {"Location": f"{UPLOAD_PATH}/{upload.id}"})

    async def list_all(self, request: Request) -> Response:
        """Lists what the owner has brought, oldest first."""
        uploads = await in_thread(self._store.list, owner_of(request.scope))
        return JSONResponse({"object": "list", "data": [_shown(upload) for upload in uploads]})

    async def show(self, request: Request, id: str) -> Response:
        """Shows one of the owner's files."""
        return JSONResponse(_shown(await self._of_id(self._store.get, request, id)))

    async def remove(self, request: Request, id: str) -> Response:
        """Removes one of the owner's files."""
        await self._of_id(self._store.delete, request, id)
        return JSONResponse({"id": id, "object": "video", "deleted": True})

    async def _of_id(self, function: Callable[[str, str], T], request: Request, id: str) -> T:
        """Asks the store about one of the owner's files; where there is none, the id is what is wrong."""
        try:
            return await in_thread(function, owner_of(request.scope), known_id(id))
        except RequestError as error:
            error.param = "id" if error.status == 404 else None
            raise

    def _declared_bytes(self, request: Request) -> int:
        declared_bytes = int(request.headers.get("content-length", "0"))
        self._ledger.check_file(declared_bytes - FORM_BYTES)
        return declared_bytes


class _Body:
    """The file in a request's body, in pieces; its name is known once they have been read."""

    def __init__(self, request: Request) -> None:
        content_type = request.headers.get("content-type", "")
        self._stream = request.stream()
        self._form = FormFile(content_type) if is_form(content_type) else None
        self._name = request.query_params.get("name", "")

    @property
    def name(self) -> str:
        """The name as it was sent."""
        return self._name if self._form is None else self._form.name

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yields the bytes of the file."""
        async with aclosing(self._stream) as stream:
            async for data in stream:
                for piece in [data] if self._form is None else self._form.feed(data):
                    yield piece
        if self._form is not None:
            self._form.finish()


def _judge(file: IncomingFile) -> str:
    if not file.size:
        raise RequestError(400, "the file is empty", code="empty_file", param="file")
    mime = mime_of(file.head)
    if mime is None:
        raise RequestError(
            415,
            "this is neither a video nor an image of a kind that is taken",
            code="unsupported_kind",
            param="file",
        )
    return mime


def _shown(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "object": "video",
        "name": upload.name,
        "mime": upload.mime,
        "kind": upload.kind,
        "size": upload.size,
        "sha256": upload.sha256,
        "created_s": upload.created_s,
        "expires_s": upload.expires_s,
        "url": media_path(upload),
    }
