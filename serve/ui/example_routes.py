"""``/examples``: posters for everyone, and a way to make an example an upload of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import anyio
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from ..web.errors import RequestError
from ..web.incoming import IncomingFile
from ..web.kinds import medium_of, mime_of
from ..web.owners import owner_of
from ..web.quotas import Ledger, Quotas
from ..web.storage import UploadStore, in_thread
from ..web.uploads import UPLOAD_PATH

if TYPE_CHECKING:
    from ..store.values import Upload
    from .examples import ExampleClip


def example_router(examples: Sequence[ExampleClip], store: UploadStore, quotas: Quotas) -> APIRouter:
    """Returns the routes ``GET /examples/{number}.png`` and ``POST /examples/{number}``.

    Args:
        examples: The examples, counted from 0.
        store: Where uploads are kept.
        quotas: How much may be kept.
    """
    routes = _Examples(examples, store, quotas)
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/examples/{number}.png", routes.poster, methods=["GET", "HEAD"])
    router.add_api_route("/examples/{number}", routes.bring, methods=["POST"])
    return router


class _Examples:
    def __init__(self, examples: Sequence[ExampleClip], store: UploadStore, quotas: Quotas) -> None:
        self._examples = examples
        self._store = store
        self._ledger = Ledger(store, quotas)
        self._lock = anyio.Lock()

    async def poster(self, number: str) -> Response:
        """Shows what an example looks like."""
        return FileResponse(self._at(number).poster, headers={"Cache-Control": "no-cache"})

    async def bring(self, request: Request, number: str) -> Response:
        """Makes an example an upload of the owner, unless it is one already, and leads to it."""
        example, owner = self._at(number), owner_of(request.scope)
        data = await in_thread(example.path.read_bytes)
        async with self._lock:  # two clicks at once bring one upload
            upload = await in_thread(self._known, owner, example.path.name, sha256(data).hexdigest())
            if upload is None:
                upload = await self._add(owner, example.path.name, data)
        return RedirectResponse(f"{UPLOAD_PATH}/{upload.id}", 303)

    def _at(self, number: str) -> ExampleClip:
        known = {str(each): example for each, example in enumerate(self._examples)}
        if number not in known:
            raise RequestError(404, "there is no such example", code="not_found")
        return known[number]

    def _known(self, owner: str, name: str, digest: str) -> Upload | None:
        mine = self._store.list(owner)
        return next((one for one in mine if (one.name, one.sha256) == (name, digest)), None)

    async def _add(self, owner: str, name: str, data: bytes) -> Upload:
        async with self._ledger.claim(owner, len(data)), IncomingFile(self._store.incoming) as file:
            await file.write(data)
            await file.finish()
            mime = mime_of(file.head)
            assert mime is not None, "examples are videos"
            kept = (owner, name, mime, medium_of(mime), file.size, file.sha256, file.path)
            return await in_thread(self._store.add, *kept)
